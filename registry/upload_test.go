package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/internal/testregistry"
)

// onPut lets fault answer the first times requests that complete an upload. A
// fault that returns false leaves the request to the registry.
func onPut(times int64, fault func(w http.ResponseWriter, req *http.Request, next http.Handler) bool) func(http.Handler) http.Handler {
	var puts atomic.Int64
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			put := req.Method == http.MethodPut && strings.Contains(req.URL.Path, "/blobs/")
			if put && puts.Add(1) <= times && fault(w, req, next) {
				return
			}
			next.ServeHTTP(w, req)
		})
	}
}

// received counts the bytes of request bodies.
func received(n *atomic.Int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			req.Body = &countedBody{req.Body, n}
			next.ServeHTTP(w, req)
		})
	}
}

type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

func TestUploadGetsThrough(t *testing.T) {
	data := randomBytes(faultSize, 1)
	for name, test := range map[string]struct {
		wrap func(http.Handler) http.Handler
		most int64
	}{
		"nothing wrong": {onPut(0, nil), faultSize},
		"busy twice": {onPut(2, func(w http.ResponseWriter, req *http.Request, _ http.Handler) bool {
			io.Copy(io.Discard, req.Body)
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}), 3 * faultSize},
		"cut in the middle": {onPut(2, func(w http.ResponseWriter, req *http.Request, _ http.Handler) bool {
			io.CopyN(io.Discard, req.Body, faultSize/2)
			hangUp(w)
			return true
		}), 3 * faultSize},
		"arrived, but the answer was lost": {onPut(1, func(w http.ResponseWriter, req *http.Request, next http.Handler) bool {
			next.ServeHTTP(discardingWriter{http.Header{}}, req)
			hangUp(w)
			return true
		}), faultSize},
		"bad gateway": {onPut(1, func(w http.ResponseWriter, req *http.Request, next http.Handler) bool {
			next.ServeHTTP(discardingWriter{http.Header{}}, req)
			w.WriteHeader(http.StatusBadGateway)
			return true
		}), faultSize},
		"the session is gone": {onPut(1, func(w http.ResponseWriter, req *http.Request, _ http.Handler) bool {
			io.Copy(io.Discard, req.Body)
			w.WriteHeader(http.StatusNotFound)
			return true
		}), 2 * faultSize},
	} {
		t.Run(name, func(t *testing.T) {
			var wire, sent atomic.Int64
			host := testregistry.Memory(t, test.wrap, received(&wire)).Host
			repo := newTestRepository(t, newTestClient(t, Options{}), host+"/m/x:v1")
			open := func() (blob.Source, error) { return blob.Bytes(data), nil }
			if _, err := repo.upload(t.Context(), describe("", data), "", open, func(safe, _ int64) { sent.Add(safe) }); err != nil {
				t.Fatal(err)
			}
			sink := &memorySink{}
			if _, err := repo.Download(t.Context(), describe("", data), sink, nil); err != nil || !bytes.Equal(sink.data, data) {
				t.Errorf("what arrived is wrong: %v", err)
			}
			if sent.Load() != faultSize {
				t.Errorf("%d bytes were reported", sent.Load())
			}
			if wire.Load() > test.most {
				t.Errorf("%d bytes on the wire, want at most %d", wire.Load(), test.most)
			}
		})
	}
}

// discardingWriter takes an answer that never arrives.
type discardingWriter struct{ header http.Header }

func (w discardingWriter) Header() http.Header         { return w.header }
func (w discardingWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w discardingWriter) WriteHeader(int)             {}

func TestUploadGivesUp(t *testing.T) {
	data := randomBytes(100000, 1)
	answer := func(code int, body string) func(http.Handler) http.Handler {
		return onPut(1000, func(w http.ResponseWriter, req *http.Request, _ http.Handler) bool {
			io.Copy(io.Discard, req.Body)
			w.WriteHeader(code)
			io.WriteString(w, body)
			return true
		})
	}
	for name, test := range map[string]struct {
		wrap func(http.Handler) http.Handler
		want error
		hint string
		puts int64
	}{
		"too large":    {answer(413, ""), nil, "size", 1},
		"forbidden":    {answer(403, ""), ErrDenied, "tare login", 1},
		"other digest": {answer(400, `{"errors":[{"code":"DIGEST_INVALID"}]}`), blob.ErrMismatch, "", 2},
		"broken":       {answer(500, ""), ErrUnavailable, "", uploadAttempts},
		"always cut": {onPut(1000, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
			hangUp(w)
			return true
		}), ErrUnreachable, "", uploadAttempts},
	} {
		t.Run(name, func(t *testing.T) {
			var puts atomic.Int64
			count := func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if req.Method == http.MethodPut {
						puts.Add(1)
					}
					next.ServeHTTP(w, req)
				})
			}
			host := testregistry.Memory(t, test.wrap, count).Host
			repo := newTestRepository(t, newTestClient(t, Options{}), host+"/m/x:v1")
			_, err := repo.Upload(t.Context(), describe("", data), blob.Bytes(data), nil)
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(hintOf(err), test.hint) {
				t.Errorf("%v, hint %q", err, hintOf(err))
			}
			if puts.Load() != test.puts {
				t.Errorf("%d attempts, want %d", puts.Load(), test.puts)
			}
		})
	}
}

func TestUploadRewindsWhenTheTokenExpires(t *testing.T) {
	data := randomBytes(faultSize, 1)
	tokens := &tokenServer{}
	// By the time of the PUT no token is good any longer.
	expire := onPut(1, func(w http.ResponseWriter, req *http.Request, _ http.Handler) bool {
		io.CopyN(io.Discard, req.Body, faultSize/2)
		tokens.expire()
		return false
	})
	host := testregistry.Memory(t, tokens.wrap, expire).Host
	tokens.host = host
	client := newTestClient(t, Options{Credentials: StaticCredentials(host, testregistry.Username, testregistry.Password, DockerCredentials())})
	repo := newTestRepository(t, client, host+"/m/x:v1")
	if _, err := repo.Upload(t.Context(), describe("", data), blob.Bytes(data), nil); err != nil {
		t.Error(err)
	}
	if tokens.issued != 2 {
		t.Errorf("%d tokens were issued, want 2", tokens.issued)
	}
}

func TestDownloadGoesOnWhenTheTokenExpires(t *testing.T) {
	data := randomBytes(faultSize, 1)
	tokens := &tokenServer{}
	var requests atomic.Int64
	m := &meter{}
	host := testregistry.Memory(t, m.wrap, tokens.wrap, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/") && requests.Add(1) == 1 {
				defer tokens.expire()
				w = &cuttingWriter{ResponseWriter: w, left: faultSize / 2}
			}
			next.ServeHTTP(w, req)
		})
	}).Host
	tokens.host = host
	client := newTestClient(t, Options{Credentials: StaticCredentials(host, testregistry.Username, testregistry.Password, DockerCredentials())})
	repo := newTestRepository(t, client, host+"/m/x:v1")
	if _, err := repo.Upload(t.Context(), describe("", data), blob.Bytes(data), nil); err != nil {
		t.Fatal(err)
	}
	if err := errorOf(repo.Download(t.Context(), describe("", data), &memorySink{}, nil)); err != nil {
		t.Error(err)
	}
	if got := requests.Load(); got < 2 {
		t.Errorf("%d requests", got)
	}
}

func errorOf[T any](_ T, err error) error { return err }

func TestUploadOfASourceThatFails(t *testing.T) {
	host := testregistry.Memory(t).Host
	repo := newTestRepository(t, newTestClient(t, Options{}), host+"/m/x:v1")
	broken := errors.New("input/output error")
	data := randomBytes(faultSize, 1)
	_, err := repo.Upload(t.Context(), describe("", data), brokenSource{blob.Bytes(data), broken}, nil)
	if !errors.Is(err, broken) || passing(err) {
		t.Errorf("%v", err)
	}
}

// brokenSource can be read halfway.
type brokenSource struct {
	blob.Source
	err error
}

func (s brokenSource) ReadAt(p []byte, off int64) (int, error) {
	if off > s.Size()/2 {
		return 0, s.err
	}
	return s.Source.ReadAt(p, off)
}

func TestUploadEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	host := testregistry.Memory(t, onPut(1, func(w http.ResponseWriter, req *http.Request, _ http.Handler) bool {
		cancel()
		hangUp(w)
		return true
	})).Host
	repo := newTestRepository(t, newTestClient(t, Options{}), host+"/m/x:v1")
	if _, err := repo.Upload(ctx, describe("", []byte("x")), blob.Bytes("x"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestUploadLocation(t *testing.T) {
	for _, test := range []struct{ base, location, want string }{
		{"https://a.example/v2/x/blobs/uploads/", "/v2/x/blobs/uploads/1?_state=a%2Fb", "https://a.example/v2/x/blobs/uploads/1?_state=a%2Fb"},
		{"https://a.example/v2/x/blobs/uploads/", "1", "https://a.example/v2/x/blobs/uploads/1"},
		{"https://a.example/v2/", "https://a.example:443/1", "https://a.example/1"},
		{"https://a.example:443/v2/", "https://a.example/1", "https://a.example:443/1"},
		{"https://a.example/v2/", "http://a.example/1", "https://a.example/1"},
		{"https://a.example:5000/v2/", "http://a.example:5000/1", "https://a.example:5000/1"},
		{"https://a.example/v2/", "https://user:pw@b.example/1", "https://b.example/1"},
		{"http://a.example/v2/", "https://a.example/1", "https://a.example/1"},
		{"https://a.example/v2/", "http://b.example/1", ""},
		{"https://a.example/v2/", "http://a.example:8080/1", ""},
		{"https://a.example/v2/", "file:///etc/passwd", ""},
		{"https://a.example/v2/", "", ""},
		{"https://a.example/v2/", "://", ""},
	} {
		base, err := url.Parse(test.base)
		if err != nil {
			t.Fatal(err)
		}
		got, err := uploadLocation(base, test.location)
		if test.want == "" {
			if err == nil {
				t.Errorf("%q is accepted as %s", test.location, got)
			}
		} else if err != nil || got.String() != test.want {
			t.Errorf("%q is %v, want %s (%v)", test.location, got, test.want, err)
		}
	}
}
