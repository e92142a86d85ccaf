package extract_test

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/modelpack"
)

// asRelease extracts a as a release.
func asRelease(t *testing.T, a *artifact, dir string, change ...func(o *extract.Options)) *extract.Result {
	t.Helper()
	o := with(func(o *extract.Options) { o.Atomic = true })
	for _, f := range change {
		f(&o)
	}
	return run(t, a.models(), dir, o)
}

func keep(n int) func(o *extract.Options) { return func(o *extract.Options) { o.Keep = n } }

// releaseOf is the name that the release of a has.
func releaseOf(a *artifact) string { return "sha256-" + a.models()[0].Digest.Encoded() }

// wantCurrent looks at what a server would see.
func wantCurrent(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	target, err := os.Readlink(filepath.Join(dir, "current"))
	if err != nil {
		t.Fatal(err)
	}
	if path.Dir(target) != "releases" {
		t.Errorf("current points to %s", target)
	}
	if got := tree(t, filepath.Join(dir, target)); !maps.Equal(got, want) {
		t.Errorf("current holds %q, want %q", got, want)
	}
}

// wantReleases looks for the releases of artifacts, and what else there is.
func wantReleases(t *testing.T, dir string, want ...*artifact) {
	t.Helper()
	var got, names []string
	entries, _ := os.ReadDir(filepath.Join(dir, "releases"))
	for _, e := range entries {
		got = append(got, e.Name())
	}
	for _, a := range want {
		names = append(names, releaseOf(a))
	}
	slices.Sort(names)
	if !slices.Equal(got, names) {
		t.Errorf("releases %v, want %v", got, names)
	}
	entries, _ = os.ReadDir(filepath.Join(dir, ".tare"))
	for _, e := range entries {
		if e.Name() != "lock" && e.Name() != "state.json" {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

// TestPlainFilesBesideReleases would not be what current points to: they are
// refused. The other way round they stay, and are counted.
func TestPlainFilesBesideReleases(t *testing.T) {
	t.Parallel()
	v1, v2 := version("a", "1"), version("a", "2", "b", "2")
	dir := t.TempDir()
	asRelease(t, v1, dir)
	for name, do := range map[string]func() error{
		"extract": func() error {
			_, err := extract.Extract(t.Context(), v2.models(), dir, options)
			return err
		},
		"plan": func() error {
			_, err := extract.Plan(v2.models(), dir, options)
			return err
		},
	} {
		if _, ok := errors.AsType[*extract.AtomicError](do()); !ok {
			t.Errorf("%s was not refused", name)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "a")); err == nil {
		t.Error("there is a file beside current")
	}
	wantCurrent(t, dir, map[string]string{"a": "1"})

	dir = t.TempDir()
	run(t, v2.models(), dir, options)
	run(t, named(v2.models(), "another"), dir, options)
	if r := asRelease(t, v1, dir); r.Beside != 2 {
		t.Errorf("%d files beside the release, want 2", r.Beside)
	}
	for _, name := range []string{"a", "b"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if r := asRelease(t, v2, dir); r.Beside != 0 {
		t.Errorf("%d files beside the release, want none", r.Beside)
	}
}

func TestReleases(t *testing.T) {
	t.Parallel()
	v1, v2 := version("a", "1", "same", "x"), version("a", "2", "same", "x", "b/c", "2")
	dir := filepath.Join(t.TempDir(), "new")
	if r := asRelease(t, v1, dir); r.Release != "releases/"+releaseOf(v1) || r.Files != 2 {
		t.Errorf("reported %+v", r)
	}
	wantCurrent(t, dir, map[string]string{"a": "1", "same": "x"})
	old, err := os.Open(filepath.Join(dir, "current", "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if r := asRelease(t, v2, dir); r.Moved != 2 || r.Removed != 2 {
		t.Errorf("reported %+v: what the old release had was to be reused", r)
	}
	wantCurrent(t, dir, map[string]string{"a": "2", "same": "x", "b/c": "2"})
	wantReleases(t, dir, v2)
	if data, err := io.ReadAll(old); string(data) != "1" || err != nil {
		t.Errorf("who had the old file open reads %q, %v", data, err)
	}
	link := stat(t, filepath.Join(dir, "current"))
	m := v2.offline()
	run(t, m, dir, with(func(o *extract.Options) { o.Atomic = true }))
	if !os.SameFile(link, stat(t, filepath.Join(dir, "current"))) {
		t.Error("current was replaced for nothing")
	}
}

func TestKeptReleases(t *testing.T) {
	t.Parallel()
	v1, v2, v3, v4 := version("a", "1"), version("a", "2"), version("a", "3"), version("a", "4")
	for n, want := range map[int][]*artifact{0: {v4}, 1: {v3, v4}, 2: {v2, v3, v4}, 9: {v1, v2, v3, v4}} {
		dir := t.TempDir()
		for _, v := range []*artifact{v1, v2, v3, v4} {
			asRelease(t, v, dir, keep(n))
		}
		wantReleases(t, dir, want...)
	}
	dir := t.TempDir()
	for _, v := range []*artifact{v1, v2, v3} {
		asRelease(t, v, dir, keep(2))
	}
	if r := run(t, v1.offline(), dir, with(func(o *extract.Options) { o.Atomic, o.Keep = true, 2 })); r.Moved != 0 || r.Unchanged != 1 {
		t.Errorf("going back to an old release: %+v", r)
	}
	wantCurrent(t, dir, map[string]string{"a": "1"})
	wantReleases(t, dir, v1, v2, v3)
	asRelease(t, v1, dir, keep(0))
	wantReleases(t, dir, v1)
}

// TestDamagedRelease is put right in its place.
func TestDamagedRelease(t *testing.T) {
	a := version("a", "1", "b", "1", "c", "1")
	dir := t.TempDir()
	asRelease(t, a, dir)
	current := filepath.Join(dir, "current")
	write(t, filepath.Join(current, "a"), "2")
	if err := os.Remove(filepath.Join(current, "b")); err != nil {
		t.Fatal(err)
	}
	if r := asRelease(t, a, dir); r.Files != 3 || r.Unchanged != 1 {
		t.Errorf("reported %+v", r)
	}
	wantCurrent(t, dir, map[string]string{"a": "1", "b": "1", "c": "1"})
	if err := os.RemoveAll(filepath.Join(dir, "releases")); err != nil {
		t.Fatal(err)
	}
	asRelease(t, a, dir)
	wantCurrent(t, dir, map[string]string{"a": "1", "b": "1", "c": "1"})
}

// TestCurrentOfSomebodyElse is not touched.
func TestCurrentOfSomebodyElse(t *testing.T) {
	for name, make := range map[string]func(current string) error{
		"directory":        func(current string) error { return os.Mkdir(current, 0o755) },
		"file":             func(current string) error { return os.WriteFile(current, nil, 0o644) },
		"link elsewhere":   func(current string) error { return os.Symlink("/etc", current) },
		"link deeper":      func(current string) error { return os.Symlink("releases/a/b", current) },
		"link to releases": func(current string) error { return os.Symlink("releases", current) },
	} {
		dir := t.TempDir()
		current := filepath.Join(dir, "current")
		if err := make(current); err != nil {
			t.Fatal(err)
		}
		before := stat(t, current)
		_, err := extract.Extract(t.Context(), version("a", "1").models(), dir, with(func(o *extract.Options) { o.Atomic, o.Overwrite = true, true }))
		if hint, ok := errors.AsType[interface {
			error
			Hint() string
		}](err); !ok || !strings.Contains(hint.Hint(), "mount") {
			t.Errorf("%s: error %v, want one with a hint", name, err)
		}
		if !os.SameFile(before, stat(t, current)) {
			t.Errorf("%s: current was replaced", name)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 1 {
			t.Errorf("%s: %v", name, entries)
		}
	}
}

// TestCrashBetweenReleases: after the release got its name and before that was
// recorded, and before current was moved.
func TestCrashBetweenReleases(t *testing.T) {
	v1, v2 := version("a", "1"), version("a", "2", "b", "2")
	for _, recorded := range []bool{false, true} {
		dir := t.TempDir()
		asRelease(t, v1, dir, keep(1))
		state, err := os.ReadFile(statePath(dir))
		if err != nil {
			t.Fatal(err)
		}
		asRelease(t, v2, dir, keep(1))
		if err := os.Remove(filepath.Join(dir, "current")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("releases/"+releaseOf(v1), filepath.Join(dir, "current")); err != nil {
			t.Fatal(err)
		}
		if !recorded {
			write(t, statePath(dir), string(state))
		}
		wantCurrent(t, dir, map[string]string{"a": "1"})
		if r := run(t, v2.offline(), dir, with(func(o *extract.Options) { o.Atomic = true })); r.Unchanged != 2 {
			t.Errorf("recorded %v: %+v", recorded, r)
		}
		wantCurrent(t, dir, map[string]string{"a": "2", "b": "2"})
		wantReleases(t, dir, v2)
	}
}

// TestHalfARelease of a run that was killed is gone on from by one that wants the
// same, and swept by any other.
func TestHalfARelease(t *testing.T) {
	v1, v2 := version("a", "1", "b", "1"), version("a", "2")
	dir := t.TempDir()
	next := filepath.Join(dir, ".tare", "next-"+releaseOf(v1))
	write(t, filepath.Join(next, "a"), "1")
	m := models(&v1.Artifact, memory{v1.Layers[1].Digest: []byte("1")})
	run(t, m, dir, with(func(o *extract.Options) { o.Atomic = true }))
	wantCurrent(t, dir, map[string]string{"a": "1", "b": "1"})
	write(t, filepath.Join(next, "a"), "1")
	asRelease(t, v2, dir)
	wantCurrent(t, dir, map[string]string{"a": "2"})
	wantReleases(t, dir, v2)
}

// TestReleaseNames tell apart what is not the same.
func TestReleaseNames(t *testing.T) {
	a, b := version("a", "1", "b", "1"), version("a", "2")
	in := func(a *artifact, sub string) extract.Model {
		m := a.models()[0]
		m.Subdir = sub
		return m
	}
	seen := map[string]bool{}
	dir := t.TempDir()
	for _, test := range []struct {
		models []extract.Model
		filter *extract.Filter
		want   map[string]string
	}{
		{a.models(), nil, map[string]string{"a": "1", "b": "1"}},
		{a.models(), &extract.Filter{Include: []string{"a"}}, map[string]string{"a": "1"}},
		{[]extract.Model{in(a, "x")}, nil, map[string]string{"x/a": "1", "x/b": "1"}},
		{[]extract.Model{in(a, "x"), in(b, "y")}, nil, map[string]string{"x/a": "1", "x/b": "1", "y/a": "2"}},
		{[]extract.Model{in(a, "y"), in(b, "x")}, nil, map[string]string{"y/a": "1", "y/b": "1", "x/a": "2"}},
	} {
		r := run(t, test.models, dir, with(func(o *extract.Options) { o.Atomic, o.Keep, o.Filter = true, 9, test.filter }))
		if seen[r.Release] {
			t.Errorf("%s is there twice", r.Release)
		}
		seen[r.Release] = true
		wantCurrent(t, dir, test.want)
	}
	v, err := extract.Installed(dir, true)
	if err != nil || len(v) != 2 || v[0].Subdir != "y" || !v[0].Intact {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestForeignFilesInAReleaseStay when it is pruned, and only they.
func TestForeignFilesInAReleaseStay(t *testing.T) {
	v1, v2 := newArtifact(), version("a", "2")
	v1.bundle(modelpack.Model, header("a", "1"), header("sub/b", "1"), header("sub/edited", "1"),
		entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "empty/deep/"}})
	dir := t.TempDir()
	asRelease(t, v1, dir)
	release := filepath.Join(dir, "releases", releaseOf(v1))
	write(t, filepath.Join(release, "mine", "cache"), "mine")
	write(t, filepath.Join(release, "sub", "edited"), "by me")
	if r := asRelease(t, v2, dir); r.Removed != 2 {
		t.Errorf("reported %+v", r)
	}
	wantTree(t, release, map[string]string{"mine/cache": "mine", "sub/edited": "by me"})
	wantReleases(t, dir, v1, v2)
	gone(t, filepath.Join(release, "empty"))
}

// TestPrunedReleaseLeavesNothing behind, empty directories included.
func TestPrunedReleaseLeavesNothing(t *testing.T) {
	v1, v2 := newArtifact(), version("a", "2")
	v1.bundle(modelpack.Model, header("deep/down/a", "1"), entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "empty/deep/"}})
	dir := t.TempDir()
	asRelease(t, v1, dir)
	asRelease(t, v2, dir)
	wantReleases(t, dir, v2)
}

// TestFailedRelease leaves current where it was, and nothing else.
func TestFailedRelease(t *testing.T) {
	v1, v2 := version("a", "1"), version("a", "2", "b", "2")
	delete(v2.memory, v2.Layers[1].Digest)
	dir := t.TempDir()
	asRelease(t, v1, dir)
	if _, err := extract.Extract(t.Context(), v2.models(), dir, with(func(o *extract.Options) { o.Atomic = true })); err == nil {
		t.Error("no error")
	}
	wantCurrent(t, dir, map[string]string{"a": "1"})
	wantReleases(t, dir, v1)
	dir = filepath.Join(t.TempDir(), "new")
	if _, err := extract.Extract(t.Context(), v2.models(), dir, with(func(o *extract.Options) { o.Atomic = true })); err == nil {
		t.Error("no error")
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a directory was left behind")
	}
}

// TestReleaseFromAMirror is the same release.
func TestReleaseFromAMirror(t *testing.T) {
	v1 := version("a", "1")
	dir := t.TempDir()
	asRelease(t, v1, dir)
	r := run(t, named(v1.offline(), "mirror"), dir, with(func(o *extract.Options) { o.Atomic, o.Mode = true, 0o600 }))
	if r.Unchanged != 1 || stat(t, filepath.Join(dir, "current", "a")).Mode() != 0o600 {
		t.Errorf("reported %+v", r)
	}
	asRelease(t, version("a", "2"), dir)
	wantReleases(t, dir, version("a", "2"))
}
