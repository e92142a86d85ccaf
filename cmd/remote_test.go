package cmd

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/registry"
)

func TestEnvironmentCredentialsAreForOneRegistry(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	for _, test := range []struct{ user, password, registry, asked, want string }{
		{"u", "p", "", "a.example", "u"},
		{"u", "p", "", "mirror.example", ""},
		{"u", "p", "other.example", "a.example", ""},
		{"u", "p", "other.example", "other.example", "u"},
		{"u", "p", "OTHER.example", "other.example", "u"},
		{"u", "p", "index.docker.io", "https://index.docker.io/v1/", "u"},
		{"", "", "", "a.example", ""},
	} {
		t.Setenv("TARE_USERNAME", test.user)
		t.Setenv("TARE_PASSWORD", test.password)
		t.Setenv("TARE_REGISTRY", test.registry)
		o := registry.Options{Credentials: registry.DockerCredentials()}
		if err := useEnvironment(&o, "a.example"); err != nil {
			t.Fatal(err)
		}
		if cred, err := o.Credentials.Get(context.Background(), test.asked); err != nil || cred.Username != test.want {
			t.Errorf("%+v: %q, %v", test, cred.Username, err)
		}
	}
}

func TestHalfOfTheCredentialsIsWrongUsage(t *testing.T) {
	ref := registry.Reference{Registry: "a.example", Repository: "x"}
	for _, env := range []map[string]string{{"TARE_USERNAME": "u"}, {"TARE_PASSWORD": "p"}, {"TARE_USERNAME": "u", "TARE_PASSWORD": "p", "TARE_REGISTRY": "a/b"}} {
		for _, name := range []string{"TARE_USERNAME", "TARE_PASSWORD", "TARE_REGISTRY"} {
			t.Setenv(name, env[name])
		}
		_, err := (&remoteFlags{}).repository(ref)
		wrong, ok := errors.AsType[*usageError](err)
		if !ok || wrong == nil {
			t.Errorf("%v: %v", env, err)
		} else if len(env) == 1 && !strings.HasPrefix(wrong.Hint(), "set TARE_") {
			t.Errorf("%v: the hint is %q", env, wrong.Hint())
		}
	}
}

// TestPasswordWithALineBreak: no registry would say what is wrong with it.
func TestPasswordWithALineBreak(t *testing.T) {
	t.Setenv("TARE_USERNAME", "u")
	for password, wrong := range map[string]bool{"p\n": true, "p\r\n": true, "p": false, "p\nq": false, " p ": false} {
		t.Setenv("TARE_PASSWORD", password)
		err := useEnvironment(&registry.Options{}, "a.example")
		if wrong != (err != nil) {
			t.Errorf("%q: %v", password, err)
		}
		if h, ok := errors.AsType[*hintedError](err); wrong && (!ok || !strings.Contains(h.Hint(), "without it")) {
			t.Errorf("%q: no hint in %v", password, err)
		}
	}
}

// TestAdviceForASecondRegistry: a login is of no use to what has its credentials
// from the environment.
func TestAdviceForASecondRegistry(t *testing.T) {
	s := environmentStore{registry.DockerCredentials(), "a.example"}
	for name, want := range map[string]string{
		"a.example": "", // which was asked for none
		"b.example": "TARE_USERNAME is for a.example alone; for b.example too, name a file with credentials for both in TARE_AUTH_FILE, or: tare login b.example",
	} {
		if got := s.Advise(name, registry.Refusal{Status: 401, Anonymous: true}); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := s.Advise("b.example", registry.Refusal{Status: 404}); got != "" {
		t.Errorf("not found: %q", got)
	}
}

// TestAuthFileThatIsNotThere: the help of no command has what to do about it.
func TestAuthFileThatIsNotThere(t *testing.T) {
	t.Setenv(authFileVariable, filepath.Join(t.TempDir(), "secret"))
	_, err := (&remoteFlags{}).repository(registry.Reference{Registry: "a.example", Repository: "x"})
	if wrong, ok := errors.AsType[*usageError](err); !ok || !strings.Contains(wrong.Hint(), "unset "+authFileVariable) {
		t.Errorf("%v", err)
	}
}

// TestRegistryCommandsHaveTheFlags: whoever needs a proxy needs it everywhere.
func TestRegistryCommandsHaveTheFlags(t *testing.T) {
	root := (&app{}).newRootCommand()
	for _, name := range []string{"push", "pull", "extract", "fetch", "sync", "inspect", "login"} {
		cmd, _, err := root.Find([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range []string{"proxy", "ca-file", "cert-file", "key-file", "limit-rate", "debug", "insecure", "plain-http"} {
			if cmd.Flags().Lookup(flag) == nil {
				t.Errorf("%s has no --%s", name, flag)
			}
		}
	}
}

func TestDebugAndABarDoNotMix(t *testing.T) {
	for _, test := range []struct {
		mode  progress.Mode
		debug string
		want  progress.Mode
	}{
		{progress.Auto, "true", progress.Plain}, {progress.Auto, "false", progress.Auto},
		{progress.None, "true", progress.None}, {progress.JSON, "true", progress.JSON}, {progress.Bar, "true", progress.Bar},
	} {
		cmd := &cobra.Command{}
		(&remoteFlags{}).register(cmd)
		if err := cmd.Flags().Set("debug", test.debug); err != nil {
			t.Fatal(err)
		}
		if got := (&app{progress: string(test.mode)}).progressMode(cmd); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}
