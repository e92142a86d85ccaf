package registry

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

const (
	dialTimeout = 15 * time.Second
	tlsTimeout  = 15 * time.Second

	// headerTimeout is how long the answer to a request may take, chunkTimeout
	// that to a chunk, which a registry may have to put elsewhere first, and
	// answerTimeout that to a PUT: some registries hash a whole blob again before
	// they answer the one that completes it.
	headerTimeout = time.Minute
	chunkTimeout  = 5 * time.Minute
	answerTimeout = 30 * time.Minute

	// sendFactor is how much more patience a stalled upload gets: registries
	// stop reading while they flush to their own storage.
	sendFactor = 4
)

// newTransport stacks, from the outside in: retries and pauses, the log of
// --debug, the scrubber of refusals, the limit on the rate, the guard against
// stalls, the guard of credentials, the User-Agent, connections. It calls busy when
// a server says that it has too much to do.
func newTransport(o Options, connections http.RoundTripper, busy func()) *retrier {
	secrets := &redactor{}
	log := newDebugLog(o.Debug, secrets)
	next := connections
	next = &userAgent{name: o.UserAgent, next: next}
	next = &realmGuard{next}
	next = &guard{headers: headerTimeout, receive: o.Stall, send: sendFactor * o.Stall, digest: chunkTimeout, next: next}
	if o.LimitRate > 0 {
		next = &paced{pacer: &pacer{rate: o.LimitRate}, next: next}
	}
	next = &scrubber{secrets: secrets, next: next}
	if log != nil {
		next = &debugger{log: log, next: next}
	}
	return &retrier{sleep: o.Sleep, busy: busy, log: log, secrets: secrets, next: next}
}

// userAgent names the program in every request.
type userAgent struct {
	name string
	next http.RoundTripper
}

func (t *userAgent) RoundTrip(req *http.Request) (*http.Response, error) {
	clone := req.Clone(req.Context())
	clone.Header.Set("User-Agent", t.name)
	return t.next.RoundTrip(clone)
}

func (t *userAgent) CloseIdleConnections() { closeIdle(t.next) }

// closeIdle forwards what http.Client looks for in a transport.
func closeIdle(t http.RoundTripper) {
	if t, ok := t.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// loopback says whether host[:port] is this very machine.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
