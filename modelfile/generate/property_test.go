package generate_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/tareml/tare/build"
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
		pieces = append(pieces, `"`, "*", "**", "?", "\n", "\r", "\t", "\x01", "<", "-of-", "01")
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

// survey lists what a build takes, by kind.
func survey(t *testing.T, dir string, f *modelfile.File) map[modelpack.Kind][]string {
	t.Helper()
	files, warnings, err := build.Survey(dir, f, "Modelfile", false)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v\n%s", err, warnings, f.Format())
	}
	got := make(map[modelpack.Kind][]string)
	for _, file := range files {
		got[file.Kind] = append(got[file.Kind], file.Path)
	}
	return got
}

// reparsed is what was written, read again.
func reparsed(t *testing.T, f *modelfile.File) *modelfile.File {
	t.Helper()
	text := f.Format()
	again, err := modelfile.Parse("Modelfile", bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if found := again.Lint("Modelfile"); len(found) > 0 {
		t.Errorf("%v\n%s", found, text)
	}
	return again
}

// Whatever is generated and read again names the same files, as the same kinds.
func TestOddNamesSurvive(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir, want := oddTree(t, rand.New(rand.NewPCG(seed, 1)))
			f := reparsed(t, run(t, dir, generate.Options{}).File)
			if got := survey(t, dir, f); !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%q\nwant\n%q\n%s", got, want, f.Format())
			}
		})
	}
}

// alikeTree makes up a tree of names that globs could confuse: shards, numbers,
// the same extension for files that are taken and files that are not.
func alikeTree(t *testing.T, rnd *rand.Rand) string {
	stems := []string{"model", "model-", "model-fp16", "m", "consolidated.", "a b", "[x]", "{y}", "*"}
	if runtime.GOOS == "windows" {
		stems = stems[:len(stems)-1]
	}
	endings := []string{".safetensors", ".gguf", ".bin", ".pth", ".json", ".py", ".png", ".txt", ".jsonl", ".parquet", "", ".~", ".part", "~"}
	dirs := []string{"", "a/", "a/b/", "data/", "data/x/", ".cache/", "a/.git/", "code/", "code/node_modules/", "code/pkg/deep/"}
	files := named("w.safetensors")
	for range 1 + rnd.IntN(12) {
		dir, stem, ending := dirs[rnd.IntN(len(dirs))], stems[rnd.IntN(len(stems))], endings[rnd.IntN(len(endings))]
		total := 1 + rnd.IntN(14)
		for i := range total {
			if rnd.IntN(20) == 0 {
				continue
			}
			name := fmt.Sprintf("%s%s%05d-of-%05d%s", dir, stem, i+1, total, ending)
			if rnd.IntN(4) == 0 {
				name = fmt.Sprintf("%s%s%02d%s", dir, stem, i, ending)
			}
			files[name] = "x"
		}
	}
	return tree(t, "alike", files)
}

// A glob matches just the files that it stands for, of all that are there.
func TestGlobsAreExact(t *testing.T) {
	globs := 0
	for seed := range uint64(80) {
		dir := alikeTree(t, rand.New(rand.NewPCG(seed, 2)))
		opts := generate.Options{Exclude: []string{"a/*3*"}, DedupeFormats: seed%2 == 0}
		result := run(t, dir, opts)
		f := reparsed(t, result.File)
		got := survey(t, dir, f)
		if len(got) != len(result.Counts) {
			t.Errorf("seed %d: got kinds %q, want %v\n%s", seed, got, result.Counts, f.Format())
		}
		taken := make(map[string]bool)
		for kind, paths := range got {
			if want := result.Counts[kind].Files; len(paths) != want {
				t.Errorf("seed %d: got %d files of kind %s, want %d\n%s", seed, len(paths), kind, want, f.Format())
			}
			for _, p := range paths {
				taken[p] = true
			}
		}
		there, err := generate.Files(dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		all := there.Files
		if !opts.DedupeFormats {
			all = append(all, there.Copies...)
		}
		for p := range taken {
			if !slices.Contains(all, p) {
				t.Errorf("seed %d: %q is taken and should not be\n%s", seed, p, f.Format())
			}
		}
		if len(taken) != len(all) {
			t.Errorf("seed %d: %d files are taken of %d\n%s", seed, len(taken), len(all), f.Format())
		}
		for _, p := range f.Patterns() {
			if _, ok := modelfile.IsLiteral(p.Glob); !ok {
				globs++
			}
		}
	}
	if globs < 100 {
		t.Errorf("only %d globs were tried", globs)
	}
}

func TestUnpackableNamesAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no backslash in names here")
	}
	dir := tree(t, "m", named(`a\b.h5`, "c.h5"))
	want := `path "a\\b.h5": has a NUL or a backslash in it, which an artifact cannot hold`
	if _, err := generate.Generate(dir, generate.Options{}); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	run(t, dir, generate.Options{Exclude: []string{"a*"}})
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
