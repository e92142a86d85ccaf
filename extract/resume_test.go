package extract_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/modelpack"
)

// halves is a Source that is cut off in the middle of a layer, and goes on from
// there the next time.
type halves struct {
	memory
	mu       sync.Mutex
	cut      map[digest.Digest]bool // layers that are to be cut off
	written  int64
	resumed  int64
	complete int // layers
}

var errCut = errors.New("connection cut")

func (h *halves) Fill(ctx context.Context, desc ocispec.Descriptor, sink blob.Sink, report func(safe, resumed int64)) (blob.Proof, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	data := h.memory[desc.Digest]
	half := len(data)/2 + 1
	state, err := sink.LoadState()
	if err != nil {
		return blob.Proof{}, err
	}
	start := 0
	if string(state) == "half" {
		start = half
		h.resumed += int64(half)
		report(0, int64(half))
	}
	end := len(data)
	if h.cut[desc.Digest] {
		end = half
	}
	n, err := sink.WriteAt(data[start:end], int64(start))
	h.written += int64(n)
	report(int64(n), 0)
	if err != nil {
		return blob.Proof{}, err
	}
	if end == half {
		return blob.Proof{}, errors.Join(errCut, sink.SaveState([]byte("half")))
	}
	v, err := blob.NewVerifier(desc)
	if err != nil {
		return blob.Proof{}, err
	}
	if _, err := io.Copy(v, io.NewSectionReader(sink, 0, desc.Size)); err != nil {
		return blob.Proof{}, err
	}
	h.complete++
	return v.Proof()
}

// large is a content of layers that are worth being gone on from.
func large(seed string) string { return strings.Repeat(seed+strings.Repeat(".", 1000), 5000) }

func halved(a *artifact, cut ...int) *halves {
	h := &halves{memory: a.memory, cut: map[digest.Digest]bool{}}
	for _, i := range cut {
		h.cut[a.Layers[i].Digest] = true
	}
	return h
}

func staging(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	entries, _ := os.ReadDir(filepath.Join(dir, ".tare", "staging"))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestResumption: a run goes on from what an earlier one got.
func TestResumption(t *testing.T) {
	t.Parallel()
	a := newArtifact()
	a.file("tar.bin", large("tar"))
	a.raw("raw.bin", large("raw"))
	a.file("small", "small")
	for name, dir := range map[string]string{"new": filepath.Join(t.TempDir(), "new"), "there": t.TempDir()} {
		src := halved(a, 0, 1)
		if _, err := extract.Extract(t.Context(), models(&a.Artifact, src), dir, with(func(o *extract.Options) { o.Concurrency = 1 })); !errors.Is(err, errCut) {
			t.Fatalf("%s: error %v, want %v", name, err, errCut)
		}
		wantNothing(t, dir)
		src.cut = nil
		r := run(t, models(&a.Artifact, src), dir, options)
		wantMoves(t, name, r, totalOf(a)-src.resumed, src.resumed, 0)
		wantMoves(t, name+", again", run(t, a.offline(), dir, options), 0, 0, totalOf(a))
		wantTree(t, dir, map[string]string{"tar.bin": large("tar"), "raw.bin": large("raw"), "small": "small"})
		if all := a.Layers[0].Size + a.Layers[1].Size; src.written != all || src.resumed == 0 {
			t.Errorf("%s: %d bytes were written, %d resumed, want %d in all", name, src.written, src.resumed, all)
		}
	}
}

func totalOf(a *artifact) (n int64) {
	for _, l := range a.Layers {
		n += l.Size
	}
	return n
}

// wantMoves makes sure of where a result says that the bytes came from.
func wantMoves(t *testing.T, what string, r *extract.Result, moved, resumed, skipped int64) {
	t.Helper()
	if r.Moved != moved || r.Resumed != resumed || r.Skipped != skipped {
		t.Errorf("%s: moved %d, resumed %d, skipped %d; want %d, %d, %d", what, r.Moved, r.Resumed, r.Skipped, moved, resumed, skipped)
	}
}

// partlyLocal has one of its blobs on this machine.
type partlyLocal struct {
	memory
	here digest.Digest
}

func (p partlyLocal) IsLocal(d digest.Digest) bool { return d == p.here }

// TestWhatIsLocalDoesNotMove though files are written from it.
func TestWhatIsLocalDoesNotMove(t *testing.T) {
	t.Parallel()
	a := newArtifact()
	a.file("a.bin", large("a"))
	a.file("b.bin", "b")
	a.bundle(modelpack.Code, header("x", "x"), header("y", "y"))
	for _, l := range a.Layers {
		r := run(t, models(&a.Artifact, partlyLocal{a.memory, l.Digest}), t.TempDir(), options)
		if wantMoves(t, l.Path, r, totalOf(a)-l.Size, 0, l.Size); r.Written != totalOf(a) {
			t.Errorf("%s: %d bytes written, want %d", l.Path, r.Written, totalOf(a))
		}
	}
}

// wantNothing makes sure that nothing got a name.
func wantNothing(t *testing.T, dir string) {
	t.Helper()
	if got := tree(t, dir); len(got) != 0 {
		t.Errorf("%d files are there", len(got))
	}
}

// TestPartialFilesOfOthersAreSwept: nobody goes on from them.
func TestPartialFilesOfOthersAreSwept(t *testing.T) {
	v1, v2 := newArtifact(), newArtifact()
	v1.raw("a", large("1"))
	v2.raw("a", large("2"))
	dir := t.TempDir()
	if _, err := extract.Extract(t.Context(), models(&v1.Artifact, halved(v1, 0)), dir, options); err == nil {
		t.Fatal("no error")
	}
	first := staging(t, dir)
	if _, err := extract.Extract(t.Context(), models(&v2.Artifact, halved(v2, 0)), dir, options); err == nil {
		t.Fatal("no error")
	}
	if second := staging(t, dir); len(first) != len(second) || len(first) == 0 || first[0] == second[0] {
		t.Errorf("staging held %v and %v", first, second)
	}
	if _, err := extract.Extract(t.Context(), version("a", "../").models(), dir, with(func(o *extract.Options) { o.Filter = &extract.Filter{Include: []string{"b"}} })); err == nil {
		t.Fatal("no error")
	}
	if len(staging(t, dir)) == 0 {
		t.Error("a run that came to nothing swept what another may go on from")
	}
}

// TestNothingIsKeptOfHostileArtifacts.
func TestNothingIsKeptOfHostileArtifacts(t *testing.T) {
	a := newArtifact()
	a.raw("a", large("1"))
	a.bundle(modelpack.Model, header("../evil", "x"))
	dir := t.TempDir()
	src := halved(a, 0)
	if _, err := extract.Extract(t.Context(), models(&a.Artifact, src), dir, with(func(o *extract.Options) { o.Concurrency = 1 })); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	src.cut = nil
	if _, err := extract.Extract(t.Context(), models(&a.Artifact, src), dir, with(func(o *extract.Options) { o.Concurrency = 1 })); !errors.Is(err, blob.ErrHostile) {
		t.Fatal(err)
	}
	if src.resumed == 0 {
		t.Error("the second run did not get to the layer that was resumed")
	}
	gone(t, filepath.Join(dir, ".tare"))
}

// TestOneDigestTwice: each path has a file of its own, in parts and at the end.
func TestOneDigestTwice(t *testing.T) {
	t.Parallel()
	a := newArtifact()
	a.raw("a", large("1"))
	a.raw("b", large("1"))
	dir := t.TempDir()
	if _, err := extract.Extract(t.Context(), models(&a.Artifact, halved(a, 0)), dir, options); err == nil {
		t.Fatal("no error")
	}
	src := halved(a)
	run(t, models(&a.Artifact, src), dir, options)
	wantTree(t, dir, map[string]string{"a": large("1"), "b": large("1")})
	if os.SameFile(stat(t, filepath.Join(dir, "a")), stat(t, filepath.Join(dir, "b"))) {
		t.Error("a and b are one file")
	}
}

// TestConflictKeepsWhatWasFetched: who moves the file away does not fetch again.
func TestConflictKeepsWhatWasFetched(t *testing.T) {
	t.Parallel()
	a := newArtifact()
	a.file("a", large("1"))
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), large("2"))
	src := halved(a, 0)
	if _, err := extract.Extract(t.Context(), models(&a.Artifact, src), dir, options); err == nil {
		t.Fatal("no error")
	}
	if err := os.Remove(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	src.cut = nil
	run(t, models(&a.Artifact, src), dir, options)
	wantTree(t, dir, map[string]string{"a": large("1")})
}

// foreignLayers are archives of one file that is declared, laid out otherwise
// than build does it.
func foreignLayers(content string) map[string]struct {
	data []byte
	ok   bool
} {
	type layer = struct {
		data []byte
		ok   bool
	}
	of := func(format tar.Format, change func(h *tar.Header)) []byte {
		e := header("dir/a", content)
		e.Format = format
		change(&e.Header)
		return archive(e)
	}
	plain := archive(header("dir/a", content))
	global := entry{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "x"}}}
	none := func(*tar.Header) {}
	records := func(data []byte) []byte { return append(data, make([]byte, 10240-len(data)%10240)...) }
	return map[string]layer{
		"plain":              {plain, true},
		"GNU":                {of(tar.FormatGNU, none), true},
		"GNU, in records":    {records(of(tar.FormatGNU, none)), true},
		"PAX, in records":    {records(of(tar.FormatPAX, func(h *tar.Header) { h.PAXRecords = map[string]string{"x.y": "z"} })), true},
		"PAX, more of it":    {of(tar.FormatPAX, func(h *tar.Header) { h.PAXRecords = map[string]string{"x.y": strings.Repeat("z", 5000)} }), true},
		"global header":      {archive(global, header("dir/a", content)), true},
		"dot slash":          {of(tar.FormatUSTAR, func(h *tar.Header) { h.Name = "./dir/a" }), true},
		"a directory before": {archive(entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "dir/"}}, header("dir/a", content)), true},
		"no end":             {plain[:len(plain)-1024], true},
		"half an end":        {plain[:len(plain)-512], true},
		"executable":         {of(tar.FormatUSTAR, func(h *tar.Header) { h.Mode = 0o755 }), true},
		"garbage behind":     {append(bytes.Clone(plain), "garbage"...), true},
		"two files":          {archive(header("dir/a", content), header("b", "")), false},
		"two files, first":   {archive(header("b", ""), header("dir/a", content)), false},
		"other name":         {archive(header("dir/b", content)), false},
		"other size":         {archive(header("dir/a", content+"x")), false},
		"much behind":        {append(bytes.Clone(plain), make([]byte, 2<<20)...), false},
		"sparse": {of(tar.FormatPAX, func(h *tar.Header) {
			h.PAXRecords = map[string]string{"SCHILY.xattr.a": "b"}
		}), true},
		"a link": {archive(header("b", content), hardLink("dir/a", "b")), false},
	}
}

// TestForeignLayouts: large layers whose file is not where it was guessed to be
// end right, or refused.
func TestForeignLayouts(t *testing.T) {
	t.Parallel()
	content := large("content")
	for name, layer := range foreignLayers(content) {
		t.Run(name, func(t *testing.T) {
			a := newArtifact()
			l := a.add(modelpack.Tar, "dir/a", layer.data)
			m := modelpack.NewFileMetadata("dir/a", int64(len(content)), false)
			l.Metadata = &m
			dir := filepath.Join(t.TempDir(), "dest")
			src := &counted{memory: a.memory}
			_, err := extract.Extract(t.Context(), models(&a.Artifact, src), dir, options)
			if src.calls.Load() != 1 {
				t.Errorf("the source was asked %d times", src.calls.Load())
			}
			if !layer.ok {
				if !errors.Is(err, blob.ErrHostile) {
					t.Errorf("error %v, want %v", err, blob.ErrHostile)
				}
				gone(t, dir)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantTree(t, dir, map[string]string{"dir/a": content})
			if exec := stat(t, filepath.Join(dir, "dir", "a")).Mode()&0o111 != 0; exec != (name == "executable") {
				t.Errorf("executable: %v", exec)
			}
			run(t, a.offline(), dir, options)
		})
	}
}
