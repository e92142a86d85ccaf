package weights

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	pageLen   = 2 << 10 // libhdf5 keeps its structures together in blocks of this size
	pageCount = 64
)

// pages reads a file at any place, through a small cache: what belongs together
// is scattered in some formats. After an error nothing more is read, and all that
// is asked for is zero.
type pages struct {
	format string
	r      io.ReaderAt
	base   int64 // where the file starts in the one that holds it
	size   int64
	budget int64
	err    error
	cache  [pageCount]page
	raw    [8]byte
}

type page struct {
	number int64
	data   []byte
}

func newPages(format string, r io.ReaderAt, size int64) *pages {
	return &pages{format: format, r: r, size: max(size, 0), budget: MaxRead}
}

// fail notes the first error, which is the one that counts.
func (p *pages) fail(at int64, format string, args ...any) {
	if p.err == nil {
		p.err = &FormatError{Format: p.format, Offset: p.base + at, Msg: fmt.Sprintf(format, args...)}
	}
}

// spend takes n from the budget. What comes from the cache costs too, so that no
// file can have the same bytes read for ever.
func (p *pages) spend(at, n int64) bool {
	if p.budget -= n; p.budget < 0 {
		p.fail(at, "the structure of the file is more than the %d MiB that are read", MaxRead>>20)
	}
	return p.err == nil
}

// read fills b from a place that is within the file.
func (p *pages) read(at int64, b []byte) {
	clear(b)
	for p.spend(at, int64(len(b))) && len(b) > 0 {
		data := p.page(at / pageLen)
		from := at % pageLen
		if from >= int64(len(data)) {
			p.fail(at, "the file is shorter than its size says")
			return
		}
		n := copy(b, data[from:])
		b, at = b[n:], at+int64(n)
	}
}

func (p *pages) page(number int64) []byte {
	kept := &p.cache[number%pageCount]
	if kept.data != nil && kept.number == number {
		return kept.data
	}
	at := number * pageLen
	n := min(pageLen, p.size-at)
	if !p.spend(at, n) {
		return nil
	}
	if kept.data == nil {
		kept.data = make([]byte, pageLen)
	}
	got, err := readAt(p.r, kept.data[:n], at)
	if err != nil && p.err == nil {
		p.err = err
	}
	kept.number, kept.data = number, kept.data[:got]
	return kept.data
}

// region is a part of a file that is read from its start to its end.
type region struct {
	*pages
	at, end int64
}

// region is the n bytes from at, which is within the file.
func (p *pages) region(at, n int64) region {
	if n < 0 || n > p.size-at {
		p.fail(at, "%d bytes are announced and the file has %d more", n, p.size-at)
		n = 0
	}
	return region{p, at, at + n}
}

func (r *region) left() int64 { return r.end - r.at }

// more says whether there is something left to read.
func (r *region) more() bool { return r.err == nil && r.at < r.end }

// take is the next n bytes as a region of their own.
func (r *region) take(n int64) region {
	if n < 0 || n > r.left() {
		r.fail(r.at, "%d bytes are announced and there are %d more", n, r.left())
		n = 0
	}
	r.at += n
	return region{r.pages, r.at - n, r.at}
}

func (r *region) skip(n int64) { r.take(n) }

// bytes fills b.
func (r *region) bytes(b []byte) {
	next := r.take(int64(len(b)))
	if r.err != nil {
		clear(b)
		return
	}
	r.read(next.at, b)
}

// uint takes a little-endian integer of up to 8 bytes.
func (r *region) uint(width int) uint64 {
	clear(r.raw[:])
	r.bytes(r.raw[:width])
	return binary.LittleEndian.Uint64(r.raw[:])
}

// int is uint for what has to be below 1<<63.
func (r *region) int(width int) int64 {
	at := r.at
	n := r.uint(width)
	if n > maxInt64 {
		r.fail(at, "the number %d, which is too large", n)
		return 0
	}
	return int64(n)
}

// magic wants the bytes that a structure starts with.
func (r *region) magic(want string) {
	var got [8]byte
	at := r.at
	r.bytes(got[:len(want)])
	if string(got[:len(want)]) != want {
		r.fail(at, "%q where there has to be %q", got[:len(want)], want)
	}
}

// text takes n bytes, of which it returns the first most, up to a zero byte.
func (r *region) text(n, most int64) string {
	all := r.take(n)
	kept := make([]byte, min(all.left(), most))
	all.bytes(kept)
	for i, c := range kept {
		if c == 0 {
			return string(kept[:i])
		}
	}
	return string(kept)
}
