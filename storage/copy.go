package storage

import (
	"io"
	"runtime"

	"github.com/opencontainers/go-digest"
)

const (
	// copyBuffer is the size of the pieces in which content is read, hashed and
	// written.
	copyBuffer = 1 << 20

	// maxEmptyReads is how many reads without bytes or error in a row are one too
	// many.
	maxEmptyReads = 100
)

// copyHashed copies r to w and hashes the bytes while they are in the cache. It
// ends when stop returns an error.
func (s *Store) copyHashed(stop func() error, w io.Writer, r io.Reader, alg digest.Algorithm) (digest.Digest, int64, error) {
	hash := alg.Hash()
	h := s.newHasher(hash)
	n, err := copyPieces(stop, w, r, h)
	h.close()
	if err != nil {
		return "", 0, err
	}
	return digest.NewDigest(alg, hash), n, nil
}

// copyPieces copies r to w and shows each piece to h before it is written.
func copyPieces(stop func() error, w io.Writer, r io.Reader, h hasher) (size int64, err error) {
	for empty := 0; empty < maxEmptyReads; empty++ {
		if err := stop(); err != nil {
			return 0, err
		}
		buf := h.buffer()
		// Not io.ReadFull: it would hide an io.ErrUnexpectedEOF of r.
		n, err := r.Read(buf)
		h.hash(buf[:n])
		if n > 0 {
			empty = 0
			size += int64(n)
			if _, err := w.Write(buf[:n]); err != nil {
				return 0, err
			}
		}
		if err == io.EOF {
			return size, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// hasher hashes pieces that it gave the buffers for.
type hasher interface {
	// buffer returns a buffer for the next piece.
	buffer() []byte
	// hash hashes a piece, at the start of the last buffer. The caller may read
	// it until the next call of buffer.
	hash(piece []byte)
	// close waits until all pieces are hashed.
	close()
}

// newHasher returns a hasher with a goroutine of its own as long as copies are
// fewer than cores.
func (s *Store) newHasher(h io.Writer) hasher {
	if int(s.copies.Add(1)) >= runtime.GOMAXPROCS(0) {
		return &plainHasher{store: s, h: h, buf: s.buffers.Get().(*[copyBuffer]byte)}
	}
	return newBesideHasher(s, h)
}

// plainHasher hashes a piece at once.
type plainHasher struct {
	store *Store
	h     io.Writer
	buf   *[copyBuffer]byte
}

func (p *plainHasher) buffer() []byte    { return p.buf[:] }
func (p *plainHasher) hash(piece []byte) { p.h.Write(piece) }

func (p *plainHasher) close() {
	p.store.buffers.Put(p.buf)
	p.store.copies.Add(-1)
}

// besideHasher hashes a piece while it is being written and the next one read.
// It has two buffers: one is being hashed, one filled.
type besideHasher struct {
	store  *Store
	bufs   [2]*[copyBuffer]byte
	next   int           // buffer to fill
	pieces chan []byte   // to be hashed
	hashed chan struct{} // one for each buffer that is not
}

func newBesideHasher(s *Store, h io.Writer) *besideHasher {
	b := &besideHasher{store: s, pieces: make(chan []byte, 2), hashed: make(chan struct{}, 2)}
	for i := range b.bufs {
		b.bufs[i] = s.buffers.Get().(*[copyBuffer]byte)
		b.hashed <- struct{}{}
	}
	go func() {
		for piece := range b.pieces {
			h.Write(piece)
			b.hashed <- struct{}{}
		}
		close(b.hashed)
	}()
	return b
}

// buffer waits until the older of the two is hashed.
func (b *besideHasher) buffer() []byte {
	<-b.hashed
	b.next = 1 - b.next
	return b.bufs[b.next][:]
}

func (b *besideHasher) hash(piece []byte) { b.pieces <- piece }

func (b *besideHasher) close() {
	close(b.pieces)
	for range b.hashed { // until the goroutine has ended
	}
	for _, buf := range b.bufs {
		b.store.buffers.Put(buf)
	}
	b.store.copies.Add(-1)
}
