package extract_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/modelpack"
)

// memory is a Source that serves what it holds, wrong bytes included, as the
// store and the registry do: verified.
type memory map[digest.Digest][]byte

func (m memory) Fetch(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	data, ok := m[desc.Digest]
	if !ok {
		return nil, fmt.Errorf("%s: %w", desc.Digest, blob.ErrNotFound)
	}
	r, err := blob.NewReader(bytes.NewReader(data), desc)
	return io.NopCloser(r), err
}

// Fill writes from the end to the start, as several connections might.
func (m memory) Fill(ctx context.Context, desc ocispec.Descriptor, sink blob.Sink, report func(safe, resumed int64)) (blob.Proof, error) {
	r, err := m.Fetch(ctx, desc)
	if err != nil {
		return blob.Proof{}, err
	}
	data := m[desc.Digest]
	for end := len(data); end > 0; {
		start := max(0, end-1_000_000)
		n, err := sink.WriteAt(data[start:end], int64(start))
		if err != nil {
			return blob.Proof{}, err
		}
		report(int64(n), 0)
		end = start
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return blob.Proof{}, err
	}
	v, err := blob.NewVerifier(desc)
	if err != nil {
		return blob.Proof{}, err
	}
	v.Write(data)
	return v.Proof()
}

// artifact collects layers for a test.
type artifact struct {
	modelpack.Artifact
	memory
}

// models is the artifact as a version of the model x.
func (a *artifact) models() []extract.Model { return models(&a.Artifact, a) }

func models(a *modelpack.Artifact, src extract.Source) []extract.Model {
	return []extract.Model{{Artifact: a, Source: src, Repository: "example.com/x", Digest: digestOf(a)}}
}

// digestOf is different for different layers.
func digestOf(a *modelpack.Artifact) digest.Digest {
	var all strings.Builder
	for _, l := range a.Layers {
		fmt.Fprintln(&all, l.Digest, l.Path, l.Format)
	}
	return digest.FromString(all.String())
}

func newArtifact() *artifact { return &artifact{memory: memory{}} }

// add adds a layer with the given content and declared path.
func (a *artifact) add(format modelpack.Format, path string, data []byte) *modelpack.Layer {
	dgst := digest.FromBytes(data)
	a.memory[dgst] = data
	a.Layers = append(a.Layers, modelpack.Layer{
		Descriptor: ocispec.Descriptor{Digest: dgst, Size: int64(len(data))},
		Format:     format,
		Path:       path,
	})
	return &a.Layers[len(a.Layers)-1]
}

// file adds a regular file as a tar layer, the way build writes it.
func (a *artifact) file(path, content string) *modelpack.Layer {
	l := a.add(modelpack.Tar, path, archive(header(path, content)))
	m := modelpack.NewFileMetadata(path, int64(len(content)), false)
	l.Metadata = &m
	return l
}

// entry is an entry of a tar archive.
type entry struct {
	tar.Header
	content string
}

func header(name, content string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o644}, content}
}

func archive(entries ...entry) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			panic(err)
		}
		io.WriteString(w, e.content)
	}
	w.Close()
	return buf.Bytes()
}

// flood is an archive that lists a directory n times, and has no end.
func flood(n int) []byte {
	var buf bytes.Buffer
	tar.NewWriter(&buf).WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "d/"})
	return bytes.Repeat(buf.Bytes(), n)
}

func gzipped(data []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(data)
	w.Close()
	return buf.Bytes()
}

func zstandard(data []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(data, nil)
}

// tree reads all files below dir.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if d != nil && d.IsDir() && rel == ".tare" {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func wantTree(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	if got := tree(t, dir); !maps.Equal(got, want) {
		t.Errorf("files %q, want %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	if _, err := os.Lstat(filepath.Join(dir, ".tare", "staging")); err == nil {
		t.Error("the staging directory is still there")
	}
}

var options = extract.Options{Concurrency: 4, NoSync: true}

func TestEveryFormat(t *testing.T) {
	big := strings.Repeat("weights", 500_000)
	a := newArtifact()
	a.file("config.json", "{}")
	a.file("sub/dir/model.bin", big)
	a.file("empty", "")
	a.add(modelpack.Raw, "raw.bin", []byte(big))
	a.add(modelpack.Raw, "empty.raw", nil)
	a.add(modelpack.TarGzip, "z/gzip.txt", gzipped(archive(header("z/gzip.txt", big))))
	a.add(modelpack.TarZstd, "z/zstd.txt", zstandard(archive(header("z/zstd.txt", big))))
	a.add(modelpack.Tar, ".", archive(
		entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "code/", Mode: 0o755}},
		header("code/a.py", "a"), header("./code/b.py", "b"),
	))
	dir := filepath.Join(t.TempDir(), "new", "dir")
	r, err := extract.Extract(t.Context(), a.models(), dir, options)
	if err != nil {
		t.Fatal(err)
	}
	wantTree(t, dir, map[string]string{
		"config.json": "{}", "sub/dir/model.bin": big, "empty": "", "raw.bin": big, "empty.raw": "",
		"z/gzip.txt": big, "z/zstd.txt": big, "code/a.py": "a", "code/b.py": "b",
	})
	if r.Files != 9 || r.Bytes != int64(4*len(big)+4) {
		t.Errorf("reported %d files, %d bytes", r.Files, r.Bytes)
	}
}

func TestModes(t *testing.T) {
	a := newArtifact()
	for name, mode := range map[string]int64{"plain": 0o600, "tool": 0o700, "suid": 0o4755, "none": 0} {
		e := header(name, "x")
		e.Mode = mode
		a.add(modelpack.Tar, name, archive(e))
	}
	l := a.add(modelpack.Raw, "raw-tool", []byte("#!x"))
	l.Metadata = &modelpack.FileMetadata{Name: "raw-tool", Size: 3, Mode: 0o755}
	dir := t.TempDir()
	if _, err := extract.Extract(t.Context(), a.models(), dir, options); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"plain": 0o644, "tool": 0o755, "suid": 0o755, "none": 0o644, "raw-tool": 0o755} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s: mode %v, want %v", name, info.Mode(), want)
		}
	}
}

// TestHostile extracts artifacts that must not be: the destination stays as it
// was, and nothing appears beside it.
func TestHostile(t *testing.T) {
	link := func(name, target string, flag byte) entry {
		return entry{Header: tar.Header{Typeflag: flag, Name: name, Linkname: target}}
	}
	bomb := zstandard(archive(header("a", strings.Repeat("\x00", 64<<20))))
	for name, make := range map[string]func(a *artifact){
		"entry above":          func(a *artifact) { a.add(modelpack.Tar, "", archive(header("../evil", "x"))) },
		"entry above, later":   func(a *artifact) { a.add(modelpack.Tar, "", archive(header("a/../../evil", "x"))) },
		"entry absolute":       func(a *artifact) { a.add(modelpack.Tar, "", archive(header("/evil", "x"))) },
		"entry with drive":     func(a *artifact) { a.add(modelpack.Tar, "", archive(header("c:/evil", "x"))) },
		"entry with backslash": func(a *artifact) { a.add(modelpack.Tar, "", archive(header(`..\evil`, "x"))) },
		"entry in our state":   func(a *artifact) { a.add(modelpack.Tar, "", archive(header(".tare/state.json", "x"))) },
		"path above":           func(a *artifact) { a.add(modelpack.Raw, "../evil", []byte("x")) },
		"path absolute":        func(a *artifact) { a.add(modelpack.Raw, "/tmp/evil", []byte("x")) },
		"path missing":         func(a *artifact) { a.add(modelpack.Raw, "", []byte("x")) },
		"path in our state":    func(a *artifact) { a.add(modelpack.Raw, ".tare/stage-1-0/x", []byte("x")) },
		"symbolic link":        func(a *artifact) { a.add(modelpack.Tar, "", archive(link("l", "/etc", tar.TypeSymlink))) },
		"hard link":            func(a *artifact) { a.add(modelpack.Tar, "", archive(link("l", "/etc/passwd", tar.TypeLink))) },
		"device":               func(a *artifact) { a.add(modelpack.Tar, "", archive(link("d", "", tar.TypeChar))) },
		"pipe":                 func(a *artifact) { a.add(modelpack.Tar, "", archive(link("p", "", tar.TypeFifo))) },
		"one path, two layers": func(a *artifact) { a.file("b", "1"); a.file("b", "22") },
		"one path, one layer":  func(a *artifact) { a.add(modelpack.Tar, "", archive(header("b", "1"), header("b", "2"))) },
		"raw path twice": func(a *artifact) {
			a.add(modelpack.Raw, "b", []byte("1"))
			a.add(modelpack.Raw, "b", []byte("2"))
		},
		"file and directory": func(a *artifact) { a.file("b", "1"); a.file("b/c", "2") },
		"directory and file": func(a *artifact) { a.file("b/c", "2"); a.file("b", "1") },
		"larger than it says": func(a *artifact) {
			l := a.add(modelpack.TarZstd, "a", bomb)
			l.Metadata = &modelpack.FileMetadata{Name: "a", Size: 10}
		},
		"bomb": func(a *artifact) { a.add(modelpack.TarZstd, "a", bomb) },
		"bomb behind": func(a *artifact) {
			a.add(modelpack.TarZstd, "a", zstandard(append(archive(header("a", "x")), make([]byte, 64<<20)...)))
		},
		"flood of entries": func(a *artifact) { a.add(modelpack.TarZstd, "", zstandard(flood(260_000))) },
		"second file": func(a *artifact) {
			l := a.add(modelpack.TarGzip, "a", gzipped(archive(header("a", "12345"), header("b", ""))))
			l.Metadata = &modelpack.FileMetadata{Name: "a", Size: 5}
		},
		"declared file missing": func(a *artifact) {
			l := a.add(modelpack.Tar, "a", archive(header("b", "12345")))
			l.Metadata = &modelpack.FileMetadata{Name: "a", Size: 5}
		},
		"declared file short": func(a *artifact) {
			l := a.add(modelpack.Tar, "a", archive(header("a", "12")))
			l.Metadata = &modelpack.FileMetadata{Name: "a", Size: 5}
		},
		"empty archive":     func(a *artifact) { a.add(modelpack.Tar, "a", archive()) },
		"empty layer":       func(a *artifact) { a.add(modelpack.Tar, "a", nil) },
		"deep path":         func(a *artifact) { a.add(modelpack.Tar, "", archive(header(strings.Repeat("d/", 100)+"f", "x"))) },
		"state in disguise": func(a *artifact) { a.add(modelpack.Tar, "", archive(header(".tare. /x", "x"))) },
		"truncated tar":     func(a *artifact) { a.add(modelpack.Tar, "a", archive(header("a", strings.Repeat("x", 5000)))[:2000]) },
		"no tar":            func(a *artifact) { a.add(modelpack.Tar, "a", bytes.Repeat([]byte("garbage "), 512)) },
		"no gzip":           func(a *artifact) { a.add(modelpack.TarGzip, "a", []byte("garbage")) },
		"no zstd":           func(a *artifact) { a.add(modelpack.TarZstd, "a", []byte("garbage")) },
		"broken gzip": func(a *artifact) {
			z := gzipped(archive(header("a", "x")))
			z[len(z)-5] ^= 1 // its checksum
			a.add(modelpack.TarGzip, "a", z)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArtifact()
			a.file("good", "good")
			make(a)
			above := t.TempDir()
			dir := filepath.Join(above, "dest")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "mine"), []byte("mine"), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := extract.Extract(t.Context(), a.models(), dir, options)
			if !errors.Is(err, blob.ErrHostile) {
				t.Errorf("error %v, want %v", err, blob.ErrHostile)
			}
			wantTree(t, above, map[string]string{"dest/mine": "mine"})
			wantTree(t, dir, map[string]string{"mine": "mine"})
		})
	}
}

// TestWrongContent damages a layer in every way that a store or a network can.
func TestWrongContent(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"flipped bit in the file":    func(b []byte) []byte { b[600] ^= 1; return b },
		"flipped bit in the padding": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"flipped bit in the header":  func(b []byte) []byte { b[0] ^= 1; return b },
		"truncated":                  func(b []byte) []byte { return b[:len(b)-1] },
		"empty":                      func(b []byte) []byte { return nil },
		"overlong":                   func(b []byte) []byte { return append(b, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newArtifact()
			a.file("good", "good")
			l := a.file("model.bin", strings.Repeat("weights", 100))
			a.memory[l.Digest] = damage(slices.Clone(a.memory[l.Digest]))
			dir := filepath.Join(t.TempDir(), "dest")
			_, err := extract.Extract(t.Context(), a.models(), dir, options)
			if !errors.Is(err, blob.ErrMismatch) {
				t.Errorf("error %v, want %v", err, blob.ErrMismatch)
			}
			if err != nil && !strings.Contains(err.Error(), "model.bin") {
				t.Errorf("error %q does not name the file", err)
			}
			if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Error("the destination was made though nothing went into it")
			}
		})
	}
}

func TestFilesThatAreThere(t *testing.T) {
	a := newArtifact()
	a.file("same", "same")
	a.file("size", "other size")
	a.file("content", "content")
	a.file("new", "new")
	dir := t.TempDir()
	before := map[string]string{"same": "same", "size": "size", "content": "CONTENT", "mine": "mine"}
	for name, content := range before {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var conflict *extract.ConflictError
	if _, err := extract.Extract(t.Context(), a.models(), dir, options); !errors.As(err, &conflict) || !slices.Equal(conflict.Paths, []string{"content", "size"}) {
		t.Errorf("error %v, want a conflict in content and size", err)
	}
	wantTree(t, dir, before)

	os.Remove(filepath.Join(dir, "size"))
	delete(before, "size")
	if _, err := extract.Extract(t.Context(), a.models(), dir, options); !errors.As(err, &conflict) || !slices.Equal(conflict.Paths, []string{"content"}) {
		t.Errorf("error %v, want a conflict in content", err)
	}
	wantTree(t, dir, before)

	kept, _ := os.Stat(filepath.Join(dir, "same"))
	overwrite := options
	overwrite.Overwrite = true
	if _, err := extract.Extract(t.Context(), a.models(), dir, overwrite); err != nil {
		t.Fatal(err)
	}
	wantTree(t, dir, map[string]string{"same": "same", "size": "other size", "content": "content", "new": "new", "mine": "mine"})
	if again, _ := os.Stat(filepath.Join(dir, "same")); !os.SameFile(kept, again) {
		t.Error("a file that was right already was replaced")
	}
	if _, err := extract.Extract(t.Context(), a.models(), dir, options); err != nil {
		t.Errorf("extracting again what is there: %v", err)
	}
}

// TestFailedPublicationIsTakenBack: what stands in the way only shows when files
// get their names.
func TestFailedPublicationIsTakenBack(t *testing.T) {
	a := newArtifact()
	a.file("a/one", "1")
	a.file("replaced", "new")
	a.file("z/two", "2")
	dir := t.TempDir()
	before := map[string]string{"replaced": "old", "z": "a file where a directory must be"}
	for name, content := range before {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := options
	o.Overwrite = true
	_, err := extract.Extract(t.Context(), a.models(), dir, o)
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v, want one that names the destination", err)
	}
	wantTree(t, dir, before)
	if _, err := os.Lstat(filepath.Join(dir, "a")); err == nil {
		t.Error("a directory was left behind")
	}
}

// TestLinksInTheDestination must not lead out of it.
func TestLinksInTheDestination(t *testing.T) {
	above := t.TempDir()
	outside, dir := filepath.Join(above, "outside"), filepath.Join(above, "dest")
	for _, d := range []string{outside, dir} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "sub")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	a := newArtifact()
	a.file("sub/evil", "x")
	if _, err := extract.Extract(t.Context(), a.models(), dir, options); err == nil {
		t.Error("wrote through a link that leaves the destination")
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("%v appeared outside", entries)
	}
}

func TestInterrupted(t *testing.T) {
	a := newArtifact()
	a.file("a", "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := filepath.Join(t.TempDir(), "dest")
	if _, err := extract.Extract(ctx, a.models(), dir, options); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("an interrupted extraction left something behind")
	}
}

func TestMissingLayer(t *testing.T) {
	a := newArtifact()
	l := a.file("a", "a")
	delete(a.memory, l.Digest)
	if _, err := extract.Extract(t.Context(), a.models(), t.TempDir(), options); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("error %v, want %v", err, blob.ErrNotFound)
	}
}

// TestLeftoversAreSwept: what a run that was killed has staged must not stay for
// ever, and nothing else must go.
func TestLeftoversAreSwept(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, ".tare")
	for _, name := range []string{"staging/0-0", "staging/part-0", "mine"} {
		path := filepath.Join(state, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("staged"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a := newArtifact()
	a.file("a", "a")
	if _, err := extract.Extract(t.Context(), a.models(), dir, options); err != nil {
		t.Fatal(err)
	}
	wantTree(t, dir, map[string]string{"a": "a"})
	if _, err := os.Stat(filepath.Join(state, "mine")); err != nil {
		t.Error(err)
	}
}

// TestTwoRunsAtOnce into one directory, of different artifacts with the same paths:
// one gets there, the other is told. Neither has its files replaced.
func TestTwoRunsAtOnce(t *testing.T) {
	for range 30 {
		dir := filepath.Join(t.TempDir(), "dest")
		var wg sync.WaitGroup
		errs := make([]error, 2)
		want := make([]map[string]string, 2)
		for i, content := range []string{"A", "B"} {
			a := newArtifact()
			want[i] = map[string]string{}
			for _, name := range []string{"a", "b/c", "b/d"} {
				a.file(name, content)
				want[i][name] = content
			}
			m := a.models()
			m[0].Repository += content
			wg.Go(func() { _, errs[i] = extract.Extract(t.Context(), m, dir, options) })
		}
		wg.Wait()
		var conflict *extract.ConflictError
		switch {
		case errs[0] == nil && errors.As(errs[1], &conflict):
			wantTree(t, dir, want[0])
		case errs[1] == nil && errors.As(errs[0], &conflict):
			wantTree(t, dir, want[1])
		default:
			t.Fatalf("errors %v and %v, want one conflict", errs[0], errs[1])
		}
	}
}

// TestErrorsOfTheDestination are not blamed on the artifact, and nothing more is
// read for them.
func TestErrorsOfTheDestination(t *testing.T) {
	a := newArtifact()
	a.file("model.bin", strings.Repeat("weights", 500_000))
	src := &breaking{memory: a.memory, dir: filepath.Join(t.TempDir(), "dest")}
	_, err := extract.Extract(t.Context(), models(&a.Artifact, src), src.dir, options)
	if err == nil || errors.Is(err, blob.ErrHostile) || errors.Is(err, blob.ErrMismatch) {
		t.Errorf("error %v, want the destination's own", err)
	}
	if src.read > 100_000 {
		t.Errorf("%d bytes were read though there was nowhere to put them", src.read)
	}
}

// breaking is a source that takes the staging directory away.
type breaking struct {
	memory
	dir  string
	read int
}

func (b *breaking) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	r, err := b.memory.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	os.RemoveAll(filepath.Join(b.dir, ".tare", "staging"))
	return io.NopCloser(readFunc(func(p []byte) (int, error) {
		n, err := r.Read(p[:min(len(p), 4096)])
		b.read += n
		return n, err
	})), nil
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestObserverSeesEveryByte(t *testing.T) {
	a := newArtifact()
	a.file("a", strings.Repeat("a", 3000))
	a.file("b", "b")
	var seen observer
	o := options
	o.Concurrency, o.Observer = 1, &seen
	if _, err := extract.Extract(t.Context(), a.models(), t.TempDir(), o); err != nil {
		t.Fatal(err)
	}
	if want := a.Layers[0].Size + a.Layers[1].Size; seen.safe != want || seen.done != 2 {
		t.Errorf("saw %d bytes and %d layers, want %d and 2", seen.safe, seen.done, want)
	}
}

type observer struct {
	safe int64
	done int
}

func (o *observer) Observe(phase, _ string, safe, _, _ int64) {
	o.safe += safe
	if phase == "done" {
		o.done++
	}
}

// FuzzArchive looks for an archive that makes extraction panic or write outside.
func FuzzArchive(f *testing.F) {
	f.Add(archive(header("a", "x")), "a")
	f.Add(archive(header("../a", "x"), header("b/c", "")), "")
	f.Fuzz(func(t *testing.T, data []byte, path string) {
		a := newArtifact()
		a.add(modelpack.Tar, path, data)
		a.add(modelpack.Raw, path+"raw", data)
		above := t.TempDir()
		_, _ = extract.Extract(t.Context(), a.models(), filepath.Join(above, "dest"), options)
		entries, _ := os.ReadDir(above)
		for _, e := range entries {
			if e.Name() != "dest" {
				t.Errorf("%s appeared beside the destination", e.Name())
			}
		}
	})
}

// TestManifestOfBuild makes sure that the tests' layers are what a manifest
// round trip gives.
func TestManifestOfBuild(t *testing.T) {
	a := newArtifact()
	l := a.file("dir/a", "a")
	metadata, _ := json.Marshal(l.Metadata)
	desc := l.Descriptor
	desc.MediaType = modelpack.MediaType(modelpack.Doc, modelpack.Tar)
	desc.Annotations = map[string]string{modelpack.AnnotationFilepath: "dir/a", modelpack.AnnotationFileMetadata: string(metadata)}
	data, err := modelpack.NewManifest(ocispec.Descriptor{MediaType: modelpack.MediaTypeConfig}, []ocispec.Descriptor{desc}, nil)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := modelpack.ParseManifest(data)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := extract.Extract(t.Context(), models(parsed, a), dir, options); err != nil {
		t.Fatal(err)
	}
	wantTree(t, dir, map[string]string{"dir/a": "a"})
}
