package faultregistry

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// tokenPath is the token endpoint's.
const tokenPath = "/token"

// service is what tokens are for.
const service = "faultregistry"

// guard gives tokens and knows which are good.
type guard struct {
	clock *clock

	mu     sync.Mutex
	given  int
	grants map[string]grant
}

type grant struct {
	scopes []string
	until  time.Time
}

func newGuard(c *clock) *guard { return &guard{clock: c, grants: map[string]grant{}} }

// Revoke makes all tokens worthless that were given out.
func (r *Registry) Revoke() { r.guard.revoke() }

// Tokens is how many tokens were given out.
func (r *Registry) Tokens() int { return r.guard.count() }

func (g *guard) revoke() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.grants)
}

func (g *guard) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.given
}

// token answers at the token endpoint.
func (g *guard) token(req *http.Request, life time.Duration) *reply {
	if !knows(req) {
		return challenged(`Basic realm="faultregistry tokens"`)
	}
	token := g.give(strings.Fields(strings.Join(req.URL.Query()["scope"], " ")), life)
	return document(http.StatusOK, "application/json", marshal(map[string]any{
		"token":      token,
		"expires_in": int(life.Seconds()),
		"issued_at":  g.clock.now().UTC().Format(time.RFC3339),
	}))
}

func (g *guard) give(scopes []string, life time.Duration) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.given++
	token := fmt.Sprintf("token-%d", g.given)
	g.grants[token] = grant{scopes, g.clock.now().Add(life)}
	return token
}

// admits says that the request shows a token that is good for it.
func (g *guard) admits(r *Request) bool {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g.mu.Lock()
	defer g.mu.Unlock()
	grant, ok := g.grants[token]
	if !ok || !g.clock.now().Before(grant.until) {
		return false
	}
	for _, need := range r.needs() {
		if !slices.ContainsFunc(grant.scopes, func(scope string) bool { return covers(scope, need) }) {
			return false
		}
	}
	return true
}

// needs is the scopes that a token has to have.
func (r *Request) needs() []string {
	if r.Name == "" {
		return nil
	}
	scope := "repository:" + r.Name + ":pull"
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		scope += ",push"
	}
	if r.From == "" || r.From == r.Name {
		return []string{scope}
	}
	return []string{scope, "repository:" + r.From + ":pull"}
}

// covers says that a scope allows all that is needed of one repository.
func covers(scope, need string) bool {
	name, actions := cutScope(scope)
	wanted, needed := cutScope(need)
	return name == wanted && !slices.ContainsFunc(needed, func(action string) bool { return !slices.Contains(actions, action) })
}

// cutScope takes the actions from repository:NAME:ACTIONS.
func cutScope(scope string) (resource string, actions []string) {
	at := strings.LastIndex(scope, ":")
	return scope[:max(0, at)], strings.Split(scope[at+1:], ",")
}

// bearer is the challenge for a token.
func (r *Registry) bearer(req *Request) string {
	challenge := fmt.Sprintf(`Bearer realm="%s%s",service="%s"`, r.URL, tokenPath, service)
	if needs := req.needs(); len(needs) > 0 {
		challenge += fmt.Sprintf(`,scope="%s"`, strings.Join(needs, " "))
	}
	if req.Auth == "Bearer" {
		challenge += `,error="invalid_token"`
	}
	return challenge
}

// knows says that a request shows the user's password.
func knows(req *http.Request) bool {
	user, password, _ := req.BasicAuth()
	return user == Username && password == Password
}
