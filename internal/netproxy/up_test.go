package netproxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/netproxy"
)

// receive takes what one connection brings, and then answers.
func receive(t *testing.T) (addr string, got chan []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	got = make(chan []byte, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			data, _ := io.ReadAll(c)
			fmt.Fprint(c, len(data))
			c.Close()
			got <- data
		}
	}()
	return l.Addr().String(), got
}

func TestCountsUploads(t *testing.T) {
	data := noise(size + 12345)
	addr, got := receive(t)
	p := start(t, addr, netproxy.Options{Up: true})
	c := dial(t, p)
	defer c.Close()
	c.Write(data)
	c.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(c)
	if string(answer) != fmt.Sprint(len(data)) || err != nil {
		t.Errorf("got %q, %v: the answer comes after all was sent", answer, err)
	}
	if !bytes.Equal(<-got, data) {
		t.Error("something else came out")
	}
	must(t, p.WaitIdle(t.Context()))
	if got := p.Passed(); got != int64(len(data)) {
		t.Errorf("%d bytes passed, want %d", got, len(data))
	}
}

// TestCutsUploads wants the server to get all that is before the cut.
func TestCutsUploads(t *testing.T) {
	data := noise(size)
	for _, after := range []int{0, 1, 300_000, size - 1} {
		for _, reset := range []bool{false, true} {
			addr, got := receive(t)
			p := start(t, addr, netproxy.Options{Up: true, Cuts: []netproxy.Cut{{After: int64(after), Reset: reset}}})
			c := dial(t, p)
			c.Write(data)
			if got := <-got; !bytes.Equal(got, data[:after]) {
				t.Errorf("%d, reset %v: the server got %d bytes", after, reset, len(got))
			}
			c.Close()
			must(t, p.WaitIdle(t.Context()))
			if got := p.Passed(); got != int64(after) || p.CutsLeft() != 0 {
				t.Errorf("%d bytes passed, want %d, and %d cuts left", got, after, p.CutsLeft())
			}
		}
	}
}

// TestHold has a connection that stands still until the proxy is closed.
func TestHold(t *testing.T) {
	data := noise(size)
	addr, got := receive(t)
	p := start(t, addr, netproxy.Options{Up: true, Cuts: []netproxy.Cut{{After: size / 2, Hold: true}}})
	c := dial(t, p)
	defer c.Close()
	go c.Write(data)
	must(t, p.WaitPassed(t.Context(), size/2))
	select {
	case data := <-got:
		t.Errorf("the connection ended after %d bytes", len(data))
	default:
	}
	p.Close()
	if got := <-got; !bytes.Equal(got, data[:size/2]) {
		t.Errorf("the server got %d bytes, want %d", len(got), size/2)
	}
}

// TestTunnel goes to servers that only the client knows, with TLS and without.
func TestTunnel(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Method, " ", r.URL.Path, " ")
		io.Copy(w, r.Body)
	})
	plain, secure := httptest.NewServer(echo), httptest.NewTLSServer(echo)
	defer plain.Close()
	defer secure.Close()
	for _, server := range []*httptest.Server{plain, secure} {
		p := start(t, "", netproxy.Options{Up: true, Tunnel: true})
		transport := server.Client().Transport.(*http.Transport).Clone()
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: p.Addr()})
		client := http.Client{Transport: transport}
		for range 2 {
			resp, err := client.Post(server.URL+"/path", "", strings.NewReader("content"))
			must(t, err)
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(body) != "POST /path content" || err != nil {
				t.Errorf("%s: got %q, %v", server.URL, body, err)
			}
		}
		transport.CloseIdleConnections()
		must(t, p.WaitIdle(t.Context()))
		if p.Accepted() != 1 || p.Passed() < 2*int64(len("content")) {
			t.Errorf("%s: %d connections, %d bytes", server.URL, p.Accepted(), p.Passed())
		}
	}
}

func TestTunnelWantsARequest(t *testing.T) {
	for _, said := range []string{"", "nonsense\r\n\r\n", strings.Repeat("x", 100<<10)} {
		p := start(t, "", netproxy.Options{Tunnel: true})
		c := dial(t, p)
		io.WriteString(c, said)
		c.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(c); len(got) > 0 && !errors.Is(err, io.EOF) {
			t.Errorf("got %q, %v", got, err)
		}
		c.Close()
		must(t, p.WaitIdle(t.Context()))
	}
}
