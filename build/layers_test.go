//go:build unix

package build_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/build"
	"github.com/tareml/tare/internal/memstore"
	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelpack"
)

// unpack reads all files of a layer, however it is packed.
func unpack(t *testing.T, store *memstore.Store, l modelpack.Layer) (files map[string]string, archive []byte) {
	t.Helper()
	data, err := store.ReadAll(l.Descriptor)
	if err != nil {
		t.Fatal(err)
	}
	var r io.Reader = bytes.NewReader(data)
	switch l.Format {
	case modelpack.Raw:
		return map[string]string{l.Path: string(data)}, data
	case modelpack.TarGzip:
		r, err = gzip.NewReader(r)
	case modelpack.TarZstd:
		r, err = zstd.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	if archive, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	for tr := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return files, archive
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(content)
	}
}

func TestEveryFormatHoldsTheFiles(t *testing.T) {
	files := map[string]string{"a.json": "{}", "b.json": strings.Repeat("config ", 100_000), "empty.json": ""}
	dir := write(t, t.TempDir(), files)
	for _, format := range []modelpack.Format{modelpack.Tar, modelpack.Raw, modelpack.TarGzip, modelpack.TarZstd} {
		_, a, store := built(t, dir, "CONFIG *.json\n", all(format), build.Options{Concurrency: 2})
		config, _ := store.ReadAll(a.Manifest.Config)
		c, err := modelpack.ParseConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for i, l := range a.Layers {
			if l.Format != format {
				t.Errorf("%s: layer of format %s", format, l.Format)
			}
			content, archive := unpack(t, store, l)
			maps.Copy(got, content)
			if d := digest.FromBytes(archive); c.ModelFS.DiffIDs[i] != d {
				t.Errorf("%s: diffId %s, the uncompressed layer is %s", format, c.ModelFS.DiffIDs[i], d)
			}
		}
		if !maps.Equal(got, files) {
			t.Errorf("%s: other files came out", format)
		}
	}
}

func TestCompressionIsDeterministic(t *testing.T) {
	files := map[string]string{}
	for i := range 12 {
		files[fmt.Sprintf("%02d.txt", i)] = strings.Repeat(fmt.Sprint("line ", i, "\n"), 50_000)
	}
	dir := write(t, t.TempDir(), files)
	for _, layout := range []build.Layout{all(modelpack.TarGzip), all(modelpack.TarZstd),
		{Formats: all(modelpack.TarZstd).Formats, Bundles: []modelpack.Kind{modelpack.Doc}}} {
		var want digest.Digest
		for _, concurrency := range []int{1, 3, 12} {
			r, _, _ := built(t, dir, "DOC *.txt\n", layout, build.Options{Concurrency: concurrency})
			if want == "" {
				want = r.Manifest.Digest
			}
			if r.Manifest.Digest != want {
				t.Errorf("%s at concurrency %d, %s at 1", r.Manifest.Digest, concurrency, want)
			}
		}
	}
}

func TestBundles(t *testing.T) {
	files := map[string]string{"src/b.py": "b", "src/a/x.py": "x", "src/a/empty.py": "", "src/run.sh": "#!/bin/sh", "w.bin": "w", "README.md": "doc", "LICENSE": "mit"}
	dir := write(t, t.TempDir(), files)
	text := "CODE src/**\nMODEL w.bin\nDOC {README.md,LICENSE}\n"
	layout := build.Layout{Bundles: []modelpack.Kind{modelpack.Code, modelpack.Doc, modelpack.Dataset}}
	_, a, store := built(t, dir, text, layout, build.Options{})
	if len(a.Layers) != 3 {
		t.Fatalf("%d layers, want 3", len(a.Layers))
	}
	got := map[string]string{}
	for _, l := range a.Layers {
		content, archive := unpack(t, store, l)
		maps.Copy(got, content)
		if !bytes.HasSuffix(archive, make([]byte, 1024)) || len(archive)%512 != 0 || bytes.HasSuffix(archive, make([]byte, 2048)) {
			t.Errorf("%s: does not end in exactly two zero blocks", l.Path)
		}
	}
	if !maps.Equal(got, files) {
		t.Errorf("files %v", got)
	}
	code := a.Layers[1]
	if code.Path != "src" || code.Metadata.Size != 11 || !modelpack.IsDir(code.Metadata) || code.Metadata.Mode == 0 {
		t.Errorf("code bundle %q, metadata %+v", code.Path, code.Metadata)
	}
	if doc := a.Layers[2]; doc.Path != "." {
		t.Errorf("doc bundle %q", doc.Path)
	}
	checkConfig(t, store, a)
}

func TestTooManyLayers(t *testing.T) {
	files := map[string]string{"w.bin": "w"}
	for i := range build.MaxLayers {
		files[fmt.Sprintf("data/%03d.csv", i)] = "1"
	}
	dir := write(t, t.TempDir(), files)
	p, err := plan(t, dir, "MODEL w.bin\nDATASET data/*.csv\n")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Layers(build.Layout{})
	var h interface{ Hint() string }
	if err == nil || !strings.Contains(err.Error(), "451 layers, and tare makes no more than 450, as Amazon ECR takes 500") || !errors.As(err, &h) || !strings.Contains(h.Hint(), "--bundle dataset") {
		t.Errorf("error %v, want one that counts layers and hints at bundles", err)
	}
	if layers, err := p.Layers(build.Layout{Bundles: []modelpack.Kind{modelpack.Dataset}}); err != nil || len(layers) != 2 {
		t.Errorf("%d layers, %v", len(layers), err)
	}
}

func TestFlatTitles(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"a/w.bin": "1", "b/c.json": "2", "d/c.json": "3"})
	layout := all(modelpack.Raw)
	layout.Flat = true
	_, a, _ := built(t, dir, "MODEL a/w.bin\nCONFIG b/c.json\n", layout, build.Options{Flat: true})
	for _, l := range a.Layers {
		if title := l.Annotations["org.opencontainers.image.title"]; strings.Contains(title, "/") || !strings.HasSuffix(l.Path, "/"+title) {
			t.Errorf("%s has the title %q", l.Path, title)
		}
	}
	p, err := plan(t, dir, "CONFIG */c.json\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Layers(layout); err == nil || !strings.Contains(err.Error(), "b/c.json and d/c.json") {
		t.Errorf("error %v, want both files", err)
	}
}

// counter is a store that counts what is read into it.
type counter struct {
	*memstore.Session
	mu    sync.Mutex
	bytes int64
	calls int
}

func (c *counter) Ingest(ctx context.Context, r io.Reader) (digest.Digest, int64, error) {
	d, n, err := c.Session.Ingest(ctx, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += n
	c.calls++
	return d, n, err
}

// mapCache is a cache in memory.
type mapCache struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (c *mapCache) Get(key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.m[key]
	return v, ok
}

func (c *mapCache) Put(key string, value []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m[key] = value
}

// cached is a place to build in again and again.
type cached struct {
	t     *testing.T
	store *memstore.Store
	cache *mapCache
}

func newCached(t *testing.T) *cached {
	t.Helper()
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("no digest cache on this system")
	}
	return &cached{t, memstore.New(), &mapCache{m: map[string][]byte{}}}
}

// build returns the digest and how many layers were read.
func (c *cached) build(dir, text string, layout build.Layout) (digest.Digest, int) {
	c.t.Helper()
	p, err := plan(c.t, dir, text)
	if err != nil {
		c.t.Fatal(err)
	}
	layers, err := p.Layers(layout)
	if err != nil {
		c.t.Fatal(err)
	}
	session, err := c.store.Begin(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	defer session.Close()
	count := &counter{Session: session}
	r, err := p.Build(c.t.Context(), count, layers, build.Options{Cache: c.cache})
	if err != nil {
		c.t.Fatal(err)
	}
	return r.Manifest.Digest, count.calls - 2 // config and manifest
}

// settle waits until files that were just written are old enough to be trusted.
func settle(t *testing.T) {
	t.Helper()
	time.Sleep(2100 * time.Millisecond) // change times cannot be set
}

func TestUnchangedFilesAreNotRead(t *testing.T) {
	c := newCached(t)
	dir := write(t, t.TempDir(), map[string]string{"a.bin": "a", "b.bin": "b", "src/x.py": "#!x", "src/y.py": "y"})
	const text = "MODEL *.bin\nCODE src/*.py\n"
	layout := build.Layout{Bundles: []modelpack.Kind{modelpack.Code}}
	if _, read := c.build(dir, text, layout); read != 3 {
		t.Errorf("%d layers read the first time", read)
	}
	if _, read := c.build(dir, text, layout); read != 3 {
		t.Errorf("%d layers read of files that changed a moment ago: they must not be trusted", read)
	}
	settle(t)
	want, _ := c.build(dir, text, layout)
	got, read := c.build(dir, text, layout)
	if read != 0 || got != want {
		t.Errorf("%d layers read, digest %s, want none and %s", read, got, want)
	}
	t.Run("one file changed", func(t *testing.T) {
		write(t, dir, map[string]string{"a.bin": "A"})
		changed, read := c.build(dir, text, layout)
		if read != 1 || changed == want {
			t.Errorf("%d layers read, same digest %v", read, changed == want)
		}
		write(t, dir, map[string]string{"a.bin": "a"})
	})
	t.Run("one file of a bundle changed", func(t *testing.T) {
		settle(t)
		c.build(dir, text, layout)
		write(t, dir, map[string]string{"src/y.py": "Y"})
		if _, read := c.build(dir, text, layout); read != 1 {
			t.Errorf("%d layers read", read)
		}
		write(t, dir, map[string]string{"src/y.py": "y"})
	})
	t.Run("time put back", func(t *testing.T) {
		settle(t)
		c.build(dir, text, layout)
		info, _ := os.Stat(filepath.Join(dir, "a.bin"))
		write(t, dir, map[string]string{"a.bin": "Z"})
		if err := os.Chtimes(filepath.Join(dir, "a.bin"), info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		if got, read := c.build(dir, text, layout); read != 1 || got == want {
			t.Errorf("%d layers read: the change time must give it away", read)
		}
		write(t, dir, map[string]string{"a.bin": "a"})
	})
	t.Run("blob gone", func(t *testing.T) {
		settle(t)
		c.build(dir, text, layout)
		c.store = memstore.New()
		if got, read := c.build(dir, text, layout); read != 3 || got != want {
			t.Errorf("%d layers read into an empty store", read)
		}
	})
}

// TestBundleOfOneFile has the archive of the file's own layer, and other metadata:
// the cache must not take one for the other.
func TestBundleOfOneFile(t *testing.T) {
	c := newCached(t)
	dir := write(t, t.TempDir(), map[string]string{"run.sh": "#!/bin/sh\n"})
	settle(t)
	bundled := build.Layout{Bundles: []modelpack.Kind{modelpack.Code}}
	want, _ := newCached(t).build(dir, "CODE run.sh\n", build.Layout{})
	c.build(dir, "CODE run.sh\n", bundled)
	if got, _ := c.build(dir, "CODE run.sh\n", build.Layout{}); got != want {
		t.Errorf("%s after a bundle, %s without", got, want)
	}
}

// TestKilledBuildResumesByFile: what was finished is not read again, though the
// build never came to its end.
func TestKilledBuildResumesByFile(t *testing.T) {
	c := newCached(t)
	dir := write(t, t.TempDir(), map[string]string{"a.bin": "a", "b.bin": "b", "c.bin": "c"})
	settle(t)
	p, err := plan(t, dir, "MODEL *.bin\n")
	if err != nil {
		t.Fatal(err)
	}
	layers, err := p.Layers(build.Layout{})
	if err != nil {
		t.Fatal(err)
	}
	session, _ := c.store.Begin(t.Context())
	ctx, kill := context.WithCancel(t.Context())
	o := build.Options{Cache: c.cache, Observer: observe(func(phase, path string) {
		if phase == "done" && path == "b.bin" {
			kill()
		}
	})}
	if _, err := p.Build(ctx, session, layers, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	session.Close()
	if _, read := c.build(dir, "MODEL *.bin\n", build.Layout{}); read != 1 {
		t.Errorf("%d layers read after a build that had finished two of three", read)
	}
}

type observe func(phase, path string)

func (o observe) Observe(phase, path string, _, _, _ int64) { o(phase, path) }

// TestCacheKeys: the same file under another name, in another place or in another
// format is another layer.
func TestCacheKeys(t *testing.T) {
	c := newCached(t)
	base := write(t, t.TempDir(), map[string]string{"onnx/m.bin": "weights"})
	dir := filepath.Join(base, "onnx")
	for _, link := range []string{"one.bin", "two.bin"} {
		if err := os.Symlink("m.bin", filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	settle(t)
	expect := func(name string, want int, dir, text string, layout build.Layout) {
		t.Helper()
		if _, read := c.build(dir, text, layout); read != want {
			t.Errorf("%s: %d layers read, want %d", name, read, want)
		}
		if _, read := c.build(dir, text, layout); read != 0 {
			t.Errorf("%s, again: %d layers read", name, read)
		}
	}
	expect("first", 1, dir, "MODEL m.bin\n", build.Layout{})
	expect("two links to one file", 2, dir, "MODEL one.bin\nMODEL two.bin\n", build.Layout{})
	expect("from above", 1, base, "MODEL onnx/m.bin\n", build.Layout{})
	expect("another format", 1, dir, "MODEL m.bin\n", all(modelpack.TarZstd))
	expect("raw", 1, dir, "MODEL m.bin\n", all(modelpack.Raw))
	if err := os.Rename(dir, filepath.Join(base, "onnx2")); err != nil {
		t.Fatal(err)
	}
	expect("moved directory, named in the path", 1, base, "MODEL onnx2/m.bin\n", build.Layout{})
	expect("moved directory, same path", 0, filepath.Join(base, "onnx2"), "MODEL m.bin\n", build.Layout{})
}

func TestLinks(t *testing.T) {
	base := t.TempDir()
	dir := write(t, filepath.Join(base, "model"), map[string]string{"sub/real.bin": "real"})
	write(t, base, map[string]string{"outside.bin": "outside"})
	for name, target := range map[string]string{
		"in.bin": "sub/real.bin", "dir": "sub", "out.bin": "../outside.bin", "loop.bin": "loop.bin", "dangling.bin": "nowhere", "device.bin": "/dev/null",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.bin"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, a, store := built(t, dir, "MODEL in.bin\nMODEL dir/real.bin\n", all(modelpack.Raw), build.Options{})
	for _, l := range a.Layers {
		if data, _ := store.ReadAll(l.Descriptor); string(data) != "real" {
			t.Errorf("%s: %q", l.Path, data)
		}
	}
	for name, want := range map[string]string{
		"out.bin": "outside the model directory", "loop.bin": "leads nowhere", "dangling.bin": "not there",
		"pipe.bin": "a named pipe", "device.bin": "outside the model directory",
	} {
		for _, pattern := range []string{name, name[:3] + "*.bin"} {
			_, err := plan(t, dir, "MODEL "+pattern+"\n")
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: error %v, want %q in it", pattern, err, want)
			}
			var h interface{ Hint() string }
			if strings.Contains(want, "outside") && (!errors.As(err, &h) || !strings.Contains(h.Hint(), "--follow-links")) {
				t.Errorf("%s: no hint at --follow-links", pattern)
			}
		}
	}
	f, _ := modelfile.Parse("Modelfile", strings.NewReader("MODEL out.bin\n"))
	p, err := build.NewPlan(dir, f, "Modelfile", true)
	if err != nil {
		t.Fatalf("following links: %v", err)
	}
	p.Close()
	f, _ = modelfile.Parse("Modelfile", strings.NewReader("MODEL device.bin\n"))
	if _, err := build.NewPlan(dir, f, "Modelfile", true); err == nil || !strings.Contains(err.Error(), "a device") {
		t.Errorf("following a link to a device: %v", err)
	}
}

// TestHuggingFaceSnapshot lays files out as the cache of huggingface_hub does.
func TestHuggingFaceSnapshot(t *testing.T) {
	repo := filepath.Join(t.TempDir(), "models--acme--tiny")
	write(t, repo, map[string]string{"blobs/aaa": "{}", "blobs/bbb": "weights", "refs/main": "abc"})
	snapshot := filepath.Join(repo, "snapshots", "abc")
	if err := os.MkdirAll(filepath.Join(snapshot, "onnx"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"config.json": "../../blobs/aaa", "onnx/m.onnx": "../../../blobs/bbb", "secret": "../../refs/main"} {
		if err := os.Symlink(target, filepath.Join(snapshot, name)); err != nil {
			t.Fatal(err)
		}
	}
	_, a, store := built(t, snapshot, "CONFIG *.json\nMODEL **/*.onnx\n", build.Layout{}, build.Options{})
	got := map[string]string{}
	for _, l := range a.Layers {
		files, _ := unpack(t, store, l)
		maps.Copy(got, files)
	}
	if want := map[string]string{"config.json": "{}", "onnx/m.onnx": "weights"}; !maps.Equal(got, want) {
		t.Errorf("files %v", slices.Collect(maps.Keys(got)))
	}
	if _, err := plan(t, snapshot, "DOC secret\n"); err == nil || !strings.Contains(err.Error(), "outside") {
		t.Errorf("a link out of the blobs: %v", err)
	}
}

func TestUnreadableDirectoriesOutOfReach(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := write(t, t.TempDir(), map[string]string{"w.bin": "w", "lost+found/x": "x"})
	if err := os.Chmod(filepath.Join(dir, "lost+found"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := plan(t, dir, "MODEL *.bin\n"); err != nil {
		t.Error(err)
	}
	if _, err := plan(t, dir, "MODEL **/*.bin\n"); err == nil {
		t.Error("an unreadable directory that matters went unnoticed")
	}
}

func TestReserve(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"w.bin": strings.Repeat("w", 5000)})
	p, err := plan(t, dir, "MODEL w.bin\n")
	if err != nil {
		t.Fatal(err)
	}
	session, _ := memstore.New().Begin(t.Context())
	layers, _ := p.Layers(build.Layout{})
	full := &fullStore{Session: session}
	if _, err := p.Build(t.Context(), full, layers, build.Options{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v", err)
	}
	if full.asked != layers[0].Size() || full.asked < 5000+1024 {
		t.Errorf("asked for %d bytes, the layer has %d", full.asked, layers[0].Size())
	}
}

type fullStore struct {
	*memstore.Session
	asked int64
}

func (f *fullStore) Reserve(n int64) error {
	f.asked = n
	return syscall.ENOSPC
}

func (f *fullStore) Ingest(context.Context, io.Reader) (digest.Digest, int64, error) {
	panic("read though there is no room")
}
