package generate_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelfile/generate"
	"github.com/tareml/tare/modelpack"
)

// extensions tell the kind of a file whatever comes before them.
var extensions = map[modelpack.Kind]string{
	modelpack.Config:  ".json",
	modelpack.Model:   ".safetensors",
	modelpack.Code:    ".py",
	modelpack.Dataset: ".parquet",
	modelpack.Doc:     ".md",
}

// oddName makes a name of characters that mean something to somebody. It starts
// with none that hides the file.
func oddName(rnd *rand.Rand) string {
	pieces := []string{"a", "b", " ", "#", "!", "[", "]", "{", "}", ",", "^", "-", "'", "$", "~x", "..", "é", "模", "\u2028", "\U0001F600", "e\u0301"}
	if runtime.GOOS != "windows" {
		pieces = append(pieces, `"`, `\`, "*", "**", "?", "\n", "\r", "\t", "\x01", `\n`, "<", ":")
	}
	name := ""
	for range 1 + rnd.IntN(5) {
		name += pieces[rnd.IntN(len(pieces))]
	}
	if name[0] == '.' {
		return "x" + name
	}
	return name
}

// oddTree makes up a tree and says which files of it are of which kind.
func oddTree(t *testing.T, rnd *rand.Rand) (dir string, want map[modelpack.Kind][]string) {
	dirs := []string{""}
	for range 4 {
		dirs = append(dirs, path.Join(dirs[rnd.IntN(len(dirs))], oddName(rnd)+"d"))
	}
	files := named("w.safetensors")
	sets := map[modelpack.Kind]map[string]bool{modelpack.Model: {"w.safetensors": true}}
	for range 25 {
		kind := modelpack.Kinds()[rnd.IntN(5)]
		p := path.Join(dirs[rnd.IntN(len(dirs))], oddName(rnd)+extensions[kind])
		files[p] = "x"
		if sets[kind] == nil {
			sets[kind] = make(map[string]bool)
		}
		sets[kind][p] = true
	}
	want = make(map[modelpack.Kind][]string)
	for kind, set := range sets {
		want[kind] = slices.Sorted(maps.Keys(set))
	}
	return tree(t, "odd", files), want
}

// expand does what a build does with the patterns of f, in the simplest way.
func expand(t *testing.T, fsys fs.FS, f *modelfile.File) map[modelpack.Kind][]string {
	got := make(map[modelpack.Kind][]string)
	for _, p := range f.Patterns() {
		paths, err := doublestar.Glob(fsys, p.Glob)
		if err != nil || len(paths) != 1 {
			t.Errorf("glob %q matches %q, %v", p.Glob, paths, err)
		}
		literal, ok := modelfile.IsLiteral(p.Glob)
		if !ok || !slices.Equal(paths, []string{literal}) {
			t.Errorf("glob %q matches %q, but stands for %q", p.Glob, paths, literal)
		}
		got[p.Kind] = append(got[p.Kind], paths...)
	}
	return got
}

func TestOddNamesSurvive(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir, want := oddTree(t, rand.New(rand.NewPCG(seed, 1)))
			text := run(t, dir, generate.Options{}).File.Format()
			f, err := modelfile.Parse("Modelfile", bytes.NewReader(text))
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if got := expand(t, os.DirFS(dir), f); !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%q\nwant\n%q\n%s", got, want, text)
			}
		})
	}
}

func TestUnpackableNamesAreNoted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no backslash in names here")
	}
	dir := tree(t, "m", named(`a\b.gguf`))
	want := []string{`path "a\\b.gguf": has a NUL or a backslash in it: rename it, as an artifact cannot hold it`}
	if got := run(t, dir, generate.Options{}).Notes; !reflect.DeepEqual(got, want) {
		t.Errorf("got notes %q, want %q", got, want)
	}
}

func TestNameThatIsNotUTF8(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no such names here")
	}
	dir := tree(t, "m", named("m.gguf", "a\xff.gguf"))
	if _, err := generate.Generate(dir, generate.Options{}); err == nil || err.Error() != `name "a\xff.gguf" is not valid UTF-8` {
		t.Errorf("got %v", err)
	}
	run(t, dir, generate.Options{Exclude: []string{"a?.gguf"}})
}
