package weights

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

const (
	firstRead = 1 << 10  // after a jump: headers are often shorter than this
	mostRead  = 64 << 10 // once they turn out not to be
)

// source reads a file forwards, with jumps, and counts what it reads.
type source struct {
	format string
	r      io.ReaderAt
	end    int64 // nothing is read from here on
	buf    []byte
	pos    int   // the next byte of buf
	start  int64 // where buf is in the file
	budget int64 // what may still be read
	chunk  int   // how much the next read takes

	// Scratch, so that what is read many times allocates once.
	raw  [8]byte
	dims [maxRank]int64
	str  []byte
}

func newSource(format string, r io.ReaderAt, size int64) *source {
	return &source{format: format, r: r, end: max(size, 0), budget: MaxRead, chunk: firstRead}
}

// offset is where the next byte is in the file.
func (s *source) offset() int64 { return s.start + int64(s.pos) }

// left is the number of bytes until the end.
func (s *source) left() int64 { return s.end - s.offset() }

func (s *source) errorf(offset int64, format string, args ...any) error {
	return &FormatError{Format: s.format, Offset: offset, Msg: fmt.Sprintf(format, args...)}
}

// fill reads on, after all of buf was taken.
func (s *source) fill() error {
	at := s.offset()
	want := min(int64(s.chunk), s.end-at)
	switch {
	case want <= 0:
		return s.errorf(at, "the file ends in the middle of its header")
	case s.budget < want:
		return s.errorf(at, "the header goes on after %d MiB, which is more than is read", MaxRead>>20)
	}
	if int64(cap(s.buf)) < want {
		s.buf = make([]byte, want)
	}
	n, err := readAt(s.r, s.buf[:want], at)
	if err != nil {
		return err
	}
	if n == 0 {
		return s.errorf(at, "the file is shorter than its size says")
	}
	s.buf, s.start, s.pos = s.buf[:n], at, 0
	s.budget -= int64(n)
	s.chunk = min(2*s.chunk, mostRead)
	return nil
}

// peek is the next byte, which stays.
func (s *source) peek() (byte, error) {
	if s.pos == len(s.buf) || s.offset() >= s.end {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	return s.buf[s.pos], nil
}

func (s *source) byte() (byte, error) {
	c, err := s.peek()
	if err == nil {
		s.pos++
	}
	return c, err
}

// full fills p.
func (s *source) full(p []byte) error {
	if int64(len(p)) > s.left() {
		return s.errorf(s.offset(), "the file ends in the middle of its header")
	}
	for len(p) > 0 {
		if _, err := s.peek(); err != nil {
			return err
		}
		n := copy(p, s.buf[s.pos:])
		s.pos += n
		p = p[n:]
	}
	return nil
}

// skip goes n bytes on without reading what is not read yet.
func (s *source) skip(n int64) error {
	if n < 0 || n > s.left() {
		return s.errorf(s.offset(), "%d bytes are announced and the file has %d more", n, s.left())
	}
	s.seek(s.offset() + n)
	return nil
}

// seek goes to an offset between the start and the end.
func (s *source) seek(offset int64) {
	if d := offset - s.start; d >= 0 && d <= int64(len(s.buf)) {
		s.pos = int(d)
		return
	}
	s.start, s.pos, s.buf, s.chunk = offset, 0, s.buf[:0], firstRead
}

// text takes n bytes, of which it returns the first most.
func (s *source) text(n, most int64) (string, error) {
	if n < 0 || n > s.left() {
		return "", s.errorf(s.offset(), "%d bytes are announced and the file has %d more", n, s.left())
	}
	keep := int(min(n, most))
	s.str = slices.Grow(s.str[:0], keep)[:keep]
	if err := s.full(s.str); err != nil {
		return "", err
	}
	return string(s.str), s.skip(n - int64(keep))
}

// uint takes an integer of 1, 2, 4 or 8 bytes.
func (s *source) uint(width int, order binary.ByteOrder) (uint64, error) {
	p := s.raw[:width]
	if width <= len(s.buf)-s.pos && int64(width) <= s.left() { // mostly
		p = s.buf[s.pos : s.pos+width]
		s.pos += width
	} else if err := s.full(p); err != nil {
		return 0, err
	}
	switch width {
	case 1:
		return uint64(p[0]), nil
	case 2:
		return uint64(order.Uint16(p)), nil
	case 4:
		return uint64(order.Uint32(p)), nil
	}
	return order.Uint64(p), nil
}

// within narrows the source to the next n bytes for the time of a call.
func (s *source) within(n int64, read func() error) error {
	if n < 0 || n > s.left() {
		return s.errorf(s.offset(), "%d bytes are announced and there are %d more", n, s.left())
	}
	outer := s.end
	s.end = s.offset() + n
	err := read()
	if err == nil {
		s.seek(s.end)
	}
	s.end = outer
	return err
}
