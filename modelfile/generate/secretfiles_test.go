package generate

import (
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
	if got := Secrets(dir, paths); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
