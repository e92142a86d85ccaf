package netproxy

import (
	"context"
	"io"
	"time"
)

const (
	// burst is how much time that was not used may be made up for: sleeping is
	// never exact.
	burst = 20 * time.Millisecond

	// onTheWay is how many pieces a delayed connection holds.
	onTheWay = 128
	piece    = 32 << 10
)

// pacer holds one connection back to a rate.
type pacer struct {
	rate int64 // bytes a second, 0 for no limit
	due  time.Time
}

// wait returns when n more bytes had their time.
func (p *pacer) wait(ctx context.Context, n int64) error {
	if p.rate == 0 {
		return nil
	}
	now := time.Now()
	if earliest := now.Add(-burst); p.due.Before(earliest) {
		p.due = earliest
	}
	p.due = p.due.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	return sleep(ctx, p.due.Sub(now))
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// delayed is what comes from r, later. It must be read to its end, or ctx be
// ended and r closed.
func (p *Proxy) delayed(ctx context.Context, r io.Reader) io.Reader {
	if p.options.Delay == 0 {
		return r
	}
	d := &delayedReader{pieces: make(chan delayedPiece, onTheWay)}
	d.sleepUntil = func(t time.Time) error { return sleep(ctx, time.Until(t)) }
	p.running.Go(func() { send(ctx, r, p.options.Delay, d.pieces) })
	return d
}

type delayedPiece struct {
	due  time.Time
	data []byte
	err  error
}

// send reads as fast as it can and stamps what it finds.
func send(ctx context.Context, r io.Reader, delay time.Duration, pieces chan<- delayedPiece) {
	defer close(pieces)
	for {
		buf := make([]byte, piece)
		n, err := r.Read(buf)
		select {
		case pieces <- delayedPiece{time.Now().Add(delay), buf[:n], err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// delayedReader is the far end.
type delayedReader struct {
	pieces     chan delayedPiece
	sleepUntil func(time.Time) error
	current    delayedPiece
}

func (d *delayedReader) Read(buf []byte) (int, error) {
	for len(d.current.data) == 0 {
		if d.current.err != nil {
			return 0, d.current.err
		}
		next, ok := <-d.pieces
		if !ok {
			return 0, io.ErrUnexpectedEOF // the connection is being ended
		}
		if err := d.sleepUntil(next.due); err != nil {
			return 0, err
		}
		d.current = next
	}
	n := copy(buf, d.current.data)
	d.current.data = d.current.data[n:]
	return n, nil
}
