package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tareml/tare/blob"
)

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

// sendTo sends req with credentials if it goes to the registry itself, and
// without if it goes elsewhere.
func (r *Repository) sendTo(req *http.Request) (*http.Response, error) {
	origin, err := r.origin(req.Context())
	if err != nil {
		return nil, err
	}
	if canonical(req.URL) == canonical(&url.URL{Scheme: req.URL.Scheme, Host: origin.host}) {
		return r.client.do(req)
	}
	return r.client.doPlain(req)
}
