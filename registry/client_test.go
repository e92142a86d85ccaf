package registry

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tareml/tare/internal/testregistry"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// certificate makes a self-signed certificate for the loopback interface.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "CERTIFICATE", cert), writePEM(t, "PRIVATE KEY", der)
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoopbackSpeaksEither(t *testing.T) {
	var https, http1 atomic.Int64
	count := func(n *atomic.Int64) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			n.Add(1)
			w.Write([]byte("{}"))
		})
	}
	secure := httptest.NewUnstartedServer(count(&https))
	secure.Config.ErrorLog = quiet()
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewServer(count(&http1))
	defer plain.Close()

	client := newTestClient(t, Options{Insecure: true})
	for _, server := range []*httptest.Server{secure, plain, secure, plain} {
		repo := newTestRepository(t, client, server.Listener.Addr().String()+"/x")
		if _, _, err := repo.Manifest(t.Context(), repo.ref); err != nil {
			t.Error(err)
		}
	}
	if https.Load() != 3 || http1.Load() != 2 {
		t.Errorf("%d requests over TLS and %d without, want 2 each and one probe over TLS", https.Load(), http1.Load())
	}
}

func TestHintsAboutTLS(t *testing.T) {
	secure := httptest.NewUnstartedServer(status(200))
	secure.Config.ErrorLog = quiet()
	secure.StartTLS()
	defer secure.Close()
	for _, options := range []struct {
		Options
		hint string
		want error
	}{
		{Options{}, "--insecure", ErrUnreachable},
		{Options{PlainHTTP: true}, "leave out --plain-http", nil},
	} {
		var waits int
		options.Sleep = func(context.Context, time.Duration) error { waits++; return nil }
		repo := newTestRepository(t, newTestClient(t, options.Options), secure.Listener.Addr().String()+"/x")
		_, _, err := repo.Manifest(t.Context(), repo.ref)
		if err == nil || !strings.Contains(hintOf(err), options.hint) || options.want != nil && !errors.Is(err, options.want) {
			t.Errorf("%v, hint %q", err, hintOf(err))
		}
		if waits != 0 {
			t.Errorf("%v was retried %d times", err, waits)
		}
	}
}

func TestOtherHostsNeverFallBackToPlainHTTP(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1:1": true, "127.9.9.9": true, "[::1]:5000": true, "[::1]": true,
		"localhost.example": false, "10.0.0.1:5000": false, "127.0.0.1.example": false, "registry:5000": false, "0.0.0.0": false,
	} {
		if loopback(host) != want {
			t.Errorf("%s: %v", host, !want)
		}
	}
	client := newTestClient(t, Options{Insecure: true})
	if scheme, err := client.scheme(t.Context(), "10.0.0.1:5000"); scheme != "https" || err != nil {
		t.Errorf("%s, %v", scheme, err)
	}
}

func TestHintAboutPlainHTTP(t *testing.T) {
	err := unreachable(&net.OpError{Op: "read", Err: http.ErrSchemeMismatch})
	if !strings.Contains(hintOf(err), "--plain-http") {
		t.Errorf("hint %q", hintOf(err))
	}
	if err := unreachable(tls.RecordHeaderError{Msg: "x"}); !strings.Contains(hintOf(err), "--plain-http") {
		t.Errorf("hint %q", hintOf(err))
	}
}

func TestUserAgent(t *testing.T) {
	var agents []string
	repo, _ := faultyServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		agents = append(agents, req.Header.Get("User-Agent"))
	}))
	repo.Manifest(t.Context(), repo.ref)
	if !slices.Equal(agents, []string{"tare"}) {
		t.Errorf("%q", agents)
	}
}

func TestDebianOverTLS(t *testing.T) {
	cert, key := certificate(t)
	host := testregistry.Debian(t, testregistry.WithTLS(cert, key)).Host
	p := peer{host, newTestClient(t, Options{Insecure: true})}
	src := newMemory()
	desc, manifest := src.artifact(t, []byte("one"))
	p.push(t, "m/x:v1", src, desc, manifest)
	if scheme := p.client.schemes[host]; scheme != "https" {
		t.Errorf("the scheme is %q", scheme)
	}
}
