package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/tareml/tare/internal/testregistry"
)

// world is a network in memory: who answers at which scheme://host. Nobody else
// can be reached.
type world map[string]http.HandlerFunc

func (w world) RoundTrip(req *http.Request) (*http.Response, error) {
	handler, ok := w[req.URL.Scheme+"://"+req.URL.Host]
	if !ok {
		return nil, &net.OpError{Op: "dial", Err: errors.New("nobody is there")}
	}
	if req.Body == nil {
		req.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	handler(recorder, req)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	resp := recorder.Result()
	resp.Request = req
	return resp, nil
}

// authenticator has this credential for r.example and no other host.
func (w world) authenticator(cred auth.Credential) *authenticator {
	client := &http.Client{Transport: w, CheckRedirect: checkRedirect}
	return newAuthenticator(client, auth.StaticCredential("r.example", cred))
}

// wants answers like a registry that wants to see this.
func wants(header, challenge string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != header {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
}

// says answers like a token service, and counts.
func says(answer string, asked *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		io.WriteString(w, answer)
	}
}

// attempt asks r.example for something, and returns the status.
func attempt(ctx context.Context, a *authenticator, scopes ...string) (int, error) {
	req, err := http.NewRequestWithContext(auth.WithScopesForHost(ctx, "r.example", scopes...), http.MethodGet, "https://r.example/v2/", nil)
	if err != nil {
		return 0, err
	}
	resp, err := a.Do(req)
	if err != nil {
		return 0, explain(ctx, err)
	}
	discard(resp)
	return resp.StatusCode, nil
}

const (
	userHeader     = "Basic dXNlcjpzM2NyZXQ="
	tokenChallenge = `Bearer realm="https://auth.example/token",service="s"`
)

func user() auth.Credential { return auth.Credential{Username: "user", Password: "s3cret"} }

// TestTokenServiceOnAPrivateNetwork is one under another name, and not a public
// one: what an installation within a company has.
func TestTokenServiceOnAPrivateNetwork(t *testing.T) {
	tokens := &tokenServer{}
	service := httptest.NewServer(tokens.wrap(nil))
	defer service.Close()
	_, port, _ := net.SplitHostPort(service.Listener.Addr().String())
	tokens.host = "localhost:" + port
	registry := httptest.NewServer(tokens.wrap(status(http.StatusOK)))
	defer registry.Close()
	host := registry.Listener.Addr().String()
	client := newTestClient(t, Options{})
	if _, err := client.Login(t.Context(), host, testregistry.Username, "wrong"); !errors.Is(err, ErrDenied) || tokens.issued > 0 {
		t.Errorf("wrong password: %v, %d tokens", err, tokens.issued)
	}
	if _, err := client.Login(t.Context(), host, testregistry.Username, testregistry.Password); err != nil || tokens.issued != 1 {
		t.Errorf("right password: %v, %d tokens", err, tokens.issued)
	}
	repo := newTestRepository(t, client, host+"/x")
	if ok, err := repo.has(t.Context(), describe("", nil)); !ok || err != nil || tokens.issued != 2 {
		t.Errorf("%v, %v, %d tokens", ok, err, tokens.issued)
	}
}

// TestOneChallengeForRequestsAlike, even if the registry wants other scopes than
// are expected of it; a token for one thing is not shown for another.
func TestOneChallengeForRequestsAlike(t *testing.T) {
	var asked atomic.Int64
	var headers []string
	w := world{
		"https://auth.example": says(`{"token":"t","expires_in":3600}`, &asked),
		"https://r.example": func(w http.ResponseWriter, req *http.Request) {
			headers = append(headers, req.Header.Get("Authorization"))
			wants("Bearer t", tokenChallenge+`,scope="repository:proxy/a:pull"`)(w, req)
		},
	}
	a := w.authenticator(user())
	for _, scope := range []string{"repository:a:pull", "repository:a:pull", "repository:b:pull", "repository:b:pull", "repository:a:pull", "", ""} {
		if code, err := attempt(t.Context(), a, scope); code != http.StatusOK || err != nil {
			t.Fatal(code, err)
		}
	}
	if want := []string{"", "Bearer t", "Bearer t", "", "Bearer t", "Bearer t", "Bearer t", "", "Bearer t", "", "Bearer t"}; !slices.Equal(headers, want) || asked.Load() != 3 {
		t.Errorf("the registry saw %q, want %q; %d tokens", headers, want, asked.Load())
	}
}

// TestPasswordIsRemembered for all that is done in a repository, and looked up
// again once it is refused.
func TestPasswordIsRemembered(t *testing.T) {
	var requests, lookups int
	right := userHeader
	w := world{"https://r.example": func(w http.ResponseWriter, req *http.Request) {
		requests++
		wants(right, `Basic realm="x"`)(w, req)
	}}
	a := w.authenticator(auth.EmptyCredential)
	cred := user()
	a.credential = func(context.Context, string) (auth.Credential, error) { lookups++; return cred, nil }
	for _, step := range []struct {
		scope             string
		status            int
		requests, lookups int
	}{
		{"repository:a:pull", 200, 2, 1},
		{"repository:a:pull,push", 200, 3, 1},
		{"repository:b:pull", 200, 5, 2}, // it may have its own
		{"repository:a:pull", 200, 6, 2},
		{"repository:a:pull", 200, 8, 3},  // changed on both sides
		{"repository:a:pull", 401, 10, 4}, // changed on theirs
	} {
		switch step.requests {
		case 8:
			cred.Username, right = "v", "Basic djpzM2NyZXQ="
		case 10:
			right = "Basic other"
		}
		code, err := attempt(t.Context(), a, step.scope)
		if code != step.status || err != nil || requests != step.requests || lookups != step.lookups {
			t.Errorf("%d (%v) after %d requests and %d lookups, want %+v", code, err, requests, lookups, step)
		}
	}
}

// TestRefusedTokenIsDropped, even if there is no other.
func TestRefusedTokenIsDropped(t *testing.T) {
	var asked atomic.Int64
	var headers []string
	right := "Bearer t"
	w := world{
		"https://auth.example": says(`{"token":"t"}`, &asked),
		"https://r.example": func(w http.ResponseWriter, req *http.Request) {
			headers = append(headers, req.Header.Get("Authorization"))
			wants(right, tokenChallenge)(w, req)
		},
	}
	a := w.authenticator(user())
	for range 3 {
		attempt(t.Context(), a, "repository:a:pull")
		delete(w, "https://auth.example")
		right = "Bearer other"
	}
	if want := []string{"", "Bearer t", "Bearer t", ""}; !slices.Equal(headers, want) {
		t.Errorf("the registry saw %q, want %q", headers, want)
	}
}

// grants answers like a token service whose tokens are what they are good for.
func grants(w http.ResponseWriter, req *http.Request) {
	fmt.Fprintf(w, `{"token":"%s","expires_in":3600}`, strings.Join(req.URL.Query()["scope"], "+"))
}

// TestRegistryAsksForMore than what there is a token for.
func TestRegistryAsksForMore(t *testing.T) {
	w := world{"https://auth.example": grants}
	a := w.authenticator(user())
	for _, action := range []string{"pull", "push"} {
		scope := "repository:a:" + action
		want := map[string]string{"pull": "Bearer repository:a:pull", "push": "Bearer repository:a:pull,push"}[action]
		requests := 0
		w["https://r.example"] = func(w http.ResponseWriter, req *http.Request) {
			requests++
			wants(want, tokenChallenge+`,scope="`+scope+`"`)(w, req)
		}
		if code, err := attempt(t.Context(), a, "repository:a:pull"); code != http.StatusOK || err != nil || requests != 2 {
			t.Errorf("%s: %d, %v after %d requests", action, code, err, requests)
		}
	}
}

// TestSendsEnd whatever a registry asks for, also if there is a token for all of
// it that it does not take.
func TestSendsEnd(t *testing.T) {
	requests := 0
	w := world{
		"https://auth.example": grants,
		"https://r.example": func(w http.ResponseWriter, req *http.Request) {
			requests++
			other := "1"
			if strings.Contains(req.Header.Get("Authorization"), "repository:1") {
				other = "2"
			}
			wants("no", fmt.Sprintf(`%s,scope="repository:%s:pull"`, tokenChallenge, other))(w, req)
		},
	}
	a := w.authenticator(user())
	for range 5 {
		requests = 0
		if code, err := attempt(t.Context(), a, "repository:a:pull"); code != http.StatusUnauthorized || err != nil || requests > maxSends {
			t.Errorf("%d, %v after %d requests", code, err, requests)
		}
	}
}

// TestChallengeFromElsewhere is not met: it is not the registry's.
func TestChallengeFromElsewhere(t *testing.T) {
	requests := 0
	w := world{
		"https://other.example": wants(userHeader, "Basic"),
		"https://r.example": func(w http.ResponseWriter, req *http.Request) {
			requests++
			http.Redirect(w, req, "https://other.example/", http.StatusTemporaryRedirect)
		},
	}
	if code, err := attempt(t.Context(), w.authenticator(user())); code != http.StatusUnauthorized || err != nil || requests != 1 {
		t.Errorf("%d, %v after %d requests", code, err, requests)
	}
}

// TestBodyIsSentAgain from its start, or not at all.
func TestBodyIsSentAgain(t *testing.T) {
	for _, rewindable := range []bool{true, false} {
		var bodies []string
		w := world{"https://r.example": func(w http.ResponseWriter, req *http.Request) {
			body, _ := io.ReadAll(req.Body)
			bodies = append(bodies, string(body))
			wants(userHeader, "Basic")(w, req)
		}}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://r.example/v2/", strings.NewReader("body"))
		if !rewindable {
			req.GetBody = nil
		}
		resp, err := w.authenticator(user()).Do(req)
		if rewindable && (err != nil || resp.StatusCode != http.StatusOK || !slices.Equal(bodies, []string{"body", "body"})) {
			t.Errorf("%v, bodies %q", err, bodies)
		}
		if !rewindable && (err == nil || len(bodies) != 1) {
			t.Errorf("%v, bodies %q", err, bodies)
		}
		if req.Header.Get("Authorization") != "" {
			t.Error("the caller's request was changed")
		}
	}
}

// gate is a token service whose answers the test gives.
type gate struct {
	asked   atomic.Int64
	answers chan string
}

func (g *gate) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	g.asked.Add(1)
	select {
	case answer := <-g.answers:
		if answer == "" {
			w.WriteHeader(http.StatusForbidden)
		}
		io.WriteString(w, answer)
	case <-req.Context().Done():
	}
}

func newGate() (*gate, world) {
	g := &gate{answers: make(chan string)}
	return g, world{"https://auth.example": g.ServeHTTP, "https://r.example": wants("Bearer t", tokenChallenge)}
}

// TestOneFetchForAll who wait for it, also if it fails.
func TestOneFetchForAll(t *testing.T) {
	for answer, want := range map[string]int{`{"token":"t"}`: http.StatusOK, "": http.StatusForbidden} {
		synctest.Test(t, func(t *testing.T) {
			g, w := newGate()
			a := w.authenticator(user())
			var group sync.WaitGroup
			for range 8 {
				group.Go(func() {
					code, err := attempt(t.Context(), a, "repository:a:pull")
					if code != want && !hasStatus(err, want) {
						t.Errorf("%d, %v, want %d", code, err, want)
					}
				})
			}
			synctest.Wait()
			g.answers <- answer
			group.Wait()
			if n := g.asked.Load(); n != 1 {
				t.Errorf("%d requests for a token", n)
			}
		})
	}
}

// TestFirstOfManyIsCancelled, and one of the others asks in its place.
func TestFirstOfManyIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w := newGate()
		a := w.authenticator(user())
		var group sync.WaitGroup
		first, cancelFirst := context.WithCancel(t.Context())
		group.Go(func() {
			if _, err := attempt(first, a); !errors.Is(err, context.Canceled) {
				t.Errorf("the first: %v", err)
			}
		})
		synctest.Wait()
		var gone atomic.Bool
		impatient, cancelImpatient := context.WithCancel(t.Context())
		group.Go(func() {
			if _, err := attempt(impatient, a); !errors.Is(err, context.Canceled) {
				t.Errorf("the impatient: %v", err)
			}
			gone.Store(true)
		})
		for range 3 {
			group.Go(func() {
				if code, err := attempt(t.Context(), a); code != http.StatusOK || err != nil {
					t.Errorf("another: %d, %v", code, err)
				}
			})
		}
		synctest.Wait()
		cancelImpatient()
		if synctest.Wait(); !gone.Load() {
			t.Error("the impatient had to wait")
		}
		cancelFirst()
		synctest.Wait()
		g.answers <- `{"token":"t"}`
		group.Wait()
		if n := g.asked.Load(); n != 2 {
			t.Errorf("%d requests for a token, want 2", n)
		}
	})
}

// TestSharedRefusalIsAdvisedOnce for each who gets it: all have the same error.
func TestSharedRefusalIsAdvisedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w := newGate()
		client := newClient(Options{Credentials: credentials.NewMemoryStore(), Sleep: sleep, Stall: time.Minute}.withDefaults(), nil)
		client.auth.Client.Transport = w
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://r.example/v2/", nil)
				if _, err := client.do(req); hintOf(err) != "tare login r.example" {
					t.Errorf("%v, hint %q", err, hintOf(err))
				}
			})
		}
		synctest.Wait()
		g.answers <- ""
		group.Wait()
	})
}

// TestHostsShareNothing but their token service: not even one host without TLS.
func TestHostsShareNothing(t *testing.T) {
	var given []string
	registry := wants("Bearer t", tokenChallenge)
	w := world{
		"https://r.example": registry, "http://r.example": registry, "https://other.example": registry,
		"https://auth.example": func(w http.ResponseWriter, req *http.Request) {
			given = append(given, req.Header.Get("Authorization"))
			io.WriteString(w, `{"token":"t"}`)
		},
	}
	a := w.authenticator(user())
	for _, host := range []string{"https://r.example", "http://r.example", "https://other.example"} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, host+"/v2/", nil)
		if resp, err := a.Do(req); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(err)
		}
	}
	if want := []string{userHeader, userHeader, ""}; !slices.Equal(given, want) {
		t.Errorf("the token service was given %q, want %q", given, want)
	}
}

// TestCredentialsOfOneRepositoryAreNotForAnother, however the registry asks for
// them.
func TestCredentialsOfOneRepositoryAreNotForAnother(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	store, err := AuthFile(writeFile(t, `{"auths":{"r.example/aaa":{"auth":"YWFhOnA="},"r.example/team":{"auth":"dGVhbTpw"}}}`), DockerCredentials())
	if err != nil {
		t.Fatal(err)
	}
	var users []string
	w := world{"https://r.example": func(w http.ResponseWriter, req *http.Request) {
		user, _, ok := req.BasicAuth()
		if !ok {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		users = append(users, user)
	}}
	a := w.authenticator(Credential{})
	a.credential = credentialFunc(store)
	for range 2 {
		for _, repository := range []string{"aaa", "team"} {
			users = nil
			if code, err := attempt(t.Context(), a, "repository:"+repository+"/x:pull"); code != http.StatusOK || err != nil || users[0] != repository {
				t.Errorf("%s: %d, %v, as %q", repository, code, err, users)
			}
		}
	}
}
