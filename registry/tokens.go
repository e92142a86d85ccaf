package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
)

const (
	// defaultTokenLife is how long a token lasts whose service does not say. It
	// is what the token specification of distribution sets.
	defaultTokenLife = time.Minute

	// maxTokenLife is as long as a token is believed to last.
	maxTokenLife = 365 * 24 * time.Hour

	// renewAhead is the most by which a token is renewed before its end; for
	// those that last less it is a tenth of their life.
	renewAhead = 30 * time.Second

	// maxTokenAnswer is how much of a token service's answer is looked at.
	maxTokenAnswer = 128 << 10
)

// tokenCache is oras-go's cache with the one thing that it lacks: it renews
// tokens before they expire, so that a registry does not have to refuse one.
type tokenCache struct {
	auth.Cache
	now func() time.Time

	mu     sync.Mutex
	leases map[tokenKey]lease
}

// tokenKey is what oras-go keeps tokens by.
type tokenKey struct {
	registry string
	scheme   auth.Scheme
	key      string
}

// lease is when a token has to be renewed, and how.
type lease struct {
	renew time.Time
	fetch func(context.Context) (string, error)
}

func newTokenCache() *tokenCache {
	return &tokenCache{Cache: auth.NewCache(), now: time.Now, leases: map[tokenKey]lease{}}
}

// GetToken returns a token that will last a while. One that is about to expire
// is renewed, as it was fetched at first; if that does not work there is none.
func (c *tokenCache) GetToken(ctx context.Context, registry string, scheme auth.Scheme, key string) (string, error) {
	held, ok := c.lease(tokenKey{registry, scheme, key})
	if !ok || c.now().Before(held.renew) {
		return c.Cache.GetToken(ctx, registry, scheme, key)
	}
	token, err := c.Set(ctx, registry, scheme, key, held.fetch)
	if err != nil {
		return "", errdef.ErrNotFound
	}
	return token, nil
}

// Set fetches a token and notes how long it lasts.
func (c *tokenCache) Set(ctx context.Context, registry string, scheme auth.Scheme, key string, fetch func(context.Context) (string, error)) (string, error) {
	return c.Cache.Set(ctx, registry, scheme, key, func(context.Context) (string, error) {
		answer := &tokenAnswer{}
		token, err := fetch(context.WithValue(ctx, tokenAnswerKey{}, answer))
		if err == nil {
			c.note(tokenKey{registry, scheme, key}, answer, fetch)
		}
		return token, err
	})
}

func (c *tokenCache) lease(key tokenKey) (lease, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held, ok := c.leases[key]
	return held, ok
}

// note keeps a lease for a token that a service handed out. Others, passwords
// for instance, do not expire.
func (c *tokenCache) note(key tokenKey, answer *tokenAnswer, fetch func(context.Context) (string, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer.body.Len() == 0 {
		delete(c.leases, key)
		return
	}
	left, life := answer.life(c.now())
	c.leases[key] = lease{renew: c.now().Add(left - min(life/10, renewAhead)), fetch: fetch}
}

// tokenAnswerKey is where a context has the [tokenAnswer] to fill.
type tokenAnswerKey struct{}

// tokenAnswer is what a token service said. It belongs to one fetch.
type tokenAnswer struct {
	body bytes.Buffer
	date string
}

// life is how long the token lasts from now on, and in all. How old a token is
// is told by the service's own clock, which may differ from ours; an age that
// would make the token expired is no age but a wrong clock.
func (a *tokenAnswer) life(now time.Time) (left, life time.Duration) {
	var said struct {
		ExpiresIn json.RawMessage `json:"expires_in"`
		IssuedAt  string          `json:"issued_at"`
	}
	// What cannot be read leaves its field empty.
	_ = json.NewDecoder(bytes.NewReader(a.body.Bytes())).Decode(&said)
	life = defaultTokenLife
	if seconds, err := strconv.ParseFloat(strings.Trim(string(said.ExpiresIn), `"`), 64); err == nil && seconds > 0 {
		life = time.Duration(min(seconds, maxTokenLife.Seconds()) * float64(time.Second))
	}
	if date, err := http.ParseTime(a.date); err == nil {
		now = date
	}
	issued, err := time.Parse(time.RFC3339, said.IssuedAt)
	if age := now.Sub(issued); err == nil && age > 0 && age < life {
		return life - age, life
	}
	return life, life
}

// tokenWatch listens in on the answers of token services.
type tokenWatch struct{ next http.RoundTripper }

func (t *tokenWatch) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	answer, ok := req.Context().Value(tokenAnswerKey{}).(*tokenAnswer)
	if err != nil || !ok || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	answer.body.Reset()
	answer.date = resp.Header.Get("Date")
	resp.Body = &overheardBody{ReadCloser: resp.Body, copy: &answer.body}
	return resp, nil
}

func (t *tokenWatch) CloseIdleConnections() { closeIdle(t.next) }

// overheardBody keeps a bounded copy of what is read.
type overheardBody struct {
	io.ReadCloser
	copy *bytes.Buffer
}

func (b *overheardBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.copy.Write(p[:min(n, maxTokenAnswer-b.copy.Len())])
	return n, err
}
