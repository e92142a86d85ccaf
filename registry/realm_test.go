package registry

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

const fuzzPassword = "s3cret-password"

// challenger is a registry at registry.example, over TLS, that answers with one
// challenge; whatever else is asked is a token service.
type challenger struct {
	challenge string
	requests  []*http.Request
	bodies    []string
}

func (c *challenger) RoundTrip(req *http.Request) (*http.Response, error) {
	body := ""
	if req.Body != nil {
		data, _ := io.ReadAll(req.Body)
		req.Body.Close()
		body = string(data)
	}
	c.requests, c.bodies = append(c.requests, req), append(c.bodies, body)
	resp := answer(http.StatusOK)
	if req.URL.Host == "registry.example" && strings.HasPrefix(req.URL.Path, "/v2/") && req.Header.Get("Authorization") == "" {
		resp = answer(http.StatusUnauthorized, "WWW-Authenticate", c.challenge)
	}
	resp.Request = req
	resp.Body = io.NopCloser(strings.NewReader(`{"token":"t","access_token":"t"}`))
	return resp, nil
}

// leaks lists the requests that had the password in them and did not go where
// it may go: over TLS to the registry, or to the token service that it names.
func (c *challenger) leaks() (to []string) {
	for i, req := range c.requests {
		var text bytes.Buffer
		req.Header.Write(&text)
		user, password, _ := req.BasicAuth()
		values, _ := url.QueryUnescape(c.bodies[i])
		all := text.String() + user + password + values + req.URL.String()
		encoded := base64.StdEncoding.EncodeToString([]byte("user:" + fuzzPassword))
		if (strings.Contains(all, fuzzPassword) || strings.Contains(all, encoded)) && !c.trusted(req.URL) {
			to = append(to, req.URL.String())
		}
	}
	return to
}

func (c *challenger) trusted(u *url.URL) bool {
	named, _ := demanded(http.Header{"Www-Authenticate": {c.challenge}})
	realm, err := url.Parse(named.realm)
	return u.Scheme == "https" && (u.Host == "registry.example" || err == nil && canonical(u) == canonical(realm))
}

// challengedClient has a password, or a token to exchange, for that registry.
func challengedClient(c *challenger, cred auth.Credential) *Client {
	o := Options{Credentials: oneCredential{cred: cred}, Sleep: sleep, Stall: time.Minute}.withDefaults()
	client := newClient(o, nil)
	client.auth.Client.Transport = newTransport(o, c, client.slots.shrink)
	return client
}

type oneCredential struct {
	dockerStore
	cred auth.Credential
}

func (s oneCredential) Get(_ context.Context, server string) (auth.Credential, error) {
	if server == "registry.example" {
		return s.cred, nil
	}
	return auth.EmptyCredential, nil
}

func TestCredentialsNeverGoInTheClear(t *testing.T) {
	password := auth.Credential{Username: "user", Password: fuzzPassword}
	for _, test := range []struct {
		realm   string
		cred    auth.Credential
		refused bool
	}{
		{"http://auth.example/token", password, true},
		{"http://registry.example/token", password, true},
		{"http://127.0.0.1:5001/token", password, true},
		{"http://auth.example/token", auth.Credential{RefreshToken: fuzzPassword}, true},
		{"https://registry.example/token", password, false},
		{"https://registry.example:8443/token", auth.Credential{RefreshToken: fuzzPassword}, false},
	} {
		server := &challenger{challenge: fmt.Sprintf(`Bearer realm="%s",service="x"`, test.realm)}
		repo := newTestRepository(t, challengedClient(server, test.cred), "registry.example/x")
		_, err := repo.has(t.Context(), describe("", []byte("x")))
		realm, _ := url.Parse(test.realm)
		if test.refused && (!errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), realm.Host) || hintOf(err) == "" || len(server.requests) != 1) {
			t.Errorf("%s: %v, hint %q, %d requests", test.realm, err, hintOf(err), len(server.requests))
		}
		if !test.refused && err != nil {
			t.Errorf("%s: %v", test.realm, err)
		}
		if leaks := server.leaks(); len(leaks) > 0 {
			t.Errorf("%s: the password went to %v", test.realm, leaks)
		}
	}
}

// TestLoginNeverGoesInTheClear: a login does not take the way of other requests.
func TestLoginNeverGoesInTheClear(t *testing.T) {
	server := &challenger{challenge: `Bearer realm="http://auth.example/token"`}
	client := challengedClient(server, auth.EmptyCredential)
	_, err := client.Login(t.Context(), "registry.example", "user", fuzzPassword)
	if !errors.Is(err, ErrDenied) || len(server.leaks()) > 0 || !strings.Contains(err.Error(), "auth.example") {
		t.Errorf("%v, leaks %v", err, server.leaks())
	}
}

// TestRequestsInTheClearAreRefused is about the last line of defence: it does not
// matter how such a request came about.
func TestRequestsInTheClearAreRefused(t *testing.T) {
	for _, test := range []struct {
		scheme, url, authorization, body string
		refused                          bool
	}{
		{"https", "http://x.example", "Basic x", "", true},
		{"https", "http://x.example", "", "password=x", true},
		{"https", "http://x.example", "", "", false},
		{"https", "https://x.example", "Basic x", "password=x", false},
		{"http", "http://x.example", "Basic x", "password=x", false},
	} {
		server := &challenger{}
		guard := &realmGuard{server}
		var body io.Reader
		if test.body != "" {
			body = strings.NewReader(test.body)
		}
		req, _ := http.NewRequestWithContext(withScheme(t.Context(), test.scheme), http.MethodPost, test.url, body)
		if test.authorization != "" {
			req.Header.Set("Authorization", test.authorization)
		}
		_, err := guard.RoundTrip(req)
		if errors.Is(err, ErrDenied) != test.refused || (len(server.requests) == 0) != test.refused {
			t.Errorf("%+v: %v, %d requests", test, err, len(server.requests))
		}
	}
}

func TestChallenges(t *testing.T) {
	for _, test := range []struct {
		headers []string
		want    challenge // none if it has no scheme
	}{
		{[]string{`Bearer realm="http://a.example/t",service="x",scope="repository:a:pull,push registry:catalog:*"`},
			challenge{bearer, "http://a.example/t", "x", "repository:a:pull,push registry:catalog:*"}},
		{[]string{`bearer service="a \"b\", c" , realm=http://a.b/c`}, challenge{bearer, "http://a.b/c", `a "b", c`, ""}},
		{[]string{`Bearer service="realm=http://a.b", REALM="https://c"`}, challenge{bearer, "https://c", "realm=http://a.b", ""}},
		{[]string{`Bearer realm = "r" ,, service=s,x-y="z"`}, challenge{bearer, "r", "s", ""}},
		{[]string{`Basic realm="r", Bearer realm="https://b",service="s"`}, challenge{bearer, "https://b", "s", ""}},
		{[]string{`Bearer realm="https://b",service="s", Basic realm="r", charset="UTF-8"`}, challenge{bearer, "https://b", "s", ""}},
		{[]string{`Basic realm="r"`, `Negotiate`, `Bearer realm="https://b"`}, challenge{bearer, "https://b", "", ""}},
		{[]string{`Negotiate YWJj==, BASIC realm="Bearer realm=x"`}, challenge{scheme: basic}},
		{[]string{`Basic`, `Digest realm="r",nonce="n"`}, challenge{scheme: basic}},
		{[]string{`Bearer realm="http://a.example`}, challenge{scheme: bearer}},
		{[]string{`Bearer realm=`}, challenge{scheme: bearer}},
		{[]string{`Bearer service=s, ="`, `Basic`}, challenge{bearer, "", "s", ""}},
		{[]string{`realm="https://b"`, ``, `"Bearer"`, `=Bearer`, `Bearerrealm="x"`, `Digest realm="r"`}, challenge{}},
		{nil, challenge{}},
	} {
		got, ok := demanded(http.Header{"Www-Authenticate": test.headers})
		if got != test.want || ok != (test.want.scheme != "") {
			t.Errorf("%q: %+v, want %+v", test.headers, got, test.want)
		}
	}
}

func FuzzChallenge(f *testing.F) {
	for _, s := range []string{
		`Bearer realm="https://registry.example/token",service="s",scope="repository:x:pull"`,
		`Bearer realm="http://192.0.2.1/token"`, `Bearer realm="https://192.0.2.1/token"`, `Basic realm="x"`, `basic`, `Negotiate`,
		`Bearer realm="HTTP://192.0.2.1/",service="a"`, `Bearer realm="http:192.0.2.1"`, `Bearer realm="ftp://192.0.2.1"`,
		`Bearer realm="//192.0.2.1"`, `Bearer realm="https://user:pw@192.0.2.1/"`, `Bearer realm=`, `Bearer realm="\`, `Basic realm="x", Bearer realm="https://a.example"`, `Bearer realm="https://a.example",scope="a:: : repository::,"`, `Bearer service=x, REALM="http://192.0.2.1"`,
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, challenge string, exchange bool) {
		cred := auth.Credential{Username: "user", Password: fuzzPassword}
		if exchange {
			cred = auth.Credential{RefreshToken: fuzzPassword}
		}
		server := &challenger{challenge: challenge}
		repo, err := challengedClient(server, cred).Repository(parse(t, "registry.example/x"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = repo.has(t.Context(), describe("", []byte("x")))
		if leaks := server.leaks(); len(leaks) > 0 {
			t.Errorf("the password went to %v", leaks)
		}
		if err != nil && strings.Contains(err.Error(), fuzzPassword) {
			t.Errorf("the error shows the password: %v", err)
		}
	})
}
