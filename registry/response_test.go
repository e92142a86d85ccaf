package registry

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
)

// TestRefusalsInWords: what registries say, and what to do.
func TestRefusalsInWords(t *testing.T) {
	for _, test := range []struct {
		method, body string
		status       int
		text, hint   string
	}{
		{"POST", `{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"Err":28}}]}`, 500, "status 500: unknown error: unavailable", "disk"},
		{"GET", `{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":"no space left on device"}]}`, 500, "status 500: unknown error: no space left on device: unavailable", "disk"},
		{"GET", `{"errors":[{"code":"DENIED","message":"no","detail":"` + strings.Repeat("x", maxErrorDetail+1) + `"}]}`, 403, "denied: no: denied", ""},
		{"GET", `{"errors":[{"code":"UNAVAILABLE","message":"later"}]}`, 503, "status 503: unavailable: later: unavailable", ""},
		{"GET", ``, 500, "status 500 internal server error: unavailable", "disk"},
		{"POST", `{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}`, 405, "unsupported: The operation is unsupported.", "read-only"},
		{"GET", `{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}`, 405, "unsupported: The operation is unsupported.", ""},
		{"PUT", `{"errors":[{"code":"TAG_INVALID","message":"The image tag 'v1' already exists in the 'x' repository and cannot be overwritten because the tag is immutable."}]}`, 400, "tag invalid: ", "another tag"},
		{"PUT", `{"errors":[{"code":"PRECONDITION","message":"Failed to process request due to 'x:v1' configured as immutable."}]}`, 412, "precondition: ", "another tag"},
		{"PUT", `{"errors":[{"code":"ImageTagAlreadyExistsException","message":""}]}`, 409, "imagetagalreadyexistsexception", "another tag"},
	} {
		req := httptest.NewRequest(test.method, "https://r.example/v2/x/manifests/v1", nil)
		err := refusal(&http.Response{StatusCode: test.status, Header: http.Header{}, Request: req, Body: io.NopCloser(strings.NewReader(test.body))})
		if err == nil || !strings.HasPrefix(err.Error(), test.text) || (hintOf(err) == "") != (test.hint == "") || !strings.Contains(hintOf(err), test.hint) {
			t.Errorf("%s %d %s: %q, hint %q", test.method, test.status, test.body, err, hintOf(err))
		}
	}
}

// TestWhoDenies is said, if it is not the registry.
func TestWhoDenies(t *testing.T) {
	deny := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	storage := httptest.NewServer(http.HandlerFunc(deny))
	defer storage.Close()
	var answers http.HandlerFunc
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { answers(w, req) }))
	defer server.Close()
	repo := newTestRepository(t, newTestClient(t, Options{PlainHTTP: true}), server.Listener.Addr().String()+"/x")
	there := storage.Listener.Addr().String() + " says: "
	for name, test := range map[string]struct {
		answers http.HandlerFunc
		named   bool
	}{
		"the registry":     {deny, false},
		"a redirect":       {http.RedirectHandler(storage.URL+"/s3cret?sig=s3cret", http.StatusTemporaryRedirect).ServeHTTP, true},
		"a token service":  {wants("x", `Bearer realm="`+storage.URL+`"`), true},
		"its own, however": {wants("x", `Bearer realm="`+server.URL+`/deny"`), false},
	} {
		answers = func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/deny" {
				deny(w, req)
				return
			}
			test.answers(w, req)
		}
		_, err := repo.Download(t.Context(), describe("", []byte("content")), &memorySink{}, nil)
		if !errors.Is(err, ErrDenied) || strings.Contains(err.Error(), there) != test.named || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAddressesOfConnectionsAreLeftOut: they say nothing, and twice.
func TestAddressesOfConnectionsAreLeftOut(t *testing.T) {
	here, there := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 2}
	write := &net.OpError{Op: "write", Net: "tcp", Source: here, Addr: there, Err: fmt.Errorf("write: %w", syscall.ECONNRESET)}
	both := &net.OpError{Op: "readfrom", Net: "tcp", Source: here, Addr: there, Err: write}
	dial := &net.OpError{Op: "dial", Net: "tcp", Addr: there, Err: errors.New("refused")}
	for want, err := range map[string]error{
		syscall.ECONNRESET.Error() + ": unreachable": &url.Error{Op: "Put", URL: "https://r.example/s3cret", Err: both},
		"dial tcp 10.0.0.2:2: refused: unreachable":  &url.Error{Op: "Put", URL: "https://r.example/s3cret", Err: dial},
	} {
		if got := explain(t.Context(), err); got.Error() != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
