package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// scripted answers 429 for the first requests to busy.example, with these
// values of Retry-After, and notes when the others came.
type scripted struct {
	mu     sync.Mutex
	refuse []string
	served map[string][]time.Time // by host
	sent   map[string]int
}

func (s *scripted) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served == nil {
		s.served, s.sent = map[string][]time.Time{}, map[string]int{}
	}
	s.sent[req.URL.Host]++
	if req.URL.Host == "busy.example" && len(s.refuse) > 0 {
		after := s.refuse[0]
		s.refuse = s.refuse[1:]
		return answer(http.StatusTooManyRequests, "Retry-After", after), nil
	}
	s.served[req.URL.Host] = append(s.served[req.URL.Host], time.Now())
	return answer(http.StatusOK), nil
}

func get(ctx context.Context, t http.RoundTripper, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return t.RoundTrip(req)
}

func TestRetryAfterHoldsAllRequestsToTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &scripted{refuse: []string{"20", "30"}}
		r := &retrier{sleep: sleep, next: server}
		start := time.Now()
		var group sync.WaitGroup
		group.Go(func() { get(t.Context(), r, "https://busy.example/a") })
		synctest.Wait()
		for range 5 {
			group.Go(func() { get(t.Context(), r, "https://busy.example/b") })
		}
		group.Go(func() { get(t.Context(), r, "https://other.example/") })
		group.Wait()
		if got := server.served["other.example"]; len(got) != 1 || got[0] != start {
			t.Errorf("the other host was held up: %v", got)
		}
		// Six were let go after 20 s; one of them, the first, brought 30 s more. Those
		// that had left already came through.
		if got := server.served["busy.example"]; len(got) != 6 || got[0].Sub(start) < 20*time.Second || got[5].Sub(start) != 50*time.Second {
			t.Errorf("served at %v after %v", got, start)
		}
	})
}

func TestPauseIsExtendedForThoseThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pauses
		start := time.Now()
		p.extend("x", start.Add(10*time.Second))
		p.extend("x", start.Add(5*time.Second))
		var group sync.WaitGroup
		var ended time.Time
		group.Go(func() {
			p.wait(t.Context(), "x", time.Time{}, sleep)
			ended = time.Now()
		})
		synctest.Wait()
		p.extend("x", start.Add(15*time.Second))
		group.Wait()
		if ended.Sub(start) != 15*time.Second {
			t.Errorf("waited %s", ended.Sub(start))
		}
	})
}

func TestPauseEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &scripted{refuse: []string{"3000"}}
		r := &retrier{sleep: sleep, next: server}
		var group sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		group.Go(func() { get(ctx, r, "https://busy.example/a") })
		synctest.Wait()
		var err error
		group.Go(func() { _, err = get(ctx, r, "https://busy.example/b") })
		synctest.Wait()
		cancel()
		group.Wait()
		if !errors.Is(err, context.Canceled) || server.sent["busy.example"] != 1 {
			t.Errorf("%v after %d requests", err, server.sent["busy.example"])
		}
	})
}

func TestHastyRequestsWaitForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		server := &scripted{refuse: []string{"20"}}
		r := &retrier{sleep: sleep, next: server}
		resp, err := get(hasty(t.Context()), r, "https://busy.example/a")
		if err != nil || resp.StatusCode != http.StatusTooManyRequests {
			t.Errorf("%v, %v, want what the server said", resp, err)
		}
		if _, err := get(hasty(t.Context()), r, "https://busy.example/a"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("during the pause: %v", err)
		}
		calls := 0
		cut := &retrier{sleep: sleep, next: roundTripper(func(*http.Request) (*http.Response, error) {
			calls++
			return nil, io.ErrUnexpectedEOF
		})}
		if _, err := get(hasty(t.Context()), cut, "https://x.example"); err == nil || calls != 1 {
			t.Errorf("%v after %d attempts", err, calls)
		}
		if server.sent["busy.example"] != 1 || time.Since(start) != 0 {
			t.Errorf("%d requests in %s", server.sent["busy.example"], time.Since(start))
		}
	})
}

func TestPausedRequestClosesItsBody(t *testing.T) {
	r := &retrier{sleep: sleep, next: &scripted{}}
	r.pauses.extend("https://busy.example:443", time.Now().Add(time.Hour))
	var closed atomic.Bool
	req, _ := http.NewRequestWithContext(hasty(t.Context()), http.MethodPut, "https://busy.example", closing{strings.NewReader("x"), &closed})
	if _, err := r.RoundTrip(req); err == nil || !closed.Load() {
		t.Errorf("%v, closed %v", err, closed.Load())
	}
}

type closing struct {
	io.Reader
	closed *atomic.Bool
}

func (c closing) Close() error { c.closed.Store(true); return nil }

func TestBusyIsReported(t *testing.T) {
	for status, want := range map[int]int{http.StatusTooManyRequests: maxAttempts, http.StatusServiceUnavailable: maxAttempts, http.StatusBadGateway: 0, http.StatusOK: 0} {
		calls := 0
		client := newTestClient(t, Options{})
		client.auth.Client.Transport = newTransport(Options{Sleep: client.sleep, Stall: time.Minute}, roundTripper(func(*http.Request) (*http.Response, error) {
			return answer(status), nil
		}), func() { calls++ })
		if err := visit(t, client, "https://x.example"); err != nil || calls != want {
			t.Errorf("%d: told %d times, want %d (%v)", status, calls, want, err)
		}
	}
}
