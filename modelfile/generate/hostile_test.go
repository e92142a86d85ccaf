package generate_test

import (
	"strings"
	"testing"

	"github.com/tareml/tare/modelfile/generate"
)

// A directory that is out to do harm costs what it weighs, and no more.
func TestHostileTexts(t *testing.T) {
	const most = 4 << 20 // that is read of a text
	tests := map[string]map[string]string{
		"aliases of aliases":  {"README.md": "---\nlicense: &a [x, x]\ntags: &b [*a, *a, *a]\ndatasets: [*b, *b, *b]\n---\n"},
		"deep front matter":   {"README.md": "---\nlicense: " + strings.Repeat("[", 30_000) + "\n---\n"},
		"long front matter":   {"README.md": "---\n" + strings.Repeat("license: x\n", 100_000) + "---\n"},
		"brackets":            {"README.md": strings.Repeat("[", most)},
		"long template":       {"chat_template.jinja": strings.Repeat("{{", most/2)},
		"endless template":    {"chat_template.jinja": strings.Repeat("x", most+1)},
		"quotes in templates": {"chat_template.jinja": strings.Repeat("{% '", most/4)},
		"deep template":       {"tokenizer_config.json": strings.Repeat("[", most)},
		"deep config":         {"config.json": strings.Repeat(`{"a":`, most/5)},
		"deep index":          {"model.safetensors.index.json": strings.Repeat(`{"a":`, most/5)},
		"long licence":        {"LICENSE": strings.Repeat("Permission is hereby granted, ", most/30)},
		"many rules":          {".tareignore": strings.Repeat("**/**/a*b*c*\n", 10_000)},
	}
	for name, files := range tests {
		t.Run(name, func(t *testing.T) {
			files["model.safetensors"] = "x"
			text := string(run(t, tree(t, "m", files), generate.Options{}).File.Format())
			if len(text) > 4<<10 {
				t.Errorf("%d bytes came of it", len(text))
			}
		})
	}
}

// What opens a git remote does not get out.
func TestNoTokenGetsOut(t *testing.T) {
	for _, remote := range []string{
		"https://user:s3cret@host.example/a/b", "https://s3cret@host.example/a/b", "https://host.example/a?token=s3cret", "https://host.example/a#s3cret",
		"https://user:12/s3cret@host.example/a", "https://user:12#s3cret@host.example/a", "ssh://git:s3cret@host.example/a", "user:s3cret@host.example:a/b",
		`https://host.example\@s3cret/a`, "https://user:s3cret@host.example:99999999/a", "https://user:s3cret%@host.example/a",
	} {
		dir := tree(t, "m", map[string]string{
			"model.safetensors": "x",
			".git/HEAD":         "3f2a9c1d4e5b60718293a4b5c6d7e8f901234567\n",
			".git/config":       "[http]\n\textraheader = Authorization: s3cret\n[remote \"origin\"]\n\turl = \"" + remote + "\"\n",
		})
		result := run(t, dir, generate.Options{})
		said := string(result.File.Format()) + strings.Join(append(result.Notes, result.Warnings...), "\n")
		if strings.Contains(said, "s3cret") || strings.Contains(said, "user") && !strings.Contains(said, "has a user,") {
			t.Errorf("%s: got\n%s", remote, said)
		}
	}
}

// What is missing is a warning.
func TestMissingShardWarns(t *testing.T) {
	dir := tree(t, "m", map[string]string{
		"model-00001-of-00002.safetensors": "x",
		"model.safetensors.index.json":     `{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}`,
	})
	got := run(t, dir, generate.Options{}).Warnings
	if want := `missing: 1 shard that "model.safetensors.index.json" names: "model-00002-of-00002.safetensors"`; len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
