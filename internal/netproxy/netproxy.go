// Package netproxy is a bad network: a TCP proxy that holds connections back,
// delays them and cuts them, and counts what it lets through.
//
//	p, err := netproxy.Start(ctx, "127.0.0.1:5000", netproxy.Options{Rate: 100e6})
//	…                          // talk to p.Addr() instead
//	p.Close()
//	fmt.Println(p.Passed())    // bytes that went to clients
//
// Limits, cuts and counts are of what goes to the client, or with [Options.Up] of
// what comes from it. Where nothing needs to look at the bytes, they stay in the
// kernel (splice), and so the proxy takes little of the processor that it shares
// with what is measured.
package netproxy

import (
	"cmp"
	"context"
	"errors"
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
	// Up has limits, cuts and counts be of what goes to the server. All that is
	// said below of bytes to clients is then said of those.
	Up bool

	// Tunnel has clients say where they want to go, as those of an HTTP proxy do:
	// by CONNECT, or in the address of their first request. There is no server to
	// name at the start then. A connection stays with the host that it asked for.
	Tunnel bool

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

	// Reset ends the connection with a TCP reset to the client. What the client was
	// sent and did not get yet may be lost with it. Otherwise it is closed in good
	// order.
	Reset bool

	// Hold lets the connection stand still until the proxy is closed, instead of
	// ending it.
	Hold bool
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

// Passed is how many bytes went to clients, or with [Options.Up] to servers, to
// within a chunk of 256 KiB on each connection that is still open.
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
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	server, fromClient, err := p.dial(ctx, client)
	if err != nil {
		return
	}
	defer server.Close()
	stopServer := context.AfterFunc(ctx, func() { server.Close() })
	defer stopServer()
	var up sync.WaitGroup
	up.Go(func() {
		if !p.carry(ctx, client, server, p.delayed(ctx, fromClient), p.options.Up) {
			cancel() // the client is gone
			return
		}
		closeWrite(server)
	})
	p.carry(ctx, client, client, p.delayed(ctx, server), !p.options.Up)
	cancel()
	up.Wait()
}

// dial connects to where the client wants to go, and returns what it says there.
func (p *Proxy) dial(ctx context.Context, client net.Conn) (server net.Conn, from io.Reader, err error) {
	upstream, from := p.upstream, io.Reader(client)
	if p.options.Tunnel {
		if upstream, from, err = asked(client); err != nil {
			return nil, nil, err
		}
	}
	var d net.Dialer
	server, err = d.DialContext(ctx, "tcp", upstream)
	return server, from, err
}

// carry copies one way until src ends well, or anything else happens. It says
// which. Only if watched it is subject to limits, cuts and counts.
func (p *Proxy) carry(ctx context.Context, client, dst net.Conn, src io.Reader, watched bool) (ended bool) {
	if !watched {
		_, err := io.Copy(dst, src)
		return err == nil
	}
	pace := pacer{rate: p.options.Rate}
	for {
		n, err := p.passSome(ctx, client, dst, src)
		if err != nil {
			return err == io.EOF
		}
		if pace.wait(ctx, n) != nil {
			return false
		}
	}
}

// passSome passes up to a chunk. An error ends the connection, or at [io.EOF] this
// direction.
func (p *Proxy) passSome(ctx context.Context, client, dst net.Conn, src io.Reader) (int64, error) {
	if p.nextCut() <= chunk {
		return p.passWatched(ctx, client, dst, src)
	}
	n, err := io.CopyN(dst, src, chunk)
	p.update(func() { p.passed += n })
	return n, err
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

var errCut = errors.New("cut")

// passWatched passes what there is, and no byte beyond the next cut.
func (p *Proxy) passWatched(ctx context.Context, client, dst net.Conn, src io.Reader) (int64, error) {
	buf := make([]byte, 32<<10)
	n, err := src.Read(buf)
	n, cut := p.take(n)
	if _, err := dst.Write(buf[:n]); err != nil {
		return int64(n), errCut // and not by us
	}
	if cut == nil {
		return int64(n), err
	}
	if cut.Hold {
		<-ctx.Done()
	}
	if cut.Reset {
		reset(client)
	}
	return int64(n), errCut
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
