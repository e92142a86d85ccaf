package registry

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tareml/tare/internal/testregistry"
)

// writeFile returns the path of a new file.
func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAuthFile(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	const hub = "https://index.docker.io/v1/"
	for _, test := range []struct{ file, server, want string }{
		{`{"auths":{"a.example":{"auth":"dTpw"}}}`, "a.example", "u:p"},
		{`{"a.example":{"auth":"dTpw"}}`, "a.example", "u:p"},
		{`{"auths":{"a.example":{"username":"robot$ci","password":"p:q","email":"x"}}}`, "a.example", "robot$ci:p:q"},
		{`{"auths":{"a.example":{"username":"x","auth":"dTpw"}}}`, "a.example", "u:p"},
		{`{"auths":{"a.example":{"identitytoken":"t"}}}`, "a.example", "t"},
		{`{"auths":{"https://A.example/v1/":{"auth":"dTpw"}}}`, "a.example", "u:p"},
		{`{"auths":{"a.example/team":{"auth":"dTpw"}}}`, "a.example", "u:p"},
		{`{"auths":{"a.example/team":{"auth":"YTpi"},"https://a.example":{"auth":"dTpw"},"*.example":{"auth":"YTpi"}}}`, "a.example", "u:p"},
		{`{"auths":{"*.example":{"auth":"dTpw"}}}`, "a.example", "u:p"},
		{`{"auths":{"*.example":{"auth":"dTpw"}}}`, "b.a.example", ":"},
		{`{"auths":{"a.example":{"auth":"dTpw"}}}`, "a.example:5000", ":"},
		{`{"auths":{"a.example":{}, "*.example":{"auth":"dTpw"}}}`, "a.example", "u:p"},
		{`{"auths":{"docker.io":{"auth":"dTpw"}}}`, hub, "u:p"},
		{`{"auths":{"index.docker.io/v1/":{"auth":"dTpw"}}}`, hub, "u:p"},
		{`{"auths":{"https://registry-1.docker.io":{"auth":"dTpw"}}}`, hub, "u:p"},
		{`{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}}}`, hub, "u:p"},
		{`{"auths":{}}`, "a.example", ":"},
		{`{}`, "a.example", ":"},
	} {
		store, err := AuthFile(writeFile(t, test.file), DockerCredentials())
		if err != nil {
			t.Errorf("%s: %v", test.file, err)
			continue
		}
		cred, err := store.Get(t.Context(), test.server)
		if got := cred.Username + ":" + cred.Password; err != nil || got != test.want && cred.RefreshToken != test.want {
			t.Errorf("%s: %s has %q, %v, want %q", test.file, test.server, got, err, test.want)
		}
	}
}

func TestBrokenAuthFile(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{
		"":                          "no JSON",
		`s3cret`:                    "no JSON",
		`["s3cret"]`:                "no JSON",
		`{"auths":"s3cret"}`:        "no JSON",
		`{"credsStore":"s3cret"}`:   "no JSON",
		`{"auths":{"a.example":1}}`: "no JSON",
		`{"auths":{"a.example":{"auth":"s3cret!"}}}`:      `"a.example"`,
		`{"auths":{"a.example":{"auth":"czNjcmV0"}}}`:     `"a.example"`,
		strings.Repeat(" ", maxAuthFile) + `{"auths":{}}`: "larger than",
	} {
		_, err := AuthFile(writeFile(t, content), DockerCredentials())
		if err == nil || !strings.Contains(err.Error(), want) || hintOf(err) == "" || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%.60s: %v, hint %q", content, err, hintOf(err))
		}
	}
	if _, err := AuthFile(dir, DockerCredentials()); err == nil || !strings.Contains(hintOf(err), ".dockerconfigjson") {
		t.Errorf("a directory: %v, hint %q", err, hintOf(err))
	}
	if _, err := AuthFile(filepath.Join(dir, "gone"), DockerCredentials()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestAuthFileIsReadAgain: Kubernetes replaces secrets under running programs.
func TestAuthFileIsReadAgain(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	path := writeFile(t, `{"auths":{"a.example":{"auth":"dTpw"}}}`)
	store, err := AuthFile(path, DockerCredentials())
	if err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]string{`{"auths":{"a.example":{"auth":"YTpi"}}}`: "a", `s3cret`: ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		cred, err := credentialFunc(store)(t.Context(), "a.example")
		if cred.Username != want || (err == nil) != (want != "") || err != nil && (strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), path)) {
			t.Errorf("%s: %q, %v", content, cred.Username, err)
		}
	}
}

func FuzzAuthFile(f *testing.F) {
	f.Add([]byte(`{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}}}`))
	f.Add([]byte(`{"*.example":{"username":"u","password":"s3cret"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseAuthFile(data)
		if err != nil {
			return
		}
		for name := range entries {
			entries.find(name)
			if _, ok := entries.find("other.invalid:1"); ok && !strings.ContainsAny(name, "*?[") && len(entries) == 1 && !strings.Contains(strings.ToLower(name), "other.invalid") {
				t.Errorf("%q is for others too", name)
			}
		}
	})
}

// TestDockerHubIsKnownByAllItsNames: other programs save under others.
func TestDockerHubIsKnownByAllItsNames(t *testing.T) {
	client := newTestClient(t, Options{})
	config := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	for _, name := range []string{"https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io", "https://registry-1.docker.io/v2/"} {
		if err := os.WriteFile(config, []byte(`{"auths":{"`+name+`":{"auth":"YTpi"}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, ref := range []string{"ai/smollm2", "busybox", "index.docker.io/a/b", "registry-1.docker.io/a/b", "docker.io/a/b"} {
			cred, err := client.auth.credential(t.Context(), parse(t, ref).host())
			if err != nil || cred != (Credential{Username: "a", Password: "b"}) {
				t.Errorf("under %s, for %s: %v, %v", name, ref, cred, err)
			}
		}
		if strings.HasPrefix(name, "https://registry-1") {
			continue // docker's own key or the bare name are what we can delete
		}
		if err := client.Logout(t.Context(), "registry-1.docker.io"); err != nil {
			t.Errorf("logging out of %s: %v", name, err)
		}
		if data, _ := os.ReadFile(config); strings.Contains(string(data), "YTpi") {
			t.Errorf("%s is still there: %s", name, data)
		}
	}
}

func TestPasswordsThatEnd(t *testing.T) {
	end := time.Unix(2000000000, 0)
	for password, want := range map[string]bool{
		testregistry.ECRPassword("x", end): true,
		"plain":                            false,
		"":                                 false,
		"eyJhIjoxfQ==":                     false, // {"a":1}
		testregistry.ECRPassword("x", time.Unix(0, 0)): false,
		strings.Repeat("A", maxPassword+4):             false,
	} {
		if got, ok := PasswordEnd(password); ok != want || ok && !got.Equal(end) {
			t.Errorf("%.40s: %s, %v", password, got, ok)
		}
	}
}

// TestPasswordIsRenewedBeforeItsEnd, since Amazon does not say 401 after it.
func TestPasswordIsRenewedBeforeItsEnd(t *testing.T) {
	now := time.Unix(2000000000, 0)
	lookups := 0
	var shown []string
	w := world{"https://r.example": func(w http.ResponseWriter, req *http.Request) {
		_, password, ok := req.BasicAuth()
		if !ok {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		end, _ := PasswordEnd(password)
		if shown = append(shown, password); !now.Before(end) {
			w.WriteHeader(http.StatusForbidden)
		}
	}}
	a := w.authenticator(Credential{})
	a.now = func() time.Time { return now }
	a.credential = storeFunc(func(Lookup) Credential {
		lookups++
		return Credential{Username: "AWS", Password: testregistry.ECRPassword(fmt.Sprint(lookups), now.Add(12*time.Hour))}
	})
	for i, want := range []int{1, 1, 1, 2, 2, 2, 3} {
		if code, err := attempt(t.Context(), a, "repository:a:push,pull"); code != http.StatusOK || err != nil || lookups != want {
			t.Errorf("after %d hours: %d, %v, %d lookups, want %d", 5*i, code, err, lookups, want)
		}
		now = now.Add(5 * time.Hour)
	}
}
