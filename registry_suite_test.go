package main

import (
	"bytes"
	"cmp"
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/tareml/tare/internal/netproxy"
	"github.com/tareml/tare/internal/testregistry"
	"github.com/tareml/tare/registry"
)

const (
	// Exit codes.
	notFound, denied = 3, 4

	// chunk is what an upload may have to send again where sessions are kept.
	chunk = 64 << 20
)

// suite is a registry under test, and a machine that works with it.
type suite struct {
	repository string
	local      bool   // a registry of ours, of which we know more
	keeps      bool   // it keeps what a cut upload has sent
	ca         string // who signed for it, a file, or ""
	size       int64  // of the weights
	started    string // in all tags
	model      *model
	digests    map[string]string // what was pushed, by reference

	env []string
	dir string // for the machine's store and cache
}

// ours starts a registry that gives tokens, over TLS.
func ours(t *testing.T, start func(testing.TB, ...testregistry.Option) *testregistry.Registry) *suite {
	t.Helper()
	ca, cert, key := testregistry.SelfSigned(t)
	s := newSuite(t, start(t, testregistry.WithTLS(cert, key), testregistry.WithTokens()).Host+"/suite/model")
	s.local, s.ca = true, ca
	home := t.TempDir()
	s.env = append(s.env, "HOME="+home, "USERPROFILE="+home, "DOCKER_CONFIG="+home,
		"TARE_USERNAME="+testregistry.Username, "TARE_PASSWORD="+testregistry.Password)
	return s
}

// theirs is the registry of whoever runs the test, with their credentials.
func theirs(t *testing.T, repository string) *suite {
	t.Helper()
	s := newSuite(t, repository)
	s.ca = os.Getenv("TARE_TEST_CA_FILE")
	t.Logf("tags in %s and %s-mount begin with %s; those that stay there are named at the end", repository, repository, s.started)
	return s
}

func newSuite(t *testing.T, repository string) *suite {
	t.Helper()
	s := &suite{
		repository: repository,
		size:       sizeFrom(t, "TARE_TEST_SIZE"),
		started:    "tare-test-" + time.Now().UTC().Format("20060102-150405"),
		digests:    map[string]string{},
		env:        append(os.Environ(), "GORACE=atexit_sleep_ms=0"),
	}
	s.dir = t.TempDir()
	t.Cleanup(func() { s.remove(t) })
	return s
}

// sizeFrom reads a size such as 200MiB.
func sizeFrom(t *testing.T, variable string) int64 {
	t.Helper()
	text, factor := cmp.Or(os.Getenv(variable), "300KiB"), int64(1)
	for unit, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			text, factor = number, bytes
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if n *= factor; err != nil || n < 300<<10 {
		t.Fatalf("%s is no size such as 200MiB, or less than 300KiB", variable)
	}
	return n
}

// machine is the same registry, seen from a machine that has nothing yet.
func (s *suite) machine(t *testing.T) *suite {
	other := *s
	other.dir = t.TempDir()
	return &other
}

// slack is what goes over the network besides blobs: requests, TLS, tokens.
func (s *suite) slack() int64 { return 100<<10 + s.size/50 }

// pullWindow is what eight connections may receive twice.
func (s *suite) pullWindow() int64 { return min(s.size, 8*4<<20) }

func (s *suite) name(what string) string { return s.started + "-" + what }
func (s *suite) ref(what string) string  { return s.repository + ":" + s.name(what) }

// outcome is how a command ended.
type outcome struct {
	code           int
	stdout, stderr string
}

func (o outcome) want(t *testing.T, code int) {
	t.Helper()
	if o.code != code {
		t.Fatalf("exit code %d, want %d\n%s", o.code, code, o.stderr)
	}
}

// command is tare on this machine.
func (s *suite) command(ctx context.Context, args ...string) (*exec.Cmd, *outcome) {
	cmd := exec.CommandContext(ctx, "tare", args...)
	cmd.Env = append(s.env, "TARE_STORE="+filepath.Join(s.dir, "store"), "XDG_CACHE_HOME="+filepath.Join(s.dir, "cache"))
	return cmd, new(outcome)
}

// tare runs a command to its end.
func (s *suite) tare(t *testing.T, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd, o := s.command(t.Context(), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatal(err)
	}
	o.code, o.stdout, o.stderr = cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
	return *o
}

// must runs a command that talks to nobody, and returns what it says.
func (s *suite) must(t *testing.T, args ...string) string {
	t.Helper()
	o := s.tare(t, args...)
	o.want(t, 0)
	return strings.TrimSpace(o.stdout)
}

// online adds what a command needs that goes through a network.
func (s *suite) online(p *netproxy.Proxy, args []string) []string {
	args = append(args, "--proxy", "http://"+p.Addr())
	if s.ca != "" {
		args = append(args, "--ca-file", s.ca)
	}
	return args
}

// up runs a command through a network and counts what it sends, down what it
// receives. All of it counts, to whichever host.
func (s *suite) up(t *testing.T, o netproxy.Options, args ...string) (int64, outcome) {
	t.Helper()
	o.Up = true
	return s.down(t, o, args...)
}

func (s *suite) down(t *testing.T, o netproxy.Options, args ...string) (int64, outcome) {
	t.Helper()
	p := network(t, o)
	result := s.tare(t, s.online(p, args)...)
	if err := p.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := p.CutsLeft(); left > 0 {
		t.Fatalf("%d cuts did not happen: only %d bytes passed", left, p.Passed())
	}
	return p.Passed(), result
}

func network(t *testing.T, o netproxy.Options) *netproxy.Proxy {
	t.Helper()
	o.Tunnel = true
	p, err := netproxy.Start(t.Context(), "", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// killed runs a command until half of the weights have passed, and kills it while
// its connection stands still. It returns what has passed.
func (s *suite) killed(t *testing.T, o netproxy.Options, args ...string) int64 {
	t.Helper()
	o.Cuts = []netproxy.Cut{{After: s.size / 2, Hold: true}}
	p := network(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var output bytes.Buffer
	cmd, _ := s.command(ctx, s.online(p, args)...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	halfway := make(chan error, 1)
	go func() {
		halfway <- p.WaitPassed(ctx, s.size/2)
		cancel()
	}()
	cmd.Wait()
	cancel()
	if err := <-halfway; err != nil {
		t.Fatalf("it ended before it could be killed: %s", output.String())
	}
	p.Close()
	return p.Passed()
}

// build makes the artifact of a directory.
func (s *suite) build(t *testing.T, ref, dir string) {
	t.Helper()
	s.digests[ref] = s.must(t, "build", "--raw", "-t", ref, dir, "--format", "{{.Digest}}")
}

// push returns how many bytes were sent.
func (s *suite) push(t *testing.T, ref string) int64 {
	t.Helper()
	sent, o := s.up(t, netproxy.Options{}, "push", ref, "--format", "{{.Digest}}")
	o.want(t, 0)
	if got := strings.TrimSpace(o.stdout); got != s.digests[ref] {
		t.Errorf("%s was pushed, want %s", got, s.digests[ref])
	}
	return sent
}

// remoteDigest is what the registry says that a reference is.
func (s *suite) remoteDigest(t *testing.T, ref string) string {
	t.Helper()
	_, o := s.down(t, netproxy.Options{}, "inspect", "--remote", ref, "--format", "{{.Digest}}")
	o.want(t, 0)
	return strings.TrimSpace(o.stdout)
}

// sameFiles asks that an artifact in the store holds a model.
func (s *suite) sameFiles(t *testing.T, ref string, m *model) {
	t.Helper()
	out := filepath.Join(s.dir, "out")
	s.must(t, "extract", "--pull", "never", ref, out)
	m.sameAs(t, out)
}

// model is a directory with weights that nobody has seen before.
type model struct {
	dir   string
	files map[string][]byte
}

func (s *suite) newModel(t *testing.T, size int64) *model {
	t.Helper()
	m := &model{t.TempDir(), map[string][]byte{}}
	m.add(t, "weights.bin", noise(size))
	m.add(t, "config.json", noise(100))
	file := "NAME tare-test\nCONFIG *.json\nMODEL *.bin\nDOC *.txt\n"
	if err := os.WriteFile(filepath.Join(m.dir, "Modelfile"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	return m
}

// add makes or replaces a file.
func (m *model) add(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
	m.files[name] = content
}

// sameAs compares what was extracted, byte for byte.
func (m *model) sameAs(t *testing.T, out string) {
	t.Helper()
	for name, want := range m.files {
		got, err := os.ReadFile(filepath.Join(out, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s came back with %d bytes of %d, or others: %v", name, len(got), len(want), err)
		}
	}
}

// noise is content that nobody has seen before.
func noise(n int64) []byte {
	var seed [32]byte
	crand.Read(seed[:])
	data := make([]byte, n)
	rand.NewChaCha8(seed).Read(data)
	return data
}

// about is a manifest about another.
func about(t *testing.T, subject ocispec.Descriptor) ([]byte, ocispec.Descriptor) {
	t.Helper()
	m := ocispec.Manifest{
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: "application/vnd.tare.test",
		Config:       ocispec.DescriptorEmptyJSON,
		Layers:       []ocispec.Descriptor{ocispec.DescriptorEmptyJSON},
		Subject:      &subject,
	}
	m.SchemaVersion = 2
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data, ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// emptyJSON is the blob of [ocispec.DescriptorEmptyJSON].
type emptyJSON struct{ *bytes.Reader }

func newEmptyJSON() emptyJSON { return emptyJSON{bytes.NewReader(ocispec.DescriptorEmptyJSON.Data)} }

func (emptyJSON) Close() error { return nil }

// credentials are those that commands find, but for the ones of programs for AWS.
func (s *suite) credentials(t *testing.T) credentials.Store {
	t.Helper()
	username, password := s.variable("TARE_USERNAME"), s.variable("TARE_PASSWORD")
	if username == "" {
		return registry.DockerCredentials()
	}
	return registry.StaticCredentials(s.parse(t, s.repository).Registry, username, password, registry.DockerCredentials())
}

// variable is one of the environment of commands.
func (s *suite) variable(name string) (value string) {
	for _, entry := range s.env {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value = v
		}
	}
	return value
}

// client trusts who signed for the registry.
func (s *suite) client(t *testing.T) *http.Client {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if s.ca == "" {
		return &http.Client{Transport: transport}
	}
	pem, err := os.ReadFile(s.ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	return &http.Client{Transport: transport}
}

func isLoopback(registry string) bool {
	host, _, err := net.SplitHostPort(registry)
	if err != nil {
		host = registry
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
