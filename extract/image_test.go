package extract_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/modelpack"
)

// image is a plain image of layers, the lowest first.
func image(layers ...[]entry) *artifact {
	a := newArtifact()
	for i, entries := range layers {
		data, format := archive(entries...), modelpack.Tar
		switch i % 3 {
		case 1:
			data, format = gzipped(data), modelpack.TarGzip
		case 2:
			data, format = zstandard(data), modelpack.TarZstd
		}
		a.add(format, "", data).Kind = modelpack.Model
	}
	a.Image = true
	return a
}

func directory(name string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/"}}
}

func TestImages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		image  *artifact
		filter *extract.Filter
		want   map[string]string
	}{
		"override": {
			image([]entry{header("a", "1"), header("b", "1")}, []entry{header("b", "2")}, []entry{header("b", "3"), header("c", "3")}),
			nil, map[string]string{"a": "1", "b": "3", "c": "3"},
		},
		"whiteout": {
			image([]entry{header("a", "1"), header("d/b", "1"), header("d/c", "1")}, []entry{header(".wh.a", ""), header("d/.wh.b", "")}),
			nil, map[string]string{"d/c": "1"},
		},
		"back after a whiteout": {
			image([]entry{header("a", "1")}, []entry{header(".wh.a", "")}, []entry{header("a", "3")}),
			nil, map[string]string{"a": "3"},
		},
		"opaque": {
			image([]entry{header("d/a", "1"), header("d/e/b", "1"), header("f", "1")}, []entry{header("d/.wh..wh..opq", ""), header("d/c", "2")}),
			nil, map[string]string{"d/c": "2", "f": "1"},
		},
		"file for a directory": {
			image([]entry{header("d/a", "1")}, []entry{header("d", "2")}),
			nil, map[string]string{"d": "2"},
		},
		"absolute link": {
			image([]entry{header("d/a", "1"), symlink("e/l", "/d/a")}),
			nil, map[string]string{"d/a": "1", "e/l": "1"},
		},
		"filter": {
			image([]entry{header("a", "1"), header("b", "1")}, []entry{header("b", "2")}),
			&extract.Filter{Include: []string{"b"}}, map[string]string{"b": "2"},
		},
		"filter of what is hidden": {
			image([]entry{header("a", "1"), header("b", "1")}, []entry{header(".wh.b", "")}),
			&extract.Filter{Include: []string{"?"}}, map[string]string{"a": "1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := with(func(o *extract.Options) { o.Filter = test.filter })
			run(t, test.image.models(), dir, o)
			wantTree(t, dir, test.want)
			if r := run(t, test.image.offline(), dir, o); r.Unchanged != len(test.want) || r.Moved != 0 {
				t.Errorf("once more: %+v", r)
			}
			for file := range test.want {
				write(t, filepath.Join(dir, file), "changed")
				break
			}
			run(t, test.image.models(), dir, o)
			wantTree(t, dir, test.want)
		})
	}
}

// TestNextImage removes what it does not have.
func TestNextImage(t *testing.T) {
	v1 := image([]entry{directory("d"), header("d/a", "1"), header("b", "1")}, []entry{header("c", "1")})
	v2 := image([]entry{header("b", "1")}, []entry{header("c", "2"), header("mine", "2")})
	dir := t.TempDir()
	run(t, v1.models(), dir, options)
	write(t, filepath.Join(dir, "mine"), "1")
	if _, err := extract.Extract(t.Context(), v2.models(), dir, options); err == nil {
		t.Error("no conflict")
	}
	wantTree(t, dir, map[string]string{"d/a": "1", "b": "1", "c": "1", "mine": "1"})
	run(t, v2.models(), dir, with(func(o *extract.Options) { o.Overwrite = true }))
	wantTree(t, dir, map[string]string{"b": "1", "c": "2", "mine": "2"})
	gone(t, filepath.Join(dir, "d"))
}

// TestHostileImages are refused, and nothing changes.
func TestHostileImages(t *testing.T) {
	for name, a := range map[string]*artifact{
		"link above":             image([]entry{symlink("l", "../x")}),
		"absolute link above":    image([]entry{symlink("l", "/../../x/..")}, []entry{symlink("m", "..")}),
		"write through a link":   image([]entry{symlink("l", "/d")}, []entry{header("l/a", "x"), header("l/../../b", "x")}),
		"whiteout of all above":  image([]entry{header(".wh...", "")}),
		"twice in one layer":     image([]entry{header("a", "1"), header("a", "2")}),
		"device":                 image([]entry{{Header: tar.Header{Typeflag: tar.TypeBlock, Name: "a"}}}),
		"hidden below, but evil": image([]entry{header("../a", "1")}, []entry{header("a", "2")}),
		"in our state":           image([]entry{header(".tare/state.json", "1")}),
	} {
		above := t.TempDir()
		dir := filepath.Join(above, "dest")
		if _, err := extract.Extract(t.Context(), a.models(), dir, options); !errors.Is(err, blob.ErrHostile) {
			t.Errorf("%s: error %v, want %v", name, err, blob.ErrHostile)
		}
		wantTree(t, above, nil)
		gone(t, dir)
	}
}

// TestEndlessHeaders: not only files make an archive grow.
func TestEndlessHeaders(t *testing.T) {
	t.Parallel()
	var one bytes.Buffer
	w := tar.NewWriter(&one)
	global := tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "g", PAXRecords: map[string]string{"comment": strings.Repeat("x", 900_000)}}
	if err := errors.Join(w.WriteHeader(&global), w.Flush()); err != nil {
		t.Fatal(err)
	}
	data := append(bytes.Repeat(one.Bytes(), 24), archive(header("a", "x"))...)
	a := newArtifact()
	a.add(modelpack.TarZstd, "", zstandard(data))
	if _, err := extract.Extract(t.Context(), a.models(), t.TempDir(), options); !errors.Is(err, blob.ErrHostile) {
		t.Errorf("%d bytes that grow to %d: %v, want %v", a.Layers[0].Size, len(data), err, blob.ErrHostile)
	}
}
