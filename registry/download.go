package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/blob"
)

// grain is the sizes in which a download is done.
type grain struct {
	// buffer is what is hashed and written at once.
	buffer int64

	// saveEvery is how much of what one connection brings a crash may cost.
	saveEvery int64

	// window is how far connections may be ahead of the hash. What is in there is
	// read again to be hashed, while the system still has it in memory.
	window int64

	// maxPart is the most that one of several connections asks for at a time, and
	// minPart the least.
	minPart, maxPart int64

	// start is how many connections to begin with, and most how many there may be.
	start, most int
}

func newGrain() grain {
	return grain{buffer: 256 << 10, saveEvery: 4 << 20, window: 128 << 20, minPart: 8 << 20, maxPart: 16 << 20, start: 1, most: maxPerBlob}
}

// partEnd is where the part that begins at start ends, such that so many
// connections fit into the window twice. Parts end at multiples of their size.
//
// No part is shorter than half a size: it would be a crumb.
func (g grain) partEnd(start int64, connections int) int64 {
	size := min(max(g.minPart, g.window/int64(2*max(1, connections))), g.maxPart)
	return (start + size*3/2) / size * size
}

// Download fills sink with the content of desc and proves it. It begins where
// the state in the sink says that an earlier attempt stopped, and leaves such a
// state behind when it fails. Content that turns out to be wrong is fetched
// once more from the start, from the registry itself.
//
// A sink that has a method Allocate(size int64) error is told the size once the
// registry confirmed it, before the first byte.
//
// Report may be nil. It is called from several goroutines, with how many more
// bytes were moved into the sink (safe), and were there before (resumed). Fewer
// than zero are bytes that were wrong.
func (r *Repository) Download(ctx context.Context, desc ocispec.Descriptor, sink blob.Sink, report func(safe, resumed int64)) (blob.Proof, error) {
	if report == nil {
		report = func(int64, int64) {}
	}
	proof, err := r.download(ctx, desc, sink, report)
	if err != nil {
		return blob.Proof{}, r.pulling(desc, err)
	}
	return proof, nil
}

// download is Download without words around its errors.
func (r *Repository) download(ctx context.Context, desc ocispec.Descriptor, sink blob.Sink, report func(safe, resumed int64)) (blob.Proof, error) {
	d, err := r.newDownload(desc, sink, report)
	if err != nil {
		return blob.Proof{}, err
	}
	for again := false; ; again = true {
		proof, err := d.finish(ctx)
		if !errors.Is(err, errWrong) {
			return proof, err
		}
		if forgetErr := d.forget(); again || forgetErr != nil {
			return blob.Proof{}, errors.Join(err, forgetErr)
		}
		// Perhaps it was what was resumed from, or a mirror, or the ranges.
		if err := d.restart(); err != nil {
			return blob.Proof{}, err
		}
	}
}

// errWrong says that all bytes came and were the wrong ones, or that those of an
// earlier attempt are gone.
var errWrong = errors.New("wrong content")

// download is one blob on its way into a sink. Workers, a connection each, write
// the bytes; they are hashed in their order, by the worker that wrote them while
// they are in its buffer, or, if they came before their time, from the sink.
type download struct {
	grain
	desc   ocispec.Descriptor
	sink   blob.Sink
	supply *supply
	client *Client
	report func(safe, resumed int64)

	saving sync.Mutex // held while the state is saved

	mu       sync.Mutex
	changed  sync.Cond
	verifier *blob.Verifier // of whoever set hashing
	hashing  bool
	savers   int     // wait for the hash, and come first
	hashed   int64   // bytes from the start
	written  extents // to the sink
	taken    extents // written, or claimed by a worker
	claims   int
	moved    int64 // reported
	resumed  int64 // reported

	workers   int
	scaler    scaler
	whole     bool    // ranges do not work
	lone      *worker // the only one that may work then
	connected bool    // once
	allocated bool
}

// newDownload goes on from the state in sink, or starts anew if it finds none
// that it can use.
func (r *Repository) newDownload(desc ocispec.Descriptor, sink blob.Sink, report func(safe, resumed int64)) (*download, error) {
	verifier, err := blob.NewVerifier(desc)
	if err != nil {
		return nil, err
	}
	supply, err := r.supply(desc)
	if err != nil {
		return nil, err
	}
	d := &download{grain: r.client.grain, desc: desc, sink: sink, supply: supply, client: r.client, report: report, verifier: verifier}
	d.changed.L = &d.mu
	d.scaler = newScaler(d.start, max(1, min(d.most, int(desc.Size/d.minPart))))
	d.whole = r.client.onlyWhole(supply.first())
	return d, d.resume()
}

// finish brings in what is missing and proves it. How far it came is saved if it
// fails.
func (d *download) finish(ctx context.Context) (blob.Proof, error) {
	if err := d.transfer(ctx); err != nil {
		_ = d.save() // what was saved before is good too, and err comes first
		return blob.Proof{}, err
	}
	proof, err := d.verifier.Proof()
	if err != nil {
		return blob.Proof{}, &wrongError{err}
	}
	return proof, nil
}

// transfer has workers write, and itself hashes what they do not.
func (d *download) transfer(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, d.wake)()
	if err := d.client.slots.acquire(ctx); err != nil {
		return err
	}
	d.workers = 1
	var hire func()
	hire = func() {
		g.Go(func() error {
			defer d.client.slots.release()
			return newWorker(d, hire).run(ctx)
		})
	}
	hire()
	g.Go(func() error { return d.hashBehind(ctx) })
	return g.Wait()
}

func (d *download) wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changed.Broadcast()
}

// hashBehind hashes, from the sink, what was written before its time.
func (d *download) hashBehind(ctx context.Context) error {
	var buf []byte
	for {
		next, err := d.unhashed(ctx)
		if err != nil || next.size() == 0 {
			return err
		}
		if buf == nil {
			buf = make([]byte, d.buffer)
		}
		n, err := d.sink.ReadAt(buf[:min(next.size(), d.buffer)], next.Start)
		if n == 0 {
			d.unhash()
			err = fmt.Errorf("reading back byte %d: %w", next.Start, err)
			if errors.Is(err, io.EOF) { // somebody cut it off
				err = &wrongError{err}
			}
			return err
		}
		if err := d.hash(buf[:n]); err != nil {
			return err
		}
	}
}

// unhashed waits for bytes that nobody else will hash, and takes the hash. It is
// empty at the end.
func (d *download) unhashed(ctx context.Context) (extent, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		next := extent{d.hashed, d.written.reach(d.hashed)}
		switch {
		case ctx.Err() != nil:
			return extent{}, ctx.Err()
		case d.hashed == d.desc.Size:
			return extent{}, nil
		case !d.hashing && d.savers == 0 && next.size() > 0:
			d.hashing = true
			return next, nil
		}
		d.changed.Wait()
	}
}

// hash hashes the bytes that come next. The caller has set hashing.
func (d *download) hash(p []byte) error {
	_, err := d.verifier.Write(p)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hashing = false
	d.hashed += int64(len(p))
	d.changed.Broadcast()
	return err
}

// unhash gives the hash back unchanged.
func (d *download) unhash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hashing = false
	d.changed.Broadcast()
}

// claim is the bytes that one worker is at: from pos up to end.
type claim struct{ pos, end int64 }

// claim gives w something to do, nil if there is nothing (more) for it.
func (d *download) claim(ctx context.Context, w *worker) (*claim, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		// What is first is next: the hash waits for it.
		gap := d.taken.gap(0, d.desc.Size)
		if gap.size() == 0 || d.superfluous(w) {
			d.workers--
			d.changed.Broadcast()
			return nil, nil
		}
		if c, ok := d.take(gap); ok {
			return c, nil
		}
		d.changed.Wait()
	}
}

// superfluous says whether w should go.
func (d *download) superfluous(w *worker) bool {
	if d.whole && d.lone == nil {
		d.lone = w
	}
	if d.whole {
		return d.lone != w
	}
	return d.workers > 1 && (d.workers > d.scaler.wanted || d.client.slots.over())
}

// take claims the gap. If there are others it is the part at its start, and only
// if that is in the window: then whoever has a claim can always go on, and what
// somebody gives back is never out of reach. A stream that cannot go back waits
// until nobody is left who might give back anything.
func (d *download) take(gap extent) (*claim, bool) {
	if d.whole && d.claims > 0 {
		return nil, false
	}
	if d.workers > 1 && !d.whole {
		gap.End = min(gap.End, d.partEnd(gap.Start, d.scaler.wanted))
		if gap.End > d.hashed+d.window {
			d.scaler.hold()
			return nil, false
		}
	}
	d.claims++
	d.taken = d.taken.add(gap)
	return &claim{gap.Start, gap.End}, true
}

// release gives back what is left of c.
func (d *download) release(c *claim) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.claims--
	d.taken = d.taken.remove(extent{c.pos, c.end})
	d.changed.Broadcast()
}

// await waits until c, the claim of a single worker, is not too far ahead of the
// hash.
func (d *download) await(ctx context.Context, c *claim) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c.pos >= d.hashed+d.window && ctx.Err() == nil {
		d.scaler.hold()
		d.changed.Wait()
	}
	return ctx.Err()
}

// scale hires as many workers as c's bytes give reason to, and leaves them work.
func (d *download) scale(c *claim, n int64, hire func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.scaler.observe(now, n)
	if d.whole || d.workers >= d.scaler.wanted {
		return
	}
	end := d.partEnd(c.pos, d.scaler.wanted)
	if end >= c.end && d.taken.gap(0, d.desc.Size).size() == 0 {
		return // there is nothing to share
	}
	for d.workers < d.scaler.wanted && d.client.slots.tryAcquire() {
		d.workers++
		hire()
	}
	d.scaler.limit(now, d.workers)
	if end = d.partEnd(c.pos, d.scaler.wanted); end < c.end {
		d.taken = d.taken.remove(extent{end, c.end})
		c.end = end
	}
}

// joined tells the scaler of the first byte of a worker.
func (d *download) joined(after time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.connected = true
	d.scaler.joined(time.Now(), after)
}

// dismiss lets w go, which is in trouble, if it is not the last one, nor the only
// one that may work.
func (d *download) dismiss(w *worker) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.workers == 1 || d.lone == w {
		return false
	}
	d.workers--
	d.scaler.limit(time.Now(), d.workers)
	return true
}

// put writes p where c is, and hashes it if its time has come.
func (d *download) put(c *claim, p []byte) error {
	if _, err := d.sink.WriteAt(p, c.pos); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	mine := d.wrote(c, int64(len(p)))
	d.report(int64(len(p)), 0)
	if mine {
		return d.hash(p)
	}
	return nil
}

// wrote notes that c moved on by n bytes, and says whether the caller has to hash
// them.
func (d *download) wrote(c *claim, n int64) (mine bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	mine = !d.hashing && d.savers == 0 && d.hashed == c.pos
	d.hashing = d.hashing || mine
	d.written = d.written.add(extent{c.pos, c.pos + n})
	c.pos += n
	d.moved += n
	if !mine {
		d.changed.Broadcast()
	}
	return mine
}

// allocate reserves the space, once.
func (d *download) allocate() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	sink, ok := d.sink.(interface{ Allocate(size int64) error })
	if d.allocated || !ok {
		return nil
	}
	d.allocated = true
	if err := sink.Allocate(d.desc.Size); err != nil {
		return fmt.Errorf("making room for %d bytes: %w", d.desc.Size, err)
	}
	return nil
}

// goAlone makes w the only worker, unless another is: it asked host for a range
// and did not get it. It is false if w was alone already.
func (d *download) goAlone(w *worker, host string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lone == w {
		return false
	}
	if !d.whole {
		d.whole, d.lone = true, w
		d.client.servesWhole(host)
		d.changed.Broadcast()
	}
	return true
}

// begun says whether the blob was ever seen to be there.
func (d *download) begun() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.connected
}

// wrongError is content that is wrong.
type wrongError struct{ error }

func (e *wrongError) Unwrap() []error { return []error{errWrong, e.error} }

func (d *download) isLone(w *worker) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lone == w
}
