package interop_test

import (
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	modctl "github.com/modelpack/modctl/pkg/modelfile"
)

// TestModctlReadsGeneratedModelfiles has modctl's own parser read what
// `tare modelfile generate --modctl` writes: it finds the same name and the same files.
func TestModctlReadsGeneratedModelfiles(t *testing.T) {
	odd := []string{`say "hi".gguf`, "模型 é.safetensors", "a#b.bin", "it's.py", "{a,b}!.txt", " leading.json", "\u3000wide\u3000"}
	names := []string{"plain", "my model", "two  blanks", "模型 é", "#1", "{a}", "it's", " ends ", "\u3000wide\u3000"}
	if runtime.GOOS != "windows" {
		names = append(names, `say "hi"`, `"quoted"`)
	}
	if runtime.GOOS == "windows" {
		odd, names = odd[1:], slices.DeleteFunc(names, func(n string) bool { return strings.TrimSpace(n) != n })
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			if err := os.CopyFS(dir, os.DirFS("../testdata/model")); err != nil {
				t.Fatal(err)
			}
			for _, file := range odd {
				writeFile(t, filepath.Join(dir, "deep er", file), "x")
			}
			want := slices.Sorted(maps.Keys(readTree(t, dir)))
			path := filepath.Join(t.TempDir(), "Modelfile")
			tare(t, t.TempDir(), "modelfile", "generate", "--modctl", dir, "-O", path)
			m, err := modctl.NewModelfile(path)
			if err != nil {
				t.Fatal(err)
			}
			if m.GetName() != name || m.GetFormat() == "" || m.GetFamily() == "" {
				t.Errorf("NAME %q, FORMAT %q, FAMILY %q", m.GetName(), m.GetFormat(), m.GetFamily())
			}
			if got := globbed(t, dir, slices.Concat(m.GetConfigs(), m.GetModels(), m.GetCodes(), m.GetDatasets(), m.GetDocs())); !slices.Equal(got, want) {
				t.Errorf("files %q\nwant  %q", got, want)
			}
		})
	}
}

// globbed lists what patterns match in dir, as modctl's builder has them matched.
func globbed(t *testing.T, dir string, patterns []string) (paths []string) {
	t.Helper()
	for _, pattern := range patterns {
		t.Chdir(dir)
		matches, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range matches {
			paths = append(paths, filepath.ToSlash(match))
		}
	}
	slices.Sort(paths)
	return paths
}
