package blob

import (
	"bytes"
	"io"
)

// Layer is a file with a header in front of it and a trailer behind it, seen as
// one piece of content: a tar archive of one entry without the archive ever
// being written. Header and trailer are empty in a raw layer.
type Layer struct {
	parts [3]part
	body  io.ReaderAt
}

// part is a run of bytes within a layer and the offset at which it ends.
type part struct {
	r   io.ReaderAt
	end int64
}

// NewLayer joins header, size bytes of body, and trailer. The layer closes body
// if body is an [io.Closer].
func NewLayer(header []byte, body io.ReaderAt, size int64, trailer []byte) *Layer {
	head := int64(len(header))
	return &Layer{body: body, parts: [3]part{
		{bytes.NewReader(header), head},
		{body, head + size},
		{bytes.NewReader(trailer), head + size + int64(len(trailer))},
	}}
}

// Size is the length of header, body and trailer together.
func (l *Layer) Size() int64 { return l.parts[2].end }

// ReadAt implements [io.ReaderAt]. A body that is shorter than it was declared
// is an [io.ErrUnexpectedEOF].
func (l *Layer) ReadAt(p []byte, off int64) (int, error) {
	n, start := 0, int64(0)
	for _, part := range l.parts {
		at := off + int64(n)
		if n < len(p) && at < part.end {
			want := min(int64(len(p)-n), part.end-at)
			m, err := part.r.ReadAt(p[n:n+int(want)], at-start)
			n += m
			if int64(m) < want {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return n, err
			}
		}
		start = part.end
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close closes the body.
func (l *Layer) Close() error {
	if c, ok := l.body.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Bytes is a small piece of content that is held in memory.
type Bytes []byte

// ReadAt implements [io.ReaderAt].
func (b Bytes) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(b).ReadAt(p, off) }

// Size is len(b).
func (b Bytes) Size() int64 { return int64(len(b)) }

// Close does nothing.
func (b Bytes) Close() error { return nil }
