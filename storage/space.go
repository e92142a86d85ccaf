package storage

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/disk"
)

const spaceHint = "free some with tare prune, or use another disk with --store"

// Reserve is an error if the file system of the store has no room for so many
// bytes more. It sets nothing aside: it is there to fail before hours of work
// rather than after.
func (ss *Session) Reserve(bytes int64) error {
	if bytes <= 0 {
		return nil
	}
	free, err := disk.Free(ss.store.dir)
	if err != nil || free >= bytes {
		return nil // what cannot be told will show
	}
	return &hintError{
		err:  fmt.Errorf("store %s: %s needed, %s free: %w", ss.store.dir, size(bytes), size(free), disk.ErrFull),
		hint: spaceHint,
	}
}

// ReserveBlobs is [Session.Reserve] for what has yet to be received of these
// blobs. It relies on them.
func (ss *Session) ReserveBlobs(descs ...ocispec.Descriptor) error {
	var missing int64
	seen := make(map[digest.Digest]bool)
	for _, desc := range descs {
		if seen[desc.Digest] {
			continue
		}
		seen[desc.Digest] = true
		present, err := ss.Has(desc)
		if err != nil {
			return err
		}
		if !present {
			missing = sum(missing, desc.Size-ss.store.received(desc))
		}
	}
	return ss.Reserve(missing)
}

// received is how much of a blob an unfinished transfer has on the disk.
func (s *Store) received(desc ocispec.Descriptor) int64 {
	info, err := os.Stat(filepath.Join(s.path(partialDir), fileName(desc.Digest)))
	if err != nil {
		return 0
	}
	return min(disk.Allocated(info), desc.Size)
}

// sum adds sizes, which somebody else declared.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// size writes a number of bytes for people.
func size(n int64) string {
	const gib, mib, kib = 1 << 30, 1 << 20, 1 << 10
	switch {
	case n >= gib:
		return fmt.Sprintf("%.1f GiB", float64(n)/gib)
	case n >= mib:
		return fmt.Sprintf("%.1f MiB", float64(n)/mib)
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/kib)
}

// CanClone says whether the store can take in f without copying it.
func (ss *Session) CanClone(f *os.File) bool {
	temp, err := ss.createTemp()
	if err != nil {
		return false
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	return disk.Clone(temp, f) == nil
}

// cloneable is a reader whose bytes are those of one file, from start to end.
type cloneable interface {
	// File is that file, nil if there is none after all.
	File() *os.File
	// Redirect lets the reader read its bytes from a clone of the file.
	Redirect(clone io.ReaderAt)
}

// cloneInto makes temp a clone of the file behind r and has r read it, if r has
// a file and the file system can.
func cloneInto(temp *os.File, r io.Reader) bool {
	c, ok := r.(cloneable)
	if !ok {
		return false
	}
	f := c.File()
	if f == nil || disk.Clone(temp, f) != nil {
		return false
	}
	c.Redirect(temp)
	return true
}
