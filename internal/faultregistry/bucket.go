package faultregistry

import (
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// signedFor is how long a signed URL is good.
const signedFor = 20 * time.Minute

// bucket is where redirects lead, and uploads that go elsewhere: it serves
// whoever has a signed URL.
type bucket struct {
	url   string
	clock *clock
	uses  int

	mu     sync.Mutex
	signed int
	urls   map[string]*signedURL // by signature
	leaks  *leaks
}

type signedURL struct {
	method  string
	digest  digest.Digest
	content Content
	left    int // uses; negative for any number
	until   time.Time
}

func newBucket(c *clock, uses int, l *leaks) *bucket {
	return &bucket{clock: c, uses: uses, urls: map[string]*signedURL{}, leaks: l}
}

// Expire makes all signed URLs worthless that were given out for blobs.
func (r *Registry) Expire() { r.bucket.expire() }

func (b *bucket) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.urls)
}

// redirect signs a URL. The cookie is there to see whether it comes along.
func (b *bucket) redirect(method string, d digest.Digest, content Content) *reply {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.signed++
	signature := fmt.Sprintf("%08x", b.signed)
	left := b.uses
	if left == 0 {
		left = -1
	}
	until := b.clock.now().Add(signedFor)
	b.urls[signature] = &signedURL{method, d, content, left, until}
	reply := document(http.StatusTemporaryRedirect, "text/plain", nil)
	reply.header.Set("Location", fmt.Sprintf("%s/blobs/%s/%s/data?X-Signature=%s&expires=%d",
		b.url, d.Algorithm(), d.Encoded(), signature, until.Unix()))
	reply.header.Set("Set-Cookie", "session=faultregistry; Path=/")
	return reply
}

// parse reads a request and notes what it should not carry. The paths are
// /blobs/ALGORITHM/HEX/data and /uploads/NAME/ID.
func (b *bucket) parse(req *http.Request) *Request {
	r := describeRequest(req)
	r.Kind = Target
	if parts := strings.Split(req.URL.Path, "/"); len(parts) == 5 && parts[1] == "blobs" {
		r.Digest = digest.Digest(parts[2] + ":" + parts[3])
	}
	if upload, ok := strings.CutPrefix(req.URL.Path, "/uploads/"); ok {
		dir, id := path.Split(upload)
		r.Name, r.Session = strings.TrimSuffix(dir, "/"), id
		r.Digest = asked(req, "digest")
	}
	for _, name := range []string{"Authorization", "Cookie"} {
		if req.Header.Get(name) != "" {
			b.leaks.add("%s in %s %s", name, req.Method, req.URL.Path)
		}
	}
	return r
}

// plan is what a good bucket answers. Like S3 it takes one way to prove oneself
// at a time.
func (b *bucket) plan(x *exchange) *reply {
	if x.Auth != "" {
		return xmlError(http.StatusBadRequest, "InvalidArgument", "Only one auth mechanism allowed")
	}
	if x.Session != "" {
		return x.reg.planSession(x)
	}
	signed := b.use(x.req)
	if signed == nil {
		return xmlError(http.StatusForbidden, "AccessDenied", "Request has expired")
	}
	reply := serveContent(signed.content, signed.digest)
	reply.header.Del("Docker-Content-Digest")
	reply.narrow(x.req.Header)
	return reply
}

// use returns nil for a URL that is not good, or no longer.
func (b *bucket) use(req *http.Request) *signedURL {
	b.mu.Lock()
	defer b.mu.Unlock()
	signed := b.urls[req.URL.Query().Get("X-Signature")]
	if signed == nil || signed.left == 0 || signed.method != req.Method || !b.clock.now().Before(signed.until) {
		return nil
	}
	if signed.left > 0 {
		signed.left--
	}
	return signed
}

func xmlError(status int, code, message string) *reply {
	return document(status, "application/xml", fmt.Appendf(nil,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>", code, message))
}
