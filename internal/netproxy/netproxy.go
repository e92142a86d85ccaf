// Package netproxy is a bad network: a TCP proxy that holds connections back,
// delays them and cuts them, and counts what it lets through.
//
//	p, err := netproxy.Start(ctx, "127.0.0.1:5000", netproxy.Options{Rate: 100e6})
//	…                          // talk to p.Addr() instead
//	p.Close()
//	fmt.Println(p.Passed())    // bytes that went to clients
//
// It is meant for downloads: limits, cuts and counts are of what goes to the
// client. Where nothing needs to look at the bytes, they stay in the kernel
// (splice), and so the proxy takes little of the processor that it shares with
// what is measured.
package netproxy

import (
	"cmp"
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// chunk is what passes between two looks at limits and counters.
const chunk = 256 << 10

// Options say what is wrong with the network. The zero value is a good one.
type Options struct {
	// Rate is how many bytes a second go to the client on each connection, 0 for
	// no limit.
	Rate int64

	// Delay is how long everything is on its way, in each direction. A new
	// connection is there at once.
	Delay time.Duration

	// Cuts end connections, each cut one of them.
	Cuts []Cut
}

// Cut ends the connection that has a certain byte to carry. That byte is lost.
type Cut struct {
	// After is how many bytes go to clients before, on all connections since the
	// proxy was started. It is exact if one connection moves; each further one may
	// let a chunk of 256 KiB pass.
	After int64

	// Reset ends the connection with a TCP reset. What the client was sent and did
	// not get yet may be lost with it. Otherwise it is closed in good order.
	Reset bool
}

// Proxy passes connections on until its context ends or it is closed.
type Proxy struct {
	listener net.Listener
	upstream string
	options  Options
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu       sync.Mutex
	changed  sync.Cond // one of those below did
	passed   int64
	accepted int
	open     int
	cuts     []Cut // that are still to come, in order
}

// Start listens on a free port of the loopback interface.
func Start(ctx context.Context, upstream string, o Options) (*Proxy, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return Serve(ctx, l, upstream, o), nil
}

// Serve passes what l accepts on to the address upstream. It closes l at the
// end.
func Serve(ctx context.Context, l net.Listener, upstream string, o Options) *Proxy {
	ctx, cancel := context.WithCancel(ctx)
	p := &Proxy{listener: l, upstream: upstream, options: o, cancel: cancel}
	p.changed.L = &p.mu
	p.cuts = slices.SortedFunc(slices.Values(o.Cuts), func(a, b Cut) int { return cmp.Compare(a.After, b.After) })
	context.AfterFunc(ctx, func() { l.Close() })
	p.running.Go(func() { p.accept(ctx) })
	return p
}

// Addr is the host and port to talk to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close cuts all connections and returns when nothing is left of the proxy.
// The counters can still be read.
func (p *Proxy) Close() {
	p.cancel()
	p.running.Wait()
}

// Passed is how many bytes went to clients, to within a chunk of 256 KiB on
// each connection that is still open.
func (p *Proxy) Passed() int64 { return locked(p, func() int64 { return p.passed }) }

// Accepted is how many connections there were.
func (p *Proxy) Accepted() int { return locked(p, func() int { return p.accepted }) }

// CutsLeft is how many cuts did not happen yet.
func (p *Proxy) CutsLeft() int { return locked(p, func() int { return len(p.cuts) }) }

func locked[T any](p *Proxy, get func() T) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	return get()
}

// WaitPassed returns when so many bytes have passed.
func (p *Proxy) WaitPassed(ctx context.Context, n int64) error {
	return p.wait(ctx, func() bool { return p.passed >= n })
}

// WaitIdle returns when no connection is open. Then [Proxy.Passed] is exact.
func (p *Proxy) WaitIdle(ctx context.Context) error {
	return p.wait(ctx, func() bool { return p.open == 0 })
}

func (p *Proxy) wait(ctx context.Context, done func() bool) error {
	stop := context.AfterFunc(ctx, func() { p.update(func() {}) })
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !done() {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.changed.Wait()
	}
	return nil
}

func (p *Proxy) update(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

func (p *Proxy) accept(ctx context.Context) {
	defer p.listener.Close()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.update(func() { p.accepted++; p.open++ })
		p.running.Go(func() {
			defer p.update(func() { p.open-- })
			p.connect(ctx, client)
		})
	}
}

// connect is the life of one connection.
func (p *Proxy) connect(ctx context.Context, client net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer client.Close()
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", p.upstream)
	if err != nil {
		return
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() { client.Close(); server.Close() })
	defer stop()
	var up sync.WaitGroup
	up.Go(func() {
		if _, err := io.Copy(server, p.delayed(ctx, client)); err != nil {
			cancel() // the client is gone
			return
		}
		closeWrite(server)
	})
	p.download(ctx, client, p.delayed(ctx, server))
	cancel()
	up.Wait()
}

// download copies to the client until either side ends, or a cut does.
func (p *Proxy) download(ctx context.Context, client net.Conn, server io.Reader) {
	pace := pacer{rate: p.options.Rate}
	for {
		n, more := p.passSome(client, server)
		if !more || pace.wait(ctx, n) != nil {
			return
		}
	}
}

// passSome passes up to a chunk, and says whether the connection goes on.
func (p *Proxy) passSome(client net.Conn, server io.Reader) (int64, bool) {
	if p.nextCut() <= chunk {
		return p.passWatched(client, server)
	}
	n, err := io.CopyN(client, server, chunk)
	p.update(func() { p.passed += n })
	return n, err == nil
}

// nextCut is how far away it is.
func (p *Proxy) nextCut() int64 {
	return locked(p, func() int64 {
		if len(p.cuts) == 0 {
			return chunk + 1
		}
		return p.cuts[0].After - p.passed
	})
}

// passWatched passes what there is, and no byte beyond the next cut.
func (p *Proxy) passWatched(client net.Conn, server io.Reader) (int64, bool) {
	buf := make([]byte, 32<<10)
	n, err := server.Read(buf)
	n, cut := p.take(n)
	if _, writeErr := client.Write(buf[:n]); writeErr != nil || err != nil {
		return int64(n), false
	}
	if cut != nil && cut.Reset {
		reset(client)
	}
	return int64(n), cut == nil
}

// take counts up to n bytes, and returns how many of them may pass before a
// cut, if one keeps back the rest.
func (p *Proxy) take(n int) (int, *Cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.changed.Broadcast()
	if n == 0 || len(p.cuts) == 0 || p.passed+int64(n) <= p.cuts[0].After {
		p.passed += int64(n)
		return n, nil
	}
	cut := p.cuts[0]
	p.cuts = p.cuts[1:]
	before := max(0, cut.After-p.passed)
	p.passed += before
	return int(before), &cut
}

// reset has the connection reset when it is closed.
func reset(c net.Conn) {
	if c, ok := c.(interface{ SetLinger(sec int) error }); ok {
		c.SetLinger(0)
	}
}

// closeWrite tells the other side that nothing more will come.
func closeWrite(c net.Conn) {
	if c, ok := c.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
}
