//go:build unix

package build_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/build"
	"github.com/tareml/tare/modelpack"
)

// remote is a repository in memory. It takes each blob in two attempts, the first
// of which is lost, and refuses what does not match its digest.
type remote struct {
	before, after func(desc ocispec.Descriptor) error // nil or called around the bytes

	mu    sync.Mutex
	blobs map[digest.Digest][]byte
	heads map[digest.Digest]int
	sent  map[digest.Digest]int
	now   int // uploads that are going on
	most  int
}

func newRemote() *remote {
	return &remote{blobs: map[digest.Digest][]byte{}, heads: map[digest.Digest]int{}, sent: map[digest.Digest]int{}}
}

func (r *remote) Has(_ context.Context, desc ocispec.Descriptor) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heads[desc.Digest]++
	data, ok := r.blobs[desc.Digest]
	return ok && int64(len(data)) == desc.Size, nil
}

func (r *remote) Upload(ctx context.Context, desc ocispec.Descriptor, src blob.Source, report func(safe, resumed int64)) (bool, error) {
	if there, err := r.Has(ctx, desc); there || err != nil {
		return there, err
	}
	r.enter(1)
	defer r.enter(-1)
	if err := call(r.before, desc); err != nil {
		return false, err
	}
	report(desc.Size/2, 0)
	report(-desc.Size/2, 0)
	data := make([]byte, desc.Size)
	if _, err := io.ReadFull(io.NewSectionReader(src, 0, src.Size()), data); err != nil {
		return false, fmt.Errorf("reading the source: %w", err)
	}
	if src.Size() != desc.Size || digest.FromBytes(data) != desc.Digest {
		return false, blob.ErrMismatch
	}
	report(desc.Size-desc.Size/3, desc.Size/3)
	if err := call(r.after, desc); err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blobs[desc.Digest] = data
	r.sent[desc.Digest]++
	return false, ctx.Err()
}

func call(f func(ocispec.Descriptor) error, desc ocispec.Descriptor) error {
	if f == nil {
		return nil
	}
	return f(desc)
}

func (r *remote) enter(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now += n
	r.most = max(r.most, r.now)
}

// tally adds up what an observer is told.
type tally struct {
	mu   sync.Mutex
	sum  int64
	done int
}

func (t *tally) Observe(phase, _ string, safe, skipped, resumed int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum += safe + skipped + resumed
	if phase == "done" {
		t.done++
	}
}

// TestPushAsksFirst reads nothing for a registry that lets nobody in.
func TestPushAsksFirst(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"w.bin": "weights"})
	seen, refusal := &tally{}, errors.New("denied")
	p, err := plan(t, dir, "MODEL w.bin\n")
	if err != nil {
		t.Fatal(err)
	}
	layers, err := p.Layers(build.Layout{})
	if err != nil {
		t.Fatal(err)
	}
	reads := make(chan string, 10)
	if _, err := p.Push(t.Context(), []build.Uploader{closed{refusal}}, layers, build.Options{Observer: seen, Cache: spy(reads)}); !errors.Is(err, refusal) {
		t.Errorf("error %v", err)
	}
	if len(reads) > 0 {
		t.Error("it had begun to work before it was let in")
	}
}

// closed is a registry that lets nobody in.
type closed struct{ err error }

func (c closed) Has(context.Context, ocispec.Descriptor) (bool, error) { return false, c.err }

func (c closed) Upload(context.Context, ocispec.Descriptor, blob.Source, func(safe, resumed int64)) (bool, error) {
	return false, c.err
}

// spy is a cache that tells of each use.
type spy chan string

func (s spy) Get(key string) ([]byte, bool) { s <- key; return nil, false }
func (s spy) Put(key string, _ []byte)      { s <- key }

// pushDir plans and pushes a directory.
func pushDir(t *testing.T, dir, text string, layout build.Layout, o build.Options, to ...*remote) (*build.Pushed, []build.Layer, error) {
	t.Helper()
	p, err := plan(t, dir, text)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := p.Layers(layout)
	if err != nil {
		t.Fatal(err)
	}
	var ends []build.Uploader
	for _, r := range to {
		ends = append(ends, r)
	}
	if o.TempDir == "" {
		o.TempDir = t.TempDir()
	}
	pushed, err := p.Push(t.Context(), ends, layers, o)
	wantEmpty(t, o.TempDir)
	return pushed, layers, err
}

func totalOf(layers []build.Layer) (size int64) {
	for _, l := range layers {
		size += l.Size()
	}
	return size
}

// wantEmpty asks that no temporary file is there, nor open without a name.
func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	open, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range open {
		if name, err := os.Readlink(fd); err == nil && strings.HasPrefix(name, dir) {
			t.Errorf("%s is still open", name)
		}
	}
}

// someFiles are files of all sorts: two alike, two empty, one that does not compress.
func someFiles() map[string]string {
	noise := make([]byte, 700_000)
	rand.NewChaCha8([32]byte{}).Read(noise)
	return map[string]string{
		"a.json": "{}", "empty.json": "", "void.json": "", "sub/same.json": "{}",
		"big.bin": strings.Repeat("weights ", 200_000), "noise.bin": string(noise),
		"src/x.py": "#!x", "src/y.py": "y", "README.md": "read me",
	}
}

const someText = "CONFIG *.json\nCONFIG sub/*.json\nMODEL *.bin\nCODE src/*.py\nDOC *.md\n"

// TestPushIsABuild: in every format the same artifact, all of it in the
// repository, each blob sent once, and the bar is full at the end.
func TestPushIsABuild(t *testing.T) {
	flat := build.Layout{Formats: map[modelpack.Kind]modelpack.Format{modelpack.Model: modelpack.Raw}, Flat: true}
	bundles := build.Layout{Bundles: []modelpack.Kind{modelpack.Config, modelpack.Code}}
	zipped := all(modelpack.TarGzip)
	zipped.Bundles = bundles.Bundles
	for name, layout := range map[string]build.Layout{
		"tar": {}, "raw": all(modelpack.Raw), "gzip": all(modelpack.TarGzip), "zstd": all(modelpack.TarZstd),
		"flat": flat, "bundles": bundles, "bundles compressed": zipped,
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, t.TempDir(), someFiles())
			want, a, store := built(t, dir, someText, layout, build.Options{Flat: layout.Flat})
			to, seen := newRemote(), &tally{}
			got, layers, err := pushDir(t, dir, someText, layout, build.Options{Flat: layout.Flat, Concurrency: 2, Uploads: 3, Observer: seen}, to)
			if err != nil {
				t.Fatal(err)
			}
			if got.Manifest.Digest != want.Manifest.Digest || digest.FromBytes(got.ManifestJSON) != want.Manifest.Digest {
				t.Errorf("digest %s, of a build %s", got.Manifest.Digest, want.Manifest.Digest)
			}
			if got.Result.Layers != want.Layers || got.Size != want.Size || got.Read != want.Read || got.Manifest.Size != want.Manifest.Size {
				t.Errorf("result %+v, of a build %+v", got.Result, want)
			}
			wantBlobs(t, to, a, func(desc ocispec.Descriptor) []byte {
				data, err := store.ReadAll(desc)
				if err != nil {
					t.Fatal(err)
				}
				return data
			})
			if seen.sum != totalOf(layers) || seen.done != len(layers) {
				t.Errorf("told of %d bytes of %d, %d layers of %d", seen.sum, totalOf(layers), seen.done, len(layers))
			}
			if bytes := sizeOf(to); got.Moved+got.Resumed != bytes || got.Skipped != 0 || got.Resumed == 0 {
				t.Errorf("moved %d, resumed %d, skipped %d; the repository has %d", got.Moved, got.Resumed, got.Skipped, bytes)
			}
			if to.most > 3 {
				t.Errorf("%d uploads at once", to.most)
			}
		})
	}
}

// wantBlobs asks for the content of an artifact, sent once, and nothing else.
func wantBlobs(t *testing.T, to *remote, a *modelpack.Artifact, read func(ocispec.Descriptor) []byte) {
	t.Helper()
	named := map[digest.Digest]bool{}
	for _, desc := range append([]ocispec.Descriptor{a.Manifest.Config}, a.Manifest.Layers...) {
		named[desc.Digest] = true
		if !bytes.Equal(to.blobs[desc.Digest], read(desc)) || to.sent[desc.Digest] != 1 || to.heads[desc.Digest] != 1 {
			t.Errorf("%s: sent %d times, asked for %d times", desc.Annotations[modelpack.AnnotationFilepath], to.sent[desc.Digest], to.heads[desc.Digest])
		}
	}
	if len(named) != len(to.blobs) {
		t.Errorf("%d blobs in the repository, the manifest names %d", len(to.blobs), len(named))
	}
}

func sizeOf(r *remote) (size int64) {
	for _, data := range r.blobs {
		size += int64(len(data))
	}
	return size
}

// TestPushReadsWhileItSends: the first upload does not end before a second
// begins, and that one is of a file that has to be read before.
func TestPushReadsWhileItSends(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"a.bin": "a", "b.bin": "b"})
	for _, format := range []modelpack.Format{modelpack.Raw, modelpack.TarZstd} {
		to := newRemote()
		var both sync.WaitGroup
		both.Add(2)
		to.before = func(desc ocispec.Descriptor) error {
			if desc.MediaType != modelpack.MediaTypeConfig {
				both.Done()
				both.Wait()
			}
			return nil
		}
		if _, _, err := pushDir(t, dir, "MODEL *.bin\n", all(format), build.Options{Concurrency: 1, Uploads: 2}, to); err != nil {
			t.Error(err)
		}
	}
}

// TestPushOfFileThatChanges changes a file when it has been hashed: before it is
// sent, while it is, and when all of it was.
func TestPushOfFileThatChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "w.bin")
	change := func(content string) func(ocispec.Descriptor) error {
		return func(ocispec.Descriptor) error { return os.WriteFile(file, []byte(content), 0o644) }
	}
	for name, to := range map[string]*remote{
		"other bytes":          {before: change("Weights")},
		"more bytes":           {before: change("weights and more")},
		"fewer bytes":          {before: change("w")},
		"when it was all sent": {after: change("Weights")},
		"the upload fails, too": {before: func(desc ocispec.Descriptor) error {
			return errors.Join(change("Weights")(desc), errors.New("no route to host"))
		}},
	} {
		for _, format := range []modelpack.Format{modelpack.Raw, modelpack.Tar} {
			write(t, filepath.Dir(file), map[string]string{"w.bin": "weights"})
			fresh := newRemote()
			fresh.before, fresh.after = to.before, to.after
			_, _, err := pushDir(t, filepath.Dir(file), "MODEL w.bin\n", all(format), build.Options{}, fresh)
			if err == nil || err.Error() != "packaging w.bin: w.bin changed while it was read" {
				t.Errorf("%s, %s: error %v", name, format, err)
			}
		}
	}
}

// TestFailedUpload: the error names the file and is the registry's, and no
// temporary file is left, as pushDir checks.
func TestFailedUpload(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"w.bin": "weights"})
	broken := errors.New("no route to host")
	for _, format := range []modelpack.Format{modelpack.Raw, modelpack.TarZstd} {
		for _, concurrency := range []int{1, 4} {
			to := newRemote()
			to.before = func(ocispec.Descriptor) error { return broken }
			_, _, err := pushDir(t, dir, "MODEL w.bin\n", all(format), build.Options{Concurrency: concurrency}, to)
			if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "sending w.bin: ") {
				t.Errorf("%s: error %v", format, err)
			}
		}
	}
}

// TestTemporaryFilesHaveNoName looks while a layer is being sent: a process that
// is killed then leaves nothing.
func TestTemporaryFilesHaveNoName(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"w.bin": "weights", "src/x.py": "x"})
	for text, layout := range map[string]build.Layout{
		"MODEL w.bin\n":   all(modelpack.TarZstd),
		"CODE src/x.py\n": {Bundles: []modelpack.Kind{modelpack.Code}},
	} {
		to, temp, looked := newRemote(), t.TempDir(), false
		to.before = func(ocispec.Descriptor) error {
			looked = true
			entries, err := os.ReadDir(temp)
			if len(entries) > 0 {
				t.Errorf("%v in the directory for temporary files", entries)
			}
			return err
		}
		if _, _, err := pushDir(t, dir, text, layout, build.Options{TempDir: temp}, to); err != nil || !looked {
			t.Errorf("%s: looked %v, %v", text, looked, err)
		}
	}
}

func TestTempDirThatIsNotThere(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"w.bin": "weights"})
	p, err := plan(t, dir, "MODEL w.bin\n")
	if err != nil {
		t.Fatal(err)
	}
	layers, err := p.Layers(all(modelpack.TarZstd))
	if err != nil {
		t.Fatal(err)
	}
	o := build.Options{TempDir: filepath.Join(dir, "nowhere")}
	if _, err := p.Push(t.Context(), []build.Uploader{newRemote()}, layers, o); err != nil {
		t.Errorf("the system's directory did not take its place: %v", err)
	}
	t.Setenv("TMPDIR", o.TempDir)
	if _, err := p.Push(t.Context(), []build.Uploader{newRemote()}, layers, o); err == nil || !strings.HasPrefix(err.Error(), "packaging w.bin: ") {
		t.Errorf("error %v", err)
	}
}

func TestPushToSeveralRepositories(t *testing.T) {
	dir := write(t, t.TempDir(), someFiles())
	for _, format := range []modelpack.Format{modelpack.Raw, modelpack.TarZstd} {
		full, empty, seen := newRemote(), newRemote(), &tally{}
		if _, _, err := pushDir(t, dir, someText, all(format), build.Options{}, full); err != nil {
			t.Fatal(err)
		}
		got, layers, err := pushDir(t, dir, someText, all(format), build.Options{Observer: seen}, full, empty)
		if err != nil {
			t.Fatal(err)
		}
		if len(empty.blobs) != len(full.blobs) || got.Moved+got.Resumed != sizeOf(empty) || got.Skipped != sizeOf(full) {
			t.Errorf("%s: %d and %d blobs, moved %d, skipped %d", format, len(full.blobs), len(empty.blobs), got.Moved, got.Skipped)
		}
		if seen.sum != 2*totalOf(layers) {
			t.Errorf("%s: told of %d bytes of %d", format, seen.sum, 2*totalOf(layers))
		}
	}
}

// TestPushOfUnchangedFiles: one question a blob if the repository has it, and if
// it does not, files are sent without being hashed.
func TestPushOfUnchangedFiles(t *testing.T) {
	c := newCached(t)
	dir := write(t, t.TempDir(), someFiles())
	settle(t)
	for _, format := range []modelpack.Format{modelpack.Raw, modelpack.TarZstd} {
		o := build.Options{Cache: c.cache, Uploads: 2}
		to := newRemote()
		first, _, err := pushDir(t, dir, someText, all(format), o, to)
		if err != nil {
			t.Fatal(err)
		}
		to.heads = map[digest.Digest]int{}
		to.before = func(desc ocispec.Descriptor) error { return fmt.Errorf("%s sent again", desc.MediaType) }
		seen := &tally{}
		o.Observer = seen
		again, layers, err := pushDir(t, dir, someText, all(format), o, to)
		if err != nil {
			t.Fatal(err)
		}
		if again.Manifest.Digest != first.Manifest.Digest || again.Read != 0 || again.Moved != 0 || again.Skipped != sizeOf(to) || seen.sum != totalOf(layers) {
			t.Errorf("%s: %+v, told of %d bytes", format, again, seen.sum)
		}
		for d, n := range to.heads {
			if n != 1 {
				t.Errorf("asked %d times for %s", n, d)
			}
		}
		other := newRemote()
		moved, _, err := pushDir(t, dir, someText, all(format), o, other)
		if err != nil {
			t.Fatal(err)
		}
		if wantRead := map[bool]int64{true: 0, false: totalOf(layers)}[format == modelpack.Raw]; moved.Read != wantRead {
			t.Errorf("%s: read %d bytes for another repository, want %d", format, moved.Read, wantRead)
		}
		if moved.Manifest.Digest != first.Manifest.Digest || len(other.blobs) != len(to.blobs) {
			t.Errorf("%s: another repository got %s and %d blobs", format, moved.Manifest.Digest, len(other.blobs))
		}
	}
}

// TestInterruptedPushIsNotReadAgain: what was read is known, though it was not
// sent.
func TestInterruptedPushIsNotReadAgain(t *testing.T) {
	c := newCached(t)
	dir := write(t, t.TempDir(), map[string]string{"w.bin": "weights"})
	settle(t)
	to, o := newRemote(), build.Options{Cache: c.cache}
	to.before = func(ocispec.Descriptor) error { return context.Canceled }
	if _, _, err := pushDir(t, dir, "MODEL w.bin\n", all(modelpack.Tar), o, to); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	got, _, err := pushDir(t, dir, "MODEL w.bin\n", all(modelpack.Tar), o, newRemote())
	if err != nil || got.Read != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestPushWithWrongCache: the registry does not take what a cache mistakes for
// something else, so the file is read.
func TestPushWithWrongCache(t *testing.T) {
	c := newCached(t)
	dir := write(t, t.TempDir(), map[string]string{"w.bin": "weights"})
	settle(t)
	want, _ := c.build(dir, "MODEL w.bin\n", all(modelpack.Raw))
	for key, value := range c.cache.m {
		var r map[string]any
		if err := json.Unmarshal(value, &r); err != nil {
			t.Fatal(err)
		}
		r["Digest"] = digest.FromString("other")
		c.cache.m[key], _ = json.Marshal(r)
	}
	for range 2 { // the second time, the cache is right
		got, _, err := pushDir(t, dir, "MODEL w.bin\n", all(modelpack.Raw), build.Options{Cache: c.cache}, newRemote())
		if err != nil || got.Manifest.Digest != want {
			t.Fatalf("%+v, %v, want %s", got, err, want)
		}
	}
}

func TestInterruptedPush(t *testing.T) {
	dir := write(t, t.TempDir(), someFiles())
	p, err := plan(t, dir, someText)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := p.Layers(all(modelpack.TarZstd))
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	to, temp := newRemote(), t.TempDir()
	to.before = func(ocispec.Descriptor) error {
		interrupt()
		return ctx.Err()
	}
	_, err = p.Push(ctx, []build.Uploader{to}, layers, build.Options{TempDir: temp})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	wantEmpty(t, temp)
}
