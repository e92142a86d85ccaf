package weightstest

import (
	"slices"
	"strings"
)

// Attribute is a text that belongs to the first group of an HDF5 file. One of
// Fixed length is in the header of the group, another one in a heap.
type Attribute struct {
	Name, Value string
	Fixed       bool
}

// HDF5 makes an HDF5 file as h5py writes it: version 0, groups with B-trees, each
// array in one piece behind its header. The tensors are named by their paths; their
// types are those of safetensors, and anything else is text.
func HDF5(attributes []Attribute, tensors ...Tensor) *File {
	h := &hdf5{File: new(File)}
	root := &hdf5Node{}
	for _, t := range tensors {
		root.insert(strings.Split(t.Name, "/"), t)
	}
	h.zeros(hdf5Start)
	at := h.group(root, h.attributes(attributes))
	super := append([]byte("\x89HDF\r\n\x1a\n"), 0, 0, 0, 0, 0, 8, 8, 0)
	super = le(super, 2, hdf5Leaf, 2, hdf5Inner, 4, 0, 8, 0, 8, -1, 8, h.size, 8, -1, 8, 0, 8, at, 4, 0, 4, 0, 8, 0, 8, 0)
	h.parts = append(h.parts, part{0, super})
	return h.File
}

const (
	hdf5Start = 96 // the length of the superblock
	hdf5Leaf  = 4  // half of the members that a table can have
	hdf5Inner = 16 // half of the children that a node can have
	hdf5Heap  = 4 << 10
)

// hdf5Node is a group, or an array if it has no members.
type hdf5Node struct {
	name    string
	tensor  *Tensor
	members []*hdf5Node
}

func (n *hdf5Node) insert(path []string, t Tensor) {
	i := slices.IndexFunc(n.members, func(m *hdf5Node) bool { return m.name == path[0] })
	if i < 0 {
		i = len(n.members)
		n.members = append(n.members, &hdf5Node{name: path[0]})
	}
	if len(path) == 1 {
		n.members[i].tensor = &t
		return
	}
	n.members[i].insert(path[1:], t)
}

type hdf5 struct{ *File }

// put appends a structure and says where it is.
func (h *hdf5) put(b []byte) int64 {
	h.pad(8)
	at := h.size
	h.add(b)
	return at
}

// header writes the header of an object. Several messages are told apart into two
// blocks, as happens when some come later.
func (h *hdf5) header(messages ...[]byte) int64 {
	count := int64(len(messages))
	rest := slices.Concat(messages[1:]...)
	first := messages[0]
	if len(rest) > 0 {
		count++
		first = slices.Concat(hdf5Message(0x10, le(nil, 8, h.put(rest), 8, int64(len(rest)))), first)
	}
	head := le(nil, 1, 1, 1, 0, 2, count, 4, 1, 4, int64(len(first)), 4, 0)
	return h.put(append(head, first...))
}

func hdf5Message(kind int64, data []byte) []byte {
	data = append(data, make([]byte, (8-len(data)%8)%8)...)
	return append(le(nil, 2, kind, 2, int64(len(data)), 1, 0, 2, 0, 1, 0), data...)
}

// member writes a group or an array.
func (h *hdf5) member(n *hdf5Node) int64 {
	if n.tensor == nil {
		return h.group(n, nil)
	}
	t, bytes := *n.tensor, n.tensor.elements()*hdf5Size(n.tensor.DType)
	data := h.size
	h.zeros(bytes)
	return h.header(hdf5Message(0x01, hdf5Space(t.Shape)), hdf5Message(0x03, hdf5Type(t.DType)),
		hdf5Message(0x08, le(nil, 1, 3, 1, 1, 8, data, 8, bytes)))
}

// group writes the members of a group, in the order of their names, and then the
// group.
func (h *hdf5) group(n *hdf5Node, attributes [][]byte) int64 {
	slices.SortFunc(n.members, func(a, b *hdf5Node) int { return strings.Compare(a.name, b.name) })
	names := make([]byte, 8) // the first is empty
	var symbols []hdf5Symbol
	for _, m := range n.members {
		symbols = append(symbols, hdf5Symbol{int64(len(names)), h.member(m)})
		names = append(names, m.name...)
		names = append(names, make([]byte, 8-len(m.name)%8)...)
	}
	segment := h.put(names)
	heap := h.put(le([]byte("HEAP"), 4, 0, 8, int64(len(names)), 8, 1, 8, segment))
	var children []hdf5Symbol
	for table := range slices.Chunk(symbols, 2*hdf5Leaf) {
		b := le([]byte("SNOD"), 1, 1, 1, 0, 2, int64(len(table)))
		for _, s := range table {
			b = le(b, 8, s.name, 8, s.at, 4, 0, 4, 0, 8, 0, 8, 0)
		}
		b = append(b, make([]byte, (2*hdf5Leaf-len(table))*40)...)
		children = append(children, hdf5Symbol{table[len(table)-1].name, h.put(b)})
	}
	tree := h.tree(children, 0)
	return h.header(append([][]byte{hdf5Message(0x11, le(nil, 8, tree, 8, heap))}, attributes...)...)
}

// hdf5Symbol is a name, which is in the heap, and where the object is. In a B-tree
// it is the last name below a node.
type hdf5Symbol struct{ name, at int64 }

// tree writes a B-tree above its children.
func (h *hdf5) tree(children []hdf5Symbol, level int64) int64 {
	var nodes []hdf5Symbol
	before := int64(0)
	for some := range slices.Chunk(children, 2*hdf5Inner) {
		b := le([]byte("TREE"), 1, 0, 1, level, 2, int64(len(some)), 8, -1, 8, -1, 8, before)
		for _, child := range some {
			b = le(b, 8, child.at, 8, child.name)
		}
		before = some[len(some)-1].name
		nodes = append(nodes, hdf5Symbol{before, h.treeNode(b)})
	}
	switch len(nodes) {
	case 0:
		return h.treeNode(le([]byte("TREE"), 1, 0, 1, 0, 2, 0, 8, -1, 8, -1, 8, 0))
	case 1:
		return nodes[0].at
	}
	return h.tree(nodes, level+1)
}

// treeNode writes a node with the room that it has for children.
func (h *hdf5) treeNode(b []byte) int64 {
	return h.put(append(b, make([]byte, 24+8+2*hdf5Inner*16-len(b))...))
}

func (h *hdf5) attributes(all []Attribute) (messages [][]byte) {
	for _, a := range all {
		length := int64(len(a.Value))
		kind, value := hdf5Text(length), []byte(a.Value)
		if !a.Fixed {
			object := append(le(nil, 2, 1, 2, 0, 4, 0, 8, length), a.Value...)
			object = append(object, make([]byte, (8-length%8)%8)...)
			free := max(hdf5Heap-16-len(object), 16)
			object = append(le(object, 2, 0, 2, 0, 4, 0, 8, int64(free)), make([]byte, free-16)...)
			heap := h.put(append(le([]byte("GCOL"), 4, 1, 8, int64(16+len(object))), object...))
			kind = append([]byte{0x19, 1, 0, 0, 16, 0, 0, 0}, hdf5Text(1)...)
			value = le(nil, 4, length, 8, heap, 4, 1)
		}
		b := le(nil, 1, 1, 1, 0, 2, int64(len(a.Name)+1), 2, int64(len(kind)), 2, 8)
		for _, piece := range [...][]byte{append([]byte(a.Name), 0), kind, hdf5Space(nil)} {
			b = append(b, piece...)
			b = append(b, make([]byte, (8-len(piece)%8)%8)...)
		}
		messages = append(messages, hdf5Message(0x0c, append(b, value...)))
	}
	return messages
}

func hdf5Space(shape []int64) []byte {
	b := le(nil, 1, 1, 1, int64(len(shape)), 1, 0, 1, 0, 4, 0)
	for _, d := range shape {
		b = le(b, 8, d)
	}
	return b
}

func hdf5Text(length int64) []byte { return le([]byte{0x13, 0, 0, 0}, 4, length) }

// hdf5Floats has the bits of a float's exponent and fraction.
var hdf5Floats = map[string][2]int64{"F16": {5, 10}, "BF16": {8, 7}, "F32": {8, 23}, "F64": {11, 52}}

func hdf5Size(dtype string) int64 { return max(safetensorsBits[dtype], 8) / 8 }

// hdf5Type describes a type. Keras's bfloat16 is two bytes that mean nothing to HDF5.
func hdf5Type(dtype string) []byte {
	size := hdf5Size(dtype)
	bits := hdf5Floats[dtype]
	switch {
	case dtype == "BF16":
		return le([]byte{0x15, 0, 0, 0}, 4, size)
	case bits[0] > 0:
		return le([]byte{0x11, 0x20, byte(8*size - 1), 0}, 4, size, 2, 0, 2, 8*size, 1, bits[1], 1, bits[0], 1, 0, 1, bits[1], 4, 1<<(bits[0]-1)-1)
	case dtype[0] == 'I':
		return le([]byte{0x10, 8, 0, 0}, 4, size, 2, 0, 2, 8*size)
	case dtype[0] == 'U':
		return le([]byte{0x10, 0, 0, 0}, 4, size, 2, 0, 2, 8*size)
	}
	return hdf5Text(size)
}
