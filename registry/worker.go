package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// worker is one connection of a download.
type worker struct {
	d    *download
	hire func() // starts another
	buf  []byte

	patience
	body    *body // nil between responses
	joined  bool  // it brought a byte
	unsaved int64 // bytes
}

func newWorker(d *download, hire func()) *worker {
	return &worker{d: d, hire: hire, buf: make([]byte, max(1, min(d.buffer, d.desc.Size)))}
}

// run claims and fetches until there is nothing left for w.
func (w *worker) run(ctx context.Context) error {
	defer w.close()
	for {
		c, err := w.d.claim(ctx, w)
		if c == nil || err != nil {
			return err
		}
		err = w.fetch(ctx, c)
		w.d.release(c)
		if err == nil {
			continue
		}
		w.blame()
		w.close()
		again, err := w.retry(ctx, err)
		if !again || err != nil {
			return err
		}
	}
}

// retry says whether to go on after err, and waits until it is time to. The last
// worker is patient. Any other tries once more and then goes, and leaves its work
// to those who get through.
func (w *worker) retry(ctx context.Context, err error) (again bool, _ error) {
	_, remote := errors.AsType[*problem](err)
	switch {
	case errors.Is(err, errRange) && w.d.goAlone(w, w.d.supply.repo.ref.host()):
		return true, nil
	case ctx.Err() != nil || !remote:
		return false, err
	}
	w.failures++
	if (w.failures > 1 || !passing(err)) && w.d.dismiss(w) {
		return false, nil
	}
	// The first connection has the transport's patience and no more.
	if !passing(err) || !w.d.begun() && !errors.Is(err, errCut) {
		return false, err
	}
	if w.failures >= fetchAttempts {
		return false, fmt.Errorf("gave up after %d attempts in a row: %w", w.failures, err)
	}
	return true, w.d.client.sleep(ctx, backoff(w.failures))
}

// fetch brings in c, or the start of it.
func (w *worker) fetch(ctx context.Context, c *claim) error {
	if err := w.position(ctx, c); err != nil || w.body.pos != c.pos {
		return err
	}
	for c.pos < c.end {
		if err := w.d.await(ctx, c); err != nil {
			return err
		}
		n, err := w.body.Read(w.buf[:min(int64(len(w.buf)), c.end-c.pos)])
		if n > 0 {
			if err := w.put(c, w.buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF && (c.pos == c.end || w.body.brought >= refill) {
			return nil
		}
		if err != nil { // also a range that is so short that many of them would be asked for
			return cut(ctx, err)
		}
	}
	return nil
}

// put writes what was read.
func (w *worker) put(c *claim, p []byte) error {
	w.progress(len(p))
	if err := w.d.put(c, p); err != nil {
		return err
	}
	w.d.scale(c, int64(len(p)), w.hire)
	if w.unsaved += int64(len(p)); w.unsaved < w.d.saveEvery {
		return nil
	}
	w.unsaved = 0
	return w.d.save()
}

// position brings the body to the start of c. If it ends up elsewhere the claim
// was not the right one.
func (w *worker) position(ctx context.Context, c *claim) error {
	lone := w.d.isLone(w)
	if w.body == nil || !w.body.leadsTo(c.pos, lone) {
		w.close()
		if err := w.open(ctx, c); err != nil {
			return err
		}
	}
	if w.body.pos < c.pos && !lone {
		w.d.goAlone(w, w.body.host) // a range was asked for
		return nil
	}
	if err := w.body.skipTo(c.pos); err != nil {
		return cut(ctx, err)
	}
	return nil
}

// open sends the request for c.
func (w *worker) open(ctx context.Context, c *claim) (err error) {
	start := time.Now()
	w.body, err = w.d.supply.open(ctx, extent{c.pos, c.end}, w.d.isLone(w))
	if err != nil {
		return err
	}
	if !w.joined {
		w.joined = true
		w.d.joined(time.Since(start))
	}
	if w.body.confirmed {
		return w.d.allocate()
	}
	return nil
}

// blame has a mirror no longer asked that answered and then brought nothing, or
// twice nothing new.
func (w *worker) blame() {
	if w.body != nil && (w.body.brought == 0 || w.failures > 0) {
		w.d.supply.drop(w.body.host)
	}
}

func (w *worker) close() {
	if w.body != nil {
		w.body.Close()
		w.body = nil
	}
}
