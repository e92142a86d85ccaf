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
	return r.Name == "" || slices.ContainsFunc(grant.scopes, func(scope string) bool { return allows(scope, r.Name) })
}

// allows says that a scope is for pulling name.
func allows(scope, name string) bool {
	actions, ok := strings.CutPrefix(scope, "repository:"+name+":")
	return ok && slices.Contains(strings.Split(actions, ","), "pull")
}

// bearer is the challenge for a token.
func (r *Registry) bearer(req *Request) string {
	challenge := fmt.Sprintf(`Bearer realm="%s%s",service="%s"`, r.URL, tokenPath, service)
	if req.Name != "" {
		challenge += fmt.Sprintf(`,scope="repository:%s:pull"`, req.Name)
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
