package extract_test

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/modelpack"
)

// everyFormat is an artifact with a layer of each sort.
func everyFormat(content string) *artifact {
	a := newArtifact()
	a.file("tar.bin", content)
	a.raw("raw.bin", content)
	a.add(modelpack.TarGzip, "z/gzip.txt", gzipped(archive(header("z/gzip.txt", content))))
	a.add(modelpack.TarZstd, "z/zstd.txt", zstandard(archive(header("z/zstd.txt", content))))
	a.bundle(modelpack.Code, header("code/a.py", content), header("code/b.py", content),
		entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: "code/link", Linkname: "a.py"}})
	return a
}

func TestRecords(t *testing.T) {
	a := newArtifact()
	l := a.file("sub/a", "content")
	dir := t.TempDir()
	run(t, a.models(), dir, options)
	info := stat(t, filepath.Join(dir, "sub", "a"))
	layer := at(readState(t, dir), "releases", 0, "models", 0, "layers", 0)
	file := at(layer, "files", 0).(object)
	if got := at(layer, "digest"); got != l.Digest.String() {
		t.Errorf("layer digest %v, want %v", got, l.Digest)
	}
	if file["path"] != "sub/a" || file["size"] != number(info.Size()) || file["mtime_ns"] != number(info.ModTime().UnixNano()) {
		t.Errorf("record %v of %v", file, info)
	}
	if file["ctime_ns"] == nil || file["inode"] == nil {
		t.Errorf("record %v has no change time or no inode", file)
	}
}

// TestUnchangedFilesAreLeftAlone: their content is not even looked at, or this
// would fail without a source to restore it from.
func TestUnchangedFilesAreLeftAlone(t *testing.T) {
	a := everyFormat("content")
	dir := t.TempDir()
	first := run(t, a.models(), dir, options)
	before, state := tree(t, dir), stat(t, statePath(dir))
	infos := map[string]fs.FileInfo{}
	for name := range before {
		infos[name] = stat(t, filepath.Join(dir, name))
	}
	again := run(t, a.offline(), dir, options)
	if again.Files != 7 || again.Unchanged != 7 || again.Moved != 0 || again.Bytes != first.Bytes {
		t.Errorf("reported %+v after %+v", again, first)
	}
	for name, info := range infos {
		if now := stat(t, filepath.Join(dir, name)); !os.SameFile(info, now) || !now.ModTime().Equal(info.ModTime()) {
			t.Errorf("%s was replaced", name)
		}
	}
	if now := stat(t, statePath(dir)); !os.SameFile(state, now) {
		t.Error("the records were written again for nothing")
	}
	wantTree(t, dir, before)
}

func number(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

// TestLocalChanges are noticed, however well they hide, and undone.
func TestLocalChanges(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, file string){
		"other size": func(t *testing.T, file string) { write(t, file, "x") },
		"same size":  func(t *testing.T, file string) { write(t, file, "CONTENT") },
		"time set back": func(t *testing.T, file string) {
			old := stat(t, file).ModTime()
			write(t, file, "CONTENT")
			if err := os.Chtimes(file, old, old); err != nil {
				t.Fatal(err)
			}
		},
		"replaced": func(t *testing.T, file string) {
			write(t, file+"~", "CONTENT")
			old := stat(t, file).ModTime()
			if err := errors.Join(os.Chtimes(file+"~", old, old), os.Rename(file+"~", file)); err != nil {
				t.Fatal(err)
			}
		},
		"now a link": func(t *testing.T, file string) {
			if err := errors.Join(os.Remove(file), os.Symlink("/etc/passwd", file)); err != nil {
				t.Fatal(err)
			}
		},
		"removed": func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := everyFormat("content")
			dir := t.TempDir()
			run(t, a.models(), dir, options)
			want := tree(t, dir)
			for _, file := range []string{"tar.bin", "raw.bin", "z/gzip.txt", "z/zstd.txt", "code/b.py"} {
				change(t, filepath.Join(dir, file))
			}
			run(t, a.models(), dir, options)
			wantTree(t, dir, want)
			again := run(t, a.offline(), dir, options)
			if again.Unchanged != 7 {
				t.Errorf("reported %+v once all was restored", again)
			}
		})
	}
}

// TestTouchedFiles are read, and recorded again if they are what they were.
func TestTouchedFiles(t *testing.T) {
	a := newArtifact()
	a.file("tar.bin", "content")
	a.raw("raw.bin", "content")
	dir := t.TempDir()
	run(t, a.models(), dir, options)
	later := time.Now().Add(time.Hour)
	inodes := map[string]fs.FileInfo{}
	for _, name := range []string{"tar.bin", "raw.bin"} {
		inodes[name] = stat(t, filepath.Join(dir, name))
		if err := os.Chtimes(filepath.Join(dir, name), later, later); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := extract.Installed(dir, false); err != nil || v[0].Intact {
		t.Errorf("touched files are said to be as they were: %v, %v", v, err)
	}
	if r := run(t, a.offline(), dir, options); r.Unchanged != 2 || r.Moved != 0 {
		t.Errorf("reported %+v", r)
	}
	for name, info := range inodes {
		if !os.SameFile(info, stat(t, filepath.Join(dir, name))) {
			t.Errorf("%s was replaced", name)
		}
	}
	if v, err := extract.Installed(dir, false); err != nil || !v[0].Intact {
		t.Errorf("they were not recorded again: %v, %v", v, err)
	}
}

// TestForeignTarIsKnownAgain: other tools write other headers.
func TestForeignTarIsKnownAgain(t *testing.T) {
	h := header("a", "content")
	h.ModTime, h.Uname, h.Mode = time.Unix(1e9, 0), "someone", 0o755
	for name, format := range map[string]tar.Format{"ustar": tar.FormatUSTAR, "pax": tar.FormatPAX, "gnu": tar.FormatGNU} {
		t.Run(name, func(t *testing.T) {
			h := h
			h.Format = format
			if format == tar.FormatPAX {
				h.PAXRecords = map[string]string{"comment": "x"}
			}
			a := newArtifact()
			l := a.add(modelpack.Tar, "a", archive(h))
			m := modelpack.NewFileMetadata("a", 7, false)
			l.Metadata = &m
			dir := t.TempDir()
			write(t, filepath.Join(dir, "a"), "content")
			info := stat(t, filepath.Join(dir, "a"))
			run(t, a.models(), dir, options)
			if !os.SameFile(info, stat(t, filepath.Join(dir, "a"))) {
				t.Error("the same file was replaced")
			}
			write(t, filepath.Join(dir, "a"), "CONTENT")
			_, err := extract.Extract(t.Context(), a.models(), dir, options)
			if conflict, ok := errors.AsType[*extract.ConflictError](err); !ok || len(conflict.Paths) != 1 {
				t.Errorf("error %v, want a conflict", err)
			}
		})
	}
}

func TestNextVersion(t *testing.T) {
	v1 := version("same", "same", "changed", "1", "gone/deep/a", "x", "gone/b", "x", "edited", "x", "stays/edited", "x")
	v2 := version("same", "same", "changed", "2", "new/a", "n")
	dir := t.TempDir()
	run(t, v1.models(), dir, options)
	same := stat(t, filepath.Join(dir, "same"))
	write(t, filepath.Join(dir, "edited"), "by me")
	write(t, filepath.Join(dir, "stays", "edited"), "by me")
	write(t, filepath.Join(dir, "mine"), "mine")
	r := run(t, v2.models(), dir, options)
	wantTree(t, dir, map[string]string{"same": "same", "changed": "2", "new/a": "n", "edited": "by me", "stays/edited": "by me", "mine": "mine"})
	gone(t, filepath.Join(dir, "gone"))
	if r.Files != 3 || r.Unchanged != 1 || r.Removed != 2 || r.Moved != 2 {
		t.Errorf("reported %+v", r)
	}
	if !os.SameFile(same, stat(t, filepath.Join(dir, "same"))) {
		t.Error("a file that both versions have was replaced")
	}
	// What was edited is nobody's now, and stays for ever.
	run(t, v1.models(), dir, with(func(o *extract.Options) { o.Filter = &extract.Filter{Include: []string{"same", "changed"}} }))
	if _, err := extract.Extract(t.Context(), v1.models(), dir, options); err == nil {
		t.Error("files that were edited and left behind were overwritten")
	}
	wantTree(t, dir, map[string]string{"same": "same", "changed": "1", "new/a": "n", "edited": "by me", "stays/edited": "by me", "mine": "mine"})
}

// TestWhatIsMovedIsNotFetched: a version with a file of another name, or in
// another directory, takes it from the file that is there.
func TestWhatIsMovedIsNotFetched(t *testing.T) {
	v1, v2 := newArtifact(), newArtifact()
	v1.file("old.bin", "content")
	v2.Layers = []modelpack.Layer{v1.Layers[0]}
	m := v2.models()
	m[0].Source, m[0].Subdir = offline{}, "sub"
	dir := t.TempDir()
	run(t, v1.models(), dir, options)
	r := run(t, m, dir, options)
	wantTree(t, dir, map[string]string{"old.bin": "content", "sub/old.bin": "content"})
	if r.Moved != 0 || os.SameFile(stat(t, filepath.Join(dir, "old.bin")), stat(t, filepath.Join(dir, "sub", "old.bin"))) {
		t.Errorf("reported %+v, or they are one file", r)
	}
}

// TestDamagedFileIsNotReused: a copy of what is there is verified.
func TestDamagedFileIsNotReused(t *testing.T) {
	v1 := newArtifact()
	v1.file("old.bin", "content")
	dir := t.TempDir()
	run(t, v1.models(), dir, options)
	write(t, filepath.Join(dir, "old.bin"), "CONTENT")
	m := v1.models()
	m[0].Subdir = "sub"
	run(t, m, dir, options)
	wantTree(t, dir, map[string]string{"old.bin": "CONTENT", "sub/old.bin": "content"})
}

// TestConflicts: what tare did not write is not overwritten, and nothing is
// touched.
func TestConflicts(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "size"), "mine, longer")
	write(t, filepath.Join(dir, "content"), "mine")
	write(t, filepath.Join(dir, "bundled"), "mine")
	if err := os.Symlink("size", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	a := newArtifact()
	a.raw("size", "new")
	a.file("content", "news")
	a.raw("link", "new")
	a.raw("new", "new")
	src := &counted{memory: a.memory}
	_, err := extract.Extract(t.Context(), models(&a.Artifact, src), dir, options)
	conflict, ok := errors.AsType[*extract.ConflictError](err)
	if !ok || !slices.Equal(conflict.Paths, []string{"content", "link", "size"}) {
		t.Errorf("error %v, want a conflict in content, link and size", err)
	}
	wantTree(t, dir, before)
	gone(t, filepath.Join(dir, ".tare"))

	a = newArtifact()
	a.bundle(modelpack.Code, header("bundled", "news"), header("also", "x"))
	_, err = extract.Extract(t.Context(), a.models(), dir, options)
	if conflict, ok := errors.AsType[*extract.ConflictError](err); !ok || !slices.Equal(conflict.Paths, []string{"bundled"}) {
		t.Errorf("error %v, want a conflict in bundled", err)
	}
	wantTree(t, dir, before)
	gone(t, filepath.Join(dir, ".tare"))
}

// TestFoundFilesStay: a file that was there with the same content is somebody's.
func TestFoundFilesStay(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"raw", "tar", "gzip", "bundle"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "a"), "mine")
			if err := os.Chmod(filepath.Join(dir, "a"), 0o600); err != nil {
				t.Fatal(err)
			}
			build := func(content string) *artifact {
				a := newArtifact()
				switch kind {
				case "raw":
					a.raw("a", content)
				case "tar":
					a.file("a", content)
				case "gzip":
					a.add(modelpack.TarGzip, "a", gzipped(archive(header("a", content))))
				default:
					a.bundle(modelpack.Code, header("a", content))
				}
				return a
			}
			for range 2 { // what is on record is still found
				if r := run(t, build("mine").models(), dir, options); r.Unchanged != 1 {
					t.Errorf("reported %+v", r)
				}
			}
			if mode := stat(t, filepath.Join(dir, "a")).Mode(); mode != 0o600 {
				t.Errorf("somebody's file has mode %v now", mode)
			}
			if _, err := extract.Extract(t.Context(), build("other").models(), dir, options); err == nil {
				t.Error("another version replaced it")
			}
			run(t, version("b", "b").models(), dir, options)
			wantTree(t, dir, map[string]string{"a": "mine", "b": "b"})
		})
	}
}

// TestTwoModelsInOneDirectory must not remove or replace each other's files.
func TestTwoModelsInOneDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one := func(files ...string) []extract.Model { return named(version(files...).models(), "one") }
	two := func(files ...string) []extract.Model { return named(version(files...).models(), "two") }
	run(t, one("a", "1", "shared", "x"), dir, options)
	run(t, two("b", "2", "shared", "x"), dir, options)
	run(t, one("a", "1", "shared", "x"), dir, options) // whoever came last makes no difference
	run(t, two("b", "3"), dir, options)
	wantTree(t, dir, map[string]string{"a": "1", "shared": "x", "b": "3"})
	if _, err := extract.Extract(t.Context(), two("a", "other"), dir, options); err == nil {
		t.Error("one model replaced the file of the other")
	}
	run(t, two("b", "3", "shared", "x"), dir, options)
	if _, err := extract.Extract(t.Context(), one("a", "1", "shared", "y"), dir, options); err == nil {
		t.Error("its owner replaced a file that another model counts on")
	}
	run(t, one("c", "c"), dir, options)
	wantTree(t, dir, map[string]string{"c": "c", "shared": "x", "b": "3"})
	run(t, two("b", "3", "shared", "x"), dir, options)
	run(t, named(version("c", "c", "d", "d").models(), "one"), dir, options)
	wantTree(t, dir, map[string]string{"c": "c", "d": "d", "shared": "x", "b": "3"})
}

// TestSubdirectoriesAreModelsOfTheirOwn, of one repository or several.
func TestSubdirectoriesAreModelsOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	in := func(sub string, files ...string) extract.Model {
		m := version(files...).models()[0]
		m.Subdir = sub
		return m
	}
	run(t, []extract.Model{in("x", "a", "1", "b", "1"), in("y/z", "a", "2", "b", "2")}, dir, options)
	run(t, []extract.Model{in("x", "a", "3")}, dir, options)
	wantTree(t, dir, map[string]string{"x/a": "3", "y/z/a": "2", "y/z/b": "2"})
	run(t, []extract.Model{in("y/z", "b", "4")}, dir, options)
	wantTree(t, dir, map[string]string{"x/a": "3", "y/z/b": "4"})
	run(t, []extract.Model{in("x", "sub/a", "5"), in("y/z", "c", "6")}, dir, options)
	wantTree(t, dir, map[string]string{"x/sub/a": "5", "y/z/c": "6"})
}

// TestFilesBecomeDirectories and the reverse.
func TestFilesBecomeDirectories(t *testing.T) {
	v1, v2 := version("a", "file", "b/c", "in dir"), version("a/b", "in dir", "b", "file")
	dir := t.TempDir()
	for range 2 {
		run(t, v1.models(), dir, options)
		wantTree(t, dir, map[string]string{"a": "file", "b/c": "in dir"})
		run(t, v2.models(), dir, options)
		wantTree(t, dir, map[string]string{"a/b": "in dir", "b": "file"})
	}
	write(t, filepath.Join(dir, "b"), strings.Repeat("edited", 2))
	before := tree(t, dir)
	if _, err := extract.Extract(t.Context(), v1.models(), dir, options); err == nil {
		t.Error("a file that was edited made way for a directory")
	}
	wantTree(t, dir, before)
}
