package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/testregistry"
)

// TestAmazonIdentities has each kind of identity, alone, log in at a registry of
// Amazon's and push to it. The password is one that the API gave to this identity: the
// registry takes no other.
func TestAmazonIdentities(t *testing.T) {
	for name, setup := range map[string]func(*testing.T, *amazonUser) (accessKey string){
		"environment":  environmentIdentity,
		"profile":      profileIdentity,
		"web identity": webIdentity,
		"machine":      machineIdentity,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newAmazonUser(t)
			accessKey := setup(t, u)
			if out := u.tare(t, "login", amazonHost); !strings.Contains(out, "no login is needed at "+amazonHost) {
				t.Errorf("login says %q", out)
			}
			u.checkSigners(t, accessKey)
			model, err := filepath.Abs("testdata/model")
			if err != nil {
				t.Fatal(err)
			}
			ref := amazonHost + "/team/tiny:v1"
			u.tare(t, "build", "-t", ref, model)
			if out := u.tare(t, "push", "--create-repository", ref); !strings.Contains(out, "pushed "+ref) {
				t.Errorf("push says %q", out)
			}
			u.tare(t, "inspect", "--remote", ref)
			u.checkSigners(t, accessKey)
		})
	}
}

// TestAmazonRefusesOtherIdentities shows that the identities above are looked at.
func TestAmazonRefusesOtherIdentities(t *testing.T) {
	for name, setup := range map[string]func(*testing.T, *amazonUser){
		"a profile with other keys": func(t *testing.T, u *amazonUser) {
			u.env = append(u.env, "AWS_PROFILE=team")
			u.write(t, "credentials", "[team]\naws_access_key_id = AKIDSTRANGER\naws_secret_access_key = x\n")
		},
		"a token of somebody else": func(t *testing.T, u *amazonUser) {
			webIdentity(t, u)
			u.write(t, "token", "not-the-token")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newAmazonUser(t)
			setup(t, u)
			out, err := u.command("login", amazonHost).CombinedOutput()
			if err == nil || len(u.api.Signers()) > 0 {
				t.Errorf("%v: %s", u.api.Signers(), out)
			}
		})
	}
}

const amazonHost = "000000000000.dkr.ecr.cn-north-1.amazonaws.com.cn"

func environmentIdentity(_ *testing.T, u *amazonUser) string {
	u.env = append(u.env, "AWS_ACCESS_KEY_ID="+testregistry.AccessKey, "AWS_SECRET_ACCESS_KEY="+testregistry.SecretKey)
	return testregistry.AccessKey
}

// profileIdentity is not that of the default profile.
func profileIdentity(t *testing.T, u *amazonUser) string {
	const accessKey = "AKIDTAREPROFILE"
	u.api.Trust(accessKey)
	u.env = append(u.env, "AWS_PROFILE=team")
	u.write(t, "credentials", fmt.Sprintf("[default]\naws_access_key_id = AKIDSTRANGER\naws_secret_access_key = x\n\n"+
		"[team]\naws_access_key_id = %s\naws_secret_access_key = %s\n", accessKey, testregistry.SecretKey))
	return accessKey
}

func webIdentity(t *testing.T, u *amazonUser) string {
	const role, token = "arn:aws-cn:iam::000000000000:role/pusher", "eyJ0.of-a-service-account.x"
	u.env = append(u.env, "AWS_ROLE_ARN="+role, "AWS_WEB_IDENTITY_TOKEN_FILE="+u.write(t, "token", token))
	return u.api.WebIdentity(role, token)
}

func machineIdentity(t *testing.T, u *amazonUser) string {
	url, accessKey := u.api.Machine(t)
	u.env = append(u.env, "AWS_EC2_METADATA_DISABLED=false", "AWS_EC2_METADATA_SERVICE_ENDPOINT="+url)
	return accessKey
}

// amazonUser is somebody with nothing but what is written to dir and env.
type amazonUser struct {
	api *testregistry.Amazon
	dir string
	env []string
}

func newAmazonUser(t *testing.T) *amazonUser {
	t.Helper()
	u := &amazonUser{api: testregistry.NewAmazon(t), dir: t.TempDir()}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "AWS_") && !strings.HasPrefix(variable, "TARE_") {
			u.env = append(u.env, variable)
		}
	}
	host := testregistry.Memory(t, u.api.Guard).Host
	u.write(t, filepath.Join("certs.d", amazonHost, "hosts.toml"), fmt.Sprintf("server = \"http://%s\"\n", host))
	u.env = append(u.env,
		"HOME="+u.path("home"), "USERPROFILE="+u.path("home"), "DOCKER_CONFIG="+u.path("docker"),
		"TARE_STORE="+u.path("store"), "TARE_HOSTS_DIR="+u.path("certs.d"), "GORACE=atexit_sleep_ms=0",
		"AWS_ENDPOINT_URL="+u.api.URL, "AWS_ENDPOINT_URL_STS="+u.api.URL, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE="+u.path("config"), "AWS_SHARED_CREDENTIALS_FILE="+u.path("credentials"))
	return u
}

func (u *amazonUser) path(name string) string { return filepath.Join(u.dir, name) }

func (u *amazonUser) write(t *testing.T, name, content string) (path string) {
	t.Helper()
	path = u.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (u *amazonUser) command(args ...string) *exec.Cmd {
	cmd := exec.Command("tare", args...)
	cmd.Env = u.env
	return cmd
}

// tare runs what has to work.
func (u *amazonUser) tare(t *testing.T, args ...string) string {
	t.Helper()
	out, err := u.command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("tare %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// checkSigners says that tokens were asked for, and with this key alone.
func (u *amazonUser) checkSigners(t *testing.T, accessKey string) {
	t.Helper()
	signers := u.api.Signers()
	if len(signers) == 0 || slices.ContainsFunc(signers, func(s string) bool { return s != accessKey }) {
		t.Errorf("tokens were asked for with %q, want %s", signers, accessKey)
	}
}
