package registry

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tareml/tare/internal/testregistry"
)

// lines is a writer that many goroutines may use, as --debug needs it.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func TestDebugTellsAllButSecrets(t *testing.T) {
	data := randomBytes(10000, 1)
	refused := false
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !refused {
			refused = true
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, "s3cret-body")
			return
		}
		cutAfter(5000, 1, blobServer(data)).ServeHTTP(w, req)
	}))
	defer storage.Close()
	tokens := &tokenServer{}
	server := httptest.NewServer(tokens.wrap(http.RedirectHandler(storage.URL+"/presigned?X-Signature=s3cret-signature&s3cret-alone", http.StatusTemporaryRedirect)))
	defer server.Close()
	tokens.host = server.Listener.Addr().String()

	var out lines
	client := newTestClient(t, Options{Debug: &out, Credentials: StaticCredentials(tokens.host, testregistry.Username, testregistry.Password, DockerCredentials())})
	if err := client.pools.configure(Host{URL: storage.URL, Header: http.Header{"X-Key": {"s3cret-header"}}}); err != nil {
		t.Fatal(err)
	}
	repo := newTestRepository(t, client, tokens.host+"/x")
	stream, err := repo.Fetch(t.Context(), describe("", data))
	if err != nil {
		t.Fatal(err)
	}
	io.CopyN(io.Discard, stream, 100)
	stream.Close()

	text := out.String()
	for _, want := range []string{
		"debug: > GET http://" + tokens.host + "/v2/x/blobs/sha256:",
		"debug: < 401 Unauthorized",
		"/token?account=…&scope=…&service=… authorization Basic …",
		" authorization Bearer …",
		"debug: < 307 Temporary Redirect, location " + storage.URL + "/presigned?X-Signature=…&…",
		"debug: < 503 Service Unavailable, retry after 7, 11 B, ",
		"debug: ! again in 7s: GET " + storage.URL + "/presigned?X-Signature=…&…",
		"debug: < 200 OK, 9.8 KiB, ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	basic := "dGFyZTp0YXJlLXRlc3Q" // base64
	for _, secret := range []string{"s3cret", testregistry.Password, "token-1", basic} {
		if strings.Contains(text, secret) {
			t.Errorf("it shows %q", secret)
		}
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "debug: ") {
			t.Errorf("a line of its own: %q", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestDebugTellsOfFailures(t *testing.T) {
	data := randomBytes(10000, 1)
	server := httptest.NewServer(cutAfter(5000, 1, blobServer(data)))
	var out lines
	client := newTestClient(t, Options{Debug: &out, PlainHTTP: true})
	repo := newTestRepository(t, client, server.Listener.Addr().String()+"/x")
	if _, err := repo.Download(t.Context(), describe("", data), &memorySink{}, nil); err != nil {
		t.Fatal(err)
	}
	server.Close()
	repo.Download(t.Context(), describe("", data), &memorySink{}, nil)
	for _, want := range []string{" range bytes=5000-9999 (#2)", "206 Partial Content bytes 5000-9999/10000, 4.9 KiB, ", "debug: < cut after 4.9 KiB: unexpected EOF (#1)", "debug: < no answer: dial tcp "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestDebugKeepsToOneLine(t *testing.T) {
	var out lines
	transport := newTransport(Options{Debug: &out, Stall: time.Minute, Sleep: func(context.Context, time.Duration) error { return nil }}, roundTripper(func(*http.Request) (*http.Response, error) {
		return answer(http.StatusFound, "Location", "https://x.example/%0a\x7f?a\x1b=b", "Retry-After", "\x1b[31m\r\nforged"), nil
	}), func() {})
	resp, err := get(t.Context(), transport, "https://user:s3cret@x.example/"+strings.Repeat("long", 200))
	if err != nil {
		t.Fatal(err)
	}
	discard(resp)
	if text := out.String(); strings.Count(text, "\n") != 2 || strings.ContainsAny(text, "\x1b\r\x7f") || strings.Contains(text, "s3cret") || strings.Count(text, "(#1)\n") != 2 {
		t.Errorf("%q", text)
	}
}

func TestShownURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://u:p@a.example/b?c=d&e&&f=": "https://a.example/b?c=…&…&f=…",
		"https://a.example/b%2Fc#frag":      "https://a.example/b%2Fc",
		"https://a.example":                 "https://a.example",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := shownURL(u); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{"Bearer x": "Bearer …", "basic x": "Basic …", "s3cret": "…", "AWS4 s3cret": "…"} {
		if got := shownScheme(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
