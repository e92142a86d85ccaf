package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// secureServer speaks TLS with a certificate of its own, and asks clients for one
// if clientCA names whom it trusts.
func secureServer(t *testing.T, handler http.Handler, clientCA string) (server *httptest.Server, caFile string) {
	t.Helper()
	certFile, keyFile := certificate(t)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	server = httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = quiet()
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	if clientCA != "" {
		server.TLS.ClientAuth, server.TLS.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		data, err := os.ReadFile(clientCA)
		if err != nil || !server.TLS.ClientCAs.AppendCertsFromPEM(data) {
			t.Fatalf("%s: %v", clientCA, err)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, certFile
}

// visit sends a GET through all of a client but its credentials.
func visit(t *testing.T, c *Client, url string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.auth.Client.Do(req)
	if err == nil {
		discard(resp)
	}
	return err
}

func TestAuthoritiesAreTrusted(t *testing.T) {
	server, ca := secureServer(t, status(http.StatusOK), "")
	_, other := secureServer(t, status(http.StatusOK), "")
	for name, test := range map[string]struct {
		files   []string
		trusted bool
	}{
		"its own": {[]string{ca}, true}, "among others": {[]string{other, ca}, true}, "another": {[]string{other}, false}, "none": {nil, false},
	} {
		err := visit(t, newTestClient(t, Options{TLS: TLSFiles{CA: test.files}}), server.URL)
		if (err == nil) != test.trusted || err != nil && !untrusted(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClientCertificateIsShown(t *testing.T) {
	cert, key := certificate(t)
	server, ca := secureServer(t, status(http.StatusOK), cert)
	known := TLSFiles{CA: []string{ca}, Client: [][2]string{{cert, key}}}
	if err := visit(t, newTestClient(t, Options{TLS: known}), server.URL); err != nil {
		t.Error(err)
	}
	both := filepath.Join(t.TempDir(), "both.pem")
	certData, _ := os.ReadFile(cert)
	keyData, _ := os.ReadFile(key)
	if err := os.WriteFile(both, slices.Concat(certData, keyData), 0o600); err != nil {
		t.Fatal(err)
	}
	known.Client = [][2]string{{both, ""}}
	if err := visit(t, newTestClient(t, Options{TLS: known}), server.URL); err != nil {
		t.Errorf("with both in one file: %v", err)
	}

	repo := newTestRepository(t, newTestClient(t, Options{TLS: TLSFiles{CA: []string{ca}}}), server.Listener.Addr().String()+"/x")
	_, _, err := repo.Manifest(t.Context(), repo.ref)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(hintOf(err), "--cert-file") {
		t.Errorf("without: %v, hint %q", err, hintOf(err))
	}
}

func TestBadOptionsSayWhatIsWrong(t *testing.T) {
	cert, key := certificate(t)
	_, otherKey := certificate(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for _, test := range []struct {
		options Options
		named   string
	}{
		{Options{TLS: TLSFiles{CA: []string{cert, missing}}}, missing},
		{Options{TLS: TLSFiles{CA: []string{empty}}}, empty},
		{Options{TLS: TLSFiles{CA: []string{key}}}, key},
		{Options{TLS: TLSFiles{Client: [][2]string{{cert, missing}}}}, missing},
		{Options{TLS: TLSFiles{Client: [][2]string{{cert, otherKey}}}}, otherKey},
		{Options{Proxy: "http://user:s3cret@exa mple"}, "proxy"},
		{Options{Proxy: "ftp://user:s3cret@example.com"}, "proxy"},
		{Options{Proxy: "http://"}, "proxy"},
	} {
		client, err := NewClient(test.options)
		if err == nil || client != nil || !strings.Contains(err.Error(), test.named) || hintOf(err) == "" || strings.Contains(err.Error()+hintOf(err), "s3cret") {
			t.Errorf("%+v: %v, hint %q", test.options, err, hintOf(err))
		}
	}
}

func TestHostSettingsAreForThatHost(t *testing.T) {
	seen := &elsewhere{next: status(http.StatusOK)}
	mirror, ca := secureServer(t, seen, "")
	other, _ := secureServer(t, status(http.StatusOK), "")
	client := newTestClient(t, Options{})
	host := Host{URL: mirror.URL + "/v2", CA: []string{ca}, Header: http.Header{"x-mirror": {"s3cret"}}}
	if err := client.pools.configure(host); err != nil {
		t.Fatal(err)
	}
	if err := visit(t, client, mirror.URL); err != nil {
		t.Error(err)
	}
	if len(seen.headers) != 1 || seen.headers[0].Get("X-Mirror") != "s3cret" {
		t.Errorf("the mirror has seen %v", seen.headers)
	}
	if err := visit(t, client, other.URL); !untrusted(err) {
		t.Errorf("another host: %v", err)
	}
	if err := client.pools.configure(Host{URL: other.URL, SkipVerify: true}); err != nil {
		t.Fatal(err)
	}
	if err := visit(t, client, other.URL); err != nil {
		t.Errorf("without verification: %v", err)
	}
	if err := client.pools.configure(Host{URL: mirror.URL}); err != nil {
		t.Fatal(err)
	}
	if err := visit(t, client, mirror.URL); !untrusted(err) {
		t.Errorf("the mirror, its settings gone: %v", err)
	}
}

func TestHostSettingsThatAreBad(t *testing.T) {
	client := newTestClient(t, Options{})
	for _, h := range []Host{{URL: "://"}, {URL: "x"}, {URL: "https://a", CA: []string{"missing.pem"}}} {
		if err := client.pools.configure(h); err == nil {
			t.Errorf("%+v was taken", h)
		}
	}
}

func TestHostHeadersOverwriteNothing(t *testing.T) {
	mine := &elsewhere{next: status(http.StatusOK)}
	server := httptest.NewServer(mine)
	defer server.Close()
	client := newTestClient(t, Options{UserAgent: "tare/1"})
	header := http.Header{"Authorization": {"Basic theirs"}, "range": {"bytes=7-"}, "user-agent": {"theirs"}, "Accept-Encoding": {"gzip"}, "X-More": {"a", "b"}}
	if err := client.pools.configure(Host{URL: server.URL, Header: header}); err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	req.Header.Set("Authorization", "Bearer ours")
	req.Header.Set("Range", "bytes=0-")
	resp, err := client.auth.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	discard(resp)
	if err := visit(t, client, server.URL); err != nil {
		t.Fatal(err)
	}
	for i, want := range []http.Header{
		{"Authorization": {"Bearer ours"}, "Range": {"bytes=0-"}, "User-Agent": {"tare/1"}, "X-More": {"a", "b"}},
		{"Authorization": {"Basic theirs"}, "User-Agent": {"tare/1"}, "X-More": {"a", "b"}},
	} {
		if got := fmt.Sprint(mine.headers[i]); got != fmt.Sprint(want) {
			t.Errorf("request %d has %s, want %s", i, got, want)
		}
	}
}

func TestHostHeadersStayBehindOnARedirect(t *testing.T) {
	target := &elsewhere{next: status(http.StatusOK)}
	there := httptest.NewServer(target)
	defer there.Close()
	mirror := httptest.NewServer(http.RedirectHandler(there.URL, http.StatusTemporaryRedirect))
	defer mirror.Close()
	client := newTestClient(t, Options{})
	if err := client.pools.configure(Host{URL: mirror.URL, Header: http.Header{"X-Mirror": {"s3cret"}}}); err != nil {
		t.Fatal(err)
	}
	if err := visit(t, client, mirror.URL); err != nil {
		t.Fatal(err)
	}
	if len(target.headers) != 1 || target.headers[0].Get("X-Mirror") != "" {
		t.Errorf("the target has seen %v", target.headers)
	}
}

// TestHostSettingsFromManyGoroutines is for the race detector, and keeps
// connections: the same settings again do not cost a new one.
func TestHostSettingsFromManyGoroutines(t *testing.T) {
	server, ca := secureServer(t, status(http.StatusOK), "")
	client := newTestClient(t, Options{})
	host := Host{URL: server.URL, CA: []string{ca}, Header: http.Header{"X-A": {"b"}}}
	if err := client.pools.configure(host); err != nil {
		t.Fatal(err)
	}
	before := client.pools.hosts[canonicalOf(t, server.URL)]
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := client.pools.configure(host); err != nil {
				t.Error(err)
			}
			if err := visit(t, client, server.URL); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if client.pools.hosts[canonicalOf(t, server.URL)] != before {
		t.Error("the same settings made a new pool")
	}
}

func canonicalOf(t *testing.T, address string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return canonical(req.URL)
}
