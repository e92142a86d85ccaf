package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tareml/tare/blob"
)

// locationOf is [locationOf], with no secret in its errors.
func (r *Repository) locationOf(req *http.Request, resp *http.Response) (*url.URL, error) {
	at, err := locationOf(req, resp)
	return at, r.client.secrets.purged(err)
}

// locationOf is where an answer says that a session is, seen from whoever gave it:
// req may have been redirected. That does not step down from TLS.
func locationOf(req *http.Request, resp *http.Response) (*url.URL, error) {
	at, err := uploadLocation(resp.Request.URL, resp.Header.Get("Location"))
	if err == nil && req.URL.Scheme == "https" && at.Scheme != "https" {
		return nil, withoutTLS(at)
	}
	return at, err
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
		return nil, withoutTLS(u)
	}
	u.User = nil
	if canonical(u) == canonical(base) {
		u.Host = base.Host
	}
	return u, nil
}

func withoutTLS(u *url.URL) error {
	return &problem{text: fmt.Sprintf("the registry wants the upload at %s://%s, without TLS", printable(u.Scheme), printable(u.Host)), kind: blob.ErrHostile}
}

// canonical is the origin of u, with the port spelled out.
func canonical(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Scheme + "://" + u.Hostname() + ":" + port)
}

// sendTo sends req with credentials if it goes to the registry itself, and
// without if it goes elsewhere.
func (r *Repository) sendTo(req *http.Request) (*http.Response, error) {
	origin, err := r.origin(req.Context())
	if err != nil {
		return nil, err
	}
	home, err := url.Parse(origin.base)
	if err != nil {
		return nil, err
	}
	if canonical(req.URL) == canonical(home) {
		return r.client.do(req)
	}
	return r.client.doPlain(req)
}
