package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/tareml/tare/blob"
)

// errRange says that the answer to a request for a range is of no use.
var errRange = errors.New("the registry does not serve ranges properly")

// supply is where the bytes of a blob come from: mirrors in their order, the
// registry last, and whatever these redirect to.
type supply struct {
	repo *Repository
	desc ocispec.Descriptor

	mu      sync.Mutex
	mirrors []endpoint          // that are worth asking
	targets map[string]*url.URL // where the hosts redirected to
}

func (r *Repository) supply(desc ocispec.Descriptor) (*supply, error) {
	mirrors, err := r.mirrors(func(h Host) bool { return h.Pull && !r.client.doubts(desc.Digest) })
	return &supply{repo: r, desc: desc, mirrors: mirrors, targets: map[string]*url.URL{}}, err
}

// open asks for the bytes of want. What it returns begins there, or at the start
// of the blob if that is all that can be had, or if whole is set.
func (s *supply) open(ctx context.Context, want extent, whole bool) (*body, error) {
	if whole {
		want = extent{0, s.desc.Size}
	}
	var passed passedOver
	for _, mirror := range s.worthAsking() {
		b, err := s.ask(ctx, mirror, want)
		if err == nil || ctx.Err() != nil {
			return b, err
		}
		s.drop(mirror.host)
		passed.note(s.repo.client, mirror, err)
	}
	origin, err := s.repo.origin(ctx)
	if err != nil {
		return nil, err
	}
	b, err := s.ask(ctx, origin, want)
	return b, passed.explain(err)
}

// first is the host that is asked first.
func (s *supply) first() string {
	for _, mirror := range s.worthAsking() {
		return mirror.host
	}
	return s.repo.ref.host()
}

func (s *supply) worthAsking() []endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mirrors)
}

// drop has a mirror no longer asked for this blob.
func (s *supply) drop(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mirrors = slices.DeleteFunc(s.mirrors, func(e endpoint) bool { return e.host == host })
}

// onlyOrigin has no mirror asked any more.
func (s *supply) onlyOrigin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mirrors = nil
}

// ask asks e, or where e redirected to the last time: such addresses are good
// for a while, and spare e the question.
func (s *supply) ask(ctx context.Context, e endpoint, want extent) (*body, error) {
	ctx = e.context(ctx, s.repo.ref.Repository, auth.ActionPull)
	if target := s.target(e.host); target != nil {
		b, err := s.askTarget(ctx, e, target, want)
		if err == nil || !expired(err) {
			return b, err
		}
	}
	req, err := e.request(ctx, http.MethodGet, s.repo.ref.Repository, "blobs/"+s.desc.Digest.String())
	if err != nil {
		return nil, err
	}
	return s.get(e, req, want, s.repo.client.do)
}

func (s *supply) askTarget(ctx context.Context, e endpoint, target *url.URL, want extent) (*body, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	b, err := s.get(e, req, want, s.repo.client.doPlain)
	if err != nil {
		s.remember(e.host, nil)
	}
	return b, err
}

// expired says that an address has to be asked for again: storage services call
// one that is too old forbidden, or bad.
func expired(err error) bool {
	return hasStatus(err, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone)
}

// get makes a request for want, and a body of the answer.
func (s *supply) get(e endpoint, req *http.Request, want extent, do func(*http.Request) (*http.Response, error)) (*body, error) {
	ranged := want.size() < s.desc.Size
	if ranged {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", want.Start, want.End-1))
	}
	resp, err := do(req)
	if ranged && hasStatus(err, http.StatusRequestedRangeNotSatisfiable) {
		return nil, errRange
	}
	if err != nil {
		return nil, err
	}
	b, err := newBody(resp, want, s.desc.Size)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	b.host = e.host
	if final := resp.Request.URL; canonical(final) != canonical(req.URL) {
		s.remember(e.host, final)
	}
	return b, nil
}

// doPlain sends req without credentials: its address has all that it takes.
func (c *Client) doPlain(req *http.Request) (*http.Response, error) {
	resp, err := c.auth.Client.Do(req)
	if err != nil {
		return nil, c.secrets.purged(explain(req.Context(), err))
	}
	if err := refusal(resp); err != nil {
		return nil, c.secrets.purged(err)
	}
	return resp, nil
}

func (s *supply) target(host string) *url.URL {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.targets[host]
}

func (s *supply) remember(host string, target *url.URL) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets[host] = target
}

// body is what a response brings of a blob.
type body struct {
	r         io.ReadCloser
	pos, end  int64  // what is yet to come
	brought   int64  // what came
	confirmed bool   // the server said how large the blob is, and that is right
	measured  bool   // the server said how long the response is
	host      string // who was asked
}

// newBody checks what a response says that it brings against what was asked of
// a blob of this size. A range may end early: the rest is asked for again.
func newBody(resp *http.Response, want extent, size int64) (*body, error) {
	measured := resp.ContentLength >= 0
	switch resp.StatusCode {
	case http.StatusOK:
		if measured && resp.ContentLength != size {
			return nil, fmt.Errorf("the registry has %d bytes, the manifest says %d: %w", resp.ContentLength, size, blob.ErrHostile)
		}
		return &body{r: resp.Body, end: size, confirmed: measured, measured: measured}, nil
	case http.StatusPartialContent:
		got, total, ok := parseContentRange(resp.Header.Get("Content-Range"))
		if !ok || want.size() == size || got.Start != want.Start || got.End > want.End || total != size ||
			measured && resp.ContentLength != got.size() {
			return nil, errRange
		}
		return &body{r: resp.Body, pos: got.Start, end: got.End, confirmed: true, measured: measured}, nil
	}
	return nil, &problem{text: fmt.Sprintf("unexpected status %d", resp.StatusCode), status: resp.StatusCode}
}

// Read implements [io.Reader]. It ends in io.EOF only where the response said
// that it would.
func (b *body) Read(p []byte) (int, error) {
	if b.pos == b.end {
		return 0, io.EOF
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.end-b.pos)])
	b.pos += int64(n)
	b.brought += int64(n)
	if err == io.EOF && b.pos < b.end {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// skipTo reads up to pos and drops what it reads.
func (b *body) skipTo(pos int64) error {
	_, err := io.CopyN(io.Discard, b, pos-b.pos)
	return err
}

// Close ends the response. A connection is only used again if there is nothing
// more to come on it, which takes no waiting if its length is known.
func (b *body) Close() error {
	if b.pos == b.end && b.measured {
		b.r.Read(make([]byte, 1)) // finds the end
	}
	return b.r.Close()
}

// parseContentRange reads "bytes FIRST-LAST/TOTAL".
func parseContentRange(value string) (e extent, total int64, ok bool) {
	rest, isBytes := strings.CutPrefix(value, "bytes ")
	span, size, hasTotal := strings.Cut(rest, "/")
	from, to, isSpan := strings.Cut(span, "-")
	if !isBytes || !hasTotal || !isSpan {
		return extent{}, 0, false
	}
	numbers := [3]int64{}
	for i, s := range []string{from, to, size} {
		n, err := strconv.ParseUint(s, 10, 63)
		if err != nil {
			return extent{}, 0, false
		}
		numbers[i] = int64(n)
	}
	first, last, total := numbers[0], numbers[1], numbers[2]
	if first > last || last >= total {
		return extent{}, 0, false
	}
	return extent{first, last + 1}, total, true
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

// errCut says that a connection ended before its time.
var errCut = errors.New("the connection was cut")

// leadsTo says whether the byte at pos is yet to come: next, or also later if
// there is nothing better.
func (b *body) leadsTo(pos int64, later bool) bool {
	return pos < b.end && (b.pos == pos || later && b.pos < pos)
}
