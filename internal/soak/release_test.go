package soak

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

const killsPerRelease = 15

// TestSoakReleases has a reader that follows the link current, while extracts
// that move it are killed.
func TestSoakReleases(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need privileges, and a file that is read cannot be moved")
	}
	t.Parallel()
	seed := passSeed(t)
	t.Logf("seed %d", seed)
	forAsLongAsAsked(t, func(t *testing.T, pass uint64) { releasePass(t, seed+pass) })
}

func releasePass(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 6))
	m, all := newEditions(t, seed, 20, layout(random)...)
	r := &reader{dir: m.path("out"), versions: all, stop: make(chan struct{}), ended: make(chan error, 1)}
	extract := func(i int) []string {
		return []string{"extract", "--pull", "never", "--no-sync", "--atomic", "--keep", "1", editionRef(i), r.dir}
	}
	start := time.Now()
	m.must(t, extract(0)...)
	took, kills, next := time.Since(start), 0, 0
	go r.run()
	for range killsPerRelease {
		next = (next + 1 + random.IntN(len(all)-1)) % len(all)
		r.runs.Add(1)
		killed, err := killAfter(m.command(extract(next)...), time.Duration(random.Int64N(int64(took)*3/2)))
		must(t, err)
		if killed {
			kills++
		}
	}
	r.runs.Add(1)
	m.must(t, extract(next)...)
	close(r.stop)
	must(t, <-r.ended)
	t.Logf("%d of %d extracts were killed; %d looks at %d releases", kills, killsPerRelease, r.looks, len(r.seen))
	r.checkEnd(t, all[next])
}

// reader is a server that starts again and again: it reads the link once, and
// then the files there.
type reader struct {
	dir      string
	versions []model
	runs     atomic.Int64 // extracts that were started
	stop     chan struct{}
	ended    chan error

	looks int
	seen  map[string]bool
}

func (r *reader) run() {
	r.seen = make(map[string]bool)
	for {
		select {
		case <-r.stop:
			r.ended <- nil
			return
		default:
		}
		if err := r.look(); err != nil {
			r.ended <- err
			return
		}
	}
}

// look is an error if the release that current points to is not a version,
// complete. One old release is kept: one that was current when an extract began is
// there until the next one begins.
func (r *reader) look() error {
	before := r.runs.Load()
	target, err := os.Readlink(filepath.Join(r.dir, "current"))
	if err != nil {
		return err
	}
	err = r.read(filepath.Join(r.dir, target))
	if err != nil && r.runs.Load() == before {
		return fmt.Errorf("%s: %w", target, err)
	}
	r.seen[target] = true
	r.looks++
	return nil
}

// read is an error if the directory holds something else than one version.
func (r *reader) read(dir string) error {
	there, err := readAll(dir)
	if err != nil {
		return err
	}
	for _, v := range r.versions {
		if equal(there, v) {
			return nil
		}
	}
	return fmt.Errorf("its %d files are not those of any version", len(there))
}

func readAll(dir string) (model, error) {
	files := make(model)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(rel)], err = os.ReadFile(path)
		return err
	})
	return files, err
}

// checkEnd says that current is what it should be, and that nothing is there
// that nobody needs any more.
func (r *reader) checkEnd(t *testing.T, want model) {
	t.Helper()
	got, err := readAll(filepath.Join(r.dir, "current") + "/")
	must(t, err)
	if !equal(got, want) {
		t.Errorf("current has %d files, and they are not those of the last version", len(got))
	}
	releases, err := os.ReadDir(filepath.Join(r.dir, "releases"))
	must(t, err)
	if len(releases) > 2 {
		t.Errorf("%d releases, want the current one and one that is kept", len(releases))
	}
	checkTidy(t, r.dir)
}

// TestReleases goes from one to the next without being disturbed.
func TestReleases(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need privileges, and an open file cannot be removed")
	}
	t.Parallel()
	m, all := newEditions(t, 1, 5)
	dir := m.path("out")
	point := func(i int) string {
		m.must(t, "extract", "--pull", "never", "--no-sync", "--atomic", "--keep", "1", editionRef(i), dir)
		release, err := os.Readlink(filepath.Join(dir, "current"))
		must(t, err)
		return filepath.Join(dir, release)
	}
	first := point(0)
	open, err := os.Open(filepath.Join(first, "model.safetensors"))
	must(t, err)
	defer open.Close()
	point(1)
	point(2)
	if exists(first) {
		t.Error("the first release is still there after two others")
	}
	if data, err := io.ReadAll(open); err != nil || string(data) != string(all[0]["model.safetensors"]) {
		t.Errorf("%d bytes, %v: an open file of a release that was removed is not what it was", len(data), err)
	}
	back := point(1)
	point(0)
	if there, err := readAll(back); err != nil || !equal(there, all[1]) {
		t.Errorf("%v: the release that was current until now is gone, though one is to be kept", err)
	}
	checkTidy(t, dir)
}
