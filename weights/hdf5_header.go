package weights

// Messages of object headers.
const (
	hdf5Dataspace    = 0x01
	hdf5LinkInfo     = 0x02
	hdf5Datatype     = 0x03
	hdf5MemberLink   = 0x06
	hdf5Attribute    = 0x0c
	hdf5Continuation = 0x10
	hdf5SymbolTable  = 0x11
)

// hdf5Message is a part of the header of an object.
type hdf5Message struct {
	kind   uint64
	shared bool // it only says where the message is
	data   region
}

// hdf5Object is what the header of an object says.
type hdf5Object struct {
	link  hdf5Link
	path  string
	tree  int64 // the B-tree of a group
	names region

	typed, spaced bool
	dtype         DType // empty for what is no number
	shape         []int64
	empty         bool // it has no elements whatever its shape
}

// message takes what tells something.
func (h *hdf5) message(o *hdf5Object, m hdf5Message) {
	switch m.kind {
	case hdf5Dataspace:
		if m.shared {
			h.fail(m.data.at, "a shape that is kept elsewhere, which is not read")
			return
		}
		o.spaced = true
		o.shape, o.empty = h.dataspace(&m.data)
	case hdf5Datatype:
		o.typed = true
		o.dtype = h.datatypeOf(m)
	case hdf5LinkInfo:
		h.linkInfo(o, &m.data)
	case hdf5MemberLink:
		h.member(o, &m.data)
	case hdf5SymbolTable:
		o.tree = h.pointer(&m.data)
		h.heap(o, h.pointer(&m.data))
	case hdf5Attribute:
		if o.link.address == h.root && !m.shared {
			h.attribute(&m.data)
		}
	}
}

// header calls each for the messages of an object. They are in one or more
// blocks, and a message in one says where the next is.
func (h *hdf5) header(at int64, each func(hdf5Message)) {
	r := h.region(at, h.size-at)
	version := r.uint(1)
	if version == 'O' {
		h.newHeader(at, each)
		return
	}
	if version != 1 {
		h.fail(at, "the header of an object of version %d, which is not known", version)
	}
	r.skip(1 + 2 + 4)
	length := r.int(4)
	r.skip(4)
	h.blocks(r.take(length), each, func(block *region) hdf5Message {
		m := hdf5Message{kind: block.uint(2)}
		length := block.int(2)
		m.shared = block.uint(1)&2 != 0
		block.skip(3)
		m.data = block.take(length)
		return m
	}, func(at, length int64) region { return h.region(at, length) })
}

const (
	oldMessage = 8 // the least that a message takes
	newMessage = 4
	checksum   = 4

	maxMessages = 1 << 16 // of a header
)

// newHeader reads a header of version 2.
func (h *hdf5) newHeader(at int64, each func(hdf5Message)) {
	r := h.region(at, h.size-at)
	r.magic("OHDR\x02")
	flags := r.uint(1)
	if flags&0x20 != 0 {
		r.skip(16)
	}
	if flags&0x10 != 0 {
		r.skip(4)
	}
	length := r.int(1 << (flags & 3))
	h.blocks(r.take(length), each, func(block *region) hdf5Message {
		m := hdf5Message{kind: block.uint(1)}
		length := block.int(2)
		m.shared = block.uint(1)&2 != 0
		if flags&4 != 0 {
			block.skip(2)
		}
		m.data = block.take(length)
		return m
	}, func(at, length int64) region {
		block := h.region(at, length)
		block.magic("OCHK")
		block.end -= checksum
		return block
	})
}

// blocks reads messages with next from the first block and from those that follow,
// which open finds.
func (h *hdf5) blocks(block region, each func(hdf5Message), next func(*region) hdf5Message, open func(at, length int64) region) {
	type place struct{ at, length int64 }
	var follow []place
	for read := 0; ; {
		for block.left() >= newMessage && h.err == nil { // less is a gap
			m := next(&block)
			if read++; read > maxMessages {
				h.fail(block.at, "the header of an object of more than %d messages", maxMessages)
			}
			switch {
			case h.err != nil:
				return
			case m.kind == hdf5Continuation:
				follow = append(follow, place{h.pointer(&m.data), h.length(&m.data)})
			default:
				each(m)
			}
		}
		if len(follow) == 0 || h.err != nil {
			return
		}
		block = open(follow[0].at, follow[0].length)
		follow = follow[1:]
	}
}
