package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
)

// hashBuffer is the size of the pieces in which content is read and hashed.
const hashBuffer = 256 << 10

// spool is a temporary file that holds a layer between being made and being sent.
// It has no name, or loses it with the process.
type spool struct {
	*os.File
	size int64
}

// newSpool makes one in dir, or in the system's directory for such files.
func newSpool(dir string) (*spool, error) {
	f, err := createVanishing(dir, spoolPattern)
	if err != nil && dir != "" {
		f, err = createVanishing("", spoolPattern)
	}
	if err != nil {
		return nil, noSpool(err)
	}
	return &spool{File: f}, nil
}

const spoolPattern = "tare-layer-*"

// Write implements [io.Writer].
func (s *spool) Write(p []byte) (int, error) {
	n, err := s.File.Write(p)
	s.size += int64(n)
	if err != nil {
		err = noSpool(err)
	}
	return n, err
}

// noSpool names the directory of a temporary file that cannot be written, rather
// than the file, which nobody can see.
func noSpool(err error) error {
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		err = fmt.Errorf("temporary file in %s: %w", filepath.Dir(file.Path), file.Err)
	}
	return &hintError{err, "compressed layers and bundles are kept in a temporary file until they are sent: TMPDIR names another place for it"}
}

// Size implements blob.Source.
func (s *spool) Size() int64 { return s.size }

// copyHashed copies r to w and returns the digest and the size of what went by.
func copyHashed(ctx context.Context, w io.Writer, r io.Reader) (digest.Digest, int64, error) {
	d := digest.SHA256.Digester()
	buf := make([]byte, hashBuffer)
	var size int64
	for {
		if err := ctx.Err(); err != nil {
			return "", 0, err
		}
		n, err := r.Read(buf)
		size += int64(n)
		d.Hash().Write(buf[:n])
		if _, err := w.Write(buf[:n]); err != nil {
			return "", 0, err
		}
		if err == io.EOF {
			return d.Digest(), size, nil
		}
		if err != nil {
			return "", 0, err
		}
	}
}
