package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/tareml/tare/blob"
)

// errGone says that a session cannot be gone on with.
var errGone = errors.New("the registry has lost the upload")

// session is where a registry gathers the bytes of a blob.
type session struct {
	repo *Repository
	at   *url.URL // changes with each answer

	// offset is how many bytes the registry is known to have.
	offset int64

	// sends is how many bodies were sent to it.
	sends int

	// least is the fewest bytes that a chunk may have, unless it is the last.
	least int64
}

// openSession asks for a session. If another repository may have the blob the
// registry is asked to take it from there: then there may be no need of one, and
// the session is nil.
//
// A refusal to do so is nothing to go by: who may push here need not know the
// other repository. That one is not asked about again.
func (r *Repository) openSession(ctx context.Context, desc ocispec.Descriptor, from string) (*session, error) {
	if from == "" || r.client.noted(r.client.closed, r.ref.Registry+"/"+from) {
		return r.post(ctx, nil)
	}
	s, err := r.mount(ctx, desc, from)
	if err == nil || ctx.Err() != nil {
		return s, err
	}
	if errors.Is(err, ErrDenied) {
		r.client.note(r.client.closed, r.ref.Registry+"/"+from)
	}
	return r.post(ctx, nil)
}

// mount asks the registry to take a blob from another repository. One that does
// not want to opens a session instead.
func (r *Repository) mount(ctx context.Context, desc ocispec.Descriptor, from string) (*session, error) {
	origin, err := r.origin(ctx)
	if err != nil {
		return nil, err
	}
	ctx = auth.AppendScopesForHost(withRepeats(ctx), origin.host, auth.ScopeRepository(from, auth.ActionPull))
	return r.post(ctx, url.Values{"mount": {desc.Digest.String()}, "from": {from}})
}

// post opens a session, or is told that none is needed for what it wants mounted.
func (r *Repository) post(ctx context.Context, query url.Values) (*session, error) {
	req, err := r.request(ctx, http.MethodPost, "blobs/uploads/")
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = joinQuery(req.URL.RawQuery, query.Encode())
	resp, err := r.client.do(req)
	if err != nil {
		return nil, err
	}
	discard(resp)
	switch {
	case resp.StatusCode == http.StatusCreated && query.Has("mount"):
		return nil, checkStored(resp, digest.Digest(query.Get("mount")))
	case resp.StatusCode != http.StatusAccepted:
		return nil, &problem{text: fmt.Sprintf("unexpected status %d for a new upload", resp.StatusCode), status: resp.StatusCode}
	}
	s := &session{repo: r}
	if s.at, err = r.locationOf(req, resp); err != nil {
		return nil, err
	}
	if least, err := strconv.ParseInt(resp.Header.Get("OCI-Chunk-Min-Length"), 10, 64); err == nil {
		s.least = least
	}
	return s, nil
}

// joinQuery adds to a query that may be empty, and is left as it is.
func joinQuery(query, more string) string {
	return strings.Trim(query+"&"+more, "&")
}

// append sends a chunk.
func (s *session) append(ctx context.Context, body *outgoing) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, s.at.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", s.offset, s.offset+body.n-1))
	resp, err := s.send(req, body)
	if err != nil {
		return err
	}
	// Success means all of it. The Range of the answer is stale at some.
	s.offset += body.n
	return s.move(req, resp)
}

// commit sends what is left, if there is something, and has the registry make a
// blob of it all.
func (s *session) commit(ctx context.Context, want digest.Digest, body *outgoing) error {
	at := *s.at
	at.RawQuery = joinQuery(at.RawQuery, "digest="+url.QueryEscape(want.String()))
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, at.String(), nil)
	if err != nil {
		return err
	}
	resp, err := s.send(req, body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		// It may mean that. Whether the blob is there has to be seen.
		return &problem{text: fmt.Sprintf("unexpected status %d for the end of an upload", resp.StatusCode), kind: ErrUnavailable, status: resp.StatusCode}
	}
	return checkStored(resp, want)
}

// send sends req with a body and reads the answer.
func (s *session) send(req *http.Request, body *outgoing) (*http.Response, error) {
	s.sends++
	req.Header.Set("Content-Type", "application/octet-stream")
	if err := body.attach(req); err != nil {
		return nil, err
	}
	resp, err := s.repo.sendTo(req)
	if err == nil {
		discard(resp)
		return resp, nil
	}
	if srcErr := body.failed(); srcErr != nil {
		err = &sourceError{srcErr}
	}
	return nil, err
}

// sourceError is an error of the source that the bytes come from.
type sourceError struct{ cause error }

func (e *sourceError) Error() string { return "reading the source: " + e.cause.Error() }
func (e *sourceError) Unwrap() error { return e.cause }

// move goes where an answer says that the session is now.
func (s *session) move(req *http.Request, resp *http.Response) error {
	if resp.Header.Get("Location") == "" {
		return nil
	}
	at, err := s.repo.locationOf(req, resp)
	if err != nil {
		return err
	}
	s.at = at
	return nil
}

// locate asks the registry how many bytes it has, of the most that it can have.
// A session that it knows nothing of, or nothing sensible, is [errGone].
func (s *session) locate(ctx context.Context, most int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.at.String(), nil)
	if err != nil {
		return err
	}
	resp, err := s.repo.sendTo(req)
	switch {
	case err != nil && (passing(err) || ctx.Err() != nil):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errGone, err)
	}
	discard(resp)
	offset, ok := heldBytes(resp.Header.Get("Range"))
	if !ok || offset > most {
		return fmt.Errorf("%w: it has range %q of %d bytes", errGone, printable(resp.Header.Get("Range")), most)
	}
	if err := s.move(req, resp); err != nil {
		return err
	}
	s.offset = offset
	return nil
}

var heldPattern = regexp.MustCompile(`^(?:bytes=)?0-([0-9]+)$`)

// heldBytes reads the Range of a session. One of 0-0 is taken for nothing: there
// are registries that mean it, and a single byte is soon sent again.
func heldBytes(header string) (int64, bool) {
	m := heldPattern.FindStringSubmatch(header)
	if m == nil {
		return 0, false
	}
	last, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || last == 1<<63-1 {
		return 0, false
	}
	if last == 0 {
		return 0, true
	}
	return last + 1, true
}

// checkStored compares what the registry says it stored, if it says.
func checkStored(resp *http.Response, want digest.Digest) error {
	got := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if got.Validate() == nil && got.Algorithm() == want.Algorithm() && got != want {
		return fmt.Errorf("the registry stored %s: %w", got, blob.ErrMismatch)
	}
	return nil
}

// Has says whether the registry has a blob.
func (r *Repository) Has(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	ctx, err := r.scoped(ctx, auth.ActionPull, auth.ActionPush)
	if err != nil {
		return false, r.pushing(desc, err)
	}
	present, err := r.has(ctx, desc)
	if err != nil {
		return false, r.pushing(desc, err)
	}
	return present, nil
}

// has is Has without words around its errors. A registry that cannot tell is
// taken not to have it.
func (r *Repository) has(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	req, err := r.request(ctx, http.MethodHead, "blobs/"+desc.Digest.String())
	if err != nil {
		return false, err
	}
	resp, err := r.client.do(req)
	if err != nil && ctx.Err() != nil {
		return false, ctx.Err()
	}
	if errors.Is(err, blob.ErrNotFound) || hasStatus(err, http.StatusMethodNotAllowed, http.StatusNotImplemented) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	discard(resp)
	return resp.StatusCode == http.StatusOK && (resp.ContentLength < 0 || resp.ContentLength == desc.Size), nil
}
