package generate_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelfile/generate"
	"github.com/tareml/tare/modelpack"
)

// tree writes files into a new directory called name.
func tree(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), filepath.FromSlash(name))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for path, content := range files {
		full := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// named makes files with one byte each.
func named(names ...string) map[string]string {
	files := make(map[string]string)
	for _, n := range names {
		files[n] = "x"
	}
	return files
}

func run(t *testing.T, dir string, opts generate.Options) *generate.Result {
	t.Helper()
	result, err := generate.Generate(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func paths(f *modelfile.File) string {
	var out []string
	for _, p := range f.Patterns() {
		path, ok := modelfile.IsLiteral(p.Glob)
		if !ok {
			path = "not literal: " + p.Glob
		}
		out = append(out, path)
	}
	return strings.Join(out, " ")
}

func TestGenerate(t *testing.T) {
	dir := tree(t, "Qwen3-0___6B", map[string]string{
		"config.json":            `{"architectures": ["Q"], "model_type": "qwen3", "torch_dtype": "torch.bfloat16"}`,
		"tokenizer.json":         "{}",
		"vocab.txt":              "a",
		"model.safetensors":      "weights",
		"old/pytorch_model.bin":  "w",
		"modeling qwen [new].py": "pass",
		"README.md":              "# Qwen",
		"LICENSE":                "Apache",
		"train.jsonl":            "{}",
		"Modelfile":              "NAME old",
		".git/config":            "secret",
		".gitattributes":         "",
		"a.safetensors.aria2":    "",
		"mystery":                "?",
	})
	want := `# from the name of the directory
NAME Qwen3-0.6B
# from config.json
ARCH transformer
FAMILY qwen3
# from the weights
FORMAT safetensors
# as given
PARAMSIZE 0.6b
# from config.json
PRECISION bfloat16

# configuration
CONFIG config.json
# tokenizers
CONFIG tokenizer.json
CONFIG vocab.txt

# safetensors weights
MODEL model.safetensors
# PyTorch weights: pickles, which run code when they are loaded
MODEL old/pytorch_model.bin

# code
CODE "modeling qwen [[]new].py"
# unrecognised, by size
CODE mystery

# data
DATASET train.jsonl

# licences
DOC LICENSE
# documentation
DOC README.md
`
	result := run(t, dir, generate.Options{ParamSize: "0.6b"})
	if got := string(result.File.Format()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	wantNotes := []string{
		`left out as unfinished or temporary: "a.safetensors.aria2"`,
		`left out as version control: ".git", ".gitattributes"`,
		`took 1 unrecognised file for code: "mystery"`,
		`took safetensors for FORMAT; there is pt too`,
		`the parameters were not counted: damaged, incomplete or empty: "model.safetensors"`,
	}
	if !reflect.DeepEqual(result.Notes, wantNotes) {
		t.Errorf("got notes\n%s\nwant\n%s", strings.Join(result.Notes, "\n"), strings.Join(wantNotes, "\n"))
	}
	if got, want := result.Counts[modelpack.Model], (generate.Count{Files: 2, Bytes: 8}); got != want {
		t.Errorf("counted %+v of weights, want %+v", got, want)
	}
	if again := run(t, dir, generate.Options{ParamSize: "0.6b"}); string(again.File.Format()) != want {
		t.Errorf("the second run gave another file:\n%s", again.File.Format())
	}
}

func TestOptionsOverride(t *testing.T) {
	dir := tree(t, "model", map[string]string{
		"config.json":       `{"model_type": "a", "architectures": [], "dtype": "float16", "quantization_config": {"quant_method": "awq"}}`,
		"model.safetensors": "x",
		"model.gguf":        "xx",
	})
	result := run(t, dir, generate.Options{
		Name: "my name", Arch: "b", Family: "c", Format: "d", ParamSize: "e", Precision: "f", Quantization: "g",
	})
	want := "# as given\n" +
		"NAME \"my name\"\nARCH b\nFAMILY c\nFORMAT d\nPARAMSIZE e\nPRECISION f\nQUANTIZATION g\n\n"
	if got := string(result.File.Format()); !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant at its start\n%s", got, want)
	}
	if want := []string{"--dedupe-formats leaves out copies of the weights (GGUF) and saves 2 bytes"}; !reflect.DeepEqual(result.Notes, want) {
		t.Errorf("got notes %q, want %q", result.Notes, want)
	}
}

func TestWhatIsTaken(t *testing.T) {
	dir := tree(t, "m", named("m.gguf", "a/b.py", "a/.c/d.py", "a/.c/e.py", ".env", ".git/x/y", "w.py~", "__pycache__/q.pyc", "sub/Modelfile"))
	tests := []struct {
		name             string
		exclude, include []string
		want             string
	}{
		{"by default", nil, nil, "m.gguf a/b.py sub/Modelfile"},
		{"exclude a file", []string{"a/b.py"}, nil, "m.gguf sub/Modelfile"},
		{"exclude by glob", []string{"**/*.py"}, nil, "m.gguf sub/Modelfile"},
		{"exclude is relative to the directory", []string{"*.py"}, nil, "m.gguf a/b.py sub/Modelfile"},
		{"exclude a directory", []string{"./a/"}, nil, "m.gguf sub/Modelfile"},
		{"include a hidden file", nil, []string{".env"}, "m.gguf a/b.py .env sub/Modelfile"},
		{"include a file in a hidden directory", nil, []string{"a/.c/d.py"}, "m.gguf a/.c/d.py a/b.py sub/Modelfile"},
		{"include by glob", nil, []string{"**/*.py"}, "m.gguf a/.c/d.py a/.c/e.py a/b.py sub/Modelfile"},
		{"include a hidden directory", nil, []string{".git"}, "m.gguf a/b.py .git/x/y sub/Modelfile"},
		{"exclude beats include", []string{"a/.c/e*"}, []string{"a/.c"}, "m.gguf a/.c/d.py a/b.py sub/Modelfile"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			result := run(t, dir, generate.Options{Exclude: tt.exclude, Include: tt.include})
			if got := paths(result.File); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestPatternsThatDoNothingAreNoted(t *testing.T) {
	dir := tree(t, "m", named("m.dlc"))
	result := run(t, dir, generate.Options{Exclude: []string{"typo"}, Include: []string{"m.*"}})
	want := []string{`the exclude pattern "typo" made no difference`, `the include pattern "m.*" made no difference`}
	if !reflect.DeepEqual(result.Notes, want) {
		t.Errorf("got notes %q, want %q", result.Notes, want)
	}
}

func TestLinks(t *testing.T) {
	dir := tree(t, "models--org--my-model/snapshots/0123", nil)
	blobs := filepath.Join(dir, "..", "..", "blobs")
	if err := os.MkdirAll(blobs, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(blobs, "abc"), []byte("weights"), 0o666); err != nil {
		t.Fatal(err)
	}
	link := func(target, name string) {
		if err := os.Symlink(filepath.FromSlash(target), filepath.Join(dir, name)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
	link("../../blobs/abc", "model.dlc")
	link("../../blobs", "dir")
	result := run(t, dir, generate.Options{})
	if got := result.File.Value(modelfile.Name) + " " + paths(result.File); got != "my-model model.dlc" {
		t.Errorf("got %s", got)
	}
	if want := (generate.Count{Files: 1, Bytes: 7}); result.Counts[modelpack.Model] != want {
		t.Errorf("counted %+v, want %+v", result.Counts, want)
	}
	if want := []string{`left out as a link to a directory: "dir"`}; !reflect.DeepEqual(result.Notes, want) {
		t.Errorf("got notes %q, want %q", result.Notes, want)
	}

	link("../../blobs/gone", "more.dlc")
	_, err := generate.Generate(dir, generate.Options{})
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != `"more.dlc" is a link to a file that cannot be read` {
		t.Errorf("a broken link gave %v", err)
	}
	run(t, dir, generate.Options{Exclude: []string{"more*"}})
}

func TestErrors(t *testing.T) {
	base := t.TempDir()
	plain := filepath.Join(tree(t, "m", named("file")), "file")
	tests := []struct {
		name, dir string
		opts      generate.Options
		want      string
		hint      string
	}{
		{"missing", filepath.Join(base, "gone"), generate.Options{}, "not found", "name the directory"},
		{"file", plain, generate.Options{}, "is not a directory", "name the directory"},
		{"empty", base, generate.Options{}, "no files to package", "name the directory"},
		{"nothing left", tree(t, "m", named(".a")), generate.Options{}, "no files to package", `left out as hidden: ".a"; --include takes`},
		{"no model", tree(t, "m", named("config.json", "README.md")), generate.Options{},
			"no weights, code or data among 2 files", "write a Modelfile by hand"},
		{"bad exclude", base, generate.Options{Exclude: []string{"[a"}}, `malformed exclude pattern "[a"`, `write \[`},
		{"bad include", base, generate.Options{Include: []string{""}}, `malformed include pattern ""`, `write \[`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := generate.Generate(tt.dir, tt.opts)
			var hinted interface{ Hint() string }
			if err == nil || !errors.As(err, &hinted) {
				t.Fatalf("got %v, want an error with a hint", err)
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(hinted.Hint(), tt.hint) {
				t.Errorf("got %q with hint %q", err, hinted.Hint())
			}
		})
	}
}

// What cannot be the file that its name promises is an error, unless it is left
// out anyway.
func TestUnfinishedFiles(t *testing.T) {
	const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n"
	tests := []struct {
		name  string
		files map[string]string
		want  string
		hint  string
	}{
		{"git lfs", map[string]string{"a.safetensors": pointer, "b.gguf": "x", "img.png": pointer},
			`"a.safetensors", "img.png": only a Git LFS pointer is here, the content was never downloaded`, "git lfs pull"},
		{"aria2", map[string]string{"a.safetensors": "x", "a.safetensors.aria2": "x", "b.gguf": "x", "img.png": "x", "img.png.aria2": "x"},
			`"a.safetensors", "img.png": the download is not finished, as the .aria2 file beside it says`, "aria2c -c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, "m", tt.files)
			_, err := generate.Generate(dir, generate.Options{})
			var hinted interface{ Hint() string }
			if err == nil || err.Error() != tt.want || !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), tt.hint) {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			result := run(t, dir, generate.Options{Exclude: []string{"a.*", "*.png"}})
			if got := paths(result.File); got != "b.gguf" {
				t.Errorf("without them: got %s", got)
			}
			if l, err := generate.Files(dir, generate.Options{}); err != nil || len(l.Files)+len(l.Copies) != 3 {
				t.Errorf("Files: got %+v, %v", l, err)
			}
		})
	}
}

// The cache of Hugging Face has the model further down.
func TestCacheIsNoModel(t *testing.T) {
	dir := tree(t, "models--org--m", map[string]string{"blobs/abc": "x", "refs/main": "0123", "snapshots/0123/config.json": "{}"})
	_, err := generate.Generate(dir, generate.Options{})
	var hinted interface{ Hint() string }
	if err == nil || !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), filepath.Join("snapshots", "0123")) {
		t.Errorf("got %v", err)
	}
}

func TestModctl(t *testing.T) {
	dir := tree(t, "m", map[string]string{"m.gguf": "x", "config.json": `{"model_type": "a"}`})
	f := run(t, dir, generate.Options{Modctl: true, Precision: "int8"}).File
	for _, rule := range modelfile.Grammar() {
		if !rule.Modctl && f.Value(rule.Command) != "" {
			t.Errorf("%s is there", rule.Command)
		}
	}
	if f.Value(modelfile.Family) != "a" || f.Value(modelfile.Precision) != "int8" {
		t.Errorf("got\n%s", f.Format())
	}
}

func TestModctlReadsIt(t *testing.T) {
	dir := tree(t, "my m", named("m.gguf", "pkg/a.py", "pkg/b.py", "pkg/deep/c.py", "pkg/deep/d.py", "my model.gguf", "m[1].gguf"))
	result := run(t, dir, generate.Options{Modctl: true})
	for _, p := range result.File.Patterns() {
		if strings.Contains(p.Glob, "**") {
			t.Errorf("%s is no glob for modctl", p.Glob)
		}
	}
	if text := string(result.File.Format()); !strings.Contains(text, "\nNAME \"my m\"\n") || !strings.Contains(text, "\nMODEL \"my model.gguf\"\n") {
		t.Errorf("modctl takes these apart at blanks:\n%s", text)
	}
	want := `modctl would read something else, as it knows no escapes for * ? [ and control characters: "m[1].gguf"`
	if !slices.Contains(result.Warnings, want) {
		t.Errorf("warnings %q, want %q", result.Warnings, want)
	}
}

func TestDedupeFormats(t *testing.T) {
	dir := tree(t, "m", named("model.safetensors", "pytorch_model.bin", "config.json"))
	result := run(t, dir, generate.Options{})
	hint := "--dedupe-formats leaves out copies of the weights (PyTorch) and saves 1 byte"
	if got := paths(result.File); got != "config.json model.safetensors pytorch_model.bin" || !slices.Contains(result.Notes, hint) {
		t.Errorf("got %s and notes %q", got, result.Notes)
	}
	result = run(t, dir, generate.Options{DedupeFormats: true})
	said := `left out as copies of the weights (PyTorch): "pytorch_model.bin", which saves 1 byte`
	if got := paths(result.File); got != "config.json model.safetensors" || !slices.Contains(result.Notes, said) {
		t.Errorf("got %s and notes %q", got, result.Notes)
	}
}

func TestMissingDirectoryIsNotExist(t *testing.T) {
	_, err := generate.Generate(filepath.Join(t.TempDir(), "gone"), generate.Options{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestBrokenConfigIsANote(t *testing.T) {
	tests := []struct{ name, content, note string }{
		{"not JSON", `{"a": NaN}`, "nothing was taken from config.json, which is not a JSON object"},
		{"a list", `[]`, "nothing was taken from config.json, which is not a JSON object"},
		{"empty", ``, "nothing was taken from config.json, which is not a JSON object"},
		{"large", `{"a": "` + strings.Repeat("x", 4<<20) + `"}`, "nothing was taken from config.json: it is larger than 4 MiB"},
		{"prose", `{"model_type": "a model of\nours"}`, `model_type of config.json was not taken: "a model of\nours" is not a plain word`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			result := run(t, tree(t, "m", map[string]string{"m.dlc": "x", "config.json": tt.content}), generate.Options{})
			if len(result.Notes) != 1 || !strings.HasPrefix(result.Notes[0], tt.note) {
				t.Errorf("got notes %q, want %q", result.Notes, tt.note)
			}
			if got := result.File.Value(modelfile.Family); got != "" {
				t.Errorf("got FAMILY %q", got)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	tests := []struct{ name, content, want string }{
		{"nothing", `{}`, "|||"},
		{"old dtype", `{"torch_dtype": "float16"}`, "||float16|"},
		{"new dtype", `{"dtype": "bfloat16"}`, "||bfloat16|"},
		{"no dtype", `{"torch_dtype": null, "dtype": "auto"}`, "|||"},
		{"prefix", `{"torch_dtype": "torch.float32"}`, "||float32|"},
		{"version", `{"transformers_version": "4.50.0"}`, "transformer|||"},
		{"nested", `{"text_config": {"architectures": ["x"], "model_type": "llama", "dtype": "float16", "quantization_config": {"quant_method": "fp8"}}}`,
			"transformer|llama|float16|fp8"},
		{"outer first", `{"model_type": "llava", "text_config": {"model_type": "llama"}}`, "|llava||"},
		{"wrong types", `{"model_type": 1, "torch_dtype": {}, "text_config": "x", "quantization_config": []}`, "|||"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := run(t, tree(t, "m", map[string]string{"m.dlc": "x", "config.json": tt.content}), generate.Options{}).File
			got := strings.Join([]string{f.Value(modelfile.Arch), f.Value(modelfile.Family),
				f.Value(modelfile.Precision), f.Value(modelfile.Quantization)}, "|")
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestExcludedConfigIsNotRead(t *testing.T) {
	dir := tree(t, "m", map[string]string{"m.gguf": "x", "config.json": `{"model_type": "x"}`})
	f := run(t, dir, generate.Options{Exclude: []string{"config.json"}}).File
	if got := f.Value(modelfile.Family); got != "" {
		t.Errorf("got FAMILY %q", got)
	}
}
