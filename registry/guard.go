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
// of a whole request, since nobody knows how large a model is. There is a long one
// on the time that a registry may think about what it got: the PUT that ends an
// upload has it hash all bytes, even if it brings none.
type guard struct {
	next                   http.RoundTripper
	headers, receive, send time.Duration
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	guarded := req.WithContext(ctx)
	dog := newWatchdog(g.headers, cancel)
	switch {
	case hasBody(req):
		dog.limit = g.send
		guarded.Body = &sentBody{ReadCloser: req.Body, dog: dog}
	case req.Method != http.MethodPut:
		dog.watch()
	}
	resp, err := g.next.RoundTrip(guarded)
	dog.retire()
	if err != nil {
		err = stalled(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &receivedBody{ReadCloser: resp.Body, dog: newWatchdog(g.receive, cancel), stalled: func(err error) error {
		return stalled(ctx, err)
	}}
	return resp, nil
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
	dog *watchdog
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.dog.rest()
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		b.dog.watch()
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
	stalled func(error) error
}

func (b *receivedBody) Read(p []byte) (int, error) {
	b.dog.watch()
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
	limit  time.Duration
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	timer   *time.Timer
	retired bool
}

func newWatchdog(limit time.Duration, cancel context.CancelCauseFunc) *watchdog {
	return &watchdog{limit: limit, cancel: cancel}
}

// watch starts the time anew.
func (d *watchdog) watch() {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.retired:
	case d.timer == nil:
		d.timer = time.AfterFunc(d.limit, func() { d.cancel(stallError(d.limit)) })
	default:
		d.timer.Reset(d.limit)
	}
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
