package extract_test

import (
	"archive/tar"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/modelpack"
)

func only(o *extract.Options) {
	o.Filter = &extract.Filter{Kinds: []modelpack.Kind{modelpack.Model}}
}

func including(patterns ...string) extract.Options {
	return with(func(o *extract.Options) { o.Filter = &extract.Filter{Include: patterns} })
}

// TestFilterLimitsRemoval: what a filter does not take stays as it is, until a
// run without it.
func TestFilterLimitsRemoval(t *testing.T) {
	v1, v2 := newArtifact(), newArtifact()
	v1.ofKind(modelpack.Config, "config.json", "1")
	v1.ofKind(modelpack.Config, "old.json", "1")
	v1.ofKind(modelpack.Model, "model.bin", "1")
	v1.ofKind(modelpack.Model, "old.bin", "1")
	v2.ofKind(modelpack.Config, "config.json", "2")
	v2.ofKind(modelpack.Model, "model.bin", "2")
	dir := t.TempDir()
	run(t, v1.models(), dir, options)
	run(t, v2.models(), dir, with(only))
	wantTree(t, dir, map[string]string{"config.json": "1", "old.json": "1", "model.bin": "2"})
	run(t, v2.offline(), dir, with(only))
	r := run(t, v2.models(), dir, options)
	wantTree(t, dir, map[string]string{"config.json": "2", "model.bin": "2"})
	if r.Unchanged != 1 || r.Removed != 1 {
		t.Errorf("reported %+v", r)
	}
}

func bundleOf(files ...string) *artifact {
	a := newArtifact()
	var entries []entry
	for i := 0; i < len(files); i += 2 {
		entries = append(entries, header(files[i], files[i+1]))
	}
	a.bundle(modelpack.Model, entries...)
	return a
}

// imageOf is a plain image of one layer.
func imageOf(files ...string) *artifact {
	a := bundleOf(files...)
	a.Image = true
	return a
}

// TestPartsOfLayers takes files out of layers that hold several, with one filter
// after the other and from one version after the other.
func TestPartsOfLayers(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(files ...string) *artifact{"bundle": bundleOf, "image": imageOf} {
		v1, v2 := build("a", "a1", "b", "b1"), build("a", "a2", "b", "b2")
		onlyA, onlyB := including("a"), including("b")
		for _, test := range []struct {
			name string
			last *artifact
			o    extract.Options
			want map[string]string
			also func(dir string)
		}{
			{"the same", v1, onlyA, map[string]string{"a": "a1"}, func(dir string) { run(t, v1.models(), dir, onlyA) }},
			{"then all", v1, options, map[string]string{"a": "a1", "b": "b1"}, func(dir string) { run(t, v1.models(), dir, onlyA) }},
			{"then the rest", v1, onlyB, map[string]string{"a": "a1", "b": "b1"}, func(dir string) { run(t, v1.models(), dir, onlyA) }},
			{"part of all", v1, onlyB, map[string]string{"a": "a1", "b": "b1"}, func(dir string) { run(t, v1.models(), dir, options) }},
			{"part of the next", v2, onlyB, map[string]string{"a": "a1", "b": "b2"}, func(dir string) { run(t, v1.models(), dir, options) }},
			{"all of the next", v2, options, map[string]string{"a": "a2", "b": "b2"}, func(dir string) { run(t, v1.models(), dir, onlyA) }},
			{"back and forth", v1, onlyB, map[string]string{"a": "a1", "b": "b1"}, func(dir string) {
				run(t, v1.models(), dir, options)
				run(t, v2.models(), dir, onlyB)
			}},
			{"back and forth in parts", v1, onlyB, map[string]string{"a": "a1", "b": "b1"}, func(dir string) {
				run(t, v1.models(), dir, onlyA)
				run(t, v2.models(), dir, onlyB)
			}},
			{"all after parts", v1, options, map[string]string{"a": "a1", "b": "b1"}, func(dir string) {
				run(t, v1.models(), dir, onlyA)
				run(t, v2.models(), dir, onlyB)
			}},
		} {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				dir := t.TempDir()
				test.also(dir)
				run(t, test.last.models(), dir, test.o)
				wantTree(t, dir, test.want)
				r := run(t, test.last.offline(), dir, test.o)
				if r.Files != r.Unchanged {
					t.Errorf("once more: %+v", r)
				}
				wantTree(t, dir, test.want)
			})
		}
	}
}

// TestBundleThatLostAFile is unpacked again, all of it or what the filter takes.
func TestBundleThatLostAFile(t *testing.T) {
	for _, o := range []extract.Options{options, including("a")} {
		a := bundleOf("a", "a1", "b", "b1")
		dir := t.TempDir()
		run(t, a.models(), dir, o)
		want := tree(t, dir)
		if err := os.Remove(filepath.Join(dir, "a")); err != nil {
			t.Fatal(err)
		}
		run(t, a.models(), dir, o)
		wantTree(t, dir, want)
	}
}

// TestNothingPasses is an error, wherever it shows, and changes nothing.
func TestNothingPasses(t *testing.T) {
	for name, a := range map[string]*artifact{"files": version("a", "1"), "bundle": bundleOf("a", "1"), "image": imageOf("a", "1")} {
		dir := t.TempDir()
		run(t, a.models(), dir, options)
		if _, err := extract.Extract(t.Context(), a.models(), dir, including("b")); err == nil {
			t.Errorf("%s: no error", name)
		}
		wantTree(t, dir, map[string]string{"a": "1"})

		dir = t.TempDir()
		asRelease(t, a, dir)
		o := including("b")
		o.Atomic = true
		if _, err := extract.Extract(t.Context(), a.models(), dir, o); err == nil {
			t.Errorf("%s, atomic: no error", name)
		}
		wantCurrent(t, dir, map[string]string{"a": "1"})
		wantReleases(t, dir, a)
	}
}

// TestModeOfUnchangedFiles follows what is asked for.
func TestModeOfUnchangedFiles(t *testing.T) {
	a := everyFormat("content")
	tool := header("tool", "#!")
	tool.Mode = 0o755
	a.add(modelpack.Tar, "tool", archive(tool))
	dir := t.TempDir()
	for _, mode := range []fs.FileMode{0, 0o600, 0o440, 0} {
		m := a.offline()
		if mode == 0 {
			m = a.models()
		}
		run(t, m, dir, with(func(o *extract.Options) { o.Mode = mode }))
		run(t, a.offline(), dir, with(func(o *extract.Options) { o.Mode = mode }))
		want := map[fs.FileMode][2]fs.FileMode{0: {0o644, 0o755}, 0o600: {0o600, 0o700}, 0o440: {0o440, 0o550}}[mode]
		for name, mode := range map[string]fs.FileMode{"tar.bin": want[0], "z/gzip.txt": want[0], "code/b.py": want[0], "tool": want[1]} {
			if got := stat(t, filepath.Join(dir, name)).Mode(); got != mode {
				t.Errorf("%s has mode %v, want %v", name, got, mode)
			}
		}
	}
	// The mode is put right on files whose content turns out to be right, too.
	for _, name := range []string{"tar.bin", "raw.bin", "z/gzip.txt", "code/a.py"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	run(t, a.models(), dir, options)
	for _, name := range []string{"tar.bin", "raw.bin", "z/gzip.txt", "code/a.py"} {
		if got := stat(t, filepath.Join(dir, name)).Mode(); got != 0o644 {
			t.Errorf("%s has mode %v", name, got)
		}
	}
}

// TestManifestSaysExecutable: a raw file has no other place to say so, and its
// digest stays the same.
func TestManifestSaysExecutable(t *testing.T) {
	dir := t.TempDir()
	for _, executable := range []bool{false, true, false} {
		a := newArtifact()
		m := modelpack.NewFileMetadata("a", 7, executable)
		a.raw("a", "content").Metadata = &m
		run(t, a.models(), dir, options)
		if got := stat(t, filepath.Join(dir, "a")).Mode()&0o111 != 0; got != executable {
			t.Errorf("executable: %v, want %v", got, executable)
		}
	}
}

// TestMediaTypeWasWrong: the next version says of the same bytes that they are
// an archive.
func TestMediaTypeWasWrong(t *testing.T) {
	content := string(archive(header("a", "content")))
	dir := t.TempDir()
	run(t, version("a", content).models(), dir, options)
	v2 := newArtifact()
	v2.file("a", "content")
	run(t, v2.models(), dir, options)
	wantTree(t, dir, map[string]string{"a": "content"})
}

// TestOtherBoot: what was not synced before the machine was started again is not
// trusted. It is proved by reading where that is possible.
func TestOtherBoot(t *testing.T) {
	a := newArtifact()
	a.file("tar.bin", "content")
	a.raw("raw.bin", "content")
	dir := t.TempDir()
	run(t, a.models(), dir, options)
	reboot(t, dir)
	if v, err := extract.Installed(dir, false); err != nil || v[0].Intact {
		t.Errorf("%v, %v: trusted", v, err)
	}
	if r := run(t, a.offline(), dir, options); r.Unchanged != 2 {
		t.Errorf("reported %+v", r)
	}

	a = everyFormat("content")
	dir = t.TempDir()
	run(t, a.models(), dir, options)
	reboot(t, dir)
	if _, err := extract.Extract(t.Context(), a.offline(), dir, options); !errors.Is(err, errOffline) {
		t.Errorf("error %v: layers that cannot be told from their files were trusted", err)
	}
	r := run(t, a.models(), dir, options)
	if r.Unchanged != 7 {
		t.Errorf("reported %+v", r)
	}
}

// TestSyncedFilesSurviveABoot, and those that a filter left alone do not profit.
func TestSyncedFilesSurviveABoot(t *testing.T) {
	a := newArtifact()
	a.ofKind(modelpack.Config, "config.json", "1")
	a.ofKind(modelpack.Model, "model.bin", "1")
	host := func(dir string) any { return at(readState(t, dir), "releases", 0, "models", 0).(object)["host"] }
	sync := with(func(o *extract.Options) { o.NoSync = false })
	dir := t.TempDir()
	run(t, a.models(), dir, options)
	if host(dir) == nil {
		t.Error("without syncing, nothing says which boot the files are of")
	}
	filtered := sync
	only(&filtered)
	run(t, a.models(), dir, filtered)
	if host(dir) == nil {
		t.Error("a run that did not see all files vouches for them")
	}
	run(t, a.models(), dir, sync)
	if host(dir) != nil {
		t.Error("synced files are of one boot")
	}
}

// TestEmptyDirectories that an archive lists.
func TestEmptyDirectories(t *testing.T) {
	a := newArtifact()
	a.bundle(modelpack.Code, entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "empty/deep/"}}, header("a", "1"))
	dir := t.TempDir()
	run(t, a.models(), dir, options)
	if !stat(t, filepath.Join(dir, "empty", "deep")).IsDir() {
		t.Error("no directory")
	}
	dir = t.TempDir()
	run(t, a.models(), dir, including("a"))
	gone(t, filepath.Join(dir, "empty"))
}
