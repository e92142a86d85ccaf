package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// expiringRegistry hands out tokens that end by a clock of its own.
type expiringRegistry struct {
	life  time.Duration
	ahead time.Duration

	mu      sync.Mutex
	host    string
	now     time.Time
	issued  int
	ends    map[string]time.Time
	refused int
}

func newExpiringRegistry(t *testing.T, life time.Duration) (*expiringRegistry, *Client) {
	t.Helper()
	r := &expiringRegistry{life: life, now: time.Now(), ends: map[string]time.Time{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.host = server.Listener.Addr().String()
	client := newTestClient(t, Options{PlainHTTP: true})
	client.auth.Cache.(*tokenCache).now = r.clock
	return r, client
}

func (r *expiringRegistry) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *expiringRegistry) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// revoke ends all tokens at once.
func (r *expiringRegistry) revoke() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.ends)
}

func (r *expiringRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.URL.Path == "/token" {
		r.issued++
		token := fmt.Sprintf("token-%d", r.issued)
		r.ends[token] = r.now.Add(r.life)
		w.Header().Set("Date", r.now.Add(r.ahead).UTC().Format(http.TimeFormat))
		answer := map[string]any{"token": token, "issued_at": r.now.Add(r.ahead).Format(time.RFC3339)}
		if r.life != defaultTokenLife {
			answer["expires_in"] = int(r.life.Seconds())
		}
		json.NewEncoder(w).Encode(answer)
		return
	}
	token := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
	if r.now.Before(r.ends[token]) {
		io.WriteString(w, "{}")
		return
	}
	r.refused++
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="test"`, r.host))
	w.WriteHeader(http.StatusUnauthorized)
}

// ask makes a request with the client's credentials.
func (r *expiringRegistry) ask(t *testing.T, client *Client) {
	t.Helper()
	repo := newTestRepository(t, client, r.host+"/x")
	ctx, err := repo.scoped(t.Context(), auth.ActionPull)
	if err != nil {
		t.Fatal(err)
	}
	req, err := repo.request(ctx, http.MethodGet, "blobs/x")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.do(req)
	if err != nil {
		t.Error(err)
		return
	}
	discard(resp)
}

func TestTokensAreRenewedBeforeTheyExpire(t *testing.T) {
	for name, test := range map[string]struct{ life, step, ahead time.Duration }{
		"five minutes":            {5 * time.Minute, 4*time.Minute + 31*time.Second, 0},
		"ten seconds":             {10 * time.Second, 9 * time.Second, 0},
		"nobody said":             {defaultTokenLife, 54 * time.Second, 0},
		"a clock an hour ahead":   {5 * time.Minute, 4*time.Minute + 31*time.Second, time.Hour},
		"a clock an hour behind":  {5 * time.Minute, 4*time.Minute + 31*time.Second, -time.Hour},
		"a little at a time":      {5 * time.Minute, 45 * time.Second, 0},
		"the end was long passed": {5 * time.Minute, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			registry, client := newExpiringRegistry(t, test.life)
			registry.ahead = test.ahead
			const rounds = 20
			for range rounds {
				registry.ask(t, client)
				registry.pass(test.step)
			}
			if registry.refused != 1 {
				t.Errorf("%d refusals, want the first challenge alone", registry.refused)
			}
			if most := int(rounds*test.step/(test.life*8/10)) + 1; registry.issued > min(most, rounds) {
				t.Errorf("%d tokens, want at most %d", registry.issued, most)
			}
		})
	}
}

func TestRevokedTokenIsRenewed(t *testing.T) {
	registry, client := newExpiringRegistry(t, time.Hour)
	registry.ask(t, client)
	registry.ask(t, client)
	registry.revoke()
	registry.ask(t, client)
	registry.ask(t, client)
	if registry.refused != 2 || registry.issued != 2 {
		t.Errorf("%d refusals and %d tokens, want 2 and 2", registry.refused, registry.issued)
	}
}

func TestOneTokenForManyAtOnce(t *testing.T) {
	registry, client := newExpiringRegistry(t, time.Hour)
	registry.ask(t, client)
	registry.pass(time.Hour)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { registry.ask(t, client) })
	}
	group.Wait()
	if registry.refused != 1 || registry.issued > 9 {
		t.Errorf("%d refusals, %d tokens", registry.refused, registry.issued)
	}
}

func TestLifeOfAToken(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const date = "Sun, 01 Mar 2026 12:00:00 GMT"
	for _, test := range []struct {
		body, date string
		left, life time.Duration
	}{
		{`{"token":"x","expires_in":300}`, "", 5 * time.Minute, 5 * time.Minute},
		{`{"token":"x"}`, "", time.Minute, time.Minute},
		{`{"expires_in":"300"}`, "", 5 * time.Minute, 5 * time.Minute},
		{`{"expires_in":0}`, "", time.Minute, time.Minute},
		{`{"expires_in":-5}`, "", time.Minute, time.Minute},
		{`{"expires_in":1e300}`, "", maxTokenLife, maxTokenLife},
		{`{"expires_in":null,"issued_at":5}`, "", time.Minute, time.Minute},
		{`{"expires_in":300,"issued_at":"2026-03-01T11:59:00Z"}`, "", 4 * time.Minute, 5 * time.Minute},
		{`{"expires_in":300,"issued_at":"2026-03-01T11:59:00.5Z"}`, date, 4*time.Minute + 500*time.Millisecond, 5 * time.Minute},
		{`{"expires_in":300,"issued_at":"2026-03-01T12:59:00Z"}`, date, 5 * time.Minute, 5 * time.Minute},
		{`{"expires_in":300,"issued_at":"2026-03-01T10:00:00Z"}`, date, 5 * time.Minute, 5 * time.Minute},
		{`{"expires_in":300,"issued_at":"2026-03-01T10:59:00Z"}`, "Sun, 01 Mar 2026 11:00:00 GMT", 4 * time.Minute, 5 * time.Minute},
		{`not JSON`, "", time.Minute, time.Minute},
	} {
		answer := &tokenAnswer{date: test.date}
		answer.body.WriteString(test.body)
		if left, life := answer.life(now); left != test.left || life != test.life {
			t.Errorf("%s at %q: %s of %s, want %s of %s", test.body, test.date, left, life, test.left, test.life)
		}
	}
}

func FuzzLifeOfAToken(f *testing.F) {
	f.Add([]byte(`{"expires_in":300,"issued_at":"2026-03-01T11:59:00Z"}`), "Sun, 01 Mar 2026 12:00:00 GMT")
	f.Add([]byte(`{"expires_in":NaN}`), "")
	f.Fuzz(func(t *testing.T, body []byte, date string) {
		answer := &tokenAnswer{date: date}
		answer.body.Write(body)
		left, life := answer.life(time.Unix(1e9, 0))
		if life <= 0 || life > maxTokenLife || left <= 0 || left > life {
			t.Errorf("%s of %s", left, life)
		}
	})
}

// TestPasswordsDoNotExpire: what no token service handed out is kept.
func TestPasswordsDoNotExpire(t *testing.T) {
	cache := newTokenCache()
	fetched := 0
	fetch := func(context.Context) (string, error) { fetched++; return "dTpw", nil }
	if _, err := cache.Set(t.Context(), "r", auth.SchemeBasic, "", fetch); err != nil {
		t.Fatal(err)
	}
	cache.now = func() time.Time { return time.Now().Add(1000 * time.Hour) }
	if token, err := cache.GetToken(t.Context(), "r", auth.SchemeBasic, ""); token != "dTpw" || err != nil || fetched != 1 {
		t.Errorf("%q, %v after %d", token, err, fetched)
	}
}
