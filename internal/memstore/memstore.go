// Package memstore is a store in memory, for tests of packages that are handed
// one. It has the faces of package storage, except that nothing is ever
// garbage:
//
//	store := memstore.New()
//	session, _ := store.Begin(ctx)
//	digest, size, err := session.Ingest(ctx, r)
package memstore

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/storage"
)

// Store is a store in memory.
type Store struct {
	mu       sync.Mutex
	blobs    map[digest.Digest][]byte
	tags     map[string]storage.Entry
	partials map[digest.Digest]*sink
}

// New returns an empty store.
func New() *Store {
	return &Store{
		blobs:    make(map[digest.Digest][]byte),
		tags:     make(map[string]storage.Entry),
		partials: make(map[digest.Digest]*sink),
	}
}

// List returns all tags, sorted by name.
func (s *Store) List() ([]storage.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	byRef := func(a, b storage.Entry) int { return cmp.Compare(a.Ref, b.Ref) }
	return slices.SortedFunc(maps.Values(s.tags), byRef), nil
}

// Resolve returns what ref leads to, or [blob.ErrNotFound].
func (s *Store) Resolve(ref string) (ocispec.Descriptor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.tags[ref]
	if !ok {
		return ocispec.Descriptor{}, fmt.Errorf("%q: %w", ref, blob.ErrNotFound)
	}
	return e.Descriptor, nil
}

// Open returns the content of desc.
func (s *Store) Open(desc ocispec.Descriptor) (blob.Source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.blobs[desc.Digest]
	switch {
	case desc.Digest.Validate() != nil:
		return nil, fmt.Errorf("digest %q: %w", desc.Digest, blob.ErrHostile)
	case !ok:
		return nil, fmt.Errorf("%s: %w", desc.Digest, blob.ErrNotFound)
	case int64(len(data)) != desc.Size:
		return nil, fmt.Errorf("%s: %d bytes, not %d: %w", desc.Digest, len(data), desc.Size, blob.ErrMismatch)
	}
	return blob.Bytes(data), nil
}

// Fetch returns the content of desc as a stream that verifies itself.
func (s *Store) Fetch(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	src, err := s.Open(desc)
	if err != nil {
		return nil, err
	}
	r, err := blob.NewReader(io.NewSectionReader(src, 0, src.Size()), desc)
	return io.NopCloser(r), err
}

// ReadAll returns the verified content of desc, up to 4 MiB.
func (s *Store) ReadAll(desc ocispec.Descriptor) ([]byte, error) {
	if desc.Size > 4<<20 {
		return nil, fmt.Errorf("%s: %d bytes: %w", desc.Digest, desc.Size, blob.ErrHostile)
	}
	r, err := s.Fetch(context.Background(), desc)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// Put adds a blob, right or wrong: a test may want it damaged.
func (s *Store) Put(d digest.Digest, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[d] = bytes.Clone(data)
}

// Untag removes tags, all of them or none.
func (s *Store) Untag(refs ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ref := range refs {
		if _, ok := s.tags[ref]; !ok {
			return fmt.Errorf("%q: %w", ref, blob.ErrNotFound)
		}
	}
	for _, ref := range refs {
		delete(s.tags, ref)
	}
	return nil
}

// Begin begins to write.
func (s *Store) Begin(ctx context.Context) (*Session, error) {
	return &Session{store: s}, ctx.Err()
}

// tag sets a tag to now.
func (s *Store) tag(ref string, desc ocispec.Descriptor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tags[ref] = storage.Entry{Ref: ref, Descriptor: desc, Tagged: time.Now().UTC().Truncate(time.Second)}
}
