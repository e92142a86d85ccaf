// Package storage keeps blobs, manifests and tags in a directory: a standard OCI
// image layout (oci-layout, index.json, blobs/<algorithm>/<hex>) that other tools
// read and write too. What only this package needs lies below .tare in the same
// directory.
//
// [Open] gives a [Store] to read from, and makes nothing; a damaged blob that a
// read comes upon is set aside:
//
//	store, err := storage.Open(dir)
//	desc, err := store.Resolve("registry.example/models/qwen3:0.6b")
//	manifest, err := store.ReadAll(desc)
//
// Whoever writes begins a [Session], brings in blobs, and tags a manifest last:
//
//	session, err := store.Begin(ctx)
//	defer session.Close()
//	digest, size, err := session.Ingest(ctx, file)          // digest learnt
//	present, err := session.Receive(ctx, desc, download)    // digest given
//	err = session.Tag(ref, manifest)
//
// Any number of processes may do all of that at once. A blob gets its name only
// after its digest was checked. What a session wrote or relies on is safe from
// [Store.GC] until the session is closed, and from then on if a tag leads to it.
// A process that dies leaves nothing behind that the next GC does not sweep, and
// its unfinished transfers are there for the next one to go on with.
//
// Content does not wait for the disk, unless [Session.Sync] is called. What a
// crash of the machine may have damaged is on record, and is hashed before it
// counts as present again. A blob that turns out to be damaged, to [Store.Fetch],
// [Store.ReadAll], [Store.Open] or [Store.Verify], is set aside: from then on it
// is missing, and the next one who needs it brings it again.
//
// Locks are flock(2), or LockFileEx on Windows: the file system must have them.
// Errors that a user can do something about have a method Hint() string.
package storage

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/blob"
)

// maxSmall bounds what is read into memory, in bytes. Registries take no larger
// manifests.
const maxSmall = 4 << 20

// Store is an OCI image layout in a directory. Its methods may be called from
// several goroutines at once.
type Store struct {
	dir     string
	host    host
	buffers sync.Pool    // of *[copyBuffer]byte
	copies  atomic.Int32 // going on now
}

// Open returns the store in dir. It creates nothing: a directory that is missing
// or empty is a store with nothing in it. A directory that holds other things,
// or a layout of a version other than 1.0.0, is an error.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir, host: thisHost()}
	s.buffers.New = func() any { return new([copyBuffer]byte) }
	if _, err := s.checkLayout(); err != nil {
		return nil, err
	}
	return s, nil
}

// Dir is the directory of the store, as it was given to [Open].
func (s *Store) Dir() string { return s.dir }

// blobPath is where the blob named d is. A digest that is malformed or of an
// unknown algorithm has no place: it is [blob.ErrHostile].
func (s *Store) blobPath(d digest.Digest) (string, error) {
	if err := checkDigest(d); err != nil {
		return "", err
	}
	return filepath.Join(s.dir, blobsDir, d.Algorithm().String(), d.Encoded()), nil
}

func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w: %w", d, err, blob.ErrHostile)
	}
	return nil
}

// notFound turns the error of a file that is not there into the one that
// callers look for.
func notFound(d digest.Digest, err error) error {
	if isNotExist(err) {
		return fmt.Errorf("%s: %w", d, blob.ErrNotFound)
	}
	return err
}
