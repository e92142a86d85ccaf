//go:build unix

package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tareml/tare/internal/netproxy"
)

func TestPushesAreSkippedWithoutARegistry(t *testing.T) {
	b := newBench(t)
	b.registry = filepath.Join(b.dir, "missing")
	for _, s := range b.pushSteps() {
		s.needs = "" // the fake has no push
		r, err := b.measure(t.Context(), s)
		if err != nil || r.skipped == "" {
			t.Errorf("%s: got %+v, %v, want a reason to skip it", s.name, r, err)
		}
	}
}

// inbox takes uploads as a registry does, by digest.
type inbox struct {
	mu    sync.Mutex
	blobs map[string]string
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		w.Header().Set("Location", "http://"+r.Host+"/session?_state=x")
		w.WriteHeader(http.StatusAccepted)
		return
	}
	body, _ := io.ReadAll(r.Body)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.blobs[r.URL.Query().Get("digest")] = string(body)
	w.WriteHeader(http.StatusCreated)
}

// newInbox is a bench with two shards and a registry that takes them.
func newInbox(t *testing.T) (*bench, *inbox) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("SKIPPED: curl is not installed")
	}
	registry := &inbox{blobs: map[string]string{}}
	server := httptest.NewServer(registry)
	t.Cleanup(server.Close)
	b := newBench(t)
	b.remote.host = server.Listener.Addr().String()
	t.Cleanup(b.remote.closeProxy)
	if err := os.Mkdir(b.path("weights"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range b.shards {
		if err := b.writeShard(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	return b, registry
}

func TestCurlPushes(t *testing.T) {
	b, registry := newInbox(t)
	if err := b.hashShards(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.timed(t.Context(), b.curlPushes()); err != nil {
		t.Fatal(err)
	}
	for i, digest := range b.digests {
		data, err := os.ReadFile(b.shard(i))
		if err != nil || registry.blobs[digest] != string(data) {
			t.Errorf("shard %d: %d bytes arrived as %s, %v", i, len(registry.blobs[digest]), digest, err)
		}
	}
}

// TestRepushSendsNoBodies has a push that sends a shard.
func TestRepushSendsNoBodies(t *testing.T) {
	b, _ := newInbox(t)
	send := func(path string) error {
		_, err := b.timed(t.Context(), side{
			setup: []action{b.through(netproxy.Options{Up: true})},
			late: func() [][]string {
				return [][]string{{"curl", "-sS", "--noproxy", "*", "-T", path, "http://" + b.viaProxy() + "/x"}}
			},
			wire: b.sentNoBodies,
		})
		return err
	}
	small := b.path("small")
	if err := os.WriteFile(small, []byte("a manifest"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := send(small); err != nil {
		t.Errorf("a few bytes: %v", err)
	}
	if err := send(b.shard(0)); err == nil || !strings.Contains(err.Error(), "has all blobs") {
		t.Errorf("a shard: got %v", err)
	}
}

// TestEmptyRegistry has the model published again.
func TestEmptyRegistry(t *testing.T) {
	b := newBench(t)
	if err := os.MkdirAll(b.path("registry", "blobs"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.remote.layers = []layer{{Size: 1}}
	if err := b.emptyRegistry(context.Background()); err != nil || exists(b.path("registry", "blobs")) || len(b.remote.layers) > 0 {
		t.Errorf("%v, %v", err, b.remote.layers)
	}
}

func TestInTurn(t *testing.T) {
	b := newBench(t)
	out := b.path("out put")
	first := shell(`printf "%s|" "$@" > "$0"`)[:3]
	first = append(first, out, "it's", "$HOME", "")
	for status, want := range map[string]string{"0": "it's|$HOME||second", "3": "it's|$HOME||"} {
		first[2] = `printf "%s|" "$@" > "$0"; exit ` + status
		err := b.command("", inTurn(first, []string{"sh", "-c", `printf second >> "$0"`, out}))(t.Context())
		got, _ := os.ReadFile(out)
		if string(got) != want || (err == nil) != (status == "0") {
			t.Errorf("exit %s: got %q, %v, want %q", status, got, err, want)
		}
	}
}

func TestMoved(t *testing.T) {
	for _, test := range []struct {
		sends bool
		n     int64
		want  string
	}{
		{false, 3 << 20, "tare was sent 0.750 of the model, at most"},
		{true, 5 << 20, "tare sent 5.000 MiB at most, 1.000 MiB more than the model has"},
		{true, 1 << 20, "tare sent 1.000 MiB at most, 0.250 of the model"},
	} {
		if got := moved(result{size: 4 << 20, sends: test.sends}, test.n); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
