package registry

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
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
// anywhere in the clear. A registry that asks for that is refused.
type realmGuard struct{ next http.RoundTripper }

func (t *realmGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	if !secure(req.Context()) {
		return t.next.RoundTrip(req)
	}
	if req.URL.Scheme != "https" && mayHoldSecrets(req) {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, inTheClear(req.URL)
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	if realm := realmOf(resp.Header.Get("WWW-Authenticate")); realm != nil && realm.Scheme == "http" {
		discard(resp)
		return nil, inTheClear(realm)
	}
	return resp, nil
}

func (t *realmGuard) CloseIdleConnections() { closeIdle(t.next) }

// mayHoldSecrets says whether there are credentials in the header of req, or may
// be in its body: that is where OAuth has them.
func mayHoldSecrets(req *http.Request) bool {
	return req.Header.Get("Authorization") != "" || req.Body != nil && req.Body != http.NoBody
}

// inTheClear refuses to send credentials to u, which may be no proper address.
func inTheClear(u *url.URL) error {
	return &problem{
		text: fmt.Sprintf("credentials of a registry with TLS would go to %q, without TLS", printable(u.Scheme+"://"+u.Host)),
		kind: ErrDenied,
		hint: "nothing was sent there; whoever runs the registry can give its token service an https address",
	}
}

// realmOf finds the address of the token service in a challenge. It is nil if
// there is none.
func realmOf(challenge string) *url.URL {
	scheme, params, _ := strings.Cut(strings.TrimSpace(challenge), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	for name, value := range parameters(params) {
		if name != "realm" {
			continue
		}
		if u, err := url.Parse(value); err == nil && u.Host != "" {
			return u
		}
	}
	return nil
}

// parameters yields the names and values in the rest of a challenge, up to the
// first that is malformed.
func parameters(s string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for {
			name, rest, ok := strings.Cut(strings.TrimLeft(s, " \t,"), "=")
			if !ok {
				return
			}
			var value string
			if value, s, ok = parameterValue(strings.TrimLeft(rest, " \t")); !ok {
				return
			}
			if !yield(strings.ToLower(strings.TrimSpace(name)), value) {
				return
			}
		}
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
