package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// roundTripper is a function as a transport.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func answer(status int, header ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}
	for i := 0; i+1 < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

func TestRetryDecidesByStatus(t *testing.T) {
	for _, test := range []struct {
		method string
		status int
		once   bool
		want   int64
	}{
		{"GET", 200, false, 1},
		{"GET", 429, false, maxAttempts},
		{"GET", 500, false, maxAttempts},
		{"HEAD", 500, false, maxAttempts},
		{"PUT", 500, false, 1},
		{"GET", 501, false, 1},
		{"PUT", 502, false, maxAttempts},
		{"PUT", 502, true, 1},
		{"PUT", 503, true, 1},
		{"PUT", 504, true, 1},
		{"GET", 404, false, 1},
		{"GET", 401, false, 1},
	} {
		var calls int64
		r := &retrier{
			sleep: func(context.Context, time.Duration) error { return nil },
			next: roundTripper(func(*http.Request) (*http.Response, error) {
				calls++
				return answer(test.status), nil
			}),
		}
		ctx := t.Context()
		if test.once {
			ctx = withOnce(ctx)
		}
		req, _ := http.NewRequestWithContext(ctx, test.method, "http://x", strings.NewReader("body"))
		if _, err := r.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
		if calls != test.want {
			t.Errorf("%s %d (once %v): %d calls, want %d", test.method, test.status, test.once, calls, test.want)
		}
	}
}

func TestRetryDecidesByError(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{io.EOF, maxAttempts},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, maxAttempts},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, maxDialAttempts},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, 1},
		{&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, maxDialAttempts},
		{&net.DNSError{IsTemporary: true}, maxDialAttempts},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: internal error")}, maxDialAttempts},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: unknown certificate authority")}, 1},
		{&net.OpError{Op: "local error", Err: errors.New("tls: bad record MAC")}, maxDialAttempts},
		{&net.OpError{Op: "proxyconnect", Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}, maxDialAttempts},
		{&net.OpError{Op: "proxyconnect", Err: x509.UnknownAuthorityError{}}, 1},
		{&tls.CertificateVerificationError{Err: x509.HostnameError{}}, 1},
		{proxyError(http.StatusBadGateway), maxDialAttempts},
		{proxyError(http.StatusProxyAuthRequired), 1},
		{io.ErrUnexpectedEOF, maxAttempts},
		{&problem{text: "refused", kind: ErrDenied}, 1},
		{stallError(time.Second), maxAttempts},
		{errors.New("something else"), 1},
	} {
		calls := 0
		r := &retrier{
			sleep: func(context.Context, time.Duration) error { return nil },
			next: roundTripper(func(*http.Request) (*http.Response, error) {
				calls++
				return nil, test.err
			}),
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x", nil)
		r.RoundTrip(req)
		if calls != test.want {
			t.Errorf("%v: %d calls, want %d", test.err, calls, test.want)
		}
	}
}

func TestRetryObeysRetryAfterInFull(t *testing.T) {
	var waits []time.Duration
	headers := []string{"7", "600", "3599"}
	r := &retrier{
		sleep: func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil },
		next: roundTripper(func(*http.Request) (*http.Response, error) {
			if len(waits) == len(headers) {
				return answer(200), nil
			}
			return answer(503, "Retry-After", headers[len(waits)]), nil
		}),
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x", nil)
	if resp, err := r.RoundTrip(req); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	if want := []time.Duration{7 * time.Second, 10 * time.Minute, 3599 * time.Second}; !slices.Equal(waits, want) {
		t.Errorf("waited %v, want %v", waits, want)
	}
}

func TestRetryAfterTomorrowIsAnError(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("Retry-After", "86400")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	repo := newTestRepository(t, newTestClient(t, Options{PlainHTTP: true}), server.Listener.Addr().String()+"/x")
	_, _, err := repo.Manifest(t.Context(), repo.ref)
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(hintOf(err), "24h") {
		t.Errorf("%v, hint %q", err, hintOf(err))
	}
	if requests.Load() != 1 {
		t.Errorf("%d requests", requests.Load())
	}
}

func TestRetryRewindsTheBody(t *testing.T) {
	var bodies []string
	r := &retrier{
		sleep: func(context.Context, time.Duration) error { return nil },
		next: roundTripper(func(req *http.Request) (*http.Response, error) {
			data, _ := io.ReadAll(req.Body)
			bodies = append(bodies, string(data))
			return answer(map[bool]int{true: 201, false: 503}[len(bodies) == 3]), nil
		}),
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://x", strings.NewReader("content"))
	if _, err := r.RoundTrip(req); err != nil {
		t.Fatal(err)
	}
	if want := []string{"content", "content", "content"}; !slices.Equal(bodies, want) {
		t.Errorf("sent %q", bodies)
	}
}

func TestRetryLeavesBodiesAloneThatItCannotRewind(t *testing.T) {
	calls := 0
	r := &retrier{next: roundTripper(func(*http.Request) (*http.Response, error) {
		calls++
		return answer(503), nil
	})}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://x", io.MultiReader(strings.NewReader("x")))
	if resp, err := r.RoundTrip(req); err != nil || resp.StatusCode != 503 || calls != 1 {
		t.Errorf("%v, %v, %d calls", resp, err, calls)
	}
}

func TestRetryEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &retrier{sleep: sleep, next: roundTripper(func(*http.Request) (*http.Response, error) {
		cancel()
		return answer(503, "Retry-After", "3000"), nil
	})}
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://x", nil)
	resp, err := r.RoundTrip(req)
	if err == nil && resp.StatusCode != 503 || err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", resp, err)
	}
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	for attempt := 1; attempt < 200; attempt++ {
		if d := backoff(attempt); d < firstBackoff/2 || d > maxBackoff {
			t.Fatalf("attempt %d waits %s", attempt, d)
		}
	}
	if backoff(1) > firstBackoff || backoff(20) < maxBackoff/2 {
		t.Error("backoff does not grow")
	}
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"120":                           2 * time.Minute,
		" 5 ":                           5 * time.Second,
		"-5":                            0,
		"1.5":                           0,
		"soon":                          0,
		"Sun, 01 Mar 2026 12:01:00 GMT": time.Minute,
		"Sun, 01 Mar 2026 11:00:00 GMT": 0,
		"18446744073709551615":          (1<<63 - 1) / time.Second * time.Second,
	} {
		if got := parseRetryAfter(in, now); got != want {
			t.Errorf("%q is %s, want %s", in, got, want)
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, s := range []string{"1", "99999999999", "Sun, 01 Mar 2026 12:01:00 GMT", "Sunday, 01-Mar-99 12:01:00 GMT", "-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := parseRetryAfter(s, time.Unix(1e9, 0)); d < 0 {
			t.Errorf("%q is %s", s, d)
		}
	})
}

func TestStallIsCutAndRetried(t *testing.T) {
	data := randomBytes(1000, 1)
	release := make(chan struct{})
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if requests.Add(1) > 1 {
			blobServer(data).ServeHTTP(w, req)
			return
		}
		w.Header().Set("Content-Length", "1000")
		w.Write(data[:100])
		http.NewResponseController(w).Flush()
		<-release
	}))
	defer server.Close()
	defer close(release)
	repo := newTestRepository(t, newTestClient(t, Options{PlainHTTP: true, Stall: 100 * time.Millisecond}), server.Listener.Addr().String()+"/x")
	if _, err := repo.Download(t.Context(), describe("", data), &memorySink{}, nil); err != nil {
		t.Error(err)
	}
}

// TestTimeForAnAnswer has a registry think about a body for longer than any limit,
// which it may at the end of an upload alone.
func TestTimeForAnAnswer(t *testing.T) {
	for method, want := range map[string]error{
		http.MethodPut: nil, http.MethodPatch: stallError(time.Minute), http.MethodPost: stallError(time.Second), http.MethodGet: stallError(time.Second),
	} {
		for _, body := range []string{"", "body"} {
			if body == "" && method == http.MethodPatch {
				continue // there is no such request
			}
			synctest.Test(t, func(t *testing.T) {
				thinking := roundTripper(func(req *http.Request) (*http.Response, error) {
					if req.Body != nil {
						io.Copy(io.Discard, req.Body)
					}
					select {
					case <-req.Context().Done():
						return nil, req.Context().Err()
					case <-time.After(20 * time.Minute):
						return answer(http.StatusCreated), nil
					}
				})
				g := &guard{headers: time.Second, receive: time.Second, send: time.Second, digest: time.Minute, next: thinking}
				req, err := http.NewRequestWithContext(t.Context(), method, "http://x", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := g.RoundTrip(req); err != want {
					t.Errorf("%s with a body of %d bytes: %v, want %v", method, len(body), err, want)
				}
			})
		}
	}
}

// TestWaitsAreExplained has whoever waits told why, and not by each request.
func TestWaitsAreExplained(t *testing.T) {
	var said []string
	ctx := WithNotice(t.Context(), func(text string) { said = append(said, text) })
	calls := 0
	r := &retrier{
		sleep: func(context.Context, time.Duration) error { return nil },
		next: roundTripper(func(*http.Request) (*http.Response, error) {
			if calls++; calls < 4 {
				return answer(http.StatusServiceUnavailable, "Retry-After", "90"), nil
			}
			return answer(http.StatusOK), nil
		}),
	}
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://x.example", nil)
	if _, err := r.RoundTrip(req); err != nil {
		t.Fatal(err)
	}
	if want := []string{"x.example: status 503 service unavailable; trying again in 1m30s"}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}
