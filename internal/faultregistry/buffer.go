package faultregistry

import "io"

// pieceSize is how much of a buffer lies together.
const pieceSize = 256 << 10

// buffer is content that is written first and read once it is whole. It grows by
// pieces, so that a large blob is not copied each time that it gets larger.
type buffer struct {
	pieces [][]byte // all but the last are full
	size   int64
}

// Size is how many bytes there are.
func (b *buffer) Size() int64 { return b.size }

// Write appends p.
func (b *buffer) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece := b.piece()
		n := min(len(rest), pieceSize-len(*piece))
		*piece = append(*piece, rest[:n]...)
		rest = rest[n:]
		b.size += int64(n)
	}
	return len(p), nil
}

// piece returns one with room. The first grows as it is needed: most blobs of
// tests are small.
func (b *buffer) piece() *[]byte {
	switch {
	case b.size == 0:
		b.pieces = [][]byte{nil}
	case b.size%pieceSize == 0:
		b.pieces = append(b.pieces, make([]byte, 0, pieceSize))
	}
	return &b.pieces[len(b.pieces)-1]
}

// ReadAt copies the bytes that stand at off.
func (b *buffer) ReadAt(p []byte, off int64) (int, error) {
	var n int
	for n < len(p) {
		at := off + int64(n)
		if at >= b.size {
			return n, io.EOF
		}
		n += copy(p[n:], b.pieces[at/pieceSize][at%pieceSize:])
	}
	return n, nil
}
