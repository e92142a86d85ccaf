package generate_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
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

// Access tokens stay out wherever somebody put them.
func TestNoTokenIsQuoted(t *testing.T) {
	const token = "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH"
	dir := tree(t, "m", map[string]string{
		"model.safetensors": "x",
		"README.md": "---\nlicense: other\nlicense_name: sk-abcdefghijklmnopqrstuvwxyz\nlicense_link: https://host.example/" + token + "\nbase_model: org/" + token +
			"\ndatasets: [" + token + ", org/" + token + ", https://host.example/" + token + "]\n---\nThese are words that say something of the model.\n",
		".git/HEAD":   "3f2a9c1d4e5b60718293a4b5c6d7e8f901234567\n",
		".git/config": "[remote \"origin\"]\n\turl = https://host.example/" + token + "/x.git\n",
		".mdl":        "\x80\x04\x8c\x02id\x94\x8c" + string(rune(len("org/"+token))) + "org/" + token,
	})
	result := run(t, dir, generate.Options{})
	said := string(result.File.Format()) + strings.Join(append(result.Notes, result.Warnings...), "\n")
	if strings.Contains(said, "abcdefgh") || !strings.Contains(said, "REVISION") || !strings.Contains(said, "DESCRIPTION These are words") {
		t.Errorf("got\n%s", said)
	}
	if want := "a value for SOURCEURL from .git was not taken: it looks like an access token"; !slices.Contains(result.Notes, want) {
		t.Errorf("got notes %q", result.Notes)
	}
}

// Of many files that each declare much, not all is looked at.
func TestManyHostileFiles(t *testing.T) {
	ckpt := weightstest.CheckpointEntries(8192, weightstest.T("w", "F32"))
	index := string(weightstest.Table(2, ckpt...).Bytes())
	card := string(weightstest.GGUF(weightstest.GGUFVersion{}, weightstest.Pairs("general.architecture", "llama"), weightstest.T("w", "F16", 10)).Bytes())
	for name, tt := range map[string]struct {
		file, content string
		want          []string
	}{
		"checkpoints": {"m%03d.ckpt.index", index, []string{
			`none of the 8192 shards that "m063.ckpt.index" names is here`,
			`from "m064.ckpt.index" on the shards were not checked: there are more than 64 checkpoints`,
		}},
		"models in GGUF": {"m%03d.gguf", card, []string{"of the 70 models in GGUF only the first 64 were read"}},
	} {
		t.Run(name, func(t *testing.T) {
			files := make(map[string]string)
			for i := range 70 {
				files[fmt.Sprintf(tt.file, i)] = tt.content
			}
			dir := tree(t, "m", files)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			result := run(t, dir, generate.Options{})
			runtime.ReadMemStats(&after)
			said := append(result.Notes, result.Warnings...)
			for _, want := range tt.want {
				if !slices.Contains(said, want) {
					t.Errorf("%q is missing in %q", want, said)
				}
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
				t.Errorf("%d bytes were allocated", n)
			}
		})
	}
}

// Shards of a checkpoint are those that are named so, and no others.
func TestMissingCheckpointShards(t *testing.T) {
	index := string(weightstest.Table(2, weightstest.CheckpointEntries(8, weightstest.T("w", "F32"))...).Bytes())
	dir := tree(t, "m", map[string]string{"a/m.ckpt.index": index, "a/m.ckpt.data-00001-of-00008": "x", "a/m.ckpt.data-00003-of-00008": "x",
		"a/m.ckpt.data-00003-of-00009": "x", "a/m.ckpt.data-0000x-of-00008": "x", "a/m.ckpt.data-00008-of-00008": "x", "a/m.ckpt.data-00002-of-00008.bak": "x"})
	shard := func(i int) string {
		return fmt.Sprintf(`"a/m.ckpt.data-%05d-of-00008"`, i)
	}
	want := `missing: 6 shards that "a/m.ckpt.index" names: ` + shard(0) + ", " + shard(2) + ", " + shard(4) + ", " + shard(5) + ", and 2 more"
	if got := run(t, dir, generate.Options{}).Warnings; !slices.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What is missing is a warning, and so is damage to what is there.
func TestMissingShardWarns(t *testing.T) {
	dir := tree(t, "m", map[string]string{
		"model-00001-of-00002.safetensors": "x",
		"model.safetensors.index.json":     `{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}`,
	})
	got := run(t, dir, generate.Options{}).Warnings
	if want := `missing: 1 shard that "model.safetensors.index.json" names: "model-00002-of-00002.safetensors"`; len(got) != 2 || got[1] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
