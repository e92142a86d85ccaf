package generate

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSecretsOfPaths(t *testing.T) {
	dir := t.TempDir()
	files := map[string]bool{}
	add := func(name, data string, secret bool) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		files[name] = secret
	}
	add(".env", "A=b", true)
	add("keys/ID_RSA", "", true)
	add(".ssh/known_hosts", "x", true)
	add("a/.aws/b/config", "x", true)
	add("server.pem", privateKey, true)
	add("large.pem", privateKey+strings.Repeat("\n", maxSecretText), true)
	add("deploy.txt", longKey, true)
	add("login", "hf_"+strings.Repeat("a", 34)+"\n", true)
	add("node_modules/x/notes", privateKey, true) // which generate would not enter
	add("ca.pem", "-----BEGIN CERTIFICATE-----\nMII\n", false)
	add("tokens.txt", "a 1", false)
	add("config.json", "{}", false)
	add("large.txt", privateKey+strings.Repeat("\n", maxSecretText), false) // it is not looked into
	add("model.safetensors", privateKey+strings.Repeat("\n", maxSecretText), false)
	var paths, want []string
	for name, secret := range files {
		paths = append(paths, name)
		if secret {
			want = append(want, name)
		}
	}
	paths = append(paths, "missing", "keys", "../outside")
	if got := Suspect(dir, paths).Secrets; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"

// TestSuspectsOfDownloads: what looks like a pointer and is none, for its size or for
// want of an object, is left alone.
func TestSuspectsOfDownloads(t *testing.T) {
	dir := model{
		"m.safetensors": pointer, "README.md": pointer, "keys/id_rsa": pointer,
		"prefix.md": "version https://git-lfs.github.com/spec/v1\nis how they begin\n", "long.md": pointer + strings.Repeat("\n", 1<<10),
		"a.bin": "x", "a.bin.aria2": "x", "b.INCOMPLETE": "x", "c.part": "x", "c.part1of2": "x", "d.bin": "x", "empty": "",
	}.write(t, "m")
	paths := []string{"m.safetensors", "README.md", "keys/id_rsa", "prefix.md", "long.md", "a.bin", "a.bin.aria2", "b.INCOMPLETE", "c.part", "c.part1of2", "d.bin", "empty", "missing", "keys"}
	got := Suspect(dir, paths)
	if want := []string{"m.safetensors", "README.md", "keys/id_rsa"}; !slices.Equal(got.Pointers, want) {
		t.Errorf("pointers %q, want %q", got.Pointers, want)
	}
	if want := []string{"a.bin", "a.bin.aria2", "b.INCOMPLETE", "c.part"}; !slices.Equal(got.Unfinished, want) {
		t.Errorf("unfinished %q, want %q", got.Unfinished, want)
	}
	var hinted *failure
	if err := OnlyPointers(got.Pointers, "drop it"); !errors.As(err, &hinted) || hinted.Hint() != "fetch it: git lfs pull; or drop it" {
		t.Errorf("%v", err)
	}
}

// TestCheckShards looks at the files that it is given alone, in any order.
func TestCheckShards(t *testing.T) {
	dir := model{
		"model.safetensors.index.json": `{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}`,
		"model-1.safetensors":          "x", "model-2.safetensors": "x", "model-00003-of-00003.safetensors": "x",
		"q-00002-of-00002.gguf": "x",
	}.write(t, "m")
	for given, want := range map[string][]string{
		"model-1.safetensors": nil,
		"model-2.safetensors model.safetensors.index.json model-1.safetensors": nil,
		"model-1.safetensors model.safetensors.index.json":                     {`missing: 1 shard that "model.safetensors.index.json" names: "model-2.safetensors"`},
		"model.safetensors.index.json model-2.safetensors model-1.safetensors model-00003-of-00003.safetensors": {
			`1 surplus shard that "model.safetensors.index.json" does not name: "model-00003-of-00003.safetensors"`},
		"q-00002-of-00002.gguf": {`1 shard of 2 missing beside "q-00002-of-00002.gguf", number 1 first`},
	} {
		if got := CheckShards(dir, strings.Fields(given)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", given, got, want)
		}
	}
}
