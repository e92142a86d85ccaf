package extract

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/modelpack"
)

// contents is a Source of small layers.
type contents map[digest.Digest]string

func (c contents) Fetch(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	r, err := blob.NewReader(strings.NewReader(c[desc.Digest]), desc)
	return io.NopCloser(r), err
}

func (c contents) Fill(context.Context, ocispec.Descriptor, blob.Sink, func(safe, resumed int64)) (blob.Proof, error) {
	return blob.Proof{}, errors.New("no large layers here")
}

// rawModel is a version of a model of raw files, given as path and content in
// turns.
func rawModel(files ...string) []Model {
	c, a := contents{}, &modelpack.Artifact{}
	for i := 0; i < len(files); i += 2 {
		desc := ocispec.Descriptor{Digest: digest.FromString(files[i+1]), Size: int64(len(files[i+1]))}
		c[desc.Digest] = files[i+1]
		a.Layers = append(a.Layers, modelpack.Layer{Descriptor: desc, Format: modelpack.Raw, Path: files[i], Kind: modelpack.Model})
	}
	return []Model{{Artifact: a, Source: c, Repository: "x", Digest: digest.FromString(strings.Join(files, "\n"))}}
}

var unsynced = Options{NoSync: true}

func mustExtract(t *testing.T, m []Model, dir string) *Result {
	t.Helper()
	r, err := Extract(t.Context(), m, dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// crash runs an extraction as far as the first n changes to the names of files,
// and leaves all as a process does that was killed then.
func crash(t *testing.T, m []Model, dir string, n int) {
	t.Helper()
	d, err := openDestination(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := newExtraction(d, unsynced)
	if x.state, err = loadState(x.root); err != nil {
		t.Fatal(err)
	}
	if old := x.state.release(""); old != nil {
		x.release = *old
	}
	fresh, gone := prepare(t, x, m)
	for i, e := range gone {
		if n--; n >= 0 {
			err = errors.Join(err, x.remove(e, i))
		}
	}
	for _, f := range fresh {
		if n--; n >= 0 {
			err = errors.Join(err, x.place(f))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	d.lock.Release()
	d.root.Close()
}

// prepare does all that comes before the first change.
func prepare(t *testing.T, x *extraction, m []Model) ([]*staged, []entry) {
	t.Helper()
	err := errors.Join(x.plan(m), x.examine(t.Context()), x.conflict(), x.claimKept())
	x.sweep(x.isWanted)
	err = errors.Join(err, x.reuse(t.Context(), x.cloneOf), x.reserve(), x.reuse(t.Context(), x.copyOf), x.stageAll(t.Context()))
	fresh, serr := x.settle(t.Context())
	err = errors.Join(err, serr, x.expect(fresh))
	gone := x.gone(m, x.taken())
	if err = errors.Join(err, x.intend(m, fresh)); err != nil {
		t.Fatal(err)
	}
	return fresh, gone
}

func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if d.IsDir() && d.Name() == modelpack.StateDir {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		files[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func wantContent(t *testing.T, dir string, files ...string) {
	t.Helper()
	got := content(t, dir)
	for i := 0; i < len(files); i += 2 {
		if got[files[i]] != files[i+1] {
			t.Errorf("%s holds %q, want %q", files[i], got[files[i]], files[i+1])
		}
	}
	if len(got) != len(files)/2 {
		t.Errorf("there are %q, want %q", got, files)
	}
}

var crashV1 = []string{"a", "1", "both", "same", "gone/x", "1", "gone/y", "1"}
var crashV2 = []string{"a", "22", "both", "same", "new/x", "2", "new/y", "2"}

// TestCrashes kills a run after each of its changes, once or twice in a row, and
// looks at what the next one makes of that: it finishes, it goes back to the old
// version, or it goes on to another one. None of it needs to be told to
// overwrite, or leaves anything behind.
func TestCrashes(t *testing.T) {
	t.Parallel()
	v3 := []string{"a", "333", "new/x", "3"}
	for n := range 6 {
		for name, next := range map[string][]string{"finished": crashV2, "back": crashV1, "on": v3} {
			for _, twice := range []bool{false, true} {
				dir := t.TempDir()
				mustExtract(t, rawModel(crashV1...), dir)
				crash(t, rawModel(crashV2...), dir, n)
				if twice {
					crash(t, rawModel(crashV2...), dir, n/2+1)
				}
				mustExtract(t, rawModel(next...), dir)
				if wantContent(t, dir, next...); t.Failed() {
					t.Fatalf("%s, after %d changes, twice: %v", name, n, twice)
				}
				mustExtract(t, rawModel(crashV1...), dir)
				if wantContent(t, dir, crashV1...); t.Failed() {
					t.Fatalf("%s and back, after %d changes, twice: %v", name, n, twice)
				}
			}
		}
	}
}

// TestCrashOfTheFirstRun leaves files that are ours, and no others.
func TestCrashOfTheFirstRun(t *testing.T) {
	for n := range 5 {
		dir := filepath.Join(t.TempDir(), "new")
		crash(t, rawModel(crashV2...), dir, n)
		mustExtract(t, rawModel("a", "3"), dir)
		if wantContent(t, dir, "a", "3"); t.Failed() {
			t.Fatalf("after %d changes", n)
		}
	}
}

// TestAfterACrashOthersKeepTheirFiles: what stands where a run was about to write
// is not taken for its own.
func TestAfterACrashOthersKeepTheirFiles(t *testing.T) {
	dir := t.TempDir()
	crash(t, rawModel(crashV2...), dir, 1)
	for _, name := range []string{"a", "both"} { // one that had got its name, one that had not
		if err := errors.Join(ignoreNotExist(os.Remove(filepath.Join(dir, name))), os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Extract(t.Context(), rawModel(crashV2...), dir, unsynced)
	if conflict, ok := errors.AsType[*ConflictError](err); !ok || len(conflict.Paths) != 2 {
		t.Errorf("error %v, want two conflicts", err)
	}
	wantContent(t, dir, "a", "mine", "both", "mine")
}

// TestTakenBackFilesStayOurs: to move them away and back changes them in the
// eyes of a file system, and the next run must still know them.
func TestTakenBackFilesStayOurs(t *testing.T) {
	dir := t.TempDir()
	mustExtract(t, rawModel(crashV1...), dir)
	if err := os.WriteFile(filepath.Join(dir, "zz"), []byte("in the way"), 0o644); err != nil {
		t.Fatal(err)
	}
	bad := append([]string{"zz/x", "2"}, crashV2...)
	if _, err := Extract(t.Context(), rawModel(bad...), dir, unsynced); err == nil {
		t.Fatal("no error")
	}
	wantContent(t, dir, append([]string{"zz", "in the way"}, crashV1...)...)
	if v, err := Installed(dir, false); err != nil || !v[0].Intact {
		t.Errorf("%+v, %v: files that were put back are not as they were", v, err)
	}
	mustExtract(t, rawModel(crashV2...), dir)
	wantContent(t, dir, append([]string{"zz", "in the way"}, crashV2...)...)
}

// TestReserve: what cannot fit is refused before anything is staged.
func TestReserve(t *testing.T) {
	for _, size := range []int64{1 << 50, math.MaxInt64 - 10} {
		m := rawModel("small", "x", "huge", "x")
		m[0].Layers[1].Size = size
		dir := filepath.Join(t.TempDir(), "new")
		m[0].Source = nil // which is not even asked
		_, err := Extract(t.Context(), m, dir, unsynced)
		if !errors.Is(err, disk.ErrFull) {
			t.Errorf("error %v, want %v", err, disk.ErrFull)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Error("something was left behind")
		}
	}
}

// TestClaim: who may have which path, on file systems of both kinds.
func TestClaim(t *testing.T) {
	for _, test := range []struct {
		first, second string // a slash at the end is a directory
		ok, fold      bool
	}{
		{"a", "b", true, true},
		{"a", "a", false, false},
		{"a/", "a/", true, true},
		{"a/", "a", false, false},
		{"a", "a/", false, false},
		{"a", "a/b", false, false},
		{"a/b", "a", false, false},
		{"a/b", "a/", true, true},
		{"a/b", "a/c", true, true},
		{"a/b/c", "a/b", false, false},
		{"a", "A", true, false},
		{"a/b", "A/B", true, false},
		{"a/b", "A/c", true, true},
		{"a/b", "A", true, false},
		{"straße", "STRAßE", true, false},
		{"K", "\u212a", true, false}, // the sign for Kelvin
		{"σ", "ς", true, false},
	} {
		for _, fold := range []bool{false, true} {
			claims := func(names ...string) (x *extraction, errs [2]error) {
				x = newExtraction(&destination{fold: fold}, Options{})
				for i, name := range names {
					errs[i] = x.claim(strings.TrimSuffix(name, "/"), strings.HasSuffix(name, "/"))
				}
				return x, errs
			}
			want := test.ok
			if fold {
				want = test.fold
			}
			if _, errs := claims(test.first, test.second); errs[0] != nil || (errs[1] == nil) != want {
				t.Errorf("%q and %q, fold %v: %v", test.first, test.second, fold, errs)
			}
			x, _ := claims(test.first)
			x.unclaim(strings.TrimSuffix(test.first, "/"))
			if len(x.kinds) != 0 || x.names != 0 {
				t.Errorf("%q leaves %v, %d bytes when it is taken back", test.first, x.kinds, x.names)
			}
			if err := x.claim(strings.TrimSuffix(test.second, "/"), strings.HasSuffix(test.second, "/")); err != nil {
				t.Errorf("%q after %q was taken back: %v", test.second, test.first, err)
			}
		}
	}
}

// TestUnknownHost: where one boot cannot be told from the next, nothing vouches
// for what was not synced.
func TestUnknownHost(t *testing.T) {
	x := newExtraction(&destination{host: ""}, Options{NoSync: true})
	now, _, err := x.inventory(rawModel())
	if err != nil {
		t.Fatal(err)
	}
	if x.vouches(&now[0]) {
		t.Errorf("%+v is trusted", now[0])
	}
}

// TestSameContent: only the first bytes count.
func TestSameContent(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	x := newExtraction(&destination{root: root}, Options{})
	long := bytes.Repeat([]byte("content"), copyBuffer/5)
	other := append(bytes.Clone(long), "and the header"...)
	changed := bytes.Clone(long)
	changed[len(long)-1]++
	for name, data := range map[string][]byte{"a": long, "longer": other, "changed": changed, "shorter": long[1:]} {
		if err := root.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{"a": true, "longer": true, "changed": false, "shorter": false} {
		if got, err := x.sameContent(t.Context(), name, "a", int64(len(long))); got != want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
