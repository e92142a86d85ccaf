package weightstest

import (
	"cmp"
	"encoding/binary"
)

// TFLiteModel is a TensorFlow Lite model to be made.
type TFLiteModel struct {
	Description string
	// Subgraphs have the tensors of each, with and without values.
	Subgraphs [][]TFLiteTensor
	// Buffers are the sizes of those with values in bytes, all zeros. They count
	// from 1: buffer 0 is always there and empty.
	Buffers []int64
	// Behind puts the values behind the flat buffer, as in files of more than 2 GiB.
	Behind bool
}

// TFLiteTensor is a tensor. Type is the number of TensorType: 0 is a float, 1 a
// float16, 2 an int32, 9 an int8. What has no buffer is computed.
type TFLiteTensor struct {
	Name   string
	Type   int64
	Buffer int64
	Shape  []int32
}

// TFLiteWeights is a model with one subgraph, in which each tensor has a buffer of
// its own. Tensors of 4 bits must have an even number of elements.
func TFLiteWeights(tensors ...TFLiteTensor) TFLiteModel {
	bits := map[int64]int64{0: 32, 1: 16, 2: 32, 4: 64, 7: 16, 10: 64, 17: 4, 18: 16, 20: 4}
	m := TFLiteModel{Subgraphs: [][]TFLiteTensor{{{Name: "input", Shape: []int32{1, 224, 224, 3}}}}}
	for i, t := range tensors {
		n := cmp.Or(bits[t.Type], 8)
		for _, d := range t.Shape {
			n *= int64(d)
		}
		t.Buffer = int64(i + 1)
		m.Buffers = append(m.Buffers, n/8)
		m.Subgraphs[0] = append(m.Subgraphs[0], t)
	}
	return m
}

// TFLite makes a TensorFlow Lite file.
func TFLite(m TFLiteModel) *File {
	f := &flat{b: []byte("\x00\x00\x00\x00TFL3")}
	buffers := []flatPut{flatTable()}
	for i, size := range m.Buffers {
		if m.Behind {
			buffers = append(buffers, flatTable(flatField{}, f.later(i, 0), f.later(i, 1)))
		} else {
			buffers = append(buffers, flatTable(flatRef(flatZeros(size))))
		}
	}
	var graphs []flatPut
	for _, tensors := range m.Subgraphs {
		graphs = append(graphs, subgraph(tensors))
	}
	root := flatTable(flatNumber(4, 3), flatField{}, flatRef(flatTables(graphs)), flatRef(flatText(m.Description)), flatRef(flatTables(buffers)))
	f.refer(0, root)
	file := new(File)
	ends := f.place(m)
	file.add(f.b)
	file.zeros(ends)
	return file
}

func subgraph(tensors []TFLiteTensor) flatPut {
	var all []flatPut
	for _, t := range tensors {
		shape := binary.LittleEndian.AppendUint32(nil, uint32(len(t.Shape)))
		for _, d := range t.Shape {
			shape = binary.LittleEndian.AppendUint32(shape, uint32(d))
		}
		all = append(all, flatTable(flatRef(flatBytes(shape)), flatNumber(1, t.Type), flatNumber(4, t.Buffer), flatRef(flatText(t.Name))))
	}
	return flatTable(flatRef(flatTables(all)))
}

// flat is a flat buffer that is written from the start: what refers to something
// comes before it.
type flat struct {
	b     []byte
	fixes map[[2]int]int // where the place and the size of a buffer go
}

// flatPut writes something and returns where it is.
type flatPut func(*flat) int

// flatField is a number in a table, or what the table refers to; empty, it is not
// there.
type flatField struct {
	width int
	value int64
	ref   flatPut
	fix   *[2]int
}

func flatNumber(width int, value int64) flatField { return flatField{width: width, value: value} }
func flatRef(ref flatPut) flatField               { return flatField{width: 4, ref: ref} }

// later is a number that is known at the end.
func (f *flat) later(buffer, what int) flatField {
	return flatField{width: 8, fix: &[2]int{buffer, what}}
}

// place says where the buffers behind the flat buffer are, and how long they are
// together.
func (f *flat) place(m TFLiteModel) int64 {
	var end int64
	if m.Behind {
		f.align(16)
		for i, size := range m.Buffers {
			binary.LittleEndian.PutUint64(f.b[f.fixes[[2]int{i, 0}]:], uint64(int64(len(f.b))+end))
			binary.LittleEndian.PutUint64(f.b[f.fixes[[2]int{i, 1}]:], uint64(size))
			end += (size + 15) / 16 * 16
		}
	}
	return end
}

func (f *flat) align(n int) {
	for len(f.b)%n != 0 {
		f.b = append(f.b, 0)
	}
}

// refer writes what is referred to, and the offset to it at a place before.
func (f *flat) refer(at int, put flatPut) {
	to := put(f)
	binary.LittleEndian.PutUint32(f.b[at:], uint32(to-at))
}

// flatTable writes its layout, itself, and then what it refers to.
func flatTable(fields ...flatField) flatPut {
	return func(f *flat) int {
		f.align(8)
		layout, length := len(f.b), 4
		offsets := make([]int, len(fields))
		for i, field := range fields {
			if field.width > 0 {
				length = (length + field.width - 1) / field.width * field.width
				offsets[i] = length
				length += field.width
			}
		}
		f.b = binary.LittleEndian.AppendUint16(f.b, uint16(4+2*len(fields)))
		f.b = binary.LittleEndian.AppendUint16(f.b, uint16(length))
		for _, offset := range offsets {
			f.b = binary.LittleEndian.AppendUint16(f.b, uint16(offset))
		}
		f.align(8)
		at := len(f.b)
		f.b = append(f.b, make([]byte, length)...)
		binary.LittleEndian.PutUint32(f.b[at:], uint32(at-layout))
		for i, field := range fields {
			f.field(at+offsets[i], field)
		}
		return at
	}
}

func (f *flat) field(at int, field flatField) {
	switch {
	case field.width == 0:
	case field.ref != nil:
		f.refer(at, field.ref)
	case field.fix != nil:
		if f.fixes == nil {
			f.fixes = make(map[[2]int]int)
		}
		f.fixes[*field.fix] = at
	default:
		copy(f.b[at:at+field.width], le(nil, int64(field.width), field.value))
	}
}

// flatTables is a list of tables.
func flatTables(tables []flatPut) flatPut {
	return func(f *flat) int {
		f.align(4)
		at := len(f.b)
		f.b = binary.LittleEndian.AppendUint32(f.b, uint32(len(tables)))
		f.b = append(f.b, make([]byte, 4*len(tables))...)
		for i, table := range tables {
			f.refer(at+4+4*i, table)
		}
		return at
	}
}

// flatBytes is a list as it is.
func flatBytes(b []byte) flatPut {
	return func(f *flat) int {
		f.align(4)
		f.b = append(f.b, b...)
		return len(f.b) - len(b)
	}
}

func flatText(s string) flatPut {
	return flatBytes(append(binary.LittleEndian.AppendUint32(nil, uint32(len(s))), s+"\x00"...))
}

// flatZeros are bytes that start at a multiple of 16.
func flatZeros(n int64) flatPut {
	return func(f *flat) int {
		for len(f.b)%16 != 12 {
			f.b = append(f.b, 0)
		}
		f.b = append(binary.LittleEndian.AppendUint32(f.b, uint32(n)), make([]byte, n)...)
		return len(f.b) - int(n) - 4
	}
}
