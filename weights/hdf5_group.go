package weights

// Groups have their members in one of two ways: a B-tree whose leaves are tables
// of symbols, with the names in a heap of bytes; or messages in their own header.

// tree reads a node of the B-tree of a group. The levels have to go down, one by
// one, so that there is an end to it.
func (h *hdf5) tree(o *hdf5Object, at, level int64) {
	h.part(at)
	r := h.region(at, h.size-at)
	r.magic("TREE")
	kind, here, entries := r.uint(1), r.int(1), r.uint(2)
	switch {
	case h.err != nil:
		return
	case kind != 0:
		h.fail(at, "a B-tree of chunks where there has to be one of a group")
	case level != nowhere && here != level:
		h.fail(at, "a node of level %d in a B-tree where there has to be one of level %d", here, level)
	}
	r.skip(int64(2*h.offsets + h.lengths)) // its neighbours, and the first key
	for ; entries > 0 && h.err == nil; entries-- {
		child := h.pointer(&r)
		r.skip(int64(h.lengths))
		switch {
		case h.err != nil:
		case here > 0:
			h.tree(o, child, here-1)
		default:
			h.symbols(o, child)
		}
	}
}

// symbols reads a table of members.
func (h *hdf5) symbols(o *hdf5Object, at int64) {
	h.part(at)
	r := h.region(at, h.size-at)
	r.magic("SNOD")
	r.skip(2)
	const symbolic = 2
	for n := r.uint(2); n > 0 && h.err == nil; n-- {
		from := r.at
		name := h.length(&r) // and not an address, as the specification has it
		address := h.address(&r)
		kind := r.uint(4)
		r.skip(4 + 16)
		if address != nowhere && kind != symbolic && h.err == nil {
			h.push(o.path, h.heapName(o, name, from), address)
		}
	}
}

// heap finds where the names of a group are.
func (h *hdf5) heap(o *hdf5Object, at int64) {
	r := h.region(at, h.size-at)
	r.magic("HEAP")
	r.skip(4)
	length := h.length(&r)
	r.skip(int64(h.lengths))
	o.names = h.region(h.pointer(&r), length)
}

// heapName is the name at an offset of the heap, for a symbol at from.
func (h *hdf5) heapName(o *hdf5Object, offset, from int64) string {
	names := o.names
	if offset >= names.left() {
		h.fail(from, "a name at byte %d of a heap of %d", offset, names.left())
		return ""
	}
	names.skip(offset)
	name := names.line()
	if name == "" {
		h.fail(from, "a member without a name")
	}
	return name
}

// line is the text up to a zero byte.
func (r *region) line() string {
	var name []byte
	for len(name) < maxName && r.more() {
		var some [64]byte
		next := some[:min(int64(len(some)), r.left())]
		r.bytes(next)
		for i, c := range next {
			if c == 0 {
				return string(append(name, next[:i]...))
			}
		}
		name = append(name, next...)
	}
	r.fail(r.at, "a name that does not end")
	return ""
}

// linkInfo says where the members are that are not in the header.
func (h *hdf5) linkInfo(o *hdf5Object, r *region) {
	at := r.at
	r.skip(1)
	if r.uint(1)&1 != 0 {
		r.skip(8)
	}
	if heap := h.address(r); heap != nowhere {
		h.fail(at, "the group %.200q has its members in a fractal heap, which is not read: libver='latest' makes them, and so do links to other files", "/"+o.path)
	}
}

// member reads a link of the header of a group. Links to names, here and in other
// files, lead to what is counted where it is.
func (h *hdf5) member(o *hdf5Object, r *region) {
	r.skip(1)
	flags := r.uint(1)
	kind := uint64(0)
	if flags&8 != 0 {
		kind = r.uint(1)
	}
	if flags&4 != 0 {
		r.skip(8)
	}
	if flags&16 != 0 {
		r.skip(1)
	}
	length := r.int(1 << (flags & 3))
	name := r.text(length, maxName)
	if kind != 0 || h.err != nil {
		return
	}
	h.push(o.path, name, h.pointer(r))
}
