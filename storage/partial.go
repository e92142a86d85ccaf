package storage

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/filelock"
)

// A transfer has the files of a [disk.Partial], named after its digest, and a
// lock that is told apart by what follows.
const lockSuffix = ".lock"

// fileName is the name of the data file of the transfer of d.
func fileName(d digest.Digest) string { return strings.Replace(d.String(), ":", "-", 1) }

// fileDigest reverses fileName, for any file of a transfer. It is empty
// for a name that is none.
func fileDigest(name string) digest.Digest {
	base, _, _ := strings.Cut(name, ".")
	alg, hex, _ := strings.Cut(base, "-")
	d := digest.NewDigestFromEncoded(digest.Algorithm(alg), hex)
	if d.Validate() != nil {
		return ""
	}
	return d
}

// partial is the transfer of a blob whose digest is given. It is the
// [blob.Sink] of the transfer, and holds its lock.
type partial struct {
	*disk.Partial
	path string
	desc ocispec.Descriptor
	lock *filelock.Lock
	root *os.Root
}

// WriteAt implements [io.WriterAt]. Bytes beyond the declared size are
// [blob.ErrMismatch].
func (p *partial) WriteAt(b []byte, off int64) (int, error) {
	if int64(len(b)) > p.desc.Size-off {
		return 0, fmt.Errorf("%s: more than the declared %d bytes: %w", p.desc.Digest, p.desc.Size, blob.ErrMismatch)
	}
	n, err := p.Partial.WriteAt(b, off)
	return n, explainFull(err)
}

// Allocate sets space aside for size bytes, where the file system can.
func (p *partial) Allocate(size int64) error { return explainFull(p.Partial.Allocate(size)) }

// explainFull says what to do about a full disk.
func explainFull(err error) error {
	if errors.Is(err, disk.ErrFull) {
		return &hintError{err: err, hint: spaceHint}
	}
	return err
}

// keep ends the attempt and leaves everything for the next one.
func (p *partial) keep() error {
	err := p.close()
	p.lock.Release()
	return err
}

// discard ends the attempt and leaves nothing.
func (p *partial) discard() error {
	err := p.closeData()
	if p.root != nil {
		err = errors.Join(err, disk.RemovePartial(p.root, fileName(p.desc.Digest)))
	}
	return errors.Join(err, p.close(), p.lock.Remove())
}

func (p *partial) close() error {
	err := p.closeData()
	if p.root != nil {
		err = errors.Join(err, p.root.Close())
	}
	return err
}

func (p *partial) closeData() error {
	if p.Partial == nil {
		return nil
	}
	if err := p.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
