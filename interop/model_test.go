package interop_test

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// files holds the content of files by slash-separated path.
type files map[string]string

// model is a directory to be packaged.
type model struct {
	name      string
	dir       string
	modelfile string // a path, empty if tare is to generate one
	files     files
}

// nested says whether a file lies in a directory below the model's.
func (m *model) nested() bool {
	for p := range m.files {
		if strings.Contains(p, "/") {
			return true
		}
	}
	return false
}

// flat is m's files by base name.
func (m *model) flat() files {
	flat := make(files, len(m.files))
	for p, content := range m.files {
		flat[path.Base(p)] = content
	}
	return flat
}

// plainModel is the small model in the real formats that tare's own tests use.
func plainModel(t *testing.T) *model {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../testdata/model")); err != nil {
		t.Fatal(err)
	}
	return &model{name: "plain", dir: dir, files: readTree(t, dir)}
}

const script = "scripts/run me.sh"

const oddModelfile = `NAME odd
FORMAT safetensors
CONFIG config.json
CONFIG "weights/generation config.json"
MODEL "weights/model 00001 of 2.safetensors"
MODEL "weights/модель-模型-é.bin"
CODE "scripts/run me.sh"
CODE scripts/__init__.py
CODE scripts/deep/empty.py
CODE "scripts/same as run me.sh"
DATASET "data/**"
DOC README.md
DOC LICENSE
`

// oddModel has what breaks careless tools: blanks, other alphabets, directories,
// long paths, empty files, files with the same content, a script without its
// permission bit, and a file that is larger than common buffers.
func oddModel(t *testing.T) *model {
	t.Helper()
	large := make([]byte, 3<<20+1)
	rand.NewChaCha8([32]byte{1}).Read(large)
	m := &model{name: "odd", dir: t.TempDir(), modelfile: filepath.Join(t.TempDir(), "Modelfile"), files: files{
		"config.json":                          `{"architectures":["Odd"]}`,
		"weights/generation config.json":       "{}",
		"weights/model 00001 of 2.safetensors": string(large),
		"weights/модель-模型-é.bin":              "weights\x00\xff",
		script:                                 "#!/bin/sh\n",
		"scripts/same as run me.sh":            "#!/bin/sh\n",
		"scripts/__init__.py":                  "",
		"scripts/deep/empty.py":                "",
		"data/" + strings.Repeat("a directory/", 9) + "over 100 bytes.csv": "1,2\n",
		"data/" + strings.Repeat("п", 60) + ".csv":                         "3,4\n",
		"data/" + strings.Repeat("x", 250) + ".csv":                        "5,6\n",
		"data/100%25 + #1 'q' (2).csv":                                     strings.Repeat("7", 512),
		"README.md":                                                        "# odd\n",
		"LICENSE":                                                          "do as you like\n",
	}}
	for p, content := range m.files {
		writeFile(t, filepath.Join(m.dir, filepath.FromSlash(p)), content)
	}
	writeFile(t, m.modelfile, oddModelfile)
	return m
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// readTree reads all that is in dir. Anything but files and directories is an
// error.
func readTree(t *testing.T, dir string) files {
	t.Helper()
	all := make(files)
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			t.Errorf("%s is a %s", p, d.Type())
			return nil
		}
		content, err := fs.ReadFile(root, p)
		all[p] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// compareFiles reports each file that is missing, that is too many, or that has
// other content.
func compareFiles(t *testing.T, got, want files) {
	t.Helper()
	for p, content := range want {
		if other, ok := got[p]; !ok {
			t.Errorf("%q is missing", p)
		} else if other != content {
			t.Errorf("%q has other content: %d bytes %.40q, want %d bytes %.40q", p, len(other), other, len(content), content)
		}
	}
	for p, content := range got {
		if _, ok := want[p]; !ok {
			t.Errorf("%q (%d bytes) is not of the model", p, len(content))
		}
	}
}
