package ecr

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tareml/tare/internal/testregistry"
	"github.com/tareml/tare/registry"
)

// watched is a store whose requests are shown in out.
func watched(out *bytes.Buffer) *Store {
	return New(Options{Debug: registry.Options{Debug: out}.ShowCall}, memory{})
}

// wantLines compares what was shown with patterns, a line each, and looks for what
// nobody should see.
func wantLines(t *testing.T, shown string, patterns ...string) {
	t.Helper()
	if want := strings.Join(patterns, "\n") + "\n"; !regexp.MustCompile("^" + want + "$").MatchString(shown) {
		t.Errorf("shown:\n%swant:\n%s", shown, want)
	}
	for _, secret := range []string{"s3cret", testregistry.SecretKey, testregistry.AccessKey, "Signature", "AWS4", "eyJ", "QVdTOm"} {
		if strings.Contains(shown, secret) {
			t.Errorf("%q is shown:\n%s", secret, shown)
		}
	}
}

const took = `, [0-9.]+m?s`

func TestDebugShowsCalls(t *testing.T) {
	amazon := withAPI(t)
	var out bytes.Buffer
	s := watched(&out)
	if _, err := s.Get(t.Context(), china); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateRepository(t.Context(), oregon, "team/x"); err != nil {
		t.Fatal(err)
	}
	amazon.Deny("AccessDeniedException")
	if _, err := s.Get(t.Context(), public); err != nil {
		t.Fatal(err)
	}
	wantLines(t, out.String(),
		"debug: POST "+amazon.URL+" GetAuthorizationToken: 200 OK"+took,
		"debug: POST "+amazon.URL+" CreateRepository: 200 OK"+took,
		"debug: POST "+amazon.URL+" GetAuthorizationToken: 400 Bad Request"+took)
}

// TestDebugShowsEachAttempt, though nobody answers.
func TestDebugShowsEachAttempt(t *testing.T) {
	withAPI(t)
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1/s3cret")
	var out bytes.Buffer
	if _, err := watched(&out).Get(t.Context(), china); err == nil {
		t.Fatal("no error")
	}
	line := `debug: POST http://127\.0\.0\.1:1 GetAuthorizationToken: no answer: dial tcp 127\.0\.0\.1:1: .*refused.*` + took
	wantLines(t, out.String(), line, line, line)
}

// TestDebugShowsWhoGivesCredentials, and none of them.
func TestDebugShowsWhoGivesCredentials(t *testing.T) {
	end := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	keys := fmt.Sprintf(`"AccessKeyId":%q,"SecretAccessKey":%q,"Token":"s3cret-session","Expiration":%q`, testregistry.AccessKey, testregistry.SecretKey, end)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/": // STS
			fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>%s</AccessKeyId>`+
				`<SecretAccessKey>%s</SecretAccessKey><SessionToken>s3cret-session</SessionToken><Expiration>%s</Expiration></Credentials>`+
				`</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, testregistry.AccessKey, testregistry.SecretKey, end)
		case req.Method == http.MethodPut:
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			io.WriteString(w, "s3cret-token")
		case strings.HasSuffix(req.URL.Path, "/s3cret-role"), strings.HasPrefix(req.URL.Path, "/s3cret-container"):
			io.WriteString(w, `{"Code":"Success",`+keys+`}`)
		default:
			io.WriteString(w, "s3cret-role")
		}
	}))
	defer server.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret-identity"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"a web identity": {
			map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:aws:iam::1:role/x", "AWS_ENDPOINT_URL_STS": server.URL},
			[]string{"POST " + server.URL + " AssumeRoleWithWebIdentity: 200 OK"},
		},
		"a container": {
			map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": server.URL + "/s3cret-container?id=s3cret", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "s3cret"},
			[]string{"GET " + server.URL + " GetCredentials: 200 OK"},
		},
		"a machine": {
			map[string]string{"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": server.URL},
			[]string{"PUT " + server.URL + " getToken: 200 OK", "GET " + server.URL + " GetMetadata: 200 OK", "GET " + server.URL + " GetMetadata: 200 OK"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			amazon := withAPI(t)
			t.Setenv("AWS_ACCESS_KEY_ID", "")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "")
			for variable, value := range test.env {
				t.Setenv(variable, value)
			}
			var out bytes.Buffer
			if _, err := watched(&out).Get(t.Context(), china); err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, call := range append(test.want, "POST "+amazon.URL+" GetAuthorizationToken: 200 OK") {
				want = append(want, "debug: "+call+took)
			}
			wantLines(t, out.String(), want...)
		})
	}
}
