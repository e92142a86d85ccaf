// Package testregistry gives tests a registry to talk to.
//
// [Debian] starts the docker-registry program, which is what Harbor and many
// others are made of; [Memory] serves go-containerregistry's registry within
// the process, and can have faults put in front of it:
//
//	reg := testregistry.Debian(t, testregistry.WithAuth())
//	ref := reg.Host + "/models/qwen3:v1"
//
// Both listen on the loopback interface and end with the test.
package testregistry

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// The one user of a registry that was started [WithAuth].
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

	// Root is where [Debian] keeps its files; empty for [Memory].
	Root string
}

// Option changes how [Debian] runs.
type Option func(*config)

type config struct {
	auth bool
	tls  *tlsFiles
}

type tlsFiles struct{ cert, key string }

// WithAuth lets nobody in but [Username].
func WithAuth() Option { return func(c *config) { c.auth = true } }

// WithTLS serves over TLS with this certificate and key, both PEM files.
func WithTLS(certFile, keyFile string) Option {
	return func(c *config) { c.tls = &tlsFiles{certFile, keyFile} }
}

// Memory serves a registry from memory. Each wrap is put in front of what is
// there, the last one outermost.
func Memory(t testing.TB, wrap ...func(http.Handler) http.Handler) *Registry {
	t.Helper()
	server := httptest.NewServer(memory(wrap))
	t.Cleanup(server.Close)
	return &Registry{Host: server.Listener.Addr().String()}
}

// MemoryTLS is [Memory] over TLS, with a certificate that nobody knows.
func MemoryTLS(t testing.TB, wrap ...func(http.Handler) http.Handler) *Registry {
	t.Helper()
	server := httptest.NewUnstartedServer(memory(wrap))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that refuse the certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	return &Registry{Host: server.Listener.Addr().String()}
}

func memory(wrap []func(http.Handler) http.Handler) http.Handler {
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	for _, w := range wrap {
		handler = w(handler)
	}
	return handler
}

// Debian starts docker-registry with its files in a temporary directory. If
// the program is not installed the test is skipped, or fails if
// [RequirePeers] says so.
func Debian(t testing.TB, options ...Option) *Registry {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		missing(t, "docker-registry")
	}
	var c config
	for _, option := range options {
		option(&c)
	}
	dir := t.TempDir()
	root := filepath.Join(dir, "data")
	return &Registry{Host: start(t, program, writeConfig(t, dir, root, c)), Root: root}
}

// missing ends a test that has no peer to talk to.
func missing(t testing.TB, program string) {
	t.Helper()
	if os.Getenv(RequirePeers) == "1" {
		t.Fatalf("%s is not installed, and %s=1 asks for it", program, RequirePeers)
	}
	t.Skipf("SKIPPED: %s is not installed (apt install docker-registry); nothing was tested", program)
}

// writeConfig returns the path of a configuration. The port is left to the
// system, so that two tests never want the same one.
func writeConfig(t testing.TB, dir, root string, c config) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "version: 0.1\nlog: {level: info, formatter: json, accesslog: {disabled: true}}\n")
	fmt.Fprintf(&b, "storage:\n  filesystem: {rootdirectory: %q}\n  delete: {enabled: true}\n  maintenance: {uploadpurging: {enabled: false}}\n", root)
	fmt.Fprintf(&b, "http:\n  addr: 127.0.0.1:0\n")
	if c.tls != nil {
		fmt.Fprintf(&b, "  tls: {certificate: %q, key: %q}\n", c.tls.cert, c.tls.key)
	}
	if c.auth {
		users := filepath.Join(dir, "htpasswd")
		write(t, users, htpasswd)
		fmt.Fprintf(&b, "auth:\n  htpasswd: {realm: test, path: %q}\n", users)
	}
	path := filepath.Join(dir, "config.yml")
	write(t, path, b.String())
	return path
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs the program until the test ends, and returns where it listens.
func start(t testing.TB, program, configFile string) string {
	t.Helper()
	cmd := exec.Command(program, "serve", configFile)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	logs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, drained := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(drained)
		watch(logs, ready)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-drained
		cmd.Wait()
	})
	host, ok := <-ready
	if !ok {
		t.Fatalf("%s ended before it listened", program)
	}
	return host
}

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:[0-9]+)`)

// watch reads the log to its end, so that the program never blocks on it, and
// sends the address that it finds there. It closes ready at the end.
func watch(logs io.Reader, ready chan<- string) {
	defer close(ready)
	lines := bufio.NewScanner(logs)
	lines.Buffer(nil, 1<<20)
	sent := false
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil && !sent {
			ready <- m[1]
			sent = true
		}
	}
	io.Copy(io.Discard, logs)
}
