package cmd

import (
	"bytes"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tareml/tare/internal/hostile"
	"github.com/tareml/tare/modelpack"
)

// TestHostileArtifacts extracts each artifact of the corpus from a store and from
// a registry, over files that are there already: what must not be extracted
// leaves everything as it was and says who is to blame.
func TestHostileArtifacts(t *testing.T) {
	a := newArena(t)
	for _, c := range hostile.Corpus(filepath.ToSlash(a.dir)) {
		t.Run(c.Name, func(t *testing.T) { a.run(t, c) })
	}
}

// TestDiffIDs is the same for configs that are wrong.
func TestDiffIDs(t *testing.T) {
	a := newArena(t)
	for _, c := range hostile.DiffIDCases() {
		t.Run(c.Name, func(t *testing.T) { a.run(t, c) })
	}
}

// TestHostileImages is the same for plain images.
func TestHostileImages(t *testing.T) {
	a := newArena(t)
	for _, c := range hostile.ImageCases() {
		t.Run(c.Name, func(t *testing.T) { a.run(t, c) })
	}
}

// TestHostileCrowds is the same for artifacts that take their time: what that
// allocates in all does not count.
func TestHostileCrowds(t *testing.T) {
	if testing.Short() || raceDetector() {
		t.Skip("takes a minute with the race detector, which has nothing to find here")
	}
	a := newArena(t)
	a.patient = true
	for _, c := range hostile.Crowds() {
		t.Run(c.Name, func(t *testing.T) { a.run(t, c) })
	}
}

// raceDetector says whether it is at work.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// arena is a directory that is watched as a whole. The destination is two levels
// below it, and the working directory and that for temporary files are in it.
// Stores are elsewhere.
type arena struct {
	dir, dest, own, store string

	was     map[string]snapshotEntry // before each run
	dirty   bool                     // something was left by the last one
	patient bool                     // memory is counted by nobody

	host    string // of a registry
	handler atomic.Pointer[http.Handler]
}

func newArena(t *testing.T) *arena {
	t.Helper()
	dir := t.TempDir()
	a := &arena{dir: dir, dest: filepath.Join(dir, "above", "dest"), store: filepath.Join(t.TempDir(), "store")}
	a.own = filepath.Join(a.dest, modelpack.StateDir)
	for _, name := range []string{"HOME", "DOCKER_CONFIG", "TMPDIR"} {
		t.Setenv(name, filepath.Join(dir, "home"))
	}
	a.reset(t)
	a.was = a.snapshot(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		(*a.handler.Load()).ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	a.host = strings.TrimPrefix(server.URL, "http://")
	t.Chdir(filepath.Join(dir, "home"))
	return a
}

// before is what is in the arena before each run. Some of it has names that
// artifacts use.
var before = map[string]string{
	hostile.Outside:                 "outside",
	"above/" + hostile.Outside:      "outside",
	"home/" + hostile.Outside:       "outside",
	"above/dest/mine.txt":           "mine",
	"above/dest/good.txt":           "not so good",
	"above/dest/model.bin":          "weights of before",
	"above/dest/sub/" + "mine.txt":  "mine",
	"above/dest/link/mine.txt":      "mine",
	"above/dest/.tare/mine":         "mine",
	"above/dest/" + hostile.Outside: "inside",
}

// reset makes the arena what it is before a run.
func (a *arena) reset(t *testing.T) {
	t.Helper()
	home := filepath.Join(a.dir, "home")
	for _, dir := range []string{filepath.Join(a.dir, "above"), home} {
		entries, _ := os.ReadDir(dir) // the directories stay: somebody works in one of them
		for _, e := range entries {
			must(t, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	for name, content := range before {
		path := filepath.Join(a.dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o750))
		must(t, os.WriteFile(path, []byte(content), 0o600))
		must(t, os.Chtimes(path, time.Time{}, time.Unix(1_700_000_000, 0)))
	}
	if err := os.Symlink("..", filepath.Join(a.dest, hostile.LinkOut)); err != nil && runtime.GOOS != "windows" {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run extracts a case in all ways that make a difference.
func (a *arena) run(t *testing.T, c hostile.Case) {
	t.Run("store", func(t *testing.T) {
		const ref = "hostile.test/model:v1"
		must(t, os.RemoveAll(a.store))
		must(t, c.WriteLayout(a.store, ref))
		a.extract(t, c, ref, "--pull", "never")
	})
	a.runRemote(t, "registry", c, true)
	if c.Stream {
		a.runRemote(t, "registry without ranges", c, false)
	}
}

func (a *arena) runRemote(t *testing.T, way string, c hostile.Case, ranges bool) {
	t.Run(way, func(t *testing.T) {
		handler := c.Handler(ranges)
		a.handler.Store(&handler)
		must(t, os.RemoveAll(a.store))
		a.extract(t, c, a.host+"/model:v1")
	})
}

// extract is one extraction, and all that has to be true of it.
func (a *arena) extract(t *testing.T, c hostile.Case, ref string, args ...string) {
	t.Helper()
	if a.dirty {
		a.reset(t)
	}
	a.dirty = true
	args = append([]string{"extract", ref, a.dest, "--overwrite", "--no-sync", "--store", a.store}, args...)
	var stdout, stderr bytes.Buffer
	cost := measure(func() {
		code := Main(t.Context(), args, nil, &stdout, &stderr)
		a.checkCode(t, c, code, stderr.String())
	})
	if a.patient {
		cost.allocated = 0
	}
	checkCost(t, c, cost)
	checkText(t, stdout.String()+stderr.String())
	if a.want(c) == hostile.Accepted {
		a.checkFiles(t, c)
		return
	}
	checkSame(t, a.snapshot(t), a.was)
	a.dirty = t.Failed() || a.checkState(t, c)
}

// want is what has to become of a case on this file system.
func (a *arena) want(c hostile.Case) hostile.Want {
	if c.Twins == [2]string{} {
		return c.Want
	}
	probe := filepath.Join(a.dir, "home", "probe")
	defer os.RemoveAll(probe)
	first, second := filepath.Join(probe, c.Twins[0]), filepath.Join(probe, c.Twins[1])
	if os.MkdirAll(first, 0o750) != nil {
		return c.Want
	}
	if _, err := os.Lstat(second); err == nil {
		return hostile.Refused
	}
	return c.Want
}

// checkCode says whether the command ended as it should, and for what reason.
func (a *arena) checkCode(t *testing.T, c hostile.Case, code int, message string) {
	t.Helper()
	want := a.want(c)
	codes := map[hostile.Want]int{hostile.Refused: exitContent, hostile.NotModel: exitFailed, hostile.Accepted: exitOK}
	if want == hostile.Failed && code != exitOK {
		codes[want] = code
	}
	if expected, ok := codes[want]; !ok || code != expected {
		t.Errorf("exit code %d, want %d: %s", code, expected, shortened(message))
	}
	named := func(name string) bool { return strings.Contains(message, name) }
	if want != hostile.Accepted && !slices.ContainsFunc(c.Culprits, named) {
		t.Errorf("the message names none of %q: %s", c.Culprits, shortened(message))
	}
}

// What an extraction may cost beyond the blobs themselves: bytes allocated from
// first to last, and bytes written anywhere.
const (
	mostAllocated = 64 << 20
	mostWritten   = 160 << 20 // a bomb is noticed at a hundred times its size
)

type cost struct{ allocated, written uint64 }

// measure is what f allocates and writes. It knows the latter on Linux alone.
func measure(f func()) cost {
	var from, to runtime.MemStats
	written := bytesWritten()
	runtime.ReadMemStats(&from)
	f()
	runtime.ReadMemStats(&to)
	return cost{to.TotalAlloc - from.TotalAlloc, bytesWritten() - written}
}

// bytesWritten is what this process has written so far, to files and sockets.
func bytesWritten() uint64 {
	data, _ := os.ReadFile("/proc/self/io")
	_, rest, _ := strings.Cut(string(data), "wchar: ")
	n, _ := strconv.ParseUint(strings.SplitN(rest, "\n", 2)[0], 10, 64)
	return n
}

func checkCost(t *testing.T, c hostile.Case, spent cost) {
	t.Helper()
	if spent.allocated > mostAllocated {
		t.Errorf("%d MiB were allocated", spent.allocated>>20)
	}
	most := uint64(len(c.Manifest) + mostWritten)
	for _, data := range c.Blobs {
		most += 3 * uint64(len(data)) // into a socket, a staging file and its place
	}
	if spent.written > most {
		t.Errorf("%d MiB were written", spent.written>>20)
	}
}

// checkText says whether what was printed is fit for a terminal.
func checkText(t *testing.T, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && isControl(r) }); i >= 0 {
		t.Errorf("a control character was printed: %q", shortened(text[i:]))
	}
	if len(text) > 16<<10 {
		t.Errorf("%d bytes were printed: %s", len(text), shortened(text))
	}
}

func shortened(s string) string { return s[:min(len(s), 500)] }

// snapshotEntry is what a snapshot knows of a file, a directory or a link.
type snapshotEntry struct {
	mode    fs.FileMode
	time    time.Time // of a file
	content string    // of a file, or where a link leads
}

// snapshot is all that is in the arena but what is tare's own, which is there
// before: of that, the file that tare knows nothing of.
func (a *arena) snapshot(t *testing.T) map[string]snapshotEntry {
	t.Helper()
	all := map[string]snapshotEntry{}
	must(t, filepath.WalkDir(a.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(path, a.own+string(filepath.Separator)) && d.Name() != "mine" {
			return nil
		}
		rel, err := filepath.Rel(a.dir, path)
		if err != nil {
			return err
		}
		all[filepath.ToSlash(rel)], err = look(path, d)
		return err
	}))
	return all
}

func look(path string, d fs.DirEntry) (snapshotEntry, error) {
	info, err := d.Info()
	if err != nil {
		return snapshotEntry{}, err
	}
	e := snapshotEntry{mode: info.Mode()}
	switch {
	case info.Mode().IsRegular():
		data, err := os.ReadFile(path)
		e.time, e.content = info.ModTime(), string(data)
		return e, err
	case info.Mode()&fs.ModeSymlink != 0:
		e.content, err = os.Readlink(path)
	}
	return e, err
}

func checkSame(t *testing.T, got, want map[string]snapshotEntry) {
	t.Helper()
	for path, e := range want {
		if now, ok := got[path]; !ok {
			t.Errorf("%s is gone", path)
		} else if now != e {
			t.Errorf("%s is %v of %d bytes, was %v of %d", path, now.mode, len(now.content), e.mode, len(e.content))
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s appeared", shortened(path))
		}
	}
}

// checkFiles looks for the files of an accepted case, and for nothing else.
func (a *arena) checkFiles(t *testing.T, c hostile.Case) {
	t.Helper()
	got, want := map[string]string{}, map[string]string{}
	for path, e := range a.was {
		if e.mode.IsRegular() {
			want[path] = e.content
		}
	}
	for path, content := range c.Files {
		want["above/dest/"+path] = content
	}
	for path, e := range a.snapshot(t) {
		if e.mode.IsRegular() {
			got[path] = e.content
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("files %q, want %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// checkState says whether what tare keeps for itself after a failure is no more
// than what it could have been given. It returns whether there is anything.
func (a *arena) checkState(t *testing.T, c hostile.Case) (left bool) {
	t.Helper()
	most := int64(mostWritten)
	for _, data := range c.Blobs {
		most += int64(len(data))
	}
	var size int64
	files := 0
	must(t, filepath.WalkDir(a.own, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		files++
		info, err := d.Info()
		if err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return err
	}))
	if size > most {
		t.Errorf("%d MiB are left in %s", size>>20, modelpack.StateDir)
	}
	return files > 2 // the directory and what was in it before
}
