package faultregistry

import (
	"crypto/tls"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The one user of a registry that asks who is there.
const (
	Username = "tare"
	Password = "tare-test"
)

// Registry is a registry that runs until the test ends.
type Registry struct {
	// Host is host:port, as it stands in a reference.
	Host string

	// URL has the scheme too.
	URL string

	// CAFile is the certificate of the authority that vouches for the registry
	// and its bucket, and CertFile and KeyFile are a client's by the same
	// authority; all PEM, and only [WithTLS].
	CAFile, CertFile, KeyFile string

	config
	store   *store
	uploads *uploads
	journal *journal
	script  *script
	guard   *guard
	bucket  *bucket
	leaks   *leaks
	idle    *signal // somebody waits for all requests to end
	servers []*httptest.Server
	doors   []*listener
	clock   *clock
	ends    chan struct{}
	close   func()
}

// Option changes how [New] serves.
type Option func(*config)

type config struct {
	habits
	tls, clientCerts bool
	tokens, basic    bool
	tokenLife        time.Duration
	redirect         bool
	uses             int
	origin           *Registry
	prefix           string
}

// WithTLS serves over TLS, by a certificate of an authority made for this test.
func WithTLS() Option { return func(c *config) { c.tls = true } }

// WithClientCerts is [WithTLS], and asks the clients for a certificate too.
func WithClientCerts() Option { return func(c *config) { c.tls, c.clientCerts = true, true } }

// WithTokens asks for bearer tokens that are good for what they were asked for,
// and gives them to [Username] for so long. A mount wants one that is good for
// pulling from the other repository too.
func WithTokens(life time.Duration) Option {
	return func(c *config) { c.tokens, c.tokenLife = true, life }
}

// WithBasic asks for the password of [Username] at each request.
func WithBasic() Option { return func(c *config) { c.basic = true } }

// WithRedirect answers for blobs with a redirect to the bucket. Each signed URL
// is good for so many requests, or for any number if uses is 0, and for 20
// minutes.
func WithRedirect(uses int) Option { return func(c *config) { c.redirect, c.uses = true, uses } }

// WithMirrorOf serves what another registry has, now and later. It can only be
// read.
func WithMirrorOf(origin *Registry) Option { return func(c *config) { c.origin = origin } }

// WithPrefix serves below this path, rather than below /v2.
func WithPrefix(path string) Option { return func(c *config) { c.prefix = path } }

// New starts a registry that has nothing yet.
func New(t testing.TB, options ...Option) *Registry {
	t.Helper()
	r := &Registry{
		config:  config{prefix: "/v2"},
		store:   newStore(),
		uploads: newUploads(),
		leaks:   &leaks{},
		idle:    newSignal(),
		journal: newJournal(),
		script:  &script{},
		clock:   &clock{},
		ends:    make(chan struct{}),
	}
	for _, option := range options {
		option(&r.config)
	}
	if r.origin != nil {
		r.store = r.origin.store
	}
	r.guard = newGuard(r.clock)
	r.listen(t)
	r.close = sync.OnceFunc(r.end)
	t.Cleanup(r.Close)
	return r
}

// listen starts the servers.
func (r *Registry) listen(t testing.TB) {
	t.Helper()
	var identity *tls.Config
	if r.tls {
		identity = r.identify(t)
	}
	server := r.serve(r.answer, identity)
	r.Host, r.URL = server.Listener.Addr().String(), server.URL
	r.bucket = newBucket(r.clock, r.uses, r.leaks)
	r.bucket.url = r.serve(r.answerTarget, identity).URL
}

func (r *Registry) serve(handler http.HandlerFunc, identity *tls.Config) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	door := &listener{Listener: server.Listener}
	server.Listener = door
	server.Config.ErrorLog = log.New(r.leaks, "", 0)
	if identity == nil {
		server.Start()
	} else {
		server.TLS = identity.Clone()
		server.StartTLS()
	}
	r.servers, r.doors = append(r.servers, server), append(r.doors, door)
	return server
}

// Close ends the registry before the test does: nobody answers any more. What
// hangs is let go.
func (r *Registry) Close() { r.close() }

func (r *Registry) end() {
	close(r.ends)
	for _, server := range r.servers {
		server.CloseClientConnections()
		server.Close()
	}
	r.journal.wait()
}

// Connections is how many connections clients have made, to the registry and to
// the bucket.
func (r *Registry) Connections() int {
	var n int
	for _, door := range r.doors {
		n += door.count()
	}
	return n
}

// Refuse closes the next k connections to the registry as soon as they are
// made, before a byte: a TLS handshake fails.
func (r *Registry) Refuse(k int) { r.doors[0].refuseNext(k) }

// Advance moves the clock by which tokens and signed URLs expire.
func (r *Registry) Advance(d time.Duration) { r.clock.advance(d) }

// Now is the time by that clock.
func (r *Registry) Now() time.Time { return r.clock.now() }

// clock is the real one, moved.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

// Check fails the test if goroutines are left at its end that were not there at
// its start. Call it before [New] and before a client is made.
func Check(t testing.TB) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}
