package generate

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const privateKey = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n"

// longKey has as many lines as a short vocabulary.
var longKey = "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat(strings.Repeat("Ab3", 21)+"x\n", 50) + "-----END PRIVATE KEY-----\n"

func TestSecrets(t *testing.T) {
	secret := map[string]string{
		".env": "", ".env.local": "", ".netrc": "", ".npmrc": "", ".pypirc": "", "id_rsa": "", "keys/id_ed25519": "", "credentials.json": "{}",
		"kubeconfig": "", "store.p12": "", "hf_token.txt": "x", "my_token.txt": "x", "token": "x", "HF_TOKEN": "x", "api-key.txt": "x",
		"server.pem": privateKey, "server.key": "?", "empty.key": "x", "both.pem": "-----BEGIN CERTIFICATE-----\nx\n" + privateKey,
		"notes": privateKey, "a/gcp.json": `{"type": "service_account", "private_key": "x"}`,
		"login":      "hf_" + strings.Repeat("a", 34) + "\n",
		"deploy.txt": longKey, "deploykey": longKey, "bom.txt": "\uFEFF" + privateKey, "bag.txt": "Bag Attributes\n    friendlyName: x\n" + privateKey,
		"prod.env": "A=b", "id_rsa.bak": "", "id_ed25519_old": "", "aws_credentials": "", "access_tokens.txt": "x", "github_token.json": "x", "my_secrets.txt": "x",
	}
	open := map[string]string{
		"tokens.txt": "a 1", "special_tokens.txt": "a", "added_tokens.json": "{}", "tokenizer.model": "x", "id_rsa.pub": "ssh-rsa x",
		"ca.pem": "-----BEGIN CERTIFICATE-----\nMII\n", "pub.pem": "-----BEGIN PUBLIC KEY-----\nMII\n", "talk.key": "PK\x03\x04xx",
		"long_token.txt": strings.Repeat("x", maxToken+1), "about.txt": "hf_ is how tokens begin", "config.json": `{"type": "service"}`, "README": "see " + privateKey,
	}
	fsys := fstest.MapFS{".ssh/known_hosts": {}}
	for _, files := range []map[string]string{secret, open} {
		for name, content := range files {
			fsys[name] = &fstest.MapFile{Data: []byte(content)}
		}
	}
	s := surveyFS(t, fsys, Options{})
	for _, f := range s.files {
		if _, ok := secret[f.path]; ok {
			t.Errorf("%s was taken", f.path)
		}
	}
	for name := range open {
		if !slices.ContainsFunc(s.files, func(f file) bool { return f.path == name }) {
			t.Errorf("%s was left out", name)
		}
	}
	if !slices.Contains(s.found.secrets, ".ssh") || len(s.found.secrets) != len(secret)+1 {
		t.Errorf("%d secrets are told of, not %d: %q", len(s.found.secrets), len(secret)+1, s.found.secrets)
	}

	s = surveyFS(t, fsys, Options{Include: []string{".env", "server.pem"}})
	want := `took what looks secret, since --include says so: ".env", "server.pem"`
	if got := s.warnings(); len(got) != 2 || got[1] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func surveyFS(t *testing.T, fsys fstest.MapFS, opts Options) *surveyed {
	t.Helper()
	s, err := surveyIn(fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
