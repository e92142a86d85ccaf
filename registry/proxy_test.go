package registry

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// tunnelProxy is a proxy that leads everywhere to one server, whatever name was
// asked for.
type tunnelProxy struct {
	target string // host:port
	status int    // instead of a tunnel, if not zero

	mu     sync.Mutex
	asked  []string
	header http.Header // of the last CONNECT
}

func (p *tunnelProxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	p.mu.Lock()
	p.asked, p.header = append(p.asked, req.Method+" "+req.Host), req.Header.Clone()
	p.mu.Unlock()
	if p.status != 0 || req.Method != http.MethodConnect {
		w.WriteHeader(max(p.status, http.StatusOK))
		return
	}
	there, err := net.Dial("tcp", p.target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	w.WriteHeader(http.StatusOK)
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(there, buffered)
		there.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(here, there)
	here.Close()
	<-done
}

func startProxy(t *testing.T, p *tunnelProxy) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(p)
	server.Config.ErrorLog = quiet()
	server.Start()
	t.Cleanup(server.Close)
	return server
}

func TestProxyIsForAllRequests(t *testing.T) {
	server, _ := secureServer(t, status(http.StatusNotFound), "")
	proxy := &tunnelProxy{target: server.Listener.Addr().String()}
	address := startProxy(t, proxy).Listener.Addr().String()
	for _, form := range []string{address, "http://" + address, "http://user:s3cret@" + address} {
		proxy.asked = nil
		client := newTestClient(t, Options{Proxy: form, Insecure: true})
		repo := newTestRepository(t, client, "registry.invalid/x")
		if present, err := repo.has(t.Context(), describe("", nil)); present || err != nil {
			t.Errorf("%s: %v", form, err)
		}
		if len(proxy.asked) != 1 || proxy.asked[0] != "CONNECT registry.invalid:443" {
			t.Errorf("%s: the proxy was asked for %q", form, proxy.asked)
		}
		if hasUser := strings.Contains(form, "@"); (proxy.header.Get("Proxy-Authorization") != "") != hasUser {
			t.Errorf("%s: header %v", form, proxy.header)
		}
		client.Close()
	}
	client := newTestClient(t, Options{Proxy: address, PlainHTTP: true})
	if err := visit(t, client, "http://plain.invalid/"); err != nil || proxy.asked[len(proxy.asked)-1] != "GET plain.invalid" {
		t.Errorf("plain HTTP: %v, asked %q", err, proxy.asked)
	}
}

func TestProxyForHostsWithSettings(t *testing.T) {
	server, ca := secureServer(t, status(http.StatusOK), "")
	proxy := &tunnelProxy{target: server.Listener.Addr().String()}
	client := newTestClient(t, Options{Proxy: startProxy(t, proxy).URL})
	if err := client.pools.configure(Host{URL: server.URL, CA: []string{ca}}); err != nil {
		t.Fatal(err)
	}
	if err := visit(t, client, server.URL); err != nil || len(proxy.asked) != 1 {
		t.Errorf("%v, asked %q", err, proxy.asked)
	}
}

func TestProxyThatRefuses(t *testing.T) {
	for code, test := range map[int]struct {
		attempts int
		hint     string
	}{
		http.StatusProxyAuthRequired: {1, "credentials"},
		http.StatusForbidden:         {1, "NO_PROXY"},
		http.StatusBadGateway:        {maxDialAttempts, ""},
	} {
		proxy := &tunnelProxy{status: code}
		repo := newTestRepository(t, newTestClient(t, Options{Proxy: startProxy(t, proxy).URL}), "registry.invalid/x")
		_, err := repo.has(t.Context(), describe("", nil))
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), http.StatusText(code)) || !strings.Contains(hintOf(err), test.hint) {
			t.Errorf("%d: %v, hint %q", code, err, hintOf(err))
		}
		if len(proxy.asked) != test.attempts {
			t.Errorf("%d: asked %d times, want %d", code, len(proxy.asked), test.attempts)
		}
	}
}

func TestProxyThatIsNotThere(t *testing.T) {
	server := httptest.NewServer(status(http.StatusOK))
	u, _ := url.Parse(server.URL)
	server.Close()
	u.User = url.UserPassword("user", "s3cret")
	repo := newTestRepository(t, newTestClient(t, Options{Proxy: u.String()}), "registry.invalid/x")
	_, err := repo.has(t.Context(), describe("", nil))
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(hintOf(err), "--proxy") || strings.Contains(err.Error()+hintOf(err), "s3cret") {
		t.Errorf("%v, hint %q", err, hintOf(err))
	}
}
