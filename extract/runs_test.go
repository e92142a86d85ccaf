package extract_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/modelpack"
)

// TestTheSameTwiceAtOnce: one does the work, the other finds it done.
func TestTheSameTwiceAtOnce(t *testing.T) {
	for _, atomically := range []bool{false, true} {
		a := everyFormat("content")
		src := &counted{memory: a.memory}
		dir := filepath.Join(t.TempDir(), "new")
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = extract.Extract(t.Context(), models(&a.Artifact, src), dir, with(func(o *extract.Options) { o.Atomic = atomically }))
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		if n := src.calls.Load(); n != int64(len(a.Layers)) {
			t.Errorf("the source was asked %d times for %d layers", n, len(a.Layers))
		}
	}
}

// TestTheFirstOfTwoFails, and takes the directory that it made with it. The
// second one waits for it and gets its own.
func TestTheFirstOfTwoFails(t *testing.T) {
	a := version("a", "1")
	dir := filepath.Join(t.TempDir(), "new", "deep")
	begun, waiting := make(chan struct{}), make(chan struct{})
	src := fetching(func() error { close(begun); <-waiting; return errOffline })
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := extract.Extract(t.Context(), models(&a.Artifact, src), dir, options); !errors.Is(err, errOffline) {
			t.Errorf("error %v, want %v", err, errOffline)
		}
	})
	<-begun
	run(t, a.models(), dir, with(func(o *extract.Options) { o.Observer = &waits{waiting: waiting} }))
	wg.Wait()
	wantTree(t, dir, map[string]string{"a": "1"})
}

// waits tells when a run waits for another.
type waits struct {
	once    sync.Once
	waiting chan struct{}
}

func (w *waits) Observe(phase, _ string, _, _, _ int64) {
	if phase == "waiting" {
		w.once.Do(func() { close(w.waiting) })
	}
}

// fetching is a Source that fails.
type fetching func() error

func (f fetching) Fetch(context.Context, ocispec.Descriptor) (io.ReadCloser, error) { return nil, f() }

func (f fetching) Fill(context.Context, ocispec.Descriptor, blob.Sink, func(safe, resumed int64)) (blob.Proof, error) {
	return blob.Proof{}, f()
}

// TestWaitingEndsWithItsContext.
func TestWaitingEndsWithItsContext(t *testing.T) {
	a := version("a", "1")
	dir := t.TempDir()
	begun, end := make(chan struct{}), make(chan struct{})
	src := fetching(func() error { close(begun); <-end; return errOffline })
	var wg sync.WaitGroup
	wg.Go(func() { extract.Extract(t.Context(), models(&a.Artifact, src), dir, options) })
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	w := &waits{waiting: make(chan struct{})}
	wg.Go(func() { <-w.waiting; cancel() })
	if _, err := extract.Extract(ctx, a.models(), dir, with(func(o *extract.Options) { o.Observer = w })); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	close(end)
	wg.Wait()
	gone(t, filepath.Join(dir, ".tare"))
}

// lying is a mirror that serves something else at first.
type lying struct {
	memory
	lie  []byte
	told atomic.Bool
}

func (l *lying) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if l.told.Swap(true) {
		return l.memory.Fetch(ctx, desc)
	}
	return memory{desc.Digest: l.lie}.Fetch(ctx, desc)
}

// TestLiesLeaveNoTrace: what was read and turned out wrong neither leaves
// directories nor takes names.
func TestLiesLeaveNoTrace(t *testing.T) {
	a := linked(header("dir", "a file"), header("x/y", "1"))
	lie := archive(directory("dir"), directory("empty/deep"), header("x", "a file"), header("x2", "2"))
	lie = append(lie, make([]byte, max(0, len(archive(header("dir", "a file"), header("x/y", "1")))-len(lie)))...)
	dir := t.TempDir()
	run(t, models(&a.Artifact, &lying{memory: a.memory, lie: lie}), dir, options)
	wantTree(t, dir, map[string]string{"dir": "a file", "x/y": "1"})
	gone(t, filepath.Join(dir, "empty"))
}

// TestEditsDuringARun are noticed by the next one.
func TestEditsDuringARun(t *testing.T) {
	v1 := version("a", "1", "b", "1")
	dir := t.TempDir()
	run(t, v1.models(), dir, options)
	v2 := version("a", "1", "b", "1", "c", "3")
	src := &acting{memory: v2.memory, act: func() { write(t, filepath.Join(dir, "a"), "2") }}
	if _, err := extract.Extract(t.Context(), models(&v2.Artifact, src), dir, options); err == nil || !strings.Contains(err.Error(), "changed files during the extraction: a") {
		t.Errorf("error %v, want one that names the file", err)
	}
	run(t, v2.models(), dir, options)
	wantTree(t, dir, map[string]string{"a": "1", "b": "1", "c": "3"})
}

// TestAWaiterThatGivesUp must not take away what the one before it works with.
func TestAWaiterThatGivesUp(t *testing.T) {
	a := version("a", "1", "b", "1")
	dir := t.TempDir()
	waiting, gaveUp := make(chan struct{}), make(chan struct{})
	src := &acting{memory: a.memory, act: sync.OnceFunc(func() {
		ctx, cancel := context.WithCancel(t.Context())
		o := options
		o.Observer = observing(func(phase string) {
			if phase == extract.PhaseWaiting {
				close(waiting)
				cancel()
			}
		})
		if _, err := extract.Extract(ctx, a.models(), dir, o); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v of the one that waited", err)
		}
		close(gaveUp)
	})}
	run(t, models(&a.Artifact, src), dir, options)
	<-waiting
	<-gaveUp
	wantTree(t, dir, map[string]string{"a": "1", "b": "1"})
}

type observing func(phase string)

func (f observing) Observe(phase, _ string, _, _, _ int64) { f(phase) }

// TestALayerThatGoesElsewhere has the same bytes as before.
func TestALayerThatGoesElsewhere(t *testing.T) {
	content := archive(header("data", "x"))
	at := func(dirs ...string) *artifact {
		a := newArtifact()
		for _, d := range dirs {
			a.add(modelpack.Tar, "", content).Dir = d
		}
		return a
	}
	dir := t.TempDir()
	run(t, at("a").models(), dir, options)
	run(t, at("b").models(), dir, options)
	wantTree(t, dir, map[string]string{"b/data": "x"})
	for range 2 {
		run(t, at("b", "c").models(), dir, options)
		wantTree(t, dir, map[string]string{"b/data": "x", "c/data": "x"})
	}
}

// TestReleaseThatNeverCameToBe does not count as one to keep.
func TestReleaseThatNeverCameToBe(t *testing.T) {
	v1, v2, v3 := version("a", "1"), version("a", "2"), version("a", "3")
	dir := t.TempDir()
	asRelease(t, v1, dir)
	asRelease(t, v2, dir)
	asRelease(t, v1, dir)
	if err := os.RemoveAll(filepath.Join(dir, "releases", releaseOf(v2))); err != nil {
		t.Fatal(err)
	}
	asRelease(t, v3, dir, keep(1))
	wantReleases(t, dir, v1, v3)
}

// TestReleasesOfSomebodyElse are not taken for ours.
func TestReleasesOfSomebodyElse(t *testing.T) {
	a := version("a", "1")
	dir := t.TempDir()
	theirs := filepath.Join(dir, "releases", releaseOf(a), "a")
	if err := os.MkdirAll(filepath.Dir(theirs), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, theirs, "mine")
	o := with(func(o *extract.Options) { o.Atomic = true })
	_, err := extract.Extract(t.Context(), a.models(), dir, o)
	if _, ok := errors.AsType[*extract.ConflictError](err); !ok {
		t.Errorf("error %v, want a conflict", err)
	}
	if data, err := os.ReadFile(theirs); err != nil || string(data) != "mine" {
		t.Errorf("%q, %v", data, err)
	}
}

// acting does something when a layer is fetched.
type acting struct {
	memory
	act func()
}

func (a *acting) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	a.act()
	return a.memory.Fetch(ctx, desc)
}

// TestFilesThatAppearDuringARun are not replaced.
func TestFilesThatAppearDuringARun(t *testing.T) {
	a := version("a", "1", "b", "1")
	dir := t.TempDir()
	src := &acting{memory: a.memory, act: func() { write(t, filepath.Join(dir, "b"), "mine") }}
	_, err := extract.Extract(t.Context(), models(&a.Artifact, src), dir, options)
	if _, ok := errors.AsType[*extract.ConflictError](err); !ok {
		t.Errorf("error %v, want a conflict", err)
	}
	wantTree(t, dir, map[string]string{"b": "mine"})
}

func TestRecordedTime(t *testing.T) {
	t.Parallel()
	then := time.Unix(1e9, 0)
	a := newArtifact()
	e := header("tar", "x")
	e.ModTime = then
	a.add(modelpack.TarGzip, "tar", gzipped(archive(e)))
	big := header("big", large("x"))
	big.ModTime = then
	a.raw("raw", "x")
	a.raw("big.raw", large("y"))
	a.add(modelpack.Tar, "big", archive(big))
	for i := range a.Layers[1:] {
		l := &a.Layers[i+1]
		m := modelpack.NewFileMetadata(l.Path, l.Size, false)
		if l.Path == "big" {
			m.Size = int64(len(big.content))
		}
		m.ModTime = then
		l.Metadata = &m
	}
	dir := t.TempDir()
	run(t, a.models(), dir, with(func(o *extract.Options) { o.RecordedTime = true }))
	for _, name := range []string{"tar", "raw", "big", "big.raw"} {
		if got := stat(t, filepath.Join(dir, name)).ModTime(); !got.Equal(then) {
			t.Errorf("%s is of %v, want %v", name, got, then)
		}
	}
	dir = t.TempDir()
	before := time.Now().Add(-time.Minute)
	run(t, a.models(), dir, options)
	for _, name := range []string{"tar", "raw", "big", "big.raw"} {
		if got := stat(t, filepath.Join(dir, name)).ModTime(); got.Before(before) {
			t.Errorf("%s is of %v, want the time of extraction", name, got)
		}
	}
}

func TestOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	a := everyFormat("content")
	a.raw("big.raw", large("x"))
	dir := t.TempDir()
	first := with(func(o *extract.Options) { o.Owner = &extract.Owner{UID: 1234, GID: 2345} })
	second := with(func(o *extract.Options) { o.Owner, o.Mode = &extract.Owner{UID: -1, GID: 3456}, 0o640 })
	for _, test := range []struct {
		models   []extract.Model
		o        extract.Options
		uid, gid int
		mode     fs.FileMode
	}{
		{a.models(), first, 1234, 2345, 0o644},
		{a.offline(), first, 1234, 2345, 0o644},
		{a.offline(), second, 1234, 3456, 0o640},
	} {
		run(t, test.models, dir, test.o)
		for _, name := range []string{"tar.bin", "big.raw", "z/gzip.txt", "code/b.py"} {
			info := stat(t, filepath.Join(dir, name))
			if uid, gid, _ := disk.Owner(info); uid != test.uid || gid != test.gid || info.Mode() != test.mode {
				t.Errorf("%s belongs to %d:%d and has mode %v, want %d:%d, %v", name, uid, gid, info.Mode(), test.uid, test.gid, test.mode)
			}
		}
	}
	for name, want := range map[string]int{"code": 1234, "code/link": 1234} {
		if uid, _, _ := disk.Owner(stat(t, filepath.Join(dir, name))); uid != want {
			t.Errorf("%s belongs to %d", name, uid)
		}
	}
}
