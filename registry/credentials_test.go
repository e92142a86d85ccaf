package registry

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

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
		{`{"auths":{"a.example/team":{"auth":"dTpw"}}}`, "a.example", ":"},
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

// TestEntriesForAPath: of several projects at one registry each has its own, in a
// pull secret as in docker's file.
func TestEntriesForAPath(t *testing.T) {
	const file = `{"auths":{
		"r.example/aaa": {"auth":"YWFhOnA="}, "r.example/team": {"auth":"dGVhbTpw"},
		"https://r.example/v2/team/deep/": {"auth":"ZGVlcDpw"}, "whole.example": {"auth":"d2hvbGU6cA=="},
		"whole.example/team": {"auth":"dGVhbTpw"}, "*.example/team": {"auth":"Z2xvYjpw"}}}`
	t.Setenv("DOCKER_CONFIG", filepath.Dir(writeFile(t, file)))
	if err := os.Rename(filepath.Join(os.Getenv("DOCKER_CONFIG"), "file"), filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")); err != nil {
		t.Fatal(err)
	}
	secret, err := AuthFile(writeFile(t, file), DockerCredentials())
	if err != nil {
		t.Fatal(err)
	}
	for _, store := range []CredentialStore{secret, DockerCredentials()} {
		for _, test := range []struct{ host, repository, want string }{
			{"r.example", "aaa/x", "aaa"},
			{"r.example", "team/x", "team"},
			{"r.example", "team", "team"},
			{"r.example", "team/deep/x", "deep"},
			{"r.example", "team-b/x", ""},
			{"r.example", "other/x", ""},
			{"r.example", "", ""},
			{"whole.example", "team/x", "team"},
			{"whole.example", "other/x", "whole"},
			{"whole.example", "", "whole"},
			{"b.example", "team/x", "glob"},
			{"b.example", "other/x", ""},
		} {
			ctx := t.Context()
			if test.repository != "" {
				ctx = endpoint{host: test.host}.context(ctx, test.repository, auth.ActionPull)
			}
			for range 5 { // maps have no order
				cred, err := credentialFunc(store)(ctx, test.host)
				if err != nil || cred.Username != test.want {
					t.Fatalf("%T: %s/%s has %q, %v, want %q", store, test.host, test.repository, cred.Username, err, test.want)
				}
			}
		}
	}
	if has, err := AuthFileHas(writeFile(t, file), "r.example"); has || err != nil {
		t.Errorf("the whole of r.example: %v, %v", has, err)
	}
}

// TestRepositoryAsked is what is pushed to, where a blob is mounted from another.
func TestRepositoryAsked(t *testing.T) {
	for want, scopes := range map[string][]string{
		"":    {"registry:catalog:*"},
		"a/x": {"repository:a/x:pull"},
		"b/y": {"repository:a/x:pull", "repository:b/y:pull,push"},
		"c":   {"repository:c:pull,push", "repository:d:pull"},
	} {
		if got := repositoryAsked(auth.AppendScopesForHost(t.Context(), "r.example", scopes...), "r.example"); got != want {
			t.Errorf("%q: %q, want %q", scopes, got, want)
		}
	}
	if got := repositoryAsked(auth.AppendScopesForHost(t.Context(), "r.example", "repository:a:pull", "repository:b:pull"), "r.example"); got != "" {
		t.Errorf("of two: %q", got)
	}
}

// TestLoginsAtOnce all stay, and a config.json that is a link stays one.
func TestLoginsAtOnce(t *testing.T) {
	real, dir := filepath.Join(t.TempDir(), "real.json"), t.TempDir()
	if err := os.WriteFile(real, []byte(`{"currentContext":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "config.json")
	if err := os.Symlink(real, link); err != nil {
		t.Skip(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
	const many = 12
	change := func(f func(server string) error) {
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() {
				if err := f(fmt.Sprintf("r%d.example", i)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	change(func(server string) error {
		return DockerCredentials().Put(t.Context(), server, Credential{Username: "u", Password: "p"})
	})
	config, err := readDockerConfig()
	if err != nil || len(config.Auths) != many {
		t.Errorf("%d of %d, %v", len(config.Auths), many, err)
	}
	change(func(server string) error { return DockerCredentials().Delete(t.Context(), server) })
	if config, err = readDockerConfig(); err != nil || len(config.Auths) != 0 {
		t.Errorf("%d are left, %v", len(config.Auths), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	for _, d := range []string{dir, filepath.Dir(real)} {
		if left, _ := filepath.Glob(filepath.Join(d, "*.lock")); len(left) > 0 {
			t.Errorf("%q was left behind", left)
		}
	}
}

// TestDockerConfigThatCannotBeUsed is named, with the cause.
func TestDockerConfigThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	config := filepath.Join(dir, "config.json")
	for content, want := range map[string]string{
		"{\n\"auths\": s3cret}":                       config + " is no JSON: line 2",
		`{"auths":{"a.example":`:                      config + " is no JSON: it ends in the middle",
		`{"auths":"s3cret"}`:                          config + " is JSON, but",
		`{"auths":{"a.example":{"auth":"czNjcmV0"}}}`: config + `: the entry of "a.example"`,
	} {
		if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := credentialFunc(DockerCredentials())(t.Context(), "a.example")
		if err == nil || !strings.Contains(err.Error(), want) || hintOf(err) == "" || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, hint %q", content, err, hintOf(err))
		}
	}
	if err := os.WriteFile(config, []byte(`{"auths":{"a.example":{"auth":"czNjcmV0"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if cred, err := credentialFunc(DockerCredentials())(t.Context(), "b.example"); err != nil || cred != (Credential{}) {
		t.Errorf("an entry of somebody else: %v", err)
	}
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := DockerCredentials().Put(t.Context(), "b.example", Credential{Username: "u", Password: "p"}); err != nil {
		t.Errorf("an empty file: %v", err)
	}
	t.Setenv("DOCKER_CONFIG", filepath.Join(config, "below"))
	err := credentialError(t.Context(), "saving", "b.example", DockerCredentials().Put(t.Context(), "b.example", Credential{}))
	if !strings.Contains(err.Error(), filepath.Join(config, "below")) || strings.Contains(err.Error(), "failed to") {
		t.Errorf("a file where a directory should be: %v", err)
	}
	for _, variable := range []string{"DOCKER_CONFIG", "HOME", "USERPROFILE", "home"} {
		t.Setenv(variable, "")
	}
	if err := DockerCredentials().Put(t.Context(), "b.example", Credential{}); err == nil || !strings.Contains(hintOf(err), "HOME") {
		t.Errorf("no home: %v, hint %q", err, hintOf(err))
	}
	if cred, err := DockerCredentials().Get(t.Context(), "b.example"); err != nil || cred != (Credential{}) {
		t.Errorf("no home, nothing in it: %v", err)
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
			entries.find(name, "x")
			if _, ok, _ := entries.find("other.invalid:1", "x"); ok && !strings.ContainsAny(name, "*?[") && len(entries) == 1 && !strings.Contains(strings.ToLower(name), "other.invalid") {
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
