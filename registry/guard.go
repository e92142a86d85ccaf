package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// stallError says that a connection is open and silent. It is a net.Error, a
// timeout.
type stallError time.Duration

func (e stallError) Error() string   { return fmt.Sprintf("no data for %s", time.Duration(e)) }
func (e stallError) Timeout() bool   { return true }
func (e stallError) Temporary() bool { return true }

// guard cuts connections that make no progress. There is no limit on the time
// of a whole request, since nobody knows how large a model is. Nor is there one
// here for the answer to a PUT: one that ends an upload may have the registry hash
// all bytes, even if it brings none.
type guard struct {
	next                           http.RoundTripper
	headers, receive, send, digest time.Duration
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	guarded := req.WithContext(ctx)
	dog := &watchdog{cancel: cancel}
	switch {
	case hasBody(req):
		guarded.Body = &sentBody{ReadCloser: req.Body, dog: dog, limit: g.send, after: g.afterBody(req.Method)}
	case req.Method != http.MethodPut:
		dog.watch(g.headers)
	}
	resp, err := g.next.RoundTrip(guarded)
	dog.retire()
	if err != nil {
		err = stalled(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &receivedBody{ReadCloser: resp.Body, dog: &watchdog{cancel: cancel}, limit: g.receive, stalled: func(err error) error {
		return stalled(ctx, err)
	}}
	return resp, nil
}

// afterBody is how long the answer may take once the body is sent, 0 for any time.
func (g *guard) afterBody(method string) time.Duration {
	switch method {
	case http.MethodPut:
		return 0
	case http.MethodPatch:
		return g.digest
	}
	return g.headers
}

func (g *guard) CloseIdleConnections() { closeIdle(g.next) }

// stalled replaces the error that the watchdog brought about with its cause.
func stalled(ctx context.Context, err error) error {
	if cause, ok := context.Cause(ctx).(stallError); ok {
		return cause
	}
	return err
}

// sentBody is watched between two reads: that is when the network takes its
// time.
type sentBody struct {
	io.ReadCloser
	dog          *watchdog
	limit, after time.Duration // between two reads, and after the last
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.dog.rest()
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
		b.dog.watch(b.limit)
	case err == io.EOF && b.after > 0:
		b.dog.watch(b.after)
	}
	return n, err
}

func (b *sentBody) Close() error {
	b.dog.retire()
	return b.ReadCloser.Close()
}

// receivedBody is watched during reads.
type receivedBody struct {
	io.ReadCloser
	dog     *watchdog
	limit   time.Duration
	stalled func(error) error
}

func (b *receivedBody) Read(p []byte) (int, error) {
	b.dog.watch(b.limit)
	n, err := b.ReadCloser.Read(p)
	b.dog.rest()
	if err != nil && err != io.EOF {
		err = b.stalled(err)
	}
	return n, err
}

func (b *receivedBody) Close() error {
	b.dog.retire()
	err := b.ReadCloser.Close()
	b.dog.cancel(nil)
	return err
}

// watchdog cancels a request unless it is called off in time.
type watchdog struct {
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	limit   time.Duration
	timer   *time.Timer
	retired bool
}

// watch starts the time anew.
func (d *watchdog) watch(limit time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limit = limit
	switch {
	case d.retired:
	case d.timer == nil:
		d.timer = time.AfterFunc(limit, d.bite)
	default:
		d.timer.Reset(limit)
	}
}

func (d *watchdog) bite() {
	d.mu.Lock()
	limit := d.limit
	d.mu.Unlock()
	d.cancel(stallError(limit))
}

// rest stops the time.
func (d *watchdog) rest() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
}

// retire stops the time for good.
func (d *watchdog) retire() {
	d.rest()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.retired = true
}
