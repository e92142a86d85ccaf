package registry

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"sync"
	"time"
)

// maxHeader is how much of a header is read, of each connection.
const maxHeader = 256 << 10

// pools keeps connections. Servers that have settings of their own have
// connections of their own, so that no other server sees any of that.
type pools struct {
	common *http.Transport

	mu    sync.RWMutex
	hosts map[string]*pool // by origin
}

// pool is what one server gets.
type pool struct {
	settings    Host
	connections *http.Transport
}

// newPools makes the pools of a client that has these options.
func newPools(o Options) (*pools, error) {
	proxy, err := proxyFunc(o.Proxy)
	if err != nil {
		return nil, err
	}
	config, err := o.TLS.config(&tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.Insecure})
	if err != nil {
		return nil, err
	}
	common := http.DefaultTransport.(*http.Transport).Clone()
	common.DialContext = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	common.TLSHandshakeTimeout = tlsTimeout
	common.ResponseHeaderTimeout = answerTimeout
	common.MaxIdleConnsPerHost = 64
	common.MaxResponseHeaderBytes = maxHeader
	common.DisableCompression = true // blobs are what they are
	common.ForceAttemptHTTP2 = false // one congestion window for all blobs is slower
	common.Protocols = new(http.Protocols)
	common.Protocols.SetHTTP1(true)
	common.Proxy, common.OnProxyConnectResponse = proxy, checkTunnel
	common.TLSClientConfig = config
	return &pools{common: common, hosts: map[string]*pool{}}, nil
}

// configure makes the settings of h those of its server, for all requests from
// now on. The same settings again change nothing.
func (p *pools) configure(h Host) error {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" {
		return fmt.Errorf("host %q: its URL is not one", printable(h.URL))
	}
	origin := canonical(u)
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.hosts[origin]
	if old != nil && sameSettings(old.settings, h) {
		return nil
	}
	connections, err := p.connectionsFor(h)
	if err != nil {
		return fmt.Errorf("host %s: %w", printable(u.Host), err)
	}
	h.Header = h.Header.Clone()
	p.hosts[origin] = &pool{settings: h, connections: connections}
	if old != nil && old.connections != p.common {
		old.connections.CloseIdleConnections()
	}
	return nil
}

// connectionsFor makes connections that follow the settings of h, or shares the
// common ones if it has none that matter to a connection.
func (p *pools) connectionsFor(h Host) (*http.Transport, error) {
	files := h.tlsFiles()
	if files.none() {
		return p.common, nil
	}
	config, err := files.config(p.common.TLSClientConfig)
	if err != nil {
		return nil, err
	}
	connections := p.common.Clone()
	connections.TLSClientConfig = config
	return connections, nil
}

func (h Host) tlsFiles() TLSFiles {
	return TLSFiles{CA: h.CA, Client: h.Client, SkipVerify: h.SkipVerify}
}

// sameSettings compares what matters here.
func sameSettings(a, b Host) bool {
	return reflect.DeepEqual(a.tlsFiles(), b.tlsFiles()) && reflect.DeepEqual(a.Header, b.Header)
}

func (p *pools) of(u *url.URL) *pool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.hosts[canonical(u)]
}

func (p *pools) RoundTrip(req *http.Request) (*http.Response, error) {
	pool := p.of(req.URL)
	if pool == nil {
		return p.common.RoundTrip(req)
	}
	return pool.connections.RoundTrip(pool.dress(req))
}

// dress adds the headers of the server. What is set already stays, and what
// decides about the bytes that come back is not the server's to say.
func (p *pool) dress(req *http.Request) *http.Request {
	if len(p.settings.Header) == 0 {
		return req
	}
	dressed := req.Clone(req.Context())
	for name, values := range p.settings.Header {
		key := http.CanonicalHeaderKey(name)
		if _, ours := dressed.Header[key]; !ours && key != "Range" && key != "Accept-Encoding" {
			dressed.Header[key] = values
		}
	}
	return dressed
}

func (p *pools) CloseIdleConnections() {
	p.mu.RLock()
	defer p.mu.RUnlock()
	p.common.CloseIdleConnections()
	for _, pool := range p.hosts {
		pool.connections.CloseIdleConnections()
	}
}
