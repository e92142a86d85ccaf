package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// schemeKey is where a context has the scheme of the registry that it serves.
type schemeKey struct{}

// withScheme says how the registry is spoken to that a request is about, whether
// the request goes to the registry or to its token service.
func withScheme(ctx context.Context, scheme string) context.Context {
	return context.WithValue(ctx, schemeKey{}, scheme)
}

func secure(ctx context.Context) bool { return ctx.Value(schemeKey{}) == "https" }

// realmGuard keeps the credentials of registries that speak TLS from going
// anywhere in the clear, however such a request came about.
type realmGuard struct{ next http.RoundTripper }

func (t *realmGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	if secure(req.Context()) && req.URL.Scheme != "https" && mayHoldSecrets(req) {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, inTheClear(req.URL)
	}
	return t.next.RoundTrip(req)
}

func (t *realmGuard) CloseIdleConnections() { closeIdle(t.next) }

// mayHoldSecrets says whether there are credentials in the header of req, or may
// be in its body: that is where OAuth has them.
func mayHoldSecrets(req *http.Request) bool {
	return req.Header.Get("Authorization") != "" || hasBody(req)
}

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// inTheClear refuses to send credentials to u, which may be no proper address.
func inTheClear(u *url.URL) error {
	return &problem{
		text: fmt.Sprintf("credentials that are sent over TLS would go to %q, without TLS", printable(u.Scheme+"://"+u.Host)),
		kind: ErrDenied,
		hint: "nothing was sent there; whoever runs the registry can give its token service an https address",
	}
}

// The schemes of challenges that can be met.
const (
	basic  = "basic"
	bearer = "bearer"
)

// challenge is what a server wants to see, in a WWW-Authenticate header.
type challenge struct {
	scheme                string // in lower case
	realm, service, scope string
}

// widened is the challenge for a token that is good for these scopes as well. A
// password knows no scopes.
func (c challenge) widened(scopes string) challenge {
	if c.scheme == basic {
		return c
	}
	c.scope = strings.Join(auth.CleanScopes(strings.Fields(scopes+" "+c.scope)), " ")
	return c
}

// demanded picks the challenge to meet: for a token, else for a password.
func demanded(header http.Header) (picked challenge, ok bool) {
	for _, value := range header.Values("WWW-Authenticate") {
		for _, c := range parseChallenges(value) {
			switch c.scheme {
			case bearer:
				return c, true
			case basic:
				picked, ok = challenge{scheme: basic}, true
			}
		}
	}
	return picked, ok
}

// parseChallenges reads what is in one header, up to what is malformed.
func parseChallenges(s string) (all []challenge) {
	for {
		s = strings.TrimLeft(s, " \t,")
		end := strings.IndexAny(s+",", " \t,=\"")
		name, rest := strings.ToLower(s[:end]), strings.TrimLeft(s[end:], " \t")
		rest, isParameter := strings.CutPrefix(rest, "=")
		switch {
		case name == "" || isParameter && len(all) == 0:
			return all
		case !isParameter:
			all = append(all, challenge{scheme: name})
			s = rest
			continue
		}
		value, rest, ok := parameterValue(strings.TrimLeft(rest, " \t"))
		if !ok {
			return all
		}
		all[len(all)-1].set(name, value)
		s = rest
	}
}

func (c *challenge) set(name, value string) {
	switch name {
	case "realm":
		c.realm = value
	case "service":
		c.service = value
	case "scope":
		c.scope = value
	}
}

// parameterValue reads a word or a quoted string off the front of s.
func parameterValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ", \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], end > 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
