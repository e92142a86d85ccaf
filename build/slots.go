package build

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"
)

// slots bound how much is done at once.
type slots chan struct{}

// newSlots returns n of them, at least one.
func newSlots(n int) slots { return make(slots, max(n, 1)) }

// take waits for a slot.
func (s slots) take(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// give gives it back.
func (s slots) give() { <-s }

// once does something once for each blob, however many layers are that blob.
type once struct {
	mu    sync.Mutex
	calls map[digest.Digest]*call
}

// call is what became of it. The fields are valid when done is closed.
type call struct {
	done chan struct{}
	ok   bool
	err  error
}

// do calls f unless it was called for d, and returns what it returned. First says
// whether this was the call that did it; the others wait.
func (o *once) do(ctx context.Context, d digest.Digest, f func() (bool, error)) (ok, first bool, err error) {
	c, first := o.claim(d)
	if first {
		defer close(c.done)
		c.ok, c.err = f()
		return c.ok, true, c.err
	}
	select {
	case <-c.done:
		return c.ok, false, c.err
	case <-ctx.Done():
		return false, false, ctx.Err()
	}
}

func (o *once) claim(d digest.Digest) (c *call, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c, ok := o.calls[d]; ok {
		return c, false
	}
	if o.calls == nil {
		o.calls = make(map[digest.Digest]*call)
	}
	c = &call{done: make(chan struct{})}
	o.calls[d] = c
	return c, true
}
