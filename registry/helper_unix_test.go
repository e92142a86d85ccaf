//go:build unix

package registry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/testregistry"
)

// fakeHelper is a docker credential helper that keeps everything in a file.
const fakeHelper = `#!/bin/sh
case "$1" in
store) cat > "$FAKE_HELPER_FILE" ;;
erase) cat > /dev/null; rm -f "$FAKE_HELPER_FILE" ;;
get) cat > /dev/null
	if [ -f "$FAKE_HELPER_FILE" ]; then cat "$FAKE_HELPER_FILE"
	else echo "credentials not found in native keychain"; exit 1; fi ;;
esac
`

func TestLoginWithCredentialHelper(t *testing.T) {
	host := testregistry.Debian(t, testregistry.WithAuth()).Host
	client := newTestClient(t, Options{})
	dir := t.TempDir()
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("FAKE_HELPER_FILE", filepath.Join(dir, "kept"))
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-fake"), []byte(fakeHelper), 0o700); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	if err := os.WriteFile(config, []byte(`{"credHelpers":{"`+host+`":"fake"}}`), 0o600); err != nil {
		t.Fatal(err)
	}

	saved, err := client.Login(t.Context(), host, testregistry.Username, testregistry.Password)
	if err != nil || saved != (Saved{Place: "docker-credential-fake"}) {
		t.Fatalf("%+v, %v", saved, err)
	}
	if data, _ := os.ReadFile(config); strings.Contains(string(data), "auth\":") {
		t.Errorf("the password is in config.json: %s", data)
	}
	src := newMemory()
	desc, manifest := src.artifact(t, []byte("one"))
	peer{host, client}.push(t, "m/x:v1", src, desc, manifest)
	if err := client.Logout(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "kept")); err == nil {
		t.Error("the helper still has the credentials")
	}
}
