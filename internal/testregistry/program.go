package testregistry

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Option changes how [Debian] and [Distribution] run.
type Option func(*config)

type config struct {
	auth   bool
	tokens bool
	tls    *tlsFiles
}

type tlsFiles struct{ cert, key string }

// WithAuth lets nobody in but [Username].
func WithAuth() Option { return func(c *config) { c.auth = true } }

// WithTokens lets nobody in but with a token from [Registry.Tokens], a token
// service that knows [Username]. It has the registry's certificate if that has
// one.
func WithTokens() Option { return func(c *config) { c.tokens = true } }

// WithTLS serves over TLS with this certificate and key, both PEM files.
func WithTLS(certFile, keyFile string) Option {
	return func(c *config) { c.tls = &tlsFiles{certFile, keyFile} }
}

// Debian starts docker-registry, version 2.8, with its files in a temporary
// directory. If the program is not installed the test is skipped, or fails if
// [RequirePeers] says so.
func Debian(t testing.TB, options ...Option) *Registry {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		missing(t, "docker-registry", "apt install docker-registry")
	}
	return run(t, program, options)
}

// Distribution is [Debian] with version 3 of the same program, as `make
// bin/distribution` builds it.
func Distribution(t testing.TB, options ...Option) *Registry {
	t.Helper()
	program := filepath.Join(moduleRoot(t), "bin", "distribution")
	if _, err := os.Stat(program); err != nil {
		missing(t, "bin/distribution", "make bin/distribution")
	}
	return run(t, program, options)
}

// moduleRoot is the directory of go.mod, in which or below which tests run.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = parent
	}
}

// missing ends a test that has no peer to talk to.
func missing(t testing.TB, program, remedy string) {
	t.Helper()
	if os.Getenv(RequirePeers) == "1" {
		t.Fatalf("%s is not installed, and %s=1 asks for it (%s)", program, RequirePeers, remedy)
	}
	t.Skipf("SKIPPED: %s is not installed (%s); nothing was tested", program, remedy)
}

// run configures and starts a program.
func run(t testing.TB, program string, options []Option) *Registry {
	t.Helper()
	var c config
	for _, option := range options {
		option(&c)
	}
	dir := t.TempDir()
	r := &Registry{Root: filepath.Join(dir, "data"), t: t, tls: c.tls != nil}
	if c.tokens {
		r.Tokens = newTokens(t, c.tls)
	}
	r.Host, r.logs = start(t, program, writeConfig(t, dir, r, c))
	return r
}

// writeConfig returns the path of a configuration. The port is left to the
// system, so that two tests never want the same one. At level debug the program
// says when a request begins.
func writeConfig(t testing.TB, dir string, r *Registry, c config) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "version: 0.1\nlog: {level: debug, formatter: json}\n")
	fmt.Fprintf(&b, "storage:\n  filesystem: {rootdirectory: %q}\n  delete: {enabled: true}\n  maintenance: {uploadpurging: {enabled: false}}\n", r.Root)
	fmt.Fprintf(&b, "http:\n  addr: 127.0.0.1:0\n")
	if c.tls != nil {
		fmt.Fprintf(&b, "  tls: {certificate: %q, key: %q}\n", c.tls.cert, c.tls.key)
	}
	if c.auth {
		users := filepath.Join(dir, "htpasswd")
		write(t, users, htpasswd)
		fmt.Fprintf(&b, "auth:\n  htpasswd: {realm: test, path: %q}\n", users)
	}
	if c.tokens {
		bundle := filepath.Join(dir, "tokens.pem")
		write(t, bundle, r.Tokens.bundle())
		fmt.Fprintf(&b, "auth:\n  token: {realm: %q, service: %q, issuer: %q, rootcertbundle: %q}\n", r.Tokens.URL, service, issuer, bundle)
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
func start(t testing.TB, program, configFile string) (string, *logs) {
	t.Helper()
	cmd := exec.Command(program, "serve", configFile)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout // one pipe, which keeps the order of lines
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l, drained := newLogs(), make(chan struct{})
	go func() {
		defer close(drained)
		l.read(output)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-drained
		cmd.Wait()
	})
	var host, last string
	l.await(t, "a program that listens", func() bool {
		host, last = l.host, l.last
		return host != "" || l.ended
	})
	if host == "" {
		t.Fatalf("%s ended before it listened: %s", program, last)
	}
	return host, l
}
