package faultregistry

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Content is what a blob is made of.
type Content interface {
	io.ReaderAt
	Size() int64
}

// digester is content that knows its digest.
type digester interface {
	Digest() digest.Digest
}

// Bytes is content that is held in memory.
func Bytes(data []byte) Content { return bytes.NewReader(data) }

// RandomContent is content that is made when it is read.
type RandomContent struct {
	size   int64
	seed   uint64
	digest func() digest.Digest
}

// Random returns size bytes that look random, always the same for one seed.
// They take no memory.
func Random(size int64, seed uint64) *RandomContent {
	c := &RandomContent{size: size, seed: seed}
	c.digest = sync.OnceValue(func() digest.Digest { return hash(c) })
	return c
}

// Size is how many bytes there are.
func (c *RandomContent) Size() int64 { return c.size }

// Digest is computed when it is first asked for.
func (c *RandomContent) Digest() digest.Digest { return c.digest() }

// ReadAt makes the bytes that stand at off.
func (c *RandomContent) ReadAt(p []byte, off int64) (int, error) {
	left := c.size - off
	if left <= 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), left))
	c.fill(p[:n], off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// fill works in words of 8 bytes, of which the first and the last may be cut.
func (c *RandomContent) fill(p []byte, off int64) {
	index, skip := uint64(off)/8, int(off%8)
	var word [8]byte
	if skip > 0 {
		binary.LittleEndian.PutUint64(word[:], scramble(c.seed, index))
		p = p[copy(p, word[skip:]):]
		index++
	}
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, scramble(c.seed, index))
		index++
	}
	binary.LittleEndian.PutUint64(word[:], scramble(c.seed, index))
	copy(p, word[:])
}

// scramble is the finaliser of splitmix64 over a counter.
func scramble(seed, index uint64) uint64 {
	z := seed*0xd1342543de82ef95 + (index+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func digestOf(c Content) digest.Digest {
	if d, ok := c.(digester); ok {
		return d.Digest()
	}
	return hash(c)
}

func hash(c Content) digest.Digest {
	d, err := digest.FromReader(io.NewSectionReader(c, 0, c.Size()))
	if err != nil {
		panic("hashing content of a test: " + err.Error())
	}
	return d
}

// readerAt makes a function an [io.ReaderAt].
type readerAt func(p []byte, off int64) (int, error)

func (f readerAt) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

// flipped is body with the lowest bit of one byte turned over.
func flipped(body io.ReaderAt, at int64) io.ReaderAt {
	return readerAt(func(p []byte, off int64) (int, error) {
		n, err := body.ReadAt(p, off)
		if i := at - off; i >= 0 && i < int64(n) {
			p[i] ^= 1
		}
		return n, err
	})
}

// padded is the first size bytes of body and zeros for ever.
func padded(body io.ReaderAt, size int64) io.ReaderAt {
	return readerAt(func(p []byte, off int64) (int, error) {
		n := int(max(0, min(int64(len(p)), size-off)))
		clear(p[n:])
		if n == 0 {
			return len(p), nil
		}
		if got, err := body.ReadAt(p[:n], off); got < n {
			return got, err
		}
		return len(p), nil
	})
}

// shifted is body of size bytes turned by so many bytes.
func shifted(body io.ReaderAt, size, by int64) io.ReaderAt {
	return readerAt(func(p []byte, off int64) (int, error) {
		for n := 0; n < len(p); {
			from := ((off+int64(n)+by)%size + size) % size
			part := min(int64(len(p)-n), size-from)
			got, err := body.ReadAt(p[n:n+int(part)], from)
			if n += got; int64(got) < part {
				return n, err
			}
		}
		return len(p), nil
	})
}
