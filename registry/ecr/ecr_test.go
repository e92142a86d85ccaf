package ecr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tareml/tare/internal/testregistry"
	"github.com/tareml/tare/registry"
)

const (
	china  = "000000000000.dkr.ecr.cn-north-1.amazonaws.com.cn"
	oregon = "123456789012.dkr.ecr.us-west-2.amazonaws.com"
	public = "public.ecr.aws"
)

// memory is what docker knows.
type memory struct {
	registry.CredentialStore
	known map[string]registry.Credential
	err   error
}

func (m memory) Get(_ context.Context, server string) (registry.Credential, error) {
	return m.known[server], m.err
}

// isolate keeps the machine's own AWS configuration out of a test.
func isolate(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "credentials"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// withAPI is a fake API, and the keys for it in the environment.
func withAPI(t *testing.T) *testregistry.Amazon {
	t.Helper()
	isolate(t)
	amazon := testregistry.NewAmazon(t)
	t.Setenv("AWS_ENDPOINT_URL", amazon.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", testregistry.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testregistry.SecretKey)
	return amazon
}

func TestNamesOfRegistries(t *testing.T) {
	for name, want := range map[string]home{
		china:  {account: "000000000000", region: "cn-north-1"},
		oregon: {account: "123456789012", region: "us-west-2"},
		public: {region: "us-east-1", public: true},
		"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com": {account: "123456789012", region: "us-gov-west-1", fips: true},
		"123456789012.dkr-ecr.eu-west-1.on.aws":                 {account: "123456789012", region: "eu-west-1"},
		"12345.dkr.ecr.us-west-2.amazonaws.com":                 {},
		"123456789012.dkr.ecr.us-west-2.amazonaws.com.evil.org": {},
		"evil-public.ecr.aws":                                   {},
		"docker.io":                                             {},
		"https://index.docker.io/v1/":                           {},
		"":                                                      {},
	} {
		if got, ok := parse(name); got != want || ok != (want != home{}) {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}

func TestTokenIsAskedOnceForEachRegistry(t *testing.T) {
	amazon := withAPI(t)
	s := New(Options{UserAgent: "tare/test"}, memory{})
	for range 2 {
		for _, name := range []string{china, oregon} {
			cred, err := s.Get(t.Context(), name)
			if err != nil || cred.Username != "AWS" || !strings.HasPrefix(cred.Password, "ey") {
				t.Fatalf("%s: %q, %v", name, cred.Username, err)
			}
		}
	}
	want := []string{"GetAuthorizationToken cn-north-1", "GetAuthorizationToken us-west-2"}
	if got := amazon.Calls(); !slices.Equal(got, want) {
		t.Errorf("called %q, want %q", got, want)
	}
}

func TestNoFileKeepsTokens(t *testing.T) {
	amazon := withAPI(t)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("AWS_ECR_CACHE_DIR", filepath.Join(home, "cache"))
	if _, err := New(Options{}, memory{}).Get(t.Context(), china); err != nil || len(amazon.Calls()) != 1 {
		t.Fatal(err, amazon.Calls())
	}
	if entries, err := os.ReadDir(home); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v was written", err, entries)
	}
}

func TestTokenIsRenewed(t *testing.T) {
	amazon := withAPI(t)
	s := New(Options{}, memory{})
	now := time.Now()
	s.now = func() time.Time { return now }
	for i, step := range []struct {
		pass    time.Duration
		refused bool
		calls   int
	}{
		{0, false, 1},
		{10 * time.Hour, false, 1},
		{0, true, 2},                        // the registry does not take it
		{time.Hour + time.Minute, false, 3}, // less than an hour is left
	} {
		now = now.Add(step.pass)
		ctx := registry.WithLookup(t.Context(), registry.Lookup{Refused: step.refused})
		if _, err := s.Get(ctx, china); err != nil || len(amazon.Calls()) != step.calls {
			t.Errorf("step %d: %v after %d calls, want %d", i, err, len(amazon.Calls()), step.calls)
		}
	}
}

func TestWhatDockerKnowsComesFirst(t *testing.T) {
	amazon := withAPI(t)
	good := testregistry.ECRPassword("x", time.Now().Add(time.Minute))
	old := testregistry.ECRPassword("x", time.Now().Add(-time.Minute))
	for password, want := range map[string]bool{"plain": true, good: true, old: false} {
		s := New(Options{}, memory{known: map[string]registry.Credential{china: {Username: "AWS", Password: password}}})
		cred, err := s.Get(t.Context(), china)
		if err != nil || (cred.Password == password) != want {
			t.Errorf("%.20s: %v, %v", password, cred.Password == password, err)
		}
	}
	if n := len(amazon.Calls()); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestHelperThatIsMissingIsNotNeeded(t *testing.T) {
	withAPI(t)
	missing := &os.PathError{Op: "exec", Path: "docker-credential-ecr-login", Err: os.ErrNotExist}
	if _, err := New(Options{}, memory{err: missing}).Get(t.Context(), china); !errors.Is(err, missing) {
		t.Errorf("a file that is missing: %v", err)
	}
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	config := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	if err := os.WriteFile(config, []byte(`{"credHelpers":{"`+china+`":"ecr-login-that-nobody-has"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if cred, err := New(Options{}, registry.DockerCredentials()).Get(t.Context(), china); err != nil || cred.Username != "AWS" {
		t.Errorf("%q, %v", cred.Username, err)
	}
}

func TestOtherRegistriesDoNotTouchAWS(t *testing.T) {
	amazon := withAPI(t)
	t.Setenv("AWS_PROFILE", "that-nobody-has")
	s := New(Options{Transport: func(*http.Transport) error { t.Error("AWS was configured"); return nil }}, memory{})
	if cred, err := s.Get(t.Context(), "ghcr.io"); err != nil || cred != (registry.Credential{}) || len(amazon.Calls()) > 0 {
		t.Errorf("%v, %v", cred, err)
	}
}

func TestPublicRegistry(t *testing.T) {
	amazon := withAPI(t)
	push := registry.WithLookup(t.Context(), registry.Lookup{Push: true})
	s := New(Options{}, memory{})
	if cred, err := s.Get(t.Context(), public); err != nil || cred.Username != "AWS" || !slices.Equal(amazon.Calls(), []string{"GetAuthorizationToken us-east-1"}) {
		t.Errorf("%q, %v, %q", cred.Username, err, amazon.Calls())
	}
	amazon.Deny("AccessDeniedException")
	s = New(Options{}, memory{})
	if cred, err := s.Get(t.Context(), public); err != nil || cred != (registry.Credential{}) {
		t.Errorf("a pull without permission: %v, %v", cred, err)
	}
	if _, err := s.Get(push, public); !errors.Is(err, registry.ErrDenied) {
		t.Errorf("a push without permission: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	if cred, err := s.Get(t.Context(), public); err != nil || cred != (registry.Credential{}) {
		t.Errorf("a pull of nobody: %v, %v", cred, err)
	}
	if _, err := s.Get(push, public); !errors.Is(err, registry.ErrDenied) || hintOf(err) != credentialsHint {
		t.Errorf("a push of nobody: %v", err)
	}
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// TestWhatIsMissingIsNamed, and no secret with it.
func TestWhatIsMissingIsNamed(t *testing.T) {
	old := map[string]registry.Credential{china: {Username: "AWS", Password: testregistry.ECRPassword("x", time.Now().Add(-time.Minute))}}
	for name, test := range map[string]struct {
		env        map[string]string
		deny       string
		known      map[string]registry.Credential
		text, hint string
		kind       error
	}{
		"nothing":         {env: map[string]string{"AWS_ACCESS_KEY_ID": ""}, text: "neither the environment nor", hint: credentialsHint, kind: registry.ErrDenied},
		"an old token":    {env: map[string]string{"AWS_ACCESS_KEY_ID": ""}, known: old, text: "token that was saved", hint: credentialsHint, kind: registry.ErrDenied},
		"a profile":       {env: map[string]string{"AWS_PROFILE": "gone"}, text: `profile "gone"`, hint: "AWS_PROFILE", kind: registry.ErrDenied},
		"another key":     {env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIDOTHER"}, text: "does not know the access key", hint: "AWS_ACCESS_KEY_ID", kind: registry.ErrDenied},
		"another secret":  {deny: "InvalidSignatureException", text: "secret key does not belong", hint: "AWS_SECRET_ACCESS_KEY", kind: registry.ErrDenied},
		"ended":           {deny: "ExpiredTokenException", text: "have ended", hint: "aws sso login", kind: registry.ErrDenied},
		"a permission":    {deny: "AccessDeniedException", text: "not authorized", hint: "permit ecr:GetAuthorizationToken", kind: registry.ErrDenied},
		"something":       {deny: "StrangeException", text: "StrangeException"},
		"the server":      {env: map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, text: "refused", kind: registry.ErrUnreachable},
		"a web identity":  {env: map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/x"}, text: "a web identity", hint: "aws sts", kind: registry.ErrDenied},
		"a broken config": {env: map[string]string{"AWS_CONFIG_FILE": "broken", "AWS_ACCESS_KEY_ID": ""}, text: "configuration of AWS", hint: "aws sts", kind: registry.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			amazon := withAPI(t)
			amazon.Deny(test.deny)
			for variable, value := range test.env {
				if value == "broken" {
					value = filepath.Join(t.TempDir(), "config")
					if err := os.WriteFile(value, []byte("[default]\nrole_arn = x\nsource_profile = gone\naws_secret_access_key = "+testregistry.SecretKey+"\n"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				t.Setenv(variable, value)
			}
			_, err := New(Options{}, memory{known: test.known}).Get(t.Context(), china)
			if err == nil || !strings.Contains(err.Error(), test.text) || !strings.Contains(hintOf(err), test.hint) || test.kind != nil && !errors.Is(err, test.kind) {
				t.Fatalf("%v, hint %q", err, hintOf(err))
			}
			if all := err.Error() + hintOf(err); strings.Contains(all, testregistry.SecretKey) || test.deny != "AccessDeniedException" && strings.Contains(all, "Signature=") {
				t.Errorf("a secret is shown: %s", all)
			}
		})
	}
}

// TestAWSInTrouble is an error of the network, soon, with what to do about it.
func TestAWSInTrouble(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_ACCESS_KEY_ID", testregistry.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testregistry.SecretKey)
	for name, test := range map[string]struct {
		status     int
		body       string
		text, hint string
		kind       error
	}{
		"silent":       {0, "", "no answer", "AWS_ENDPOINT_URL", registry.ErrUnreachable},
		"too busy":     {400, `{"__type":"ThrottlingException","message":"Rate exceeded"}`, "ThrottlingException", "again in a minute", registry.ErrUnavailable},
		"broken":       {500, `{"message":"x"}`, "status 500", "later", registry.ErrUnavailable},
		"something":    {200, "<html>s3cret</html>", "cannot be used", "is that AWS?", registry.ErrUnavailable},
		"without one":  {200, "{}", "there is none", "is that AWS?", registry.ErrUnavailable},
		"with no such": {200, `{"authorizationData":[{"authorizationToken":"!s3cret"}]}`, "there is none", "is that AWS?", registry.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				io.Copy(io.Discard, req.Body)
				if test.status == 0 {
					<-req.Context().Done()
					return
				}
				w.Header().Set("Content-Type", "application/x-amz-json-1.1")
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			}))
			defer server.Close()
			t.Setenv("AWS_ENDPOINT_URL", server.URL)
			ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
			defer cancel()
			_, err := New(Options{attempt: 100 * time.Millisecond}, memory{}).Get(ctx, china)
			if !errors.Is(err, test.kind) || ctx.Err() != nil {
				t.Fatalf("%v (%v)", err, ctx.Err())
			}
			if !strings.Contains(err.Error(), test.text) || !strings.Contains(hintOf(err), test.hint) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v, hint %q", err, hintOf(err))
			}
		})
	}
}

// TestMachineThatDoesNotAnswer must not keep anybody waiting: the service that
// tells who a machine is takes the connection and is silent.
func TestMachineThatDoesNotAnswer(t *testing.T) {
	isolate(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://"+listener.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 2*machineTimeout)
	defer cancel()
	if _, err := New(Options{}, memory{}).Get(ctx, china); ctx.Err() != nil || hintOf(err) != credentialsHint {
		t.Errorf("%v, hint %q, %v", err, hintOf(err), ctx.Err())
	}
	if cred, err := New(Options{}, memory{}).Get(t.Context(), public); err != nil || cred != (registry.Credential{}) {
		t.Errorf("public: %v, %v", cred, err)
	}
}

// TestMachineRole is an instance profile.
func TestMachineRole(t *testing.T) {
	amazon := withAPI(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	machine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.Method == http.MethodPut:
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			fmt.Fprint(w, "token")
		case strings.HasSuffix(req.URL.Path, "/role"):
			fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":%q,"SecretAccessKey":%q,"Token":"t","Expiration":%q}`,
				testregistry.AccessKey, testregistry.SecretKey, time.Now().Add(time.Hour).Format(time.RFC3339))
		default:
			fmt.Fprint(w, "role")
		}
	}))
	defer machine.Close()
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.URL)
	if cred, err := New(Options{}, memory{}).Get(t.Context(), china); err != nil || cred.Password != amazon.Password() {
		t.Errorf("%v", err)
	}
}

func TestInterrupted(t *testing.T) {
	withAPI(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(Options{}, memory{}).Get(ctx, china); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestCreateRepository(t *testing.T) {
	amazon := withAPI(t)
	s := New(Options{}, memory{})
	for _, test := range []struct {
		name, repository string
		created, ok      bool
	}{
		{china, "team/qwen3", true, true},
		{china, "team/qwen3", false, true},
		{public, "alias/team/other", true, true},
		{public, "alias", false, false},
		{"ghcr.io", "team/x", false, false},
	} {
		created, err := s.CreateRepository(t.Context(), test.name, test.repository)
		if created != test.created || (err == nil) != test.ok {
			t.Errorf("%+v: %v, %v", test, created, err)
		}
	}
	want := []string{"CreateRepository cn-north-1 team/qwen3", "CreateRepository cn-north-1 team/qwen3", "CreateRepository us-east-1 team/other"}
	if got := amazon.Calls(); !slices.Equal(got, want) {
		t.Errorf("called %q, want %q", got, want)
	}
	amazon.Deny("AccessDeniedException")
	if _, err := s.CreateRepository(t.Context(), china, "x"); !errors.Is(err, registry.ErrDenied) || !strings.Contains(hintOf(err), "ecr:CreateRepository") {
		t.Errorf("%v, hint %q", err, hintOf(err))
	}
}

func TestAdvice(t *testing.T) {
	s := New(Options{}, memory{})
	for _, test := range []struct {
		name    string
		refusal registry.Refusal
		want    string
	}{
		{oregon, registry.Refusal{Status: 404, Code: "NAME_UNKNOWN", Repository: "team/x", Writing: true},
			"aws ecr create-repository --repository-name team/x --region us-west-2, or --create-repository"},
		{public, registry.Refusal{Status: 404, Code: "NAME_UNKNOWN", Repository: "alias/x", Writing: true},
			"aws ecr-public create-repository --repository-name x --region us-east-1, or --create-repository"},
		{oregon, registry.Refusal{Status: 404, Code: "NAME_UNKNOWN", Repository: "team/x"}, ""},
		{oregon, registry.Refusal{Status: 403, Message: "denied: User: arn:aws:iam::1:user/x is not authorized to perform: ecr:InitiateLayerUpload on resource: y"},
			"permit ecr:InitiateLayerUpload, in a policy of whoever this is or in that of the repository"},
		{oregon, registry.Refusal{Status: 403, Message: "denied: Your authorization token has expired. Reauthenticate and try again."},
			"tare logout " + oregon + " removes the old token; with AWS credentials none has to be saved"},
		{public, registry.Refusal{Status: 401, Anonymous: true}, credentialsHint},
		{"ghcr.io", registry.Refusal{Status: 401, Anonymous: true}, ""},
	} {
		if got := s.Advise(test.name, test.refusal); got != test.want {
			t.Errorf("%s, %+v: %q, want %q", test.name, test.refusal, got, test.want)
		}
	}
}
