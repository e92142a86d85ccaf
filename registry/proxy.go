package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// proxySchemes are the kinds of proxies that net/http knows.
func proxySchemes() []string { return []string{"http", "https", "socks5", "socks5h"} }

// proxyFunc finds the proxy of a request: this one, or the one that the
// environment names if this is empty.
func proxyFunc(proxy string) (func(*http.Request) (*url.URL, error), error) {
	if proxy == "" {
		return http.ProxyFromEnvironment, nil
	}
	if !strings.Contains(proxy, "://") {
		proxy = "http://" + proxy
	}
	u, err := url.Parse(proxy)
	if err != nil || u.Hostname() == "" || !slices.Contains(proxySchemes(), u.Scheme) {
		// What cannot be read is not shown either: it may have a password in it.
		return nil, hinted(errors.New("the proxy's address is not a URL"),
			"it looks like http://proxy.example.com:3128, with "+strings.Join(proxySchemes(), ", ")+" in front")
	}
	return http.ProxyURL(u), nil
}

// proxyError is the answer of a proxy that did not open a tunnel.
type proxyError int

func (e proxyError) Error() string {
	return fmt.Sprintf("the proxy opened no connection: status %d %s", int(e), http.StatusText(int(e)))
}

// checkTunnel is called with the answer of a proxy to CONNECT.
func checkTunnel(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return proxyError(resp.StatusCode)
	}
	return nil
}

// passing says whether the proxy may think better of it.
func (e proxyError) passing() bool {
	return e == http.StatusTooManyRequests || e == http.StatusBadGateway ||
		e == http.StatusServiceUnavailable || e == http.StatusGatewayTimeout
}

func (e proxyError) hint() string {
	switch e {
	case http.StatusProxyAuthRequired:
		return "the proxy wants credentials: name it as http://USER:PASSWORD@HOST:PORT"
	case http.StatusForbidden, http.StatusMethodNotAllowed:
		return "the proxy does not let this connection through: NO_PROXY lists the hosts to go to directly"
	}
	return ""
}

// Share gives t, which is for something that is no registry, the proxy of o and
// the authorities that o trusts. The services by which machines in a cloud tell
// who they are, and this machine itself, are never asked through a proxy.
func (o Options) Share(t *http.Transport) error {
	proxy, err := proxyFunc(o.Proxy)
	if err != nil {
		return err
	}
	if len(o.TLS.CA) > 0 {
		base := t.TLSClientConfig
		if base == nil {
			base = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if t.TLSClientConfig, err = (TLSFiles{CA: o.TLS.CA}).config(base); err != nil {
			return err
		}
	}
	t.Proxy = func(req *http.Request) (*url.URL, error) {
		if nearby(req.URL.Hostname()) {
			return nil, nil
		}
		return proxy(req)
	}
	return nil
}

// nearby says whether host is this machine, or a service of the cloud that it
// runs in.
func nearby(host string) bool {
	addr, err := netip.ParseAddr(host)
	cloud := netip.MustParsePrefix("fd00:ec2::/32")
	return loopback(host) || err == nil && (addr.IsLinkLocalUnicast() || cloud.Contains(addr))
}
