package extract_test

import (
	"archive/tar"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/modelpack"
)

func symlink(name, target string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}}
}

func hardLink(name, target string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}}
}

func linked(entries ...entry) *artifact {
	a := newArtifact()
	a.bundle(modelpack.Model, entries...)
	return a
}

// TestLinksInside are made.
func TestLinksInside(t *testing.T) {
	dir := t.TempDir()
	a := linked(header("a/b/file", "x"), symlink("a/l", "b/file"), symlink("a/b/up", "../l"), symlink("a/b/top", "../.."),
		symlink("ahead", "later"), header("later", "y"), hardLink("a/hard", "a/b/file"), hardLink("a/twice", "a/hard"), symlink("nowhere", "gone"))
	run(t, a.models(), dir, options)
	for name, want := range map[string]string{"a/l": "b/file", "a/b/up": "../l", "a/b/top": "../..", "ahead": "later", "nowhere": "gone"} {
		if got, err := os.Readlink(filepath.Join(dir, name)); got != want || err != nil {
			t.Errorf("%s points to %q, %v, want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]string{"a/l": "x", "a/b/up": "x", "a/b/top/later": "y", "ahead": "y", "a/hard": "x", "a/twice": "x"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != want || err != nil {
			t.Errorf("%s reads %q, %v", name, got, err)
		}
	}
	if r := run(t, a.offline(), dir, options); r.Unchanged != 9 {
		t.Errorf("once more: %+v", r)
	}
}

// TestLinksOut are refused: by whatever way they lead out of the destination or
// to what is ours in it.
func TestLinksOut(t *testing.T) {
	for name, a := range map[string]*artifact{
		"absolute":                  linked(symlink("l", "/etc/passwd")),
		"above":                     linked(symlink("l", "../x")),
		"above, deeper":             linked(symlink("a/b/l", "../../../x")),
		"above itself":              linked(symlink("a/l", "../..")),
		"down and up":               linked(symlink("l", "a/../../x")),
		"via another link":          linked(symlink("a/deep/up", "../.."), symlink("a/l", "deep/up/../x")),
		"through another link":      linked(symlink("up", "."), header("up/x", "x")),
		"through an earlier layer":  func() *artifact { a := linked(symlink("up", "a")); a.raw("up/x", "x"); return a }(),
		"before a directory":        linked(header("up/x", "x"), symlink("up", "a")),
		"to our state":              linked(symlink("l", ".tare/state.json")),
		"to our state, by case":     linked(symlink("l", ".TARE")),
		"to our state, from below":  linked(symlink("a/l", "../.tare")),
		"to nothing":                linked(symlink("l", "")),
		"not clean":                 linked(symlink("l", "a//b/..")),
		"with NUL":                  linked(entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: "l", PAXRecords: nil, Linkname: `a\..\..\x`}}),
		"hard, to nothing":          linked(hardLink("l", "gone")),
		"hard, to what comes later": linked(hardLink("l", "a"), header("a", "x")),
		"hard, absolute":            linked(header("etc/passwd", "x"), hardLink("l", "/etc/passwd")),
		"hard, above":               linked(hardLink("l", "../x")),
		"hard, to a directory":      linked(entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "d/"}}, hardLink("l", "d")),
		"hard, to another layer": func() *artifact {
			a := linked(header("a", "x"))
			a.bundle(modelpack.Code, hardLink("l", "a"))
			return a
		}(),
		"hard, to a link that leads elsewhere from there": linked(symlink("a/b/l", "../../x"), hardLink("l", "a/b/l")),
	} {
		t.Run(name, func(t *testing.T) {
			above := t.TempDir()
			dir := filepath.Join(above, "dest")
			write(t, filepath.Join(dir, "mine"), "mine")
			if _, err := extract.Extract(t.Context(), a.models(), dir, options); !errors.Is(err, blob.ErrHostile) {
				t.Errorf("error %v, want %v", err, blob.ErrHostile)
			}
			wantTree(t, above, map[string]string{"dest/mine": "mine"})
			gone(t, filepath.Join(dir, ".tare"))
		})
	}
}

// TestNothingIsWrittenThroughLinks that stand in the destination, at any depth:
// not even if they stay in it.
func TestNothingIsWrittenThroughLinks(t *testing.T) {
	for _, file := range []string{"link/x", "link/sub/x", "link/sub/deep/x", "a/link/x", "a/link/sub/x"} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "real", "sub", "mine"), "mine")
		if err := errors.Join(os.Mkdir(filepath.Join(dir, "a"), 0o755), os.Symlink("real", filepath.Join(dir, "link")),
			os.Symlink("../real", filepath.Join(dir, "a", "link"))); err != nil {
			t.Fatal(err)
		}
		for _, a := range []*artifact{version(file, "x"), linked(header(file, "x"))} {
			for _, overwrite := range []bool{false, true} {
				if _, err := extract.Extract(t.Context(), a.models(), dir, with(func(o *extract.Options) { o.Overwrite = overwrite })); err == nil {
					t.Errorf("%s was written", file)
				}
			}
		}
		wantTree(t, filepath.Join(dir, "real"), map[string]string{"sub/mine": "mine"})
		gone(t, filepath.Join(dir, ".tare"))
	}
}

// TestLinkOfOneModelIsNoWayForAnother into what is ours.
func TestLinkOfOneModelIsNoWayForAnother(t *testing.T) {
	dir := t.TempDir()
	run(t, named(linked(symlink("x", ".")).models(), "one"), dir, options)
	if _, err := extract.Extract(t.Context(), named(version("x/.tare/evil", "x").models(), "two"), dir, options); err == nil {
		t.Error("no error")
	}
	gone(t, filepath.Join(dir, ".tare", "evil"))
}

// TestLinksBecomeFiles and directories, and the reverse.
func TestLinksBecomeFiles(t *testing.T) {
	versions := []*artifact{
		linked(header("real/b", "real"), symlink("a", "real"), symlink("l", "real/b")),
		linked(header("real/b", "real"), header("a/b", "in dir"), header("l", "file")),
		linked(header("real/b", "real"), header("a", "file"), symlink("l", "a")),
	}
	dir := t.TempDir()
	for _, i := range []int{0, 1, 0, 2, 1, 2, 0} {
		run(t, versions[i].models(), dir, options)
		if got, err := os.ReadFile(filepath.Join(dir, "real", "b")); string(got) != "real" || err != nil {
			t.Fatalf("version %d: wrote through a link: %q, %v", i, got, err)
		}
		info := stat(t, filepath.Join(dir, "a"))
		if isLink, isDir := info.Mode().Type() == os.ModeSymlink, info.IsDir(); isLink != (i == 0) || isDir != (i == 1) {
			t.Errorf("version %d: a is %v", i, info.Mode())
		}
		run(t, versions[i].offline(), dir, options)
	}
}

// TestChangedLinks are noticed.
func TestChangedLinks(t *testing.T) {
	a := linked(header("a", "x"), symlink("l", "a"))
	dir := t.TempDir()
	run(t, a.models(), dir, options)
	link := filepath.Join(dir, "l")
	if err := errors.Join(os.Remove(link), os.Symlink("b", link)); err != nil {
		t.Fatal(err)
	}
	run(t, a.models(), dir, options)
	if got, err := os.Readlink(link); got != "a" || err != nil {
		t.Errorf("l points to %q, %v", got, err)
	}
}

// TestHardLinkToWhatAFilterLeavesOut is still a file with that content.
func TestHardLinkToWhatAFilterLeavesOut(t *testing.T) {
	a := linked(header("a", "x"), hardLink("b", "a"), hardLink("c", "b"))
	dir := t.TempDir()
	run(t, a.models(), dir, including("c"))
	wantTree(t, dir, map[string]string{"c": "x"})
	run(t, a.offline(), dir, including("c"))
}

// TestHardLinkToWhatIsHidden by a layer above it, of an image.
func TestHardLinkToWhatIsHidden(t *testing.T) {
	for name, upper := range map[string]entry{"overridden": header("a", "new"), "removed": header(".wh.a", "")} {
		a := linked(header("a", "x"), hardLink("b", "a"))
		a.bundle(modelpack.Model, upper)
		a.Image = true
		dir := t.TempDir()
		run(t, a.models(), dir, options)
		if got := tree(t, dir); got["b"] != "x" || got["a"] != upper.content {
			t.Errorf("%s: %q", name, got)
		}
	}
}
