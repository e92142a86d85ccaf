package registry

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// paceStep is what may go through at once, as time at the full rate: short
	// enough for an even flow.
	paceStep = 50 * time.Millisecond

	// maxPaceStep bounds it for high rates.
	maxPaceStep = 256 << 10
)

// pacer spreads the bytes of all that share it evenly over time.
type pacer struct {
	rate int64 // bytes a second

	mu   sync.Mutex
	paid time.Time // when the bytes so far have had their time
}

// step is how many bytes to move before the next wait.
func (p *pacer) step() int {
	return int(max(1, min(maxPaceStep, p.rate/int64(time.Second/paceStep))))
}

// wait lets n bytes have their time. What was not used before is lost, but for
// one step.
func (p *pacer) wait(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	if left := p.book(n); left > 0 {
		return sleep(ctx, left)
	}
	return nil
}

func (p *pacer) book(n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if oldest := now.Add(-paceStep); p.paid.Before(oldest) {
		p.paid = oldest
	}
	p.paid = p.paid.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	return p.paid.Sub(now)
}

// paced slows bodies down, in both directions. It stands outside the guard
// against stalls: the time that it takes is ours, not the network's.
type paced struct {
	pacer *pacer
	next  http.RoundTripper
}

func (t *paced) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if req.Body != nil && req.Body != http.NoBody {
		slow := req.WithContext(ctx)
		slow.Body = t.slow(ctx, req.Body)
		if again := req.GetBody; again != nil {
			slow.GetBody = func() (io.ReadCloser, error) {
				body, err := again()
				if err != nil {
					return nil, err
				}
				return t.slow(ctx, body), nil
			}
		}
		req = slow
	}
	resp, err := t.next.RoundTrip(req)
	if err == nil {
		resp.Body = t.slow(ctx, resp.Body)
	}
	return resp, err
}

func (t *paced) slow(ctx context.Context, body io.ReadCloser) io.ReadCloser {
	return &pacedBody{ReadCloser: body, step: t.pacer.step(), wait: func(n int) error { return t.pacer.wait(ctx, n) }}
}

func (t *paced) CloseIdleConnections() { closeIdle(t.next) }

// pacedBody moves a step at a time and waits after each.
type pacedBody struct {
	io.ReadCloser
	step int
	wait func(n int) error
}

func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), b.step)])
	if waitErr := b.wait(n); err == nil {
		err = waitErr
	}
	return n, err
}
