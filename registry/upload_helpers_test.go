package registry

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/tareml/tare/blob"
	f "github.com/tareml/tare/internal/faultregistry"
	"github.com/tareml/tare/storage"
)

const (
	// testChunk is what the tests send at once.
	testChunk = 128 << 10

	// testSize is a blob of four chunks and a part of one.
	testSize = 4*testChunk + 50<<10
)

// mishap scripts faults.
type mishap = func(*f.Registry)

func only(kind f.Kind, faults ...f.Fault) []mishap { return []mishap{on(kind, faults...)} }

// newPushClient speaks to reg, in chunks of testChunk, and never really waits.
func newPushClient(t *testing.T, reg *f.Registry, o Options) *Client {
	t.Helper()
	o.PlainHTTP = reg.CAFile == ""
	o.TLS.CA = append(o.TLS.CA, caFiles(reg)...)
	o.Credentials = StaticCredentials(reg.Host, f.Username, f.Password, credentials.NewMemoryStore())
	o.Sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.chunk = testChunk
	return c
}

// push is one blob that is sent.
type push struct {
	repo *Repository
	desc ocispec.Descriptor
	src  blob.Source
	from string // another repository

	present       bool
	safe, resumed int64
	err           error
}

func newPush(t *testing.T, reg *f.Registry, c *Client, data []byte) *push {
	t.Helper()
	return &push{repo: newTestRepository(t, c, reg.Host+"/models/x:v1"), desc: describe("", data), src: blob.Bytes(data)}
}

// run uploads, and adds up what is reported. Nothing may be reported when it is
// over.
func (p *push) run(ctx context.Context) error {
	var mu sync.Mutex
	p.safe, p.resumed = 0, 0
	over := false
	open := func() (blob.Source, error) { return nopCloser{p.src}, nil }
	p.present, p.err = p.repo.upload(ctx, p.desc, p.from, open, func(safe, resumed int64) {
		mu.Lock()
		defer mu.Unlock()
		if over {
			panic("a report when the upload was over")
		}
		p.safe, p.resumed = p.safe+safe, p.resumed+resumed
	})
	mu.Lock()
	defer mu.Unlock()
	over = true
	if p.err != nil {
		p.err = p.repo.pushing(p.desc, p.err)
	}
	return p.err
}

// arrived checks a blob that should be there, and the numbers.
func (p *push) arrived(t *testing.T, reg *f.Registry, data []byte) {
	t.Helper()
	if p.err != nil {
		t.Fatal(p.err)
	}
	if got := reg.Blob("models/x", p.desc.Digest); !bytes.Equal(got, data) {
		t.Errorf("the registry has %d bytes, and not the right ones", len(got))
	}
	want := p.desc.Size
	if p.present {
		want = 0
	}
	if p.safe+p.resumed != want {
		t.Errorf("%d bytes sent and %d resumed were reported, of %d", p.safe, p.resumed, want)
	}
}

// failed checks an error: what it is, and what it and its hint say.
func (p *push) failed(t *testing.T, reg *f.Registry, kind error, says string) {
	t.Helper()
	switch {
	case p.err == nil:
		t.Error("no error")
	case kind != nil && !errors.Is(p.err, kind):
		t.Errorf("%v, want %v", p.err, kind)
	case !strings.Contains(p.err.Error()+" "+hintOf(p.err), says):
		t.Errorf("%v, hint %q: want %q", p.err, hintOf(p.err), says)
	case strings.Contains(p.err.Error(), "_state"):
		t.Errorf("%v tells the address of a session", p.err)
	}
	if reg.Has("models/x", p.desc.Digest) {
		t.Error("the blob is there all the same")
	}
}

// asked is the requests that reg has seen, shortened: "HEAD POST PATCH PUT". Those
// that only brought a challenge are left out.
func asked(reg *f.Registry) string {
	var words []string
	for _, req := range reg.Requests() {
		if req.Kind != f.Unknown && req.Kind != f.Token && req.Kind != f.Ping && (req.Status != http.StatusUnauthorized || req.Auth != "") {
			words = append(words, req.Method)
		}
	}
	return strings.Join(words, " ")
}

// testJournal is the journal of the store.
type testJournal struct{ *storage.Journal }

func openJournal(dir string) Journal { return testJournal{storage.OpenJournal(dir)} }

func (j testJournal) Claim(key string) Claim {
	if entry := j.Journal.Claim(key); entry != nil {
		return entry
	}
	return nil
}

// impatient makes the client wait for no answer longer than this.
func impatient(t *testing.T, c *Client, d time.Duration) {
	t.Helper()
	g := guardOf(c)
	g.headers, g.digest, g.send = d, d, d
	c.directory.pools.common.ResponseHeaderTimeout = d
}

func caFiles(reg *f.Registry) []string {
	if reg.CAFile == "" {
		return nil
	}
	return []string{reg.CAFile}
}

// memoryJournal has one holder for an entry at a time too.
type memoryJournal struct {
	mu      sync.Mutex
	entries map[string]*memoryClaim
}

type memoryClaim struct {
	journal *memoryJournal
	data    []byte
	held    bool
}

func newMemoryJournal() *memoryJournal { return &memoryJournal{entries: map[string]*memoryClaim{}} }

func (j *memoryJournal) Claim(key string) Claim {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.entries[key] == nil {
		j.entries[key] = &memoryClaim{journal: j}
	}
	if c := j.entries[key]; !c.held {
		c.held = true
		return c
	}
	return nil
}

func (c *memoryClaim) Load() []byte     { return c.data }
func (c *memoryClaim) Save(data []byte) { c.data = bytes.Clone(data) }

func (c *memoryClaim) Release(forget bool) {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	c.held = false
	if forget {
		c.data = nil
	}
}

// entries are the journal's own.
func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Name() != ".trimmed" {
			names = append(names, e.Name())
		}
	}
	return names
}
