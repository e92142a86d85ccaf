//go:build unix

package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/netproxy"
)

func TestPullsAreSkippedWithoutARegistry(t *testing.T) {
	b := newBench(t)
	b.registry = filepath.Join(b.dir, "missing")
	for _, s := range b.pullSteps() {
		r, err := b.measure(t.Context(), s)
		if err != nil || r.skipped == "" {
			t.Errorf("%s: got %+v, %v, want a reason to skip it", s.name, r, err)
		}
	}
}

func TestPeersOfSteps(t *testing.T) {
	b := newBench(t)
	b.peers = []peer{{"oras", "/bin/oras"}, {"kit", "/bin/kit"}} // kit extracts what it packed alone, oras has no store
	var names []string
	for _, s := range b.steps() {
		if strings.Contains(s.name, "oras") || strings.Contains(s.name, "kit") {
			names = append(names, s.name)
		}
	}
	if want := []string{"pull-oras", "pull-kit", "extract-oras", "push-kit", "build-push-oras", "build-push-kit", "kit-build"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestAwaitRegistry(t *testing.T) {
	log := `{"msg":"redis not configured"}` + "\n" + `{"msg":"listening on 127.0.0.1:44761"}` + "\n"
	if host, err := awaitRegistry(strings.NewReader(log)); host != "127.0.0.1:44761" || err != nil {
		t.Errorf("got %q, %v", host, err)
	}
	if _, err := awaitRegistry(strings.NewReader("no room\n")); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v, want what the registry said", err)
	}
}

func TestSpread(t *testing.T) {
	got := spread(3, 400)
	want := []netproxy.Cut{{After: 100}, {After: 200, Reset: true}, {After: 300}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// newRemote serves a model of zeros.
func newRemote(t *testing.T, size int64) *bench {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("SKIPPED: curl is not installed")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		io.CopyN(w, zeros{}, size)
	}))
	t.Cleanup(server.Close)
	b := newBench(t)
	b.size = size
	b.remote.host = server.Listener.Addr().String()
	t.Cleanup(b.remote.closeProxy)
	return b
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func (b *bench) curl() []string {
	return []string{"curl", "-sS", "--noproxy", "*", "-o", os.DevNull, "http://" + b.viaProxy() + "/"}
}

// TestKillHalfway has a command that does not go on where it stopped: all of the
// model is sent to the second one, and none of that counts that the first got.
func TestKillHalfway(t *testing.T) {
	const size = 64 << 20
	b := newRemote(t, size)
	slow := netproxy.Options{Rate: 200 << 20}
	u, err := b.timed(t.Context(), side{
		setup: []action{b.through(slow), b.killHalfway("", b.curl)},
		late:  func() [][]string { return [][]string{b.curl()} },
		wire:  b.sent,
	})
	if err != nil {
		t.Fatal(err)
	}
	if first := b.remote.before; first < size/2 || first > size {
		t.Errorf("the first command was sent %d bytes of %d", first, size)
	}
	if u.wire < size || u.wire > size+10_000 {
		t.Errorf("the second command was sent %d bytes of %d", u.wire, size)
	}
}

// TestKillHalfwayTellsFailures has commands that end by themselves.
func TestKillHalfwayTellsFailures(t *testing.T) {
	b := newRemote(t, 1<<20)
	for script, want := range map[string]string{"true": "too small", "echo no room >&2; exit 3": "no room"} {
		if err := b.through(netproxy.Options{})(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := b.killHalfway("", func() []string { return shell(script) })(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", script, err, want)
		}
	}
}

func TestCutsThatDidNotHappen(t *testing.T) {
	b := newRemote(t, 1<<20)
	_, err := b.timed(t.Context(), side{
		setup: []action{b.through(netproxy.Options{Cuts: spread(1, 10<<20)})},
		late:  func() [][]string { return [][]string{b.curl()} },
		wire:  b.sent,
	})
	if err == nil || !strings.Contains(err.Error(), "1 cuts did not happen") {
		t.Errorf("got %v", err)
	}
}

// TestCurlsVerify has a layer that is not what its digest says.
func TestCurlsVerify(t *testing.T) {
	b := newRemote(t, 1<<20)
	const ofMiBOfZeros = "sha256:30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58"
	for digest, ok := range map[string]bool{ofMiBOfZeros: true, "sha256:" + strings.Repeat("0", 64): false} {
		b.remote.layers = []layer{{Digest: digest, Size: 1 << 20}}
		if _, err := b.timed(t.Context(), b.curls(b.directly, unsynced)); (err == nil) != ok {
			t.Errorf("%s: got %v", digest, err)
		}
	}
}
