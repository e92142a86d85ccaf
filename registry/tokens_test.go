package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/tareml/tare/blob"
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
	client.auth.now = r.clock
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
	if registry.refused != 1 || registry.issued != 2 {
		t.Errorf("%d refusals and %d tokens, want 1 and 2", registry.refused, registry.issued)
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
		if left, life := parseTokenAnswer([]byte(test.body), test.date).life(now); left != test.left || life != test.life {
			t.Errorf("%s at %q: %s of %s, want %s of %s", test.body, test.date, left, life, test.left, test.life)
		}
	}
}

func FuzzLifeOfAToken(f *testing.F) {
	f.Add([]byte(`{"expires_in":300,"issued_at":"2026-03-01T11:59:00Z"}`), "Sun, 01 Mar 2026 12:00:00 GMT")
	f.Add([]byte(`{"expires_in":NaN}`), "")
	f.Fuzz(func(t *testing.T, body []byte, date string) {
		answer := parseTokenAnswer(body, date)
		if left, life := answer.life(time.Unix(1e9, 0)); life <= 0 || life > maxTokenLife || left <= 0 || left > life {
			t.Errorf("%s of %s", left, life)
		}
		if req, _ := http.NewRequest(http.MethodGet, "http://x.invalid", nil); answer.usable() {
			req.Header.Set("Authorization", "Bearer "+answer.Token)
			if err := req.Write(io.Discard); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestWhatTheTokenServiceIsAsked shows the one request that each kind of
// credentials leads to, and what the registry gets.
func TestWhatTheTokenServiceIsAsked(t *testing.T) {
	const hint, more = "repository:b:push,pull", "repository:a:pull"
	for name, test := range map[string]struct {
		cred   auth.Credential
		answer string
		sent   string // method, query, Authorization and body
		header string
	}{
		"user": {user(), `{"token":"t"}`,
			"GET account=user&scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull%2Cpush&service=s " + userHeader + " ", "Bearer t"},
		"nobody": {auth.EmptyCredential, `{"access_token":"t","issued_at":5}`,
			"GET scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull%2Cpush&service=s  ", "Bearer t"},
		"identity token": {auth.Credential{Username: "<token>", RefreshToken: "long"}, `{"access_token":"t","refresh_token":"other"}`,
			"POST   client_id=tare&grant_type=refresh_token&refresh_token=long&scope=repository%3Aa%3Apull+repository%3Ab%3Apull%2Cpush&service=s", "Bearer t"},
		"access token": {auth.Credential{AccessToken: "mine"}, "", "", "Bearer mine"},
	} {
		var sent []string
		w := world{
			"https://r.example": wants(test.header, tokenChallenge+`,scope="`+more+`"`),
			"https://auth.example": func(w http.ResponseWriter, req *http.Request) {
				body, _ := io.ReadAll(req.Body)
				sent = append(sent, fmt.Sprint(req.Method, " ", req.URL.RawQuery, " ", req.Header.Get("Authorization"), " ", string(body)))
				io.WriteString(w, test.answer)
			},
		}
		a := w.authenticator(test.cred)
		for range 3 {
			if code, err := attempt(t.Context(), a, hint); code != http.StatusOK || err != nil {
				t.Errorf("%s: %d, %v", name, code, err)
			}
		}
		if got := strings.Join(sent, "; "); got != test.sent {
			t.Errorf("%s: asked\n%q, want\n%q", name, got, test.sent)
		}
	}
}

// TestRealmMayHaveAQuery that is kept, and a user that is not.
func TestRealmMayHaveAQuery(t *testing.T) {
	var seen *http.Request
	w := world{
		"https://r.example": wants("Bearer t", `Bearer realm="https://u:p@auth.example/token?account=x",service="s"`),
		"https://auth.example": func(w http.ResponseWriter, req *http.Request) {
			seen = req
			io.WriteString(w, `{"token":"t"}`)
		},
	}
	if code, err := attempt(t.Context(), w.authenticator(auth.EmptyCredential)); code != http.StatusOK || err != nil {
		t.Fatal(code, err)
	}
	if seen.URL.RawQuery != "account=x&service=s" || seen.Header.Get("Authorization") != "" {
		t.Errorf("%s, %v", seen.URL, seen.Header)
	}
}

// TestRedirectsOfATokenRequest: credentials stay where they were meant to go.
func TestRedirectsOfATokenRequest(t *testing.T) {
	exchange := auth.Credential{RefreshToken: "s3cret"}
	for _, test := range []struct {
		realm, to string
		cred      auth.Credential
		status    int
		got       string // what the target was given of the credentials
		refused   bool
	}{
		{"https://auth.example/", "https://auth.example/2", user(), 307, userHeader, false},
		{"https://auth.example/", "https://other.example/2", user(), 307, "", false},
		{"https://auth.example/", "https://auth.example/2", exchange, 307, "s3cret", false},
		{"https://auth.example/", "https://other.example/2", exchange, 307, "", true},
		{"https://auth.example/", "https://other.example/2", exchange, 302, "", false},
		{"https://auth.example/", "http://auth.example/2", user(), 307, "", true},
		{"https://auth.example/", "http://auth.example/2", auth.EmptyCredential, 302, "", true},
		{"https://auth.example/", "http://auth.example/2", exchange, 302, "", true},
		{"http://auth.example/", "http://auth.example/2", user(), 307, userHeader, false},
		{"http://auth.example/", "http://other.example/2", user(), 307, "", false},
		{"http://auth.example/", "https://other.example/2", user(), 307, "", false},
		{"http://auth.example/", "http://other.example/2", exchange, 308, "", true},
	} {
		reached, got := false, ""
		service := func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path != "/2" {
				http.Redirect(w, req, test.to, test.status)
				return
			}
			reached = true
			body, _ := io.ReadAll(req.Body)
			form, _ := url.ParseQuery(string(body))
			got = req.Header.Get("Authorization") + form.Get("refresh_token")
			io.WriteString(w, `{"token":"t"}`)
		}
		w := world{"http://r.example": wants("Bearer t", `Bearer realm="`+test.realm+`"`)}
		for _, host := range []string{"auth.example", "other.example"} {
			w["https://"+host], w["http://"+host] = service, service
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://r.example/v2/", nil)
		_, err := w.authenticator(test.cred).Do(req)
		if errors.Is(err, ErrDenied) != test.refused || (err == nil) == test.refused || reached == test.refused || got != test.got {
			t.Errorf("%s to %s with %d: %v, reached %v with %q", test.realm, test.to, test.status, err, reached, got)
		}
		if err != nil && (hintOf(err) == "" || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%v, hint %q", err, hintOf(err))
		}
	}
}

// TestTokenServiceFails in many ways, none of which is about a blob.
func TestTokenServiceFails(t *testing.T) {
	for name, test := range map[string]struct {
		realm  string
		answer http.HandlerFunc
		kind   error
		text   string
	}{
		"denied": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"errors":[{"code":"DENIED","message":"not you"}]}`)
		}, ErrDenied, "token service: denied: not you"},
		"unknown":   {"", status(http.StatusNotFound).ServeHTTP, nil, "token service: status 404 not found"},
		"broken":    {"", status(http.StatusInternalServerError).ServeHTTP, ErrUnavailable, "token service: status 500"},
		"no token":  {"", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"s3cret":1}`) }, nil, "token service: no token in the answer of auth.example"},
		"no JSON":   {"", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "s3cret") }, nil, "no token in the answer"},
		"no header": {"", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"token":"s3cret\r\nX: y"}`) }, nil, "no token in the answer"},
		"endless": {"", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"x":"`+strings.Repeat("x", maxTokenAnswer)+`","token":"s3cret"}`)
		}, nil, "no token in the answer"},
		"nobody is there": {"https://gone.example?s3cret", nil, ErrUnreachable, "token service: dial: nobody is there"},
		"no realm":        {"/token", nil, ErrDenied, `the registry gives "/token" for the address`},
		"another scheme":  {"ftp://auth.example", nil, ErrDenied, `the registry gives "ftp://auth.example"`},
		"no TLS":          {"http://auth.example", nil, ErrDenied, "http://auth.example"},
	} {
		t.Run(name, func(t *testing.T) {
			challenge := tokenChallenge
			if test.realm != "" {
				challenge = fmt.Sprintf("Bearer realm=%q", test.realm)
			}
			w := world{"https://r.example": wants("Bearer s3cret", challenge), "https://auth.example": test.answer}
			_, err := attempt(t.Context(), w.authenticator(user()))
			if err == nil || !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "s3cret") {
				t.Fatalf("%v, want %s", err, test.text)
			}
			for _, kind := range []error{ErrDenied, ErrUnavailable, ErrUnreachable, blob.ErrNotFound} {
				if errors.Is(err, kind) != (kind == test.kind) {
					t.Errorf("%v: is %v", err, kind)
				}
			}
		})
	}
}

// TestRenewalFails while the token lasts, and after.
func TestRenewalFails(t *testing.T) {
	var asked atomic.Int64
	service := says(`{"token":"t","expires_in":100}`, &asked)
	w := world{"https://r.example": wants("Bearer t", tokenChallenge), "https://auth.example": service}
	a := w.authenticator(user())
	now := time.Now()
	a.now = func() time.Time { return now }
	broken := map[bool]http.HandlerFunc{
		true:  func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); w.WriteHeader(http.StatusBadGateway) },
		false: service,
	}
	for _, step := range []struct {
		pass   time.Duration
		broken bool
		ok     bool
		asked  int64
	}{
		{0, false, true, 1},
		{89 * time.Second, true, true, 1},
		{2 * time.Second, true, true, 2}, // nine seconds are left
		{4 * time.Second, true, true, 2}, // to be tried again after half of them
		{time.Second, true, true, 3},
		{4 * time.Second, true, false, 5}, // it has ended: the renewal fails, and the answer to the challenge
		{0, false, true, 6},
		{95 * time.Second, false, true, 7},
	} {
		now = now.Add(step.pass)
		w["https://auth.example"] = broken[step.broken]
		code, err := attempt(t.Context(), a, "repository:a:pull")
		if ok := code == http.StatusOK; ok != step.ok || asked.Load() != step.asked {
			t.Errorf("%d, %v after %d requests for a token, want %+v", code, err, asked.Load(), step)
		}
	}
}
