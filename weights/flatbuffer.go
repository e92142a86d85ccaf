package weights

import (
	"encoding/binary"
	"fmt"
	"io"
)

// The part of a file that is read at a time, and how many parts are kept: what
// belongs together in a flat buffer is near, but for the tables' tables.
const (
	flatPageLen = 1 << 10
	flatPages   = 64
)

// flatbuffer reads a FlatBuffers file, whose tables and lists are found by following
// offsets. These lead further on, so that there are no cycles; but much can lead to
// the same place, and callers have to bound what they visit. After the first error,
// which stays in err, all is zero.
type flatbuffer struct {
	format string
	r      io.ReaderAt
	size   int64
	budget int64 // what may still be read
	pages  [flatPages]flatPage
	err    error
}

// flatPage is a part of the file. Where it is decides which page it is in.
type flatPage struct {
	no   int64 // counted from 1, 0 if there is none yet
	data []byte
}

func newFlatbuffer(format string, r io.ReaderAt, size int64) *flatbuffer {
	return &flatbuffer{format: format, r: r, size: max(size, 0), budget: MaxRead}
}

func (f *flatbuffer) errorf(offset int64, format string, args ...any) {
	f.fail(&FormatError{Format: f.format, Offset: min(max(offset, 0), f.size), Msg: fmt.Sprintf(format, args...)})
}

func (f *flatbuffer) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// page is the part of the file that an offset is in, from there on.
func (f *flatbuffer) page(at int64) []byte {
	no := at/flatPageLen + 1
	p := &f.pages[no%flatPages]
	if p.no != no {
		p.no = 0
		if f.budget < flatPageLen {
			f.errorf(at, "the header goes on after %d MiB, which is more than is read", MaxRead>>20)
			return nil
		}
		if p.data == nil {
			p.data = make([]byte, flatPageLen)
		}
		start := at - at%flatPageLen
		n, err := readAt(f.r, p.data[:min(flatPageLen, f.size-start)], start)
		if err != nil {
			f.fail(err)
			return nil
		}
		f.budget -= int64(n)
		p.no, p.data = no, p.data[:n]
	}
	return p.data[min(at%flatPageLen, int64(len(p.data))):]
}

// full fills p from an offset.
func (f *flatbuffer) full(p []byte, at int64) {
	if f.err == nil && (at < 0 || at > f.size-int64(len(p))) {
		f.errorf(at, "what is referred to is outside of the file")
	}
	for len(p) > 0 && f.err == nil {
		n := copy(p, f.page(at))
		if n == 0 {
			f.errorf(at, "the file is shorter than its size says")
		}
		p, at = p[n:], at+int64(n)
	}
	if f.err != nil {
		clear(p)
	}
}

// uint is an integer of 1, 2, 4 or 8 bytes.
func (f *flatbuffer) uint(at int64, width int) uint64 {
	var raw [8]byte
	f.full(raw[:width], at)
	if f.err != nil {
		return 0
	}
	return binary.LittleEndian.Uint64(raw[:])
}

// flatTable is a table: where it is, where it says what is in it, and how long
// that is. A table at 0 is one that is not there, and has no fields.
type flatTable struct{ at, layout, length int64 }

func (f *flatbuffer) root() flatTable { return f.table(f.follow(0)) }

// follow goes where the offset at a place leads, which is further on.
func (f *flatbuffer) follow(at int64) int64 { return at + int64(f.uint(at, 4)) }

func (f *flatbuffer) table(at int64) flatTable {
	t := flatTable{at: at, layout: at - int64(int32(f.uint(at, 4)))}
	t.length = int64(f.uint(t.layout, 2))
	if f.err != nil {
		return flatTable{}
	}
	return t
}

// field is where a field of a table is, counted from 0 in the order of the schema;
// 0 if it is not there.
func (f *flatbuffer) field(t flatTable, n int) int64 {
	entry := int64(4 + 2*n)
	if t.at == 0 || entry+2 > t.length {
		return 0
	}
	offset := int64(f.uint(t.layout+entry, 2))
	if offset == 0 {
		return 0
	}
	return t.at + offset
}

// number is an integer in a field, 0 if it is not there.
func (f *flatbuffer) number(t flatTable, n, width int) uint64 {
	at := f.field(t, n)
	if at == 0 {
		return 0
	}
	return f.uint(at, width)
}

// flatVector is a list: where its first element is, and how many there are.
type flatVector struct{ at, n int64 }

// vector is the list in a field, with elements of so many bytes.
func (f *flatbuffer) vector(t flatTable, n int, width int64) flatVector {
	at := f.field(t, n)
	if at == 0 {
		return flatVector{}
	}
	at = f.follow(at)
	v := flatVector{at + 4, int64(f.uint(at, 4))}
	if f.err == nil && v.n > (f.size-v.at)/width {
		f.errorf(at, "a list of %d elements of %d bytes is announced and the file has %d more bytes", v.n, width, f.size-v.at)
	}
	if f.err != nil {
		return flatVector{}
	}
	return v
}

// tableOf is an element of a list of tables.
func (f *flatbuffer) tableOf(v flatVector, i int64) flatTable { return f.table(f.follow(v.at + 4*i)) }

// text is the string in a field, of which the first most bytes are kept.
func (f *flatbuffer) text(t flatTable, n int, most int64) string {
	v := f.vector(t, n, 1)
	p := make([]byte, min(v.n, most))
	f.full(p, v.at)
	return string(p)
}
