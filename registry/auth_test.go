package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/internal/testregistry"
)

// tokenServer puts bearer tokens in front of a registry.
type tokenServer struct {
	host string

	mu     sync.Mutex
	issued int
	scopes map[string]string
	asked  []string // scopes
}

func (s *tokenServer) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/token":
			s.token(w, req)
		case s.admits(req):
			next.ServeHTTP(w, req)
		default:
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="test"`, s.host))
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		}
	})
}

func (s *tokenServer) token(w http.ResponseWriter, req *http.Request) {
	user, password, _ := req.BasicAuth()
	if user != testregistry.Username || password != testregistry.Password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued++
	token := fmt.Sprintf("token-%d", s.issued)
	scope := strings.Join(req.URL.Query()["scope"], " ")
	if s.scopes == nil {
		s.scopes = map[string]string{}
	}
	s.scopes[token] = scope
	s.asked = append(s.asked, scope)
	json.NewEncoder(w).Encode(map[string]string{"token": token})
}

// expire makes the tokens that are out worthless.
func (s *tokenServer) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.scopes)
}

func (s *tokenServer) admits(req *http.Request) bool {
	token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	scope, known := s.scopes[token]
	if !ok || !known {
		return false
	}
	reading := req.Method == http.MethodGet || req.Method == http.MethodHead
	return reading || strings.Contains(scope, "push")
}

func TestOneTokenForAWholePush(t *testing.T) {
	tokens := &tokenServer{}
	host := testregistry.Memory(t, tokens.wrap).Host
	tokens.host = host
	client := newTestClient(t, Options{Credentials: StaticCredentials(host, testregistry.Username, testregistry.Password, DockerCredentials())})
	src := newMemory()
	desc, manifest := src.artifact(t, []byte("one"))
	peer{host, client}.push(t, "m/x:v1", src, desc, manifest)
	for _, scope := range tokens.asked {
		if scope != "repository:m/x:pull,push" {
			t.Errorf("asked for %q", scope)
		}
	}
}

func TestTokenServiceDenies(t *testing.T) {
	tokens := &tokenServer{}
	host := testregistry.Memory(t, tokens.wrap).Host
	tokens.host = host
	repo := newTestRepository(t, newTestClient(t, Options{}), host+"/m/x:v1")
	_, _, err := repo.Manifest(t.Context(), repo.ref)
	if !errors.Is(err, ErrDenied) || hintOf(err) != "tare login "+host {
		t.Errorf("%v, hint %q", err, hintOf(err))
	}
}

func TestLoginThenLogout(t *testing.T) {
	host := testregistry.Debian(t, testregistry.WithAuth()).Host
	client := newTestClient(t, Options{})
	config := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")

	if _, err := client.Login(t.Context(), host, testregistry.Username, "s3cret-wrong"); !errors.Is(err, ErrDenied) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := os.Stat(config); err == nil {
		t.Error("a wrong password was saved")
	}
	saved, err := client.Login(t.Context(), host, testregistry.Username, testregistry.Password)
	if err != nil || !saved.Plaintext || filepath.Base(saved.Place) != "config.json" {
		t.Fatalf("%+v, %v", saved, err)
	}
	src := newMemory()
	desc, manifest := src.artifact(t, []byte("one"))
	peer{host, client}.push(t, "m/x:v1", src, desc, manifest)

	if err := client.Logout(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	if err := client.Logout(t.Context(), host); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("second logout: %v", err)
	}
	if data, err := os.ReadFile(config); err != nil || strings.Contains(string(data), host) {
		t.Errorf("config.json is %s (%v)", data, err)
	}
}

func TestLoginWithTokenService(t *testing.T) {
	tokens := &tokenServer{}
	host := testregistry.Memory(t, tokens.wrap).Host
	tokens.host = host
	client := newTestClient(t, Options{})
	if _, err := client.Login(t.Context(), host, testregistry.Username, "wrong"); !errors.Is(err, ErrDenied) {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := client.Login(t.Context(), host, testregistry.Username, testregistry.Password); err != nil {
		t.Error(err)
	}
}

func TestLoginKeepsTheRestOfTheConfig(t *testing.T) {
	host := testregistry.Debian(t, testregistry.WithAuth()).Host
	client := newTestClient(t, Options{})
	config := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	if err := os.WriteFile(config, []byte(`{"auths":{"other.example":{"auth":"YTpi"}},"currentContext":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Login(t.Context(), host, testregistry.Username, testregistry.Password); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(config)
	for _, want := range []string{"other.example", "YTpi", "currentContext", host} {
		if !strings.Contains(string(data), want) {
			t.Errorf("config.json has lost %q: %s", want, data)
		}
	}
}

func TestLogoutSaysWhenAnEntryIsLeft(t *testing.T) {
	client := newTestClient(t, Options{})
	config := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	if err := os.WriteFile(config, []byte(`{"auths":{"https://a.example/v1/":{"auth":"YTpi"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := client.Logout(t.Context(), "a.example"); err == nil {
		t.Error("logged out, but the credentials are still there")
	}
}

func TestDockerHubHasItsOwnKey(t *testing.T) {
	client := newTestClient(t, Options{})
	config := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	if err := os.WriteFile(config, []byte(`{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cred, err := client.auth.credential(t.Context(), parse(t, "ai/smollm2").host())
	if err != nil || cred != (auth.Credential{Username: "a", Password: "b"}) {
		t.Errorf("%v, %v", cred, err)
	}
	for _, name := range []string{"docker.io", "index.docker.io"} {
		os.WriteFile(config, []byte(`{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"}}}`), 0o600)
		if err := client.Logout(t.Context(), name); err != nil {
			t.Errorf("logging out of %s: %v", name, err)
		}
	}
}

func TestBrokenConfigDoesNotShowItsSecrets(t *testing.T) {
	host := testregistry.Debian(t, testregistry.WithAuth()).Host
	client := newTestClient(t, Options{})
	config := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	os.WriteFile(config, []byte(`{"auths":{"`+host+`":{"auth":"czNjcmV0LXRva2Vu"}}}`), 0o600) // s3cret-token
	repo := newTestRepository(t, client, host+"/m/x:v1")
	_, _, err := repo.Manifest(t.Context(), repo.ref)
	if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("%v", err)
	}
}

func TestStaticCredentialsAreForOneRegistry(t *testing.T) {
	newTestClient(t, Options{})
	store := StaticCredentials("a.example", "user", "password", DockerCredentials())
	if cred, _ := store.Get(t.Context(), "a.example"); cred.Username != "user" {
		t.Errorf("its own registry gets %q", cred.Username)
	}
	if cred, _ := store.Get(t.Context(), "b.example"); cred != auth.EmptyCredential {
		t.Error("another registry gets them too")
	}
}

// elsewhere records what it is sent.
type elsewhere struct {
	mu      sync.Mutex
	headers []http.Header
	next    http.Handler
}

func (e *elsewhere) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	e.mu.Lock()
	e.headers = append(e.headers, req.Header.Clone())
	e.mu.Unlock()
	e.next.ServeHTTP(w, req)
}

func (e *elsewhere) authorized() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.headers, func(h http.Header) bool { return h.Get("Authorization") != "" })
}

func TestRedirectedDownloadTakesNoCredentials(t *testing.T) {
	data := randomBytes(10000, 1)
	storage := &elsewhere{next: blobServer(data)}
	server := httptest.NewServer(storage)
	defer server.Close()
	tokens := &tokenServer{}
	registry := httptest.NewServer(tokens.wrap(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.Contains(req.URL.Path, "/blobs/") {
			http.Redirect(w, req, server.URL+"/presigned?X-Signature=s3cret", http.StatusTemporaryRedirect)
		}
	})))
	defer registry.Close()
	tokens.host = registry.Listener.Addr().String()
	client := newTestClient(t, Options{Credentials: StaticCredentials(tokens.host, testregistry.Username, testregistry.Password, DockerCredentials())})
	repo := newTestRepository(t, client, tokens.host+"/x")
	if _, err := repo.Download(t.Context(), describe("", data), &memorySink{}, nil); err != nil {
		t.Fatal(err)
	}
	if len(storage.headers) == 0 || storage.authorized() {
		t.Errorf("%d requests, authorized %v", len(storage.headers), storage.authorized())
	}

	storage.next = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	_, err := repo.Download(t.Context(), describe("", data), &memorySink{}, nil)
	if !errors.Is(err, ErrDenied) || hintOf(err) != "" || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v, hint %q: a login would not help", err, hintOf(err))
	}
	server.Close()
	_, err = repo.Download(t.Context(), describe("", data), &memorySink{}, nil)
	if !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
}

func TestUploadElsewhereTakesNoCredentials(t *testing.T) {
	storage := &elsewhere{next: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(http.StatusCreated)
	})}
	server := httptest.NewServer(storage)
	defer server.Close()
	tokens := &tokenServer{}
	registry := httptest.NewServer(tokens.wrap(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Location", server.URL+"/upload?state=1")
		w.WriteHeader(http.StatusAccepted)
	})))
	defer registry.Close()
	tokens.host = registry.Listener.Addr().String()
	client := newTestClient(t, Options{Credentials: StaticCredentials(tokens.host, testregistry.Username, testregistry.Password, DockerCredentials())})
	repo := newTestRepository(t, client, tokens.host+"/x")
	if _, err := repo.Upload(t.Context(), describe("", []byte("x")), blob.Bytes("x"), nil); err != nil {
		t.Fatal(err)
	}
	if len(storage.headers) != 1 || storage.authorized() {
		t.Errorf("%d requests, authorized %v", len(storage.headers), storage.authorized())
	}
}

// anyHost gives the same credentials to whoever asks.
type anyHost struct{ dockerStore }

func (anyHost) Get(context.Context, string) (auth.Credential, error) {
	return auth.Credential{Username: "user", Password: "s3cret"}, nil
}

func TestUploadElsewhereDoesNotAnswerAChallenge(t *testing.T) {
	storage := &elsewhere{next: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="give it to me"`)
		w.WriteHeader(http.StatusUnauthorized)
	})}
	server := httptest.NewServer(storage)
	defer server.Close()
	repo, _ := faultyServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Location", server.URL+"/upload")
		w.WriteHeader(map[string]int{http.MethodHead: http.StatusNotFound, http.MethodPost: http.StatusAccepted}[req.Method])
	}))
	client := newTestClient(t, Options{PlainHTTP: true, Credentials: anyHost{}})
	_, err := newTestRepository(t, client, repo.ref.String()).Upload(t.Context(), describe("", []byte("x")), blob.Bytes("x"), nil)
	if !errors.Is(err, ErrDenied) || len(storage.headers) != 1 || storage.authorized() {
		t.Errorf("%v after %d requests, authorized %v", err, len(storage.headers), storage.authorized())
	}
}
