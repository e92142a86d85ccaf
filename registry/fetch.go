package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/tareml/tare/blob"
)

// fetchAttempts is how often in a row a transfer may be cut without a byte of
// progress.
const fetchAttempts = 8

var (
	// errCut says that a connection ended before its time.
	errCut = errors.New("the connection was cut")

	// errRange says that the answer to a request for a range is of no use.
	errRange = errors.New("the registry does not serve ranges properly")
)

// Fetch opens a blob. The stream goes on by itself after the connection is cut,
// and ends in io.EOF only if the bytes were the right ones.
func (r *Repository) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	s := r.stream(ctx, desc, 0)
	verified, err := blob.NewReader(s, desc)
	if err == nil {
		err = s.start()
	}
	if err != nil {
		return nil, r.pulling(desc, err)
	}
	return &fetched{verified: verified, stream: s, explain: func(err error) error { return r.pulling(desc, err) }}, nil
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

// stream returns the bytes of desc from offset on.
func (r *Repository) stream(ctx context.Context, desc ocispec.Descriptor, offset int64) *stream {
	ctx = r.scoped(ctx, auth.ActionPull)
	return &stream{
		offset: offset,
		size:   desc.Size,
		open: func(offset int64, whole bool) (io.ReadCloser, error) {
			return r.open(ctx, desc, offset, whole)
		},
		done: ctx.Err,
		cut:  func(err error) error { return cut(ctx, err) },
		wait: func(failures int) error { return r.client.sleep(ctx, backoff(failures)) },
	}
}

// stream is the bytes of a blob across as many connections as it takes, and not
// one byte more than the blob has. It does not hash them.
type stream struct {
	open func(offset int64, whole bool) (io.ReadCloser, error)
	done func() error // of the context: what a connection has buffered outlives it
	cut  func(error) error
	wait func(failures int) error

	body         io.ReadCloser // nil between connections
	offset, size int64
	whole        bool  // ask for the whole blob and skip, ranges do not work
	connected    bool  // once
	failures     int   // since the last byte
	last         error // the newest of those
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
		n, err := s.body.Read(p[:min(int64(len(p)), s.size-s.offset)])
		if n > 0 {
			s.offset += int64(n)
			s.failures = 0
		}
		if err != nil {
			s.last = s.cut(err)
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
		body, err := s.open(s.offset, s.whole)
		if err == nil {
			s.body, s.connected = body, true
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

// Close closes the connection.
func (s *stream) Close() error {
	if s.body == nil {
		return nil
	}
	body := s.body
	s.body = nil
	return body.Close()
}

// cut is what the error of a body means.
func cut(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return &problem{text: errCut.Error(), kind: ErrUnavailable, cause: errCut}
	}
	return &problem{text: fmt.Sprintf("%s: %s", errCut, printable(err.Error())), kind: ErrUnavailable, cause: errors.Join(errCut, err)}
}

// open asks for the bytes from offset on, with a range unless whole is set. The
// body it returns begins exactly there.
func (r *Repository) open(ctx context.Context, desc ocispec.Descriptor, offset int64, whole bool) (io.ReadCloser, error) {
	req, err := r.request(ctx, http.MethodGet, "blobs/"+desc.Digest.String())
	if err != nil {
		return nil, err
	}
	if offset > 0 && !whole {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, desc.Size-1))
	}
	resp, err := r.client.do(req)
	if hasStatus(err, http.StatusRequestedRangeNotSatisfiable) {
		return nil, errRange
	}
	if err != nil {
		return nil, err
	}
	if err := position(ctx, resp, offset, desc.Size, req.Header.Get("Range") != ""); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}

// position brings the body of resp to offset, or finds that it does not lead
// there.
func position(ctx context.Context, resp *http.Response, offset, size int64, ranged bool) error {
	if resp.StatusCode == http.StatusPartialContent {
		if !ranged || !servesRange(resp, offset, size) {
			return errRange
		}
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		return &problem{text: fmt.Sprintf("unexpected status %d", resp.StatusCode), status: resp.StatusCode}
	}
	if resp.ContentLength >= 0 && resp.ContentLength != size {
		return fmt.Errorf("the registry has %d bytes, the manifest says %d: %w", resp.ContentLength, size, blob.ErrMismatch)
	}
	if _, err := io.CopyN(io.Discard, resp.Body, offset); err != nil {
		return cut(ctx, err)
	}
	return nil
}

// servesRange says whether a 206 is the range from offset on, of a blob of this
// size. It may end early: the rest is asked for again.
func servesRange(resp *http.Response, offset, size int64) bool {
	first, last, total, ok := parseContentRange(resp.Header.Get("Content-Range"))
	return ok && first == offset && total == size && last < size &&
		(resp.ContentLength < 0 || resp.ContentLength == last-first+1)
}

// parseContentRange reads "bytes FIRST-LAST/TOTAL".
func parseContentRange(value string) (first, last, total int64, ok bool) {
	rest, isBytes := strings.CutPrefix(value, "bytes ")
	span, size, hasTotal := strings.Cut(rest, "/")
	from, to, isSpan := strings.Cut(span, "-")
	if !isBytes || !hasTotal || !isSpan {
		return 0, 0, 0, false
	}
	numbers := [3]int64{}
	for i, s := range []string{from, to, size} {
		n, err := strconv.ParseUint(s, 10, 63)
		if err != nil {
			return 0, 0, 0, false
		}
		numbers[i] = int64(n)
	}
	first, last, total = numbers[0], numbers[1], numbers[2]
	return first, last, total, first <= last && last < total
}
