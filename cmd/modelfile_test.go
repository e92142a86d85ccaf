package cmd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writeTree makes files below a new directory.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestDamageIsAWarning: generate, check and build say what is wrong with weights and
// go on, as the Modelfile has the last word; so it is with version control.
func TestDamageIsAWarning(t *testing.T) {
	files := map[string]string{
		"Modelfile": "NAME m\nMODEL *.safetensors\nCODE **/*\n", "b.safetensors": "<html>\nsorry",
		"model.safetensors": "", ".git/config": "x", ".git/HEAD": "x", "sub/.git/config": "x",
	}
	dir := writeTree(t, files)
	t.Setenv("TARE_STORE", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	damage := []string{`warning: "b.safetensors" is not safetensors: it begins with "<html>\nsorry"`, `warning: "model.safetensors" is empty`}
	history := `3 files of ".git", "sub/.git", which may hold passwords`
	generated := writeTree(t, map[string]string{"b.safetensors": files["b.safetensors"], "model.safetensors": ""})
	for line, want := range map[string][]string{
		"modelfile generate -O - " + dir:            damage,
		"modelfile check " + dir:                    append(damage, "warning: entries take "+history),
		"build -t localhost:5000/m:v1 " + dir:       append(damage, "warning: the Modelfile takes "+history, "hint: fetch them again"),
		"build -t localhost:5000/m:v2 " + generated: damage,
	} {
		code, stdout, stderr := run(t, strings.Fields(line)...)
		if code != exitOK {
			t.Errorf("tare %s: exit code %d", line, code)
		}
		for _, w := range want {
			if strings.Count(stdout+stderr, w) != 1 {
				t.Errorf("tare %s: not once %s in %s%s", line, w, stdout, stderr)
			}
		}
	}
}

func TestModelfilePlaces(t *testing.T) {
	dir := writeTree(t, map[string]string{"m/Modelfile": "name   m\n", "m/x.py": "x"})
	m, nowhere := filepath.Join(dir, "m"), filepath.Join(dir, "nowhere")
	missing := filepath.Join(nowhere, "Modelfile")
	tests := []struct {
		args []string
		want string // in what is said
	}{
		{[]string{"modelfile", "fmt", m}, "NAME m\n"},
		{[]string{"modelfile", "fmt", "-w", m}, ""},
		{[]string{"modelfile", "check", missing}, "hint: the directory " + nowhere + " does not exist\n"},
		{[]string{"modelfile", "check", nowhere}, "there is no directory " + nowhere + " either\n"},
		{[]string{"modelfile", "check", filepath.Join(m, "Modelfile"), nowhere}, "nowhere\": not found\n"},
		{[]string{"modelfile", "generate", m, "-O", missing}, "error: writing " + missing + ": "},
	}
	for _, tt := range tests {
		_, stdout, stderr := run(t, tt.args...)
		if !strings.Contains(stdout+stderr, tt.want) || strings.Contains(stderr, ".Modelfile-") {
			t.Errorf("%q: %s%s, want %s", tt.args, stdout, stderr, tt.want)
		}
	}
	if data, err := os.ReadFile(filepath.Join(m, "Modelfile")); err != nil || string(data) != "NAME m\n" {
		t.Errorf("fmt -w left %q, %v", data, err)
	}
}

func TestWrap(t *testing.T) {
	tests := []struct {
		items string
		want  []string
	}{
		{"", nil},
		{"aaaa", []string{"aaaa"}},
		{"aaaa bbb", []string{"aaaa, bbb"}},
		{"aaaa bbbb", []string{"aaaa,", "bbbb"}},
		{"ää b cc ddddd e", []string{"ää, b, cc,", "ddddd, e"}},
		{"longer-than-that b", []string{"longer-than-that,", "b"}},
	}
	for _, tt := range tests {
		if got := wrap(strings.Fields(tt.items), 10); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.items, got, tt.want)
		}
	}
}
