//go:build unix

package registry

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

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

// installHelper puts docker-credential-fake on the PATH, and returns its directory.
func installHelper(t *testing.T, script string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("FAKE_HELPER_FILE", filepath.Join(dir, "kept"))
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-fake"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestHelperProtocol: what goes in comes out, tokens too.
func TestHelperProtocol(t *testing.T) {
	installHelper(t, fakeHelper)
	h := helper{name: "fake"}
	for _, cred := range []Credential{{Username: "robot$ci", Password: `p"q`}, {RefreshToken: "t"}} {
		if err := h.store(t.Context(), "r.example", cred); err != nil {
			t.Fatal(err)
		}
		if got, err := h.get(t.Context(), "r.example"); err != nil || got != cred {
			t.Errorf("%+v became %+v, %v", cred, got, err)
		}
	}
	if err := h.erase(t.Context(), "r.example"); err != nil {
		t.Error(err)
	}
	if got, err := h.get(t.Context(), "r.example"); err != nil || got != (Credential{}) {
		t.Errorf("nothing is kept: %v", err)
	}
}

// TestHelpersThatDoNotWork are named, and not quoted.
func TestHelpersThatDoNotWork(t *testing.T) {
	for script, want := range map[string]string{
		"#!/bin/sh\necho s3cret; echo s3cret >&2; exit 1": "docker-credential-fake get: exit status 1",
		"#!/bin/sh\necho s3cret":                          "docker-credential-fake get: the answer is not",
		"#!/bin/sh\nkill -9 $$":                           "docker-credential-fake get: signal: killed",
		"#!/nowhere":                                      "docker-credential-fake: no such file",
	} {
		dir := installHelper(t, script)
		t.Setenv("DOCKER_CONFIG", dir)
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"credsStore":"fake"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := credentialFunc(DockerCredentials())(t.Context(), "r.example")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error()+hintOf(err), "s3cret") {
			t.Errorf("%s: %v, hint %q", script, err, hintOf(err))
		}
	}
}

// TestHelperThatTakesItsTime is told of; here it then goes on.
func TestHelperThatTakesItsTime(t *testing.T) {
	dir := installHelper(t, "#!/bin/sh\nwhile ! [ -e $FAKE_HELPER_FILE ]; do sleep 0.01; done\n"+`echo '{"Username":"u","Secret":"p"}'`)
	h := helper{name: "fake", patience: 1, waiting: func(program string) {
		if err := os.WriteFile(filepath.Join(dir, "kept"), []byte(program), 0o600); err != nil {
			t.Error(err)
		}
	}}
	if cred, err := h.get(t.Context(), "r.example"); err != nil || cred.Username != "u" {
		t.Errorf("%q, %v", cred.Username, err)
	}
	if data, _ := os.ReadFile(filepath.Join(dir, "kept")); string(data) != "docker-credential-fake" {
		t.Errorf("told of %q", data)
	}
}

// TestHelperThatLeavesAProgramBehind is not waited for once it has answered.
func TestHelperThatLeavesAProgramBehind(t *testing.T) {
	dir := installHelper(t, "#!/bin/sh\nsleep 1000 & echo $! > $FAKE_HELPER_FILE\n"+`echo '{"Username":"u","Secret":"p"}'`)
	t.Cleanup(func() {
		data, _ := os.ReadFile(filepath.Join(dir, "kept"))
		if pid, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	if cred, err := (helper{name: "fake"}).get(t.Context(), "r.example"); err != nil || cred.Username != "u" {
		t.Errorf("%q, %v", cred.Username, err)
	}
}

// TestInterruptOfHelpers: the terminal interrupts the helper too, which may be
// there first.
func TestInterruptOfHelpers(t *testing.T) {
	installHelper(t, "#!/bin/sh\nkill -INT $$")
	_, err := helper{name: "fake"}.run(t.Context(), "get", nil)
	if _, ended := errors.AsType[*exec.ExitError](err); !ended {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(interruptDelay/2, cancel)
		if err := (helper{name: "fake"}).explain(ctx, "get", "r.example", err); err != context.Canceled {
			t.Error(err)
		}
	})
}

func TestLoginWithCredentialHelper(t *testing.T) {
	host := testregistry.Debian(t, testregistry.WithAuth()).Host
	client := newTestClient(t, Options{})
	dir := installHelper(t, fakeHelper)
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
