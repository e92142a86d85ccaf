package weights

import (
	"io"
	"slices"
)

// HDF5 is what an HDF5 file says of itself.
type HDF5 struct {
	// Tensors is how many arrays of numbers there are.
	Tensors int
	// Attributes are the texts that belong to the file: keras_version, backend and
	// model_config of Keras. Long ones are cut after 64 KiB.
	Attributes map[string]string
}

// ReadHDF5 reads the structure of an HDF5 file and calls add for each array of
// numbers, by its path: model_weights/dense/dense/kernel:0. An array with several
// paths comes once; arrays of text, records and the like do not come at all.
//
// It knows what libhdf5 writes unless it is told to do without old readers: both
// kinds of groups, but none with so many links that they have a heap of their own.
func ReadHDF5(r io.ReaderAt, size int64, add func(Tensor)) (*HDF5, error) {
	return readHDF5(newPages("HDF5", r, size), add)
}

func readHDF5(p *pages, add func(Tensor)) (*HDF5, error) {
	h := &hdf5{pages: p, add: add, seen: make(map[int64]bool)}
	h.root = h.superblock()
	h.push("", "", h.root)
	for len(h.todo) > 0 && h.err == nil {
		next := h.todo[len(h.todo)-1]
		h.todo = h.todo[:len(h.todo)-1]
		h.object(next)
	}
	if h.err != nil {
		return nil, h.err
	}
	return &h.file, nil
}

type hdf5 struct {
	*pages
	file    HDF5
	add     func(Tensor)
	root    int64 // the address of the first group
	offsets int   // the width of an address
	lengths int   // the width of a length
	seen    map[int64]bool
	todo    []hdf5Link
	kept    int // bytes of attributes
	dims    [maxRank]int64
}

// hdf5Link is an object that is still to be read, and its name in its group.
type hdf5Link struct {
	group, name string
	address     int64
}

func (l hdf5Link) path() string {
	if l.group == "" {
		return l.name
	}
	return l.group + "/" + l.name
}

// nowhere is an address that is not set.
const nowhere = -1

// address reads an address and sees to it that it is in the file.
func (h *hdf5) address(r *region) int64 {
	at := r.at
	v := r.uint(h.offsets)
	switch {
	case v == 1<<(8*h.offsets)-1:
		return nowhere
	case v >= uint64(h.size):
		h.fail(at, "the address %d in a file of %d bytes", v, h.size)
		return nowhere
	}
	return int64(v)
}

// pointer is an address that has to be set.
func (h *hdf5) pointer(r *region) int64 {
	at := r.at
	address := h.address(r)
	if address == nowhere {
		h.fail(at, "an address is missing")
		return 0
	}
	return address
}

func (h *hdf5) length(r *region) int64 { return r.int(h.lengths) }

// once says whether nothing was read at an address before.
func (h *hdf5) once(address int64) bool {
	if h.seen[address] {
		return false
	}
	h.seen[address] = true
	return true
}

// part is once for what belongs to a single owner.
func (h *hdf5) part(address int64) {
	if h.err == nil && !h.once(address) {
		h.fail(address, "what is here belongs to several others, or to itself")
	}
}

// superblock reads the start of the file and returns the address of the first
// group.
func (h *hdf5) superblock() int64 {
	r := h.region(0, min(h.size, 256))
	r.magic("\x89HDF\r\n\x1a\n")
	switch version := r.uint(1); {
	case version <= 1:
		r.skip(4)
		h.widths(&r)
		r.skip(1 + 4 + 4) // the order of B-trees: their nodes say how many entries they have
		if version == 1 {
			r.skip(4)
		}
		r.skip(int64(2 * h.offsets))
		h.checkEnd(&r)
		r.skip(int64(h.offsets + h.lengths)) // a driver, and the name of the group
	case version <= 3:
		h.widths(&r)
		r.skip(1 + int64(2*h.offsets))
		h.checkEnd(&r)
	default:
		h.fail(8, "version %d, which is not known", version)
	}
	return h.pointer(&r)
}

func (h *hdf5) widths(r *region) {
	at := r.at
	h.offsets, h.lengths = int(r.uint(1)), int(r.uint(1))
	for _, width := range [...]int{h.offsets, h.lengths} {
		if width != 2 && width != 4 && width != 8 {
			h.fail(at, "addresses of %d bytes and lengths of %d", h.offsets, h.lengths)
			h.offsets, h.lengths = 8, 8
		}
	}
}

// checkEnd compares where the file ends with where it should.
func (h *hdf5) checkEnd(r *region) {
	at := r.at
	if end := r.uint(h.offsets); end > uint64(h.size) {
		h.fail(at, "the file has %d bytes and should have %d", h.size, end)
	}
}

// push notes an object to be read.
func (h *hdf5) push(group, name string, address int64) {
	switch {
	case len(group)+len(name) >= maxName:
		h.fail(address, "a path of more than %d bytes", maxName)
	case len(h.todo)+len(h.seen) >= maxTensors:
		h.fail(address, "more than %d objects", maxTensors)
	default:
		h.todo = append(h.todo, hdf5Link{group, name, address})
	}
}

// object reads a group or a dataset.
func (h *hdf5) object(link hdf5Link) {
	if !h.once(link.address) {
		return // it has several names
	}
	if !h.spend(link.address, int64(len(link.group)+len(link.name))) { // the same group may be in many paths
		return
	}
	o := hdf5Object{link: link, path: link.path(), tree: nowhere}
	first := len(h.todo)
	h.header(link.address, func(m hdf5Message) { h.message(&o, m) })
	if o.tree != nowhere {
		h.tree(&o, o.tree, nowhere)
	}
	slices.Reverse(h.todo[first:]) // they are taken from the end
	if h.err == nil && o.typed && o.spaced && o.dtype != "" {
		h.tensor(&o)
	}
}

// tensor hands over a dataset.
func (h *hdf5) tensor(o *hdf5Object) {
	elements, ok := product(o.shape)
	if !ok {
		h.fail(o.link.address, "%.200q has more elements than there can be", o.path)
		return
	}
	if o.empty {
		elements = 0
	}
	h.file.Tensors++
	if h.add != nil {
		h.add(Tensor{Name: o.path, DType: o.dtype, Shape: o.shape, Elements: elements})
	}
}
