package registry

import (
	"context"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

const (
	// fetchAttempts is how often in a row a transfer may be cut without progress.
	fetchAttempts = 8

	// refill is what counts as progress: if a byte did, each would be worth
	// another eight requests.
	refill = 64 << 10
)

// patience is what is left of it after failures.
type patience struct {
	failures int   // in a row
	gained   int64 // bytes since then
}

// progress renews patience if there is enough of it.
func (p *patience) progress(n int) {
	if p.gained += int64(n); p.gained >= refill {
		*p = patience{}
	}
}

// Fetch opens a blob. The stream goes on by itself after the connection is cut,
// and ends in io.EOF only if the bytes were the right ones. If they were not, the
// next Fetch asks the registry itself and none of its mirrors.
func (r *Repository) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	s, err := r.stream(ctx, desc)
	if err != nil {
		return nil, r.pulling(desc, err)
	}
	verified, err := blob.NewReader(s, desc)
	if err == nil {
		err = s.start()
	}
	if err != nil {
		return nil, r.pulling(desc, err)
	}
	explain := func(err error) error {
		if errors.Is(err, blob.ErrMismatch) {
			r.client.doubt(desc.Digest)
		}
		return r.pulling(desc, err)
	}
	return &fetched{verified: verified, stream: s, explain: explain}, nil
}

// fetched is a verified stream whose errors say what was fetched.
type fetched struct {
	verified *blob.Reader
	stream   *stream
	explain  func(error) error
}

func (f *fetched) Read(p []byte) (int, error) {
	n, err := f.verified.Read(p)
	if err != nil && err != io.EOF {
		err = f.explain(err)
	}
	return n, err
}

func (f *fetched) Close() error { return f.stream.Close() }

// pulling says what err got in the way of.
func (r *Repository) pulling(desc ocispec.Descriptor, err error) error {
	return fmt.Errorf("pulling %s@%s: %w", r.ref.Name(), desc.Digest, err)
}

// stream returns the bytes of desc in order.
func (r *Repository) stream(ctx context.Context, desc ocispec.Descriptor) (*stream, error) {
	supply, err := r.supply(desc)
	if err != nil {
		return nil, err
	}
	return &stream{
		size: desc.Size,
		open: func(want extent, whole bool) (*body, error) { return supply.open(ctx, want, whole) },
		done: ctx.Err,
		cut:  func(err error) error { return cut(ctx, err) },
		drop: supply.drop,
		wait: func(failures int) error { return r.client.sleep(ctx, backoff(failures)) },
	}, nil
}

// stream is the bytes of a blob across as many connections as it takes, one
// after the other, and not one byte more than the blob has. It does not hash
// them.
type stream struct {
	open func(want extent, whole bool) (*body, error)
	done func() error // of the context: what a connection has buffered outlives it
	cut  func(error) error
	wait func(failures int) error
	drop func(host string)

	body         *body // nil between connections
	offset, size int64
	whole        bool // ask for the whole blob and skip, ranges do not work
	connected    bool // once
	patience
	last error // the newest of those
}

// start connects, so that a blob that cannot be had is known before it is read.
func (s *stream) start() error {
	if s.offset == s.size || s.body != nil {
		return nil
	}
	return s.connect()
}

func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.offset == s.size {
			return 0, io.EOF
		}
		if err := s.done(); err != nil {
			return 0, err
		}
		if err := s.start(); err != nil {
			return 0, err
		}
		n, err := s.body.Read(p)
		if n > 0 {
			s.offset += int64(n)
			s.progress(n)
		}
		if err != nil {
			s.last = s.cut(err)
			s.blame(s.body)
			s.Close()
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
}

// connect opens the next connection. The first one has the transport's patience
// and no more; once the blob was seen to be there, more is tried.
func (s *stream) connect() error {
	for {
		if s.failures >= fetchAttempts {
			return fmt.Errorf("gave up at byte %d of %d after %d attempts: %w", s.offset, s.size, s.failures, s.last)
		}
		if s.connected || s.failures > 0 {
			if err := s.wait(max(1, s.failures)); err != nil {
				return err
			}
		}
		s.failures++
		err := s.position()
		if err == nil {
			s.connected = true
			return nil
		}
		s.last = err
		switch {
		case errors.Is(err, errRange) && !s.whole:
			s.whole = true
		case !passing(err) || !s.connected && !errors.Is(err, errCut):
			return err
		}
	}
}

// position opens a body that begins at offset.
func (s *stream) position() error {
	body, err := s.open(extent{s.offset, s.size}, s.whole)
	if err != nil {
		return err
	}
	if err := body.skipTo(s.offset); err != nil {
		s.blame(body)
		body.Close()
		return s.cut(err)
	}
	s.body = body
	return nil
}

// blame has a mirror no longer asked that answered and then brought nothing, or
// twice nothing new.
func (s *stream) blame(b *body) {
	if b.brought == 0 || s.failures > 1 {
		s.drop(b.host)
	}
}

// Close closes the connection.
func (s *stream) Close() error {
	if s.body == nil {
		return nil
	}
	body := s.body
	s.body = nil
	return body.Close()
}
