package build

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/modelpack"
)

// zstdWindow bounds the memory of one encoder, in bytes, and of everybody who
// decodes what it wrote.
const zstdWindow = 4 << 20

// compressor reads what another reader holds, compressed. The same bytes always
// become the same bytes: one goroutine compresses, and settings are fixed.
type compressor struct {
	pipe  *io.PipeReader
	done  chan struct{}
	plain digest.Digester // of the bytes before compression
}

// compress starts to compress r. Close the compressor after use, whether or not
// it was read to its end.
func compress(r io.Reader, format modelpack.Format) (*compressor, error) {
	pr, pw := io.Pipe()
	z, err := newEncoder(pw, format)
	if err != nil {
		return nil, err
	}
	c := &compressor{pipe: pr, done: make(chan struct{}), plain: digest.SHA256.Digester()}
	go func() {
		defer close(c.done)
		_, err := io.CopyBuffer(struct{ io.Writer }{z}, io.TeeReader(r, c.plain.Hash()), make([]byte, 128<<10))
		if err == nil {
			err = z.Close()
		}
		pw.CloseWithError(err)
	}()
	return c, nil
}

func newEncoder(w io.Writer, format modelpack.Format) (io.WriteCloser, error) {
	switch format {
	case modelpack.TarGzip:
		return gzip.NewWriterLevel(w, gzip.DefaultCompression)
	case modelpack.TarZstd:
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow), zstd.WithEncoderLevel(zstd.SpeedDefault))
	}
	return nil, fmt.Errorf("format %q is not compressed", format)
}

// Read implements [io.Reader].
func (c *compressor) Read(p []byte) (int, error) { return c.pipe.Read(p) }

// Close ends the work. After it the source is not read any more.
func (c *compressor) Close() error {
	err := c.pipe.Close()
	<-c.done
	return err
}

// diffID is the digest before compression. It is valid after Close, if all was
// read.
func (c *compressor) diffID() digest.Digest { return c.plain.Digest() }
