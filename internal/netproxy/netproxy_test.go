package netproxy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/tareml/tare/internal/netproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const size = 1 << 20

// serve sends data to whoever connects and closes its half; then it waits for
// the client to do the same.
func serve(t *testing.T, data []byte) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				c.Write(data)
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String()
}

func noise(n int) []byte {
	data := make([]byte, n)
	rand.Read(data)
	return data
}

func start(t *testing.T, upstream string, o netproxy.Options) *netproxy.Proxy {
	t.Helper()
	p, err := netproxy.Start(t.Context(), upstream, o)
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

// get reads all that comes from a new connection.
func get(t *testing.T, p *netproxy.Proxy) ([]byte, error) {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return io.ReadAll(c)
}

func dial(t *testing.T, p *netproxy.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	must(t, err)
	return c
}

func TestPassesAndCounts(t *testing.T) {
	data := noise(size + 12345)
	p := start(t, serve(t, data), netproxy.Options{})
	for range 2 {
		got, err := get(t, p)
		must(t, err)
		if !bytes.Equal(got, data) {
			t.Fatalf("%d bytes that are not the %d that were sent", len(got), len(data))
		}
	}
	must(t, p.WaitIdle(t.Context()))
	if got, want := p.Passed(), int64(2*len(data)); got != want {
		t.Errorf("%d bytes passed, want %d", got, want)
	}
	if got := p.Accepted(); got != 2 {
		t.Errorf("%d connections, want 2", got)
	}
}

func TestPassesToTheServer(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer echo.Close()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		c, err := echo.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.Copy(c, c)
	})
	c := dial(t, start(t, echo.Addr().String(), netproxy.Options{}))
	defer c.Close()
	running.Go(func() {
		io.WriteString(c, "there and back")
		c.(*net.TCPConn).CloseWrite()
	})
	got, err := io.ReadAll(c)
	if string(got) != "there and back" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestCuts has one connection at a time, so that the place of a cut is exact. A
// chunk is larger than the distance of some of them and smaller than that of
// others.
func TestCuts(t *testing.T) {
	data := noise(size)
	for _, test := range []struct {
		name  string
		after []int64
		want  []int // bytes that each connection gets
	}{
		{"first byte", []int64{0}, []int{0, size}},
		{"second byte", []int64{1}, []int{1, size}},
		{"middle", []int64{size/2 + 7}, []int{size/2 + 7, size}},
		{"last byte", []int64{size - 1}, []int{size - 1, size}},
		{"in no order", []int64{900_000, 100_000, 1_900_001}, []int{100_000, 800_000, 1_000_001, size}},
		{"all at once", []int64{5, 5, 5}, []int{5, 0, 0, size}},
		{"beyond the end", []int64{3 * size}, []int{size, size}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var o netproxy.Options
			for _, n := range test.after {
				o.Cuts = append(o.Cuts, netproxy.Cut{After: n})
			}
			p := start(t, serve(t, data), o)
			var sum int64
			for i, want := range test.want {
				got, err := get(t, p)
				must(t, err)
				if !bytes.Equal(got, data[:want]) {
					t.Errorf("connection %d got %d bytes, want %d", i, len(got), want)
				}
				must(t, p.WaitIdle(t.Context()))
				sum += int64(want)
			}
			if got := p.Passed(); got != sum {
				t.Errorf("%d bytes passed, want %d", got, sum)
			}
		})
	}
}

func TestCutByReset(t *testing.T) {
	p := start(t, serve(t, noise(size)), netproxy.Options{Cuts: []netproxy.Cut{{After: 300_000, Reset: true}}})
	got, err := get(t, p) // the reset may even overtake the answer to the dial
	if !errors.Is(err, syscall.ECONNRESET) || len(got) > 300_000 {
		t.Errorf("%d bytes and %v, want at most 300000 and a reset", len(got), err)
	}
	if left := p.CutsLeft(); left != 0 {
		t.Errorf("%d cuts left", left)
	}
}

// TestCutsAmongMany has connections that move at once: each cut ends one of them.
func TestCutsAmongMany(t *testing.T) {
	data := noise(size)
	p := start(t, serve(t, data), netproxy.Options{Cuts: []netproxy.Cut{{After: size}, {After: 2 * size}, {After: 3 * size}}})
	var whole, short int
	var mu sync.Mutex
	var clients sync.WaitGroup
	for range 6 {
		clients.Go(func() {
			got, err := get(t, p)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil || !bytes.HasPrefix(data, got):
				t.Errorf("%d wrong bytes, %v", len(got), err)
			case len(got) == len(data):
				whole++
			default:
				short++
			}
		})
	}
	clients.Wait()
	if whole != 3 || short != 3 || p.CutsLeft() != 0 {
		t.Errorf("%d whole, %d cut, %d cuts left; want 3, 3, 0", whole, short, p.CutsLeft())
	}
}

func TestWaitPassed(t *testing.T) {
	p := start(t, serve(t, noise(size)), netproxy.Options{})
	c := dial(t, p)
	defer c.Close()
	go io.Copy(io.Discard, c)
	must(t, p.WaitPassed(t.Context(), size/2))
	if got := p.Passed(); got < size/2 {
		t.Errorf("only %d bytes have passed", got)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.WaitPassed(done, 2*size); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// TestEndsWithItsContext leaves a connection open on both sides.
func TestEndsWithItsContext(t *testing.T) {
	for name, o := range map[string]netproxy.Options{"plain": {}, "delayed": {Delay: 1}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			p, err := netproxy.Start(ctx, serve(t, noise(size)), o)
			must(t, err)
			c := dial(t, p)
			defer c.Close()
			must(t, p.WaitPassed(t.Context(), 1))
			cancel()
			must(t, p.WaitIdle(t.Context()))
			if _, err := net.Dial("tcp", p.Addr()); err == nil {
				t.Error("it still accepts connections")
			}
			p.Close() // again does no harm
		})
	}
}

func TestNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l.Close()
	p := start(t, l.Addr().String(), netproxy.Options{})
	if got, _ := get(t, p); len(got) > 0 {
		t.Errorf("got %d bytes from nowhere", len(got))
	}
}

func TestDelayedContentIsTheSame(t *testing.T) {
	data := noise(size)
	p := start(t, serve(t, data), netproxy.Options{Delay: 1, Cuts: []netproxy.Cut{{After: 500_000}}})
	for _, want := range []int{500_000, size} {
		got, err := get(t, p)
		must(t, err)
		if !bytes.Equal(got, data[:want]) {
			t.Errorf("got %d bytes, want %d", len(got), want)
		}
		must(t, p.WaitIdle(t.Context()))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
