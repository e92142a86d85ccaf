// Package testregistry gives tests a registry to talk to.
//
// [Debian] starts the docker-registry program, which is what Harbor and many
// others are made of, and [Distribution] its successor; [Memory] serves
// go-containerregistry's registry within the process, and can have faults put in
// front of it:
//
//	ca, cert, key := testregistry.SelfSigned(t)
//	reg := testregistry.Distribution(t, testregistry.WithTLS(cert, key), testregistry.WithTokens())
//	ref := reg.Host + "/models/qwen3:v1"
//
// All listen on the loopback interface and end with the test.
package testregistry

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// The one user of a registry that was started [WithAuth] or [WithTokens].
const (
	Username = "tare"
	Password = "tare-test"

	// htpasswd is the bcrypt hash of Password, at the lowest cost there is.
	htpasswd = Username + ":$2b$04$abcdefghijklmnopqrstuuzmq5.oGsgYNhNKNC6K2sSoc0S/185Vy\n"
)

// RequirePeers is the environment variable that turns a missing program from a
// reason to skip a test into a failure, if it is "1".
const RequirePeers = "TARE_REQUIRE_PEERS"

// Registry is a registry that runs.
type Registry struct {
	// Host is host:port, as it stands in a reference.
	Host string

	// Root is where a program keeps its files; empty for [Memory].
	Root string

	// Tokens is the token service of a registry that was started
	// [WithTokens], else nil.
	Tokens *Tokens

	t    testing.TB
	tls  bool
	logs *logs // nil for Memory
}

// Memory serves a registry from memory. Each wrap is put in front of what is
// there, the last one outermost.
func Memory(t testing.TB, wrap ...func(http.Handler) http.Handler) *Registry {
	t.Helper()
	server := httptest.NewServer(memory(wrap))
	t.Cleanup(server.Close)
	return &Registry{Host: server.Listener.Addr().String(), t: t}
}

// MemoryTLS is [Memory] over TLS, with a certificate that nobody knows.
func MemoryTLS(t testing.TB, wrap ...func(http.Handler) http.Handler) *Registry {
	t.Helper()
	server := httptest.NewUnstartedServer(memory(wrap))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that refuse the certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	return &Registry{Host: server.Listener.Addr().String(), t: t, tls: true}
}

func memory(wrap []func(http.Handler) http.Handler) http.Handler {
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	for _, w := range wrap {
		handler = w(handler)
	}
	return handler
}
