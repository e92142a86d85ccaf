package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/tareml/tare/blob"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // go-containerregistry logs what it refuses
	goleak.VerifyTestMain(m)
}

// newTestClient returns a client that never really waits and knows no
// credentials but those that the test saves.
func newTestClient(t *testing.T, o Options) *Client {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	if o.Sleep == nil {
		o.Sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	}
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newTestRepository(t *testing.T, c *Client, reference string) *Repository {
	t.Helper()
	repo, err := c.Repository(parse(t, reference))
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func parse(t *testing.T, s string) Reference {
	t.Helper()
	ref, err := ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// hintOf is the hint in err's chain.
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// randomBytes are the same for the same seed.
func randomBytes(n int, seed byte) []byte {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

func describe(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// memory is content in memory: both ends of a transfer.
type memory struct {
	mu      sync.Mutex
	content map[digest.Digest][]byte
	order   []digest.Digest // as received
	partial map[digest.Digest]*memorySink
	opened  []digest.Digest
}

func newMemory() *memory {
	return &memory{content: map[digest.Digest][]byte{}, partial: map[digest.Digest]*memorySink{}}
}

func (m *memory) add(data []byte) ocispec.Descriptor {
	m.mu.Lock()
	defer m.mu.Unlock()
	desc := describe("application/octet-stream", data)
	m.content[desc.Digest] = data
	return desc
}

// artifact adds a manifest of an empty config and these layers.
func (m *memory) artifact(t *testing.T, layers ...[]byte) (ocispec.Descriptor, []byte) {
	t.Helper()
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	manifest.Config = m.add([]byte("{}"))
	for i, layer := range layers {
		desc := m.add(layer)
		desc.Annotations = map[string]string{"test.name": string(rune('a' + i))}
		manifest.Layers = append(manifest.Layers, desc)
	}
	data, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return describe(ocispec.MediaTypeImageManifest, data), data
}

func (m *memory) Open(desc ocispec.Descriptor) (blob.Source, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened = append(m.opened, desc.Digest)
	data, ok := m.content[desc.Digest]
	if !ok {
		return nil, blob.ErrNotFound
	}
	return blob.Bytes(data), nil
}

func (m *memory) Receive(ctx context.Context, desc ocispec.Descriptor, fill func(context.Context, blob.Sink) (blob.Proof, error)) (bool, error) {
	m.mu.Lock()
	_, present := m.content[desc.Digest]
	sink := m.partial[desc.Digest]
	if sink == nil {
		sink = &memorySink{}
		m.partial[desc.Digest] = sink
	}
	m.mu.Unlock()
	if present {
		return true, nil
	}
	proof, err := fill(ctx, sink)
	if err == nil {
		err = proof.Covers(desc)
	}
	if err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.content[desc.Digest] = sink.data[:desc.Size]
	m.order = append(m.order, desc.Digest)
	return false, nil
}

// memorySink is a sink in memory that counts what is written into it.
type memorySink struct {
	mu      sync.Mutex
	data    []byte
	state   []byte
	saves   int
	written int64
}

func (s *memorySink) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if end := int(off) + len(p); end > len(s.data) {
		s.data = append(s.data, make([]byte, end-len(s.data))...)
	}
	s.written += int64(len(p))
	return copy(s.data[off:], p), nil
}

func (s *memorySink) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.NewReader(s.data).ReadAt(p, off)
}

func (s *memorySink) LoadState() ([]byte, error) { return s.state, nil }

func (s *memorySink) SaveState(state []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	s.saves++
	return nil
}

// tally is an Observer that adds up.
type tally struct {
	mu   sync.Mutex
	sums map[string][3]int64
	done []string
}

func (o *tally) Observe(phase, path string, safe, skipped, resumed int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if phase == PhaseDone {
		o.done = append(o.done, path)
		return
	}
	if o.sums == nil {
		o.sums = map[string][3]int64{}
	}
	sum := o.sums[path]
	o.sums[path] = [3]int64{sum[0] + safe, sum[1] + skipped, sum[2] + resumed}
}

func (o *tally) finished() []string { return slices.Sorted(slices.Values(o.done)) }

// meter counts the bytes of response bodies that a server sends.
type meter struct{ bytes, requests atomic.Int64 }

func (m *meter) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		m.requests.Add(1)
		next.ServeHTTP(&meteredWriter{w, m}, req)
	})
}

type meteredWriter struct {
	http.ResponseWriter
	meter *meter
}

func (w *meteredWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *meteredWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.meter.bytes.Add(int64(n))
	return n, err
}

// blobServer serves one blob at any path but /v2/, properly.
func blobServer(data []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(data))
	})
}

// hangUp ends the connection of a request as a crash would.
func hangUp(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func readAll(t *testing.T, r io.ReadCloser) ([]byte, error) {
	t.Helper()
	defer r.Close()
	return io.ReadAll(r)
}
