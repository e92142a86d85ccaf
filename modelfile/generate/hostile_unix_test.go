//go:build unix

package generate_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/modelfile/generate"
)

const commit = "3f2a9c1d4e5b60718293a4b5c6d7e8f901234567"

// Nothing waits for the other end of a pipe, wherever it is.
func TestPipes(t *testing.T) {
	tests := []struct {
		pipe  string
		files map[string]string
	}{
		{"config.json", nil},
		{"README.md", nil},
		{"LICENSE", nil},
		{"tokenizer_config.json", nil},
		{"model.safetensors.index.json", nil},
		{"w.gguf", nil},
		{".git", nil},
		{".git/HEAD", named(".git/description")},
		{".git/config", map[string]string{".git/HEAD": commit}},
		{".git/refs/heads/main", map[string]string{".git/HEAD": "ref: refs/heads/main", ".git/refs/heads/x": commit}},
		{".git/packed-refs", map[string]string{".git/HEAD": "ref: refs/heads/main"}},
		{"elsewhere/commondir", map[string]string{".git": "gitdir: elsewhere", "elsewhere/HEAD": commit}},
		{".mdl", nil},
		{".mv", map[string]string{".mdl": "\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x02id\x94\x8c\x03a/b\x94s."}},
		{".cache/huggingface/download/model.safetensors.metadata", named(".cache/huggingface/x")},
		{"venv/pyvenv.cfg", named("venv/x")},
		{"store/oci-layout", named("store/x")},
	}
	for _, tt := range tests {
		t.Run(tt.pipe, func(t *testing.T) {
			dir := tree(t, "m", tt.files)
			full := filepath.Join(dir, filepath.FromSlash(tt.pipe))
			if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(full, 0o666); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("x"), 0o666); err != nil {
				t.Fatal(err)
			}
			result := run(t, dir, generate.Options{Exclude: []string{"elsewhere"}})
			if got := paths(result.File); got != "model.safetensors" {
				t.Errorf("got %s", got)
			}
		})
	}
}

// Files that cannot be read are taken for what their names say, and a warning
// names them.
func TestUnreadableFiles(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root can read all")
	}
	dir := tree(t, "m", map[string]string{"model.safetensors": "x", "config.json": "{}", "README.md": "# x", "w.bin": "x"})
	for _, name := range []string{"config.json", "README.md", "w.bin"} {
		if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	result := run(t, dir, generate.Options{})
	if got := paths(result.File); got != "config.json model.safetensors w.bin README.md" {
		t.Errorf("got %s", got)
	}
	if said := strings.Join(slices.Concat(result.Warnings, result.Notes), "\n"); !strings.Contains(said, `could not read 3 files, judged by name alone: "README.md", "config.json", "w.bin"`) || !strings.Contains(said, "nothing was taken from config.json") {
		t.Errorf("got\n%s", said)
	}
}

// Links in circles are an error that says which, links up are not followed.
func TestLinksInCircles(t *testing.T) {
	dir := tree(t, "m", named("model.safetensors", "sub/a.json"))
	for name, target := range map[string]string{"up": "..", "here": ".", "sub/again": "../sub"} {
		if err := os.Symlink(target, filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			t.Fatal(err)
		}
	}
	if got := paths(run(t, dir, generate.Options{}).File); got != "sub/a.json model.safetensors" {
		t.Errorf("got %s", got)
	}
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	if _, err := generate.Generate(dir, generate.Options{}); err == nil || err.Error() != `"loop" is a link to a file that cannot be read` {
		t.Errorf("got %v", err)
	}
}

// What links lead to elsewhere is nothing to quote from, but may be counted.
func TestLinksOut(t *testing.T) {
	dir := tree(t, "m", named("w.bin", "text.md"))
	outside := tree(t, "elsewhere", map[string]string{
		"README.md":         "---\nlicense: mit\n---\nThese are words of somebody else, who did not ask for it.\n",
		"model.safetensors": "\x38\x00\x00\x00\x00\x00\x00\x00" + `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  12345678`,
	})
	for name, target := range map[string]string{"README.md": outside + "/README.md", "model.safetensors": outside + "/model.safetensors", "in.md": "text.md"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	result := run(t, dir, generate.Options{})
	text := string(result.File.Format())
	if strings.Contains(text, "DESCRIPTION") || strings.Contains(text, "LICENSE") || !strings.Contains(text, "PRECISION float32") {
		t.Errorf("got\n%s", text)
	}
	want := []string{`links out of the directory, which a build follows only with --follow-links: "README.md", "model.safetensors"`}
	if !slices.Equal(result.Warnings, want) {
		t.Errorf("got warnings %q, want %q", result.Warnings, want)
	}
}

// Nor do the words of GGUF files and what git knows of a repository come over a link.
func TestWordsOverLinks(t *testing.T) {
	pairs := weightstest.Pairs("general.architecture", "llama", "general.author", "Jane Doe", "general.description", "These are words of somebody else, who did not ask for it.")
	outside := tree(t, "elsewhere", map[string]string{
		"m.gguf": string(weightstest.GGUF(weightstest.GGUFVersion{}, pairs, weightstest.T("w", "F16", 1000, 1000)).Bytes()),
		"HEAD":   "3f2a9c1d4e5b60718293a4b5c6d7e8f901234567\n",
		"config": "[remote \"origin\"]\n\turl = https://host.example/private\n",
	})
	for name, links := range map[string]map[string]string{
		"git":            {".git": ""},
		"a part of git":  {".git/config": "config", ".git/HEAD": "HEAD"},
		"a file of GGUF": {"m.gguf": "m.gguf"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, "m", named("w.bin"))
			for link, target := range links {
				link = filepath.Join(dir, link)
				if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(filepath.Join(outside, target), link); err != nil {
					t.Fatal(err)
				}
			}
			text := string(run(t, dir, generate.Options{}).File.Format())
			if strings.Contains(text, "words") || strings.Contains(text, "Jane") || strings.Contains(text, "private") || strings.Contains(text, "REVISION") {
				t.Errorf("got\n%s", text)
			}
			if name == "a file of GGUF" && !strings.Contains(text, "PARAMSIZE 1M") {
				t.Errorf("it was not counted:\n%s", text)
			}
		})
	}
}

// The name of a file cannot make statements of its own, in a comment either.
func TestNamesInComments(t *testing.T) {
	const name = "w\nLICENSE MIT\x1b[2J.safetensors"
	dir := tree(t, "m", map[string]string{name: "\x38\x00\x00\x00\x00\x00\x00\x00" + `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  12345678`})
	text := string(run(t, dir, generate.Options{}).File.Format())
	if !strings.Contains(text, "\n# from w\\nLICENSE MIT\\x1b[2J.safetensors\n") || strings.Contains(text, "\nLICENSE") || strings.Contains(text, "\x1b") {
		t.Errorf("got\n%s", text)
	}
}
