package testregistry

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The keys of the user that [Amazon] knows.
const (
	AccessKey = "AKIDTAREEXAMPLE"
	SecretKey = "tare/test/secret/key"
)

// Amazon is the API of Amazon ECR, and what makes a registry one of Amazon's:
// it lets nobody in without a token, and nobody push to a repository that was not
// created. It answers for the private and the public service in all regions, and
// does not check signatures. [Amazon.Trust], [Amazon.WebIdentity] and
// [Amazon.Machine] make further identities.
type Amazon struct {
	// URL is for AWS_ENDPOINT_URL.
	URL string

	mu           sync.Mutex
	life         time.Duration
	issued       int
	password     string
	calls        []string
	repositories map[string]bool
	denied       string
	sessions     map[string]string // by access key, the token that goes with it, or ""
	signers      []string
	roles        map[string]role // by name
}

// NewAmazon serves until the test ends.
func NewAmazon(t testing.TB) *Amazon {
	t.Helper()
	a := &Amazon{
		life:         12 * time.Hour,
		repositories: map[string]bool{},
		sessions:     map[string]string{AccessKey: ""},
		roles:        map[string]role{},
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.URL = server.URL
	return a
}

// Calls lists what was called: the operation, the region and what it was about.
func (a *Amazon) Calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// Password is the newest that was given.
func (a *Amazon) Password() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.password
}

// SetLife is how long tokens last from now on.
func (a *Amazon) SetLife(life time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.life = life
}

// Revoke makes the newest token worthless.
func (a *Amazon) Revoke() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.password = ""
}

// Deny makes the API refuse everything with this code, empty for nothing.
func (a *Amazon) Deny(code string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.denied = code
}

var scopePattern = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/\d+/([^/]+)/(ecr|ecr-public)/aws4_request, `)

// ServeHTTP implements [http.Handler].
func (a *Amazon) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if req.PostFormValue("Action") != "" {
		a.assume(w, req)
		return
	}
	scope := scopePattern.FindStringSubmatch(req.Header.Get("Authorization"))
	service, operation, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	var input struct {
		RepositoryName string `json:"repositoryName"`
	}
	json.NewDecoder(req.Body).Decode(&input)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch {
	case scope == nil || !a.knows(scope[1], req.Header.Get("X-Amz-Security-Token")):
		refuse(w, "UnrecognizedClientException", "The security token included in the request is invalid.")
		return
	case a.denied != "":
		refuse(w, a.denied, "User: arn:aws:iam::000000000000:user/x is not authorized to perform: ecr:"+operation+" on resource: * "+req.Header.Get("Authorization"))
		return
	}
	a.calls = append(a.calls, strings.TrimSpace(operation+" "+scope[2]+" "+input.RepositoryName))
	switch operation {
	case "GetAuthorizationToken":
		a.signers = append(a.signers, scope[1])
		a.give(w, service == "SpencerFrontendService")
	case "CreateRepository":
		if a.repositories[input.RepositoryName] {
			refuse(w, "RepositoryAlreadyExistsException", "The repository already exists.")
			return
		}
		a.repositories[input.RepositoryName] = true
		fmt.Fprintf(w, `{"repository":{"repositoryName":%q}}`, input.RepositoryName)
	default:
		refuse(w, "UnknownOperationException", "")
	}
}

func refuse(w http.ResponseWriter, code, message string) {
	w.WriteHeader(http.StatusBadRequest)
	json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}

// give answers with a new token.
func (a *Amazon) give(w http.ResponseWriter, public bool) {
	a.issued++
	end := time.Now().Add(a.life)
	a.password = ECRPassword(fmt.Sprintf("s3cret-token-%d", a.issued), end)
	data := map[string]any{
		"authorizationToken": base64.StdEncoding.EncodeToString([]byte("AWS:" + a.password)),
		"expiresAt":          end.Unix(),
	}
	if public {
		json.NewEncoder(w).Encode(map[string]any{"authorizationData": data})
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"authorizationData": []any{data}})
}

// ECRPassword is a password as Amazon ECR gives them.
func ECRPassword(payload string, end time.Time) string {
	data, _ := json.Marshal(map[string]any{"payload": payload, "version": "2", "type": "DATA_KEY", "expiration": end.Unix()})
	return base64.StdEncoding.EncodeToString(data)
}

var pathPattern = regexp.MustCompile(`^/v2/(.+?)/(?:blobs|manifests)/`)

// Guard makes a registry one of Amazon's.
func (a *Amazon) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		user, password, _ := req.BasicAuth()
		repository := ""
		if m := pathPattern.FindStringSubmatch(req.URL.Path); m != nil {
			repository = m[1]
		}
		_, bare, _ := strings.Cut(repository, "/") // of a public one, behind its alias
		a.mu.Lock()
		known := user == "AWS" && password != "" && password == a.password
		missing := repository != "" && !a.repositories[repository] && !a.repositories[bare]
		a.mu.Unlock()
		switch {
		case !known:
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Basic realm="https://%s/",service="ecr.amazonaws.com"`, req.Host))
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, "Not Authorized\n")
		case missing:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, `{"errors":[{"code":"NAME_UNKNOWN","message":"The repository with name '%s' does not exist in the registry"}]}`, repository)
		default:
			next.ServeHTTP(w, req)
		}
	})
}
