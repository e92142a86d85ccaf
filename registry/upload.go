package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/tareml/tare/blob"
)

// uploadAttempts is how often a blob is sent before that is given up.
const uploadAttempts = 5

// Upload sends the content of src, unless the registry has it. It does not
// close src.
func (r *Repository) Upload(ctx context.Context, desc ocispec.Descriptor, src blob.Source) error {
	open := func() (blob.Source, error) { return nopCloser{src}, nil }
	if _, err := r.upload(ctx, desc, open, func(int64) {}); err != nil {
		return r.pushing(desc, err)
	}
	return nil
}

// nopCloser keeps a source open that belongs to somebody else.
type nopCloser struct{ blob.Source }

func (nopCloser) Close() error { return nil }

// pushing says what err got in the way of.
func (r *Repository) pushing(desc ocispec.Descriptor, err error) error {
	return fmt.Errorf("pushing %s@%s: %w", r.ref.Name(), desc.Digest, err)
}

// upload is Upload with a source that is opened only if it is needed, and
// reports of how many more bytes were sent; fewer than zero are to be sent
// again. It says whether the blob was there already.
func (r *Repository) upload(ctx context.Context, desc ocispec.Descriptor, open func() (blob.Source, error), report func(int64)) (present bool, err error) {
	if _, err := blob.NewVerifier(desc); err != nil {
		return false, err
	}
	if ctx, err = r.scoped(ctx, auth.ActionPull, auth.ActionPush); err != nil {
		return false, err
	}
	if present, err := r.has(ctx, desc); present || err != nil {
		return present, err
	}
	src, err := open()
	if err != nil {
		return false, err
	}
	defer src.Close()
	if src.Size() != desc.Size {
		return false, fmt.Errorf("the source has %d bytes, the manifest says %d: %w", src.Size(), desc.Size, blob.ErrMismatch)
	}
	return false, r.send(ctx, desc, src, report)
}

// send tries until the blob has arrived. After a failure it looks whether the
// blob is there all the same: the answer may be what was lost.
func (r *Repository) send(ctx context.Context, desc ocispec.Descriptor, src blob.Source, report func(int64)) error {
	for attempt := 1; ; attempt++ {
		body := &outgoing{src: src, report: report}
		err := r.put(ctx, desc, body)
		if err == nil {
			return nil
		}
		body.takeBack()
		if attempt == uploadAttempts || !resendable(err) {
			return err
		}
		if err := r.client.sleep(ctx, backoff(attempt)); err != nil {
			return err
		}
		present, hasErr := r.has(ctx, desc)
		if present {
			report(desc.Size)
			return nil
		}
		if hasErr != nil && !passing(hasErr) {
			return hasErr
		}
	}
}

// resendable says whether a new upload may work where one failed. A session that
// is gone is the common case after a cut.
func resendable(err error) bool {
	return passing(err) || hasStatus(err, http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable)
}

// has says whether the registry has the blob.
func (r *Repository) has(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	req, err := r.request(ctx, http.MethodHead, "blobs/"+desc.Digest.String())
	if err != nil {
		return false, err
	}
	resp, err := r.client.do(req)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	discard(resp)
	return resp.ContentLength < 0 || resp.ContentLength == desc.Size, nil
}

// put opens a session and sends the blob in one request.
func (r *Repository) put(ctx context.Context, desc ocispec.Descriptor, body *outgoing) error {
	location, err := r.openSession(ctx)
	if err != nil {
		return err
	}
	location.RawQuery = strings.TrimPrefix(location.RawQuery+"&digest="+url.QueryEscape(desc.Digest.String()), "&")
	req, err := http.NewRequestWithContext(withBodyOnce(ctx), http.MethodPut, location.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if err := body.attach(req); err != nil {
		return err
	}
	resp, err := r.sendBody(req)
	if srcErr := body.failed(); srcErr != nil {
		err = fmt.Errorf("reading the source: %w", srcErr)
	}
	if resp != nil {
		discard(resp)
	}
	if err != nil {
		return err
	}
	return checkStored(resp, desc.Digest)
}

// checkStored compares what the registry says it stored, if it says.
func checkStored(resp *http.Response, want digest.Digest) error {
	got := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if got.Validate() == nil && got.Algorithm() == want.Algorithm() && got != want {
		return fmt.Errorf("the registry stored %s: %w", got, blob.ErrMismatch)
	}
	return nil
}

// sendBody sends req with credentials if it goes to the registry itself, and
// without if it goes elsewhere.
func (r *Repository) sendBody(req *http.Request) (*http.Response, error) {
	origin, err := r.origin(req.Context())
	if err != nil {
		return nil, err
	}
	if canonical(req.URL) == canonical(&url.URL{Scheme: req.URL.Scheme, Host: origin.host}) {
		return r.client.do(req)
	}
	return r.client.doPlain(req)
}

// openSession asks for a place to upload to.
func (r *Repository) openSession(ctx context.Context) (*url.URL, error) {
	req, err := r.request(ctx, http.MethodPost, "blobs/uploads/")
	if err != nil {
		return nil, err
	}
	resp, err := r.client.do(req)
	if err != nil {
		return nil, err
	}
	discard(resp)
	if resp.StatusCode != http.StatusAccepted {
		return nil, &problem{text: fmt.Sprintf("unexpected status %d for a new upload", resp.StatusCode), status: resp.StatusCode}
	}
	return uploadLocation(req.URL, resp.Header.Get("Location"))
}

// uploadLocation resolves the Location of a session. A registry behind a proxy
// that ends TLS may name itself with http: that is put right, since it is the
// same host. Any other step down from TLS is refused.
func uploadLocation(base *url.URL, location string) (*url.URL, error) {
	u, err := base.Parse(location)
	if err != nil || location == "" || u.Host == "" {
		return nil, errors.New("the registry gave no usable address for the upload")
	}
	if base.Scheme == "https" && u.Scheme == "http" && strings.EqualFold(u.Hostname(), base.Hostname()) &&
		(u.Port() == "" || u.Port() == base.Port()) {
		u.Scheme, u.Host = base.Scheme, base.Host
	}
	if u.Scheme != "https" && u.Scheme != base.Scheme {
		return nil, fmt.Errorf("the registry wants the upload at %s://%s, without TLS: %w", printable(u.Scheme), printable(u.Host), blob.ErrHostile)
	}
	u.User = nil
	if canonical(u) == canonical(base) {
		u.Host = base.Host
	}
	return u, nil
}

// canonical is the origin of u, with the port spelled out.
func canonical(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Scheme + "://" + u.Hostname() + ":" + port)
}

// outgoing is a body that can be read from the start as often as it takes. It
// reports what the newest of its readers has given away.
type outgoing struct {
	src    blob.Source
	report func(int64)

	mu   sync.Mutex
	body *outgoingBody // the newest
	sent int64
	err  error
}

// attach makes o the body of req.
func (o *outgoing) attach(req *http.Request) (err error) {
	if o.src.Size() == 0 {
		req.Body, req.GetBody = http.NoBody, func() (io.ReadCloser, error) { return http.NoBody, nil }
		return nil
	}
	req.ContentLength = o.src.Size()
	req.GetBody = o.open
	req.Body, err = o.open()
	return err
}

func (o *outgoing) open() (io.ReadCloser, error) {
	o.takeBack()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.body = &outgoingBody{owner: o, section: io.NewSectionReader(o.src, 0, o.src.Size())}
	return o.body, nil
}

// takeBack reports that what was sent so far is lost.
func (o *outgoing) takeBack() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.report(-o.sent)
	o.sent, o.body = 0, nil
}

// failed is the error with which the source could not be read.
func (o *outgoing) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

func (o *outgoing) count(body *outgoingBody, n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil && err != io.EOF {
		o.err = err
	}
	if o.body == body {
		o.sent += int64(n)
		o.report(int64(n))
	}
}

// outgoingBody is one pass over the source.
type outgoingBody struct {
	owner   *outgoing
	section *io.SectionReader
}

func (b *outgoingBody) Read(p []byte) (int, error) {
	n, err := b.section.Read(p)
	b.owner.count(b, n, err)
	return n, err
}

func (b *outgoingBody) Close() error { return nil }
