package registry

import (
	"context"
	"sync"
	"time"
)

// pauses are the times before which servers, by origin, want no further
// requests. The zero value has none.
type pauses struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// extend asks for quiet until then. It never shortens a pause.
func (p *pauses) extend(origin string, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until == nil {
		p.until = map[string]time.Time{}
	}
	if until.After(p.until[origin]) {
		p.until[origin] = until
	}
}

// end is when the pause of origin is over. It is zero if there is none.
func (p *pauses) end(origin string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until[origin]
}

// wait sits through the pause of origin, and through what it is extended by in
// the meantime. A pause that ends at served or before was sat through already.
func (p *pauses) wait(ctx context.Context, origin string, served time.Time, sleep func(context.Context, time.Duration) error) error {
	for {
		end := p.end(origin)
		left := time.Until(end)
		if left <= 0 || !end.After(served) {
			return nil
		}
		if err := sleep(ctx, left); err != nil {
			return err
		}
		served = end
	}
}

// hastyKey marks the contexts of [hasty].
type hastyKey struct{}

// hasty marks requests for which there is somebody else to ask: they are sent
// once, and wait for nothing.
func hasty(ctx context.Context) context.Context { return context.WithValue(ctx, hastyKey{}, true) }

func isHasty(ctx context.Context) bool { return ctx.Value(hastyKey{}) != nil }
