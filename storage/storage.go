// Package storage keeps blobs, manifests and tags in a directory: a standard OCI
// image layout (oci-layout, index.json, blobs/<algorithm>/<hex>) that other tools
// read and write too. What only this package needs lies below .tare in the same
// directory.
//
// [Open] gives a [Store] to read from and never writes:
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
// Locks are flock(2), or LockFileEx on Windows: the file system must have them.
// Errors that a user can do something about have a method Hint() string.
package storage

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

const (
	// maxSmall bounds what is read into memory, in bytes. Registries take no
	// larger manifests.
	maxSmall = 4 << 20

	// copyBuffer is the size of the pieces in which content is read, hashed and
	// written.
	copyBuffer = 1 << 20
)

// Store is an OCI image layout in a directory. Its methods may be called from
// several goroutines at once.
type Store struct {
	dir     string
	buffers sync.Pool // of *[copyBuffer]byte
}

// Open returns the store in dir. It creates nothing: a directory that is missing
// or empty is a store with nothing in it. A directory that holds other things,
// or a layout of a version other than 1.0.0, is an error.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir}
	s.buffers.New = func() any { return new([copyBuffer]byte) }
	if _, err := s.checkLayout(); err != nil {
		return nil, err
	}
	return s, nil
}

// Dir is the directory of the store, as it was given to [Open].
func (s *Store) Dir() string { return s.dir }

// Open returns the content of desc as it is on disk. It is not verified beyond
// its size: another size is [blob.ErrMismatch], no such blob [blob.ErrNotFound].
func (s *Store) Open(desc ocispec.Descriptor) (blob.Source, error) {
	path, err := s.blobPath(desc.Digest)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, notFound(desc.Digest, err)
	}
	if err := checkBlob(f, desc); err != nil {
		f.Close()
		return nil, err
	}
	return &source{File: f, size: desc.Size}, nil
}

// checkBlob says whether f can be the content of desc, without reading it.
func checkBlob(f *os.File, desc ocispec.Descriptor) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file: %w", f.Name(), blob.ErrMismatch)
	case info.Size() != desc.Size:
		return fmt.Errorf("%s: %d bytes in the store, not %d: %w", desc.Digest, info.Size(), desc.Size, blob.ErrMismatch)
	}
	return nil
}

// source is a blob on disk. The file is embedded so that it can be read as a
// stream too.
type source struct {
	*os.File
	size int64
}

// Size implements [blob.Source].
func (s *source) Size() int64 { return s.size }

// Fetch returns the content of desc as a stream that verifies itself: it ends in
// io.EOF only if all of it was right. Reading stops with ctx.
func (s *Store) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	src, err := s.Open(desc)
	if err != nil {
		return nil, err
	}
	r, err := blob.NewReader(io.NewSectionReader(src, 0, src.Size()), desc)
	if err != nil {
		src.Close()
		return nil, err
	}
	read := func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	}
	return &stream{read: read, Closer: src}, nil
}

// stream is a Read and a Close that come from different places.
type stream struct {
	read func([]byte) (int, error)
	io.Closer
}

// Read implements [io.Reader].
func (s *stream) Read(p []byte) (int, error) { return s.read(p) }

// ReadAll returns the verified content of desc. It is for manifests and configs:
// more than 4 MiB is [blob.ErrHostile].
func (s *Store) ReadAll(desc ocispec.Descriptor) ([]byte, error) {
	if desc.Size > maxSmall {
		return nil, fmt.Errorf("%s: %d bytes are too many to be read at once: %w", desc.Digest, desc.Size, blob.ErrHostile)
	}
	src, err := s.Open(desc)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	r, err := blob.NewReader(io.NewSectionReader(src, 0, src.Size()), desc)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// has says whether the content of desc is there, going by its size.
func (s *Store) has(desc ocispec.Descriptor) (bool, error) {
	path, err := s.blobPath(desc.Digest)
	if err != nil {
		return false, err
	}
	info, err := os.Stat(path)
	if isNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return info.Mode().IsRegular() && info.Size() == desc.Size, nil
}

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
