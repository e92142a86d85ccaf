package memstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

// Session is one command's writing to a store.
type Session struct {
	store  *Store
	closed atomic.Bool
}

// Rely checks digests; nothing is ever collected here.
func (ss *Session) Rely(digests ...digest.Digest) error {
	if ss.closed.Load() {
		return errors.New("session is closed")
	}
	for _, d := range digests {
		if err := d.Validate(); err != nil {
			return fmt.Errorf("digest %q: %w: %w", d, err, blob.ErrHostile)
		}
	}
	return nil
}

// Has says whether the content of desc is there, with the right size.
func (ss *Session) Has(desc ocispec.Descriptor) (bool, error) {
	if err := ss.Rely(desc.Digest); err != nil {
		return false, err
	}
	_, err := ss.store.Open(desc)
	return err == nil, nil
}

// Reserve always finds room.
func (ss *Session) Reserve(int64) error { return ss.Rely() }

// Ingest stores what r has to say, nothing if r fails.
func (ss *Session) Ingest(ctx context.Context, r io.Reader) (digest.Digest, int64, error) {
	if err := errors.Join(ss.Rely(), ctx.Err()); err != nil {
		return "", 0, err
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	d := digest.FromBytes(data)
	ss.store.Put(d, data)
	return d, int64(len(data)), nil
}

// Receive brings in the content of desc through fill, one transfer of it at a
// time. Bytes and state survive an error other than [blob.ErrMismatch].
func (ss *Session) Receive(
	ctx context.Context, desc ocispec.Descriptor, fill func(context.Context, blob.Sink) (blob.Proof, error),
) (bool, error) {
	if _, err := blob.NewVerifier(desc); err != nil {
		return false, err
	}
	if present, err := ss.Has(desc); present || err != nil {
		return present, err
	}
	s := ss.store.partial(desc)
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if present, err := ss.Has(desc); present || err != nil {
		return present, err
	}
	proof, err := fill(ctx, s)
	if err == nil {
		err = s.check(proof, desc)
	}
	if errors.Is(err, blob.ErrMismatch) {
		s.data, s.state = nil, nil
	}
	if err == nil {
		ss.store.Put(desc.Digest, s.data)
	}
	return false, err
}

// Tag lets ref lead to the manifest desc, which must be there.
func (ss *Session) Tag(ref string, desc ocispec.Descriptor) error {
	present, err := ss.Has(desc)
	switch {
	case err != nil:
		return err
	case ref == "":
		return errors.New("a tag needs a name")
	case !present:
		return fmt.Errorf("tagging %q: manifest %s: %w", ref, desc.Digest, blob.ErrNotFound)
	}
	ss.store.tag(ref, desc)
	return nil
}

// Close ends the session.
func (ss *Session) Close() error {
	ss.closed.Store(true)
	return nil
}

// sink is a transfer, of one size. Turn holds the one who works at it.
type sink struct {
	turn  chan struct{}
	mu    sync.Mutex
	size  int64
	data  []byte
	state []byte
}

// partial returns the transfer of desc.
func (s *Store) partial(desc ocispec.Descriptor) *sink {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.partials[desc.Digest]
	if p == nil || p.size != desc.Size {
		p = &sink{turn: make(chan struct{}, 1), size: desc.Size}
		s.partials[desc.Digest] = p
	}
	return p
}

func (s *sink) check(proof blob.Proof, desc ocispec.Descriptor) error {
	if err := proof.Covers(desc); err != nil {
		return fmt.Errorf("%w: %w", err, blob.ErrMismatch)
	}
	if int64(len(s.data)) != desc.Size {
		return fmt.Errorf("%s: %d of %d bytes: %w", desc.Digest, len(s.data), desc.Size, blob.ErrMismatch)
	}
	return nil
}

// WriteAt implements [blob.Sink].
func (s *sink) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := off + int64(len(p))
	if end > s.size {
		return 0, fmt.Errorf("more than the declared %d bytes: %w", s.size, blob.ErrMismatch)
	}
	if missing := end - int64(len(s.data)); missing > 0 {
		s.data = append(s.data, make([]byte, missing)...)
	}
	return copy(s.data[off:], p), nil
}

// ReadAt implements [blob.Sink].
func (s *sink) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.NewReader(s.data).ReadAt(p, off)
}

// LoadState implements [blob.Sink].
func (s *sink) LoadState() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.state), nil
}

// SaveState implements [blob.Sink].
func (s *sink) SaveState(state []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = bytes.Clone(state)
	return nil
}
