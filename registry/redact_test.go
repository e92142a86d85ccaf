package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

// TestServersThatQuoteSecrets: what was sent to a server does not come back out of
// it, whatever it puts into its refusal.
func TestServersThatQuoteSecrets(t *testing.T) {
	const password = `pw"s3cret/99+`
	whole := base64.StdEncoding.EncodeToString([]byte("hugo:" + password))
	quote := map[string]func(*http.Request) string{
		"the header":   func(req *http.Request) string { return req.Header.Get("Authorization") },
		"the password": func(*http.Request) string { return password },
		"in a query":   func(*http.Request) string { return url.QueryEscape(password) },
		"in base64":    func(*http.Request) string { return base64.RawURLEncoding.EncodeToString([]byte(password)) },
		"the address":  func(req *http.Request) string { return req.URL.String() },
	}
	for name, said := range quote {
		for _, by := range []string{"the registry", "its token service"} {
			var server *httptest.Server
			server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				challenge := `Basic realm="x"`
				if by == "its token service" {
					challenge = `Bearer realm="` + server.URL + `/token?key=s3cret-in-the-address"`
				}
				if req.Header.Get("Authorization") == "" {
					w.Header().Set("WWW-Authenticate", challenge)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":%q,"detail":%q}]}`, "you sent: "+said(req), said(req))
			}))
			host := server.Listener.Addr().String()
			var out lines
			client := newTestClient(t, Options{Debug: &out, PlainHTTP: true, Credentials: StaticCredentials(host, "hugo", password, DockerCredentials())})
			repo := newTestRepository(t, client, host+"/m/x:v1")
			_, _, err := repo.Manifest(t.Context(), repo.ref)
			server.Close()
			if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "you sent: ") {
				t.Fatalf("%s, by %s: %v", name, by, err)
			}
			for _, text := range []string{err.Error(), hintOf(err), out.String()} {
				if strings.Contains(text, "s3cret") || strings.Contains(text, whole) || strings.Contains(text, base64.RawURLEncoding.EncodeToString([]byte(password))) {
					t.Errorf("%s, by %s, is shown: %s", name, by, text)
				}
			}
		}
	}
}

// TestHeadersThatQuoteSecrets is about what ends up in an error without being in a
// refusal.
func TestHeadersThatQuoteSecrets(t *testing.T) {
	const password = "s3cret-99"
	manifest := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`)
	pull := func(r *Repository) error { _, _, err := r.Manifest(t.Context(), r.ref); return err }
	push := func(r *Repository) error {
		return r.PushManifest(t.Context(), describe(ocispec.MediaTypeImageManifest, manifest), manifest)
	}
	upload := func(r *Repository) error {
		_, err := r.Upload(t.Context(), describe("", manifest), nopCloser{blob.Bytes(manifest)}, nil)
		return err
	}
	challenge := func(realm string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s"`, realm))
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	redirect := func(w http.ResponseWriter, req *http.Request) bool {
		if req.URL.RawQuery != "" {
			return false
		}
		w.Header().Set("Location", req.URL.Path+"?signature=of-the-s3cret-99")
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}
	for name, test := range map[string]struct {
		do     func(*Repository) error
		answer func(http.ResponseWriter, *http.Request)
		says   string
	}{
		"the digest of a manifest": {pull, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Docker-Content-Digest", "sha256:\u202e"+password)
			w.Write(manifest)
		}, "calls the manifest sha256:…"},
		"the digest of a push": {push, func(w http.ResponseWriter, req *http.Request) {
			if req.Method != http.MethodPut {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			w.Header().Set("Docker-Content-Digest", password)
			w.WriteHeader(http.StatusCreated)
		}, "Docker-Content-Digest: …"},
		"the address of a push": {push, func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodPut && redirect(w, req) {
				return
			}
			w.Header().Set("Docker-Content-Digest", "x")
			w.WriteHeader(http.StatusCreated)
		}, "Docker-Content-Digest: x"},
		"the token service":            {pull, challenge("\u202eftp://" + password + "/token"), `gives "ftp://…/token"`},
		"the key of the token service": {pull, challenge("ftp://own:own-s3cret@r.example/token?key=own-s3cret"), `gives "…@r.example/token"`},
		"the upload": {upload, func(w http.ResponseWriter, req *http.Request) {
			if req.Method != http.MethodPost {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			w.Header().Set("Location", "ftp://"+password+"%E2%80%AE.example/upload?key=own-s3cret")
			w.WriteHeader(http.StatusAccepted)
		}, "wants the upload at ftp://….example, without TLS"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			test.answer(w, req)
		}))
		host := server.Listener.Addr().String()
		client := newTestClient(t, Options{PlainHTTP: true, Credentials: StaticCredentials(host, "hugo", password, DockerCredentials())})
		client.secrets.learn(password) // it was sent before
		err := test.do(newTestRepository(t, client, host+"/m/x:v1"))
		server.Close()
		if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error()+hintOf(err), "s3cret") || strings.Contains(err.Error(), "\u202e") {
			t.Errorf("%s: %v, hint %q, want %q", name, err, hintOf(err), test.says)
		}
	}
}

// TestHintsThatQuoteSecrets is about the name of a host that is not there.
func TestHintsThatQuoteSecrets(t *testing.T) {
	r := &redactor{}
	r.learn("s3cret-99")
	err := r.purged(unreachable(&net.DNSError{Name: "s3cret-99.example", IsNotFound: true}))
	if !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error()+hintOf(err), "s3cret") || !strings.Contains(hintOf(err), "….example") {
		t.Errorf("%v, hint %q", err, hintOf(err))
	}
}

// TestTokensThatAreQuoted are those that were exchanged, and those for it.
func TestTokensThatAreQuoted(t *testing.T) {
	scrub := &scrubber{&redactor{}, roundTripper(func(req *http.Request) (*http.Response, error) {
		body := ""
		if req.Body != nil {
			data, _ := io.ReadAll(req.Body)
			body = string(data)
		}
		resp := answer(http.StatusUnauthorized)
		resp.Body = io.NopCloser(strings.NewReader("no: " + req.Header.Get("Authorization") + body + " identity-s3cret"))
		return resp, nil
	})}
	req, err := exchangeRequest(t.Context(), &url.URL{Scheme: "https", Host: "r.example"}, challenge{}, "identity-s3cret")
	if err != nil {
		t.Fatal(err)
	}
	for _, authorization := range []string{"", "Bearer token-s3cret"} {
		if authorization != "" {
			req = req.Clone(t.Context())
			req.Header.Set("Authorization", authorization)
			req.Body, _ = req.GetBody()
		}
		resp, err := scrub.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if data, _ := readAll(t, resp.Body); strings.Contains(string(data), "s3cret") || !strings.HasPrefix(string(data), "no: ") {
			t.Errorf("%s", data)
		}
	}
}

// TestErrorsThatQuoteSecrets keep what they are.
func TestErrorsThatQuoteSecrets(t *testing.T) {
	broken := fmt.Errorf("malformed HTTP response %q: %w", "Bearer s3cret", io.ErrUnexpectedEOF)
	for _, authorization := range []string{"Bearer s3cret", "Bearer other"} {
		scrub := &scrubber{&redactor{}, roundTripper(func(*http.Request) (*http.Response, error) { return nil, broken })}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://r.example", nil)
		req.Header.Set("Authorization", authorization)
		_, err := scrub.RoundTrip(req)
		if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "s3cret") != (authorization == "Bearer other") {
			t.Errorf("%s: %v", authorization, err)
		}
	}
}

// TestSuccessIsNotTouched: bytes of content may look like anything.
func TestSuccessIsNotTouched(t *testing.T) {
	scrub := &scrubber{&redactor{}, roundTripper(func(req *http.Request) (*http.Response, error) {
		resp := answer(http.StatusOK)
		resp.Body = io.NopCloser(strings.NewReader(req.Header.Get("Authorization")))
		return resp, nil
	})}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://r.example", nil)
	req.Header.Set("Authorization", "Bearer s3cret")
	resp, err := scrub.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if data, _ := readAll(t, resp.Body); string(data) != "Bearer s3cret" {
		t.Errorf("%s", data)
	}
}

// TestRedactor remembers no more than it has to.
func TestRedactor(t *testing.T) {
	r := &redactor{}
	r.learn("abc")
	if got := r.text("abc"); got != "abc" {
		t.Errorf("a short one: %q", got)
	}
	for i := range 2 * maxSecrets {
		r.learn(fmt.Sprintf("secret-%03d", i))
	}
	r.learn("secret-127-and-more")
	if got := r.text("secret-000 secret-127 secret-127-and-more"); got != "secret-000 … …" || len(r.secrets) != maxSecrets {
		t.Errorf("%q of %d", got, len(r.secrets))
	}
	if got := (*redactor)(nil).text("secret-127"); got != "secret-127" {
		t.Errorf("nobody: %q", got)
	}
}

// TestDebugOfCancelledRequests does not quote the error of another one.
func TestDebugOfCancelledRequests(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	var out lines
	transport := newTransport(Options{Debug: &out, Stall: time.Minute, Sleep: sleep}, roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.URL.Path == "/late" {
			resp := answer(http.StatusOK)
			resp.Body = io.NopCloser(readerFunc(func([]byte) (int, error) { return 0, context.Cause(req.Context()) }))
			cancel(errors.New("pushing something else: denied"))
			return resp, nil
		}
		return nil, context.Cause(req.Context())
	}), func() {})
	for _, path := range []string{"/late", "/later"} {
		if resp, err := get(ctx, transport, "https://r.example"+path); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	text := out.String()
	if strings.Contains(text, "something else") || !strings.Contains(text, "cut after 0 B: cancelled") || !strings.Contains(text, "no answer: cancelled") {
		t.Errorf("%s", text)
	}
}
