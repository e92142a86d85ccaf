package testregistry

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	service = "tare-test-registry"
	issuer  = "tare-test-tokens"

	// leeway is for how long after its end both versions of the program still
	// take a token.
	leeway = time.Minute
)

// Tokens is a token service for [Username], which grants whatever is asked for.
type Tokens struct {
	// URL is where tokens are given, the realm of the registry.
	URL string

	signer *identity

	mu     sync.Mutex
	life   time.Duration
	told   time.Duration
	scopes []string
}

// newTokens serves tokens until the test ends, over TLS if there are files.
func newTokens(t testing.TB, files *tlsFiles) *Tokens {
	t.Helper()
	s := &Tokens{signer: newIdentity(t, issuer, nil), life: 5 * time.Minute, told: 5 * time.Minute}
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that refuse the certificate
	if files == nil {
		server.Start()
	} else {
		pair, err := tls.LoadX509KeyPair(files.cert, files.key)
		if err != nil {
			t.Fatal(err)
		}
		server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	s.URL = server.URL + "/token"
	return s
}

// SetLife makes the registry refuse each token that is given from now on once it
// is life old (to the second), while clients are told that it lives for told.
func (s *Tokens) SetLife(life, told time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life, s.told = life, told
}

// Given lists the scopes for which a token was given, one entry a token. Several
// scopes of one token stand in one entry, with spaces between them.
func (s *Tokens) Given() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.scopes)
}

// ServeHTTP implements [http.Handler].
func (s *Tokens) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	user, password, _ := req.BasicAuth()
	query := req.URL.Query()
	switch {
	case user != Username || password != Password:
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"wrong user or password"}]}`, http.StatusUnauthorized)
		return
	case req.Method != http.MethodGet || query.Get("service") != service:
		http.Error(w, `{"errors":[{"code":"UNSUPPORTED","message":"not a question for this service"}]}`, http.StatusBadRequest)
		return
	}
	token, told, err := s.give(strings.Fields(strings.Join(query["scope"], " ")))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": int(told.Seconds())})
}

// give makes a token and remembers it.
func (s *Tokens) give(scopes []string) (token string, told time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	token, err = s.sign(map[string]any{
		"iss":    issuer,
		"sub":    Username,
		"aud":    service,
		"exp":    now.Add(s.life - leeway).Unix(),
		"nbf":    now.Add(-time.Hour).Unix(),
		"iat":    now.Unix(),
		"jti":    rand.Text(),
		"access": access(scopes),
	})
	s.scopes = append(s.scopes, strings.Join(scopes, " "))
	return token, s.told, err
}

// sign makes a JSON Web Token. Its header has the certificate of the signer in
// it, which is how both versions of the program find the key.
func (s *Tokens) sign(claims map[string]any) (string, error) {
	header, err := json.Marshal(map[string]any{
		"typ": "JWT",
		"alg": "ES256",
		"x5c": []string{base64.StdEncoding.EncodeToString(s.signer.cert.Raw)},
	})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	r, q, err := ecdsa.Sign(rand.Reader, s.signer.key, sum[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	q.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// grant is what a token lets its bearer do with one repository.
type grant struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// access reads scopes, TYPE:NAME:ACTION,ACTION. The name may have colons.
func access(scopes []string) []grant {
	grants := []grant{}
	for _, scope := range scopes {
		kind, rest, _ := strings.Cut(scope, ":")
		i := strings.LastIndexByte(rest, ':')
		if i < 0 {
			continue
		}
		grants = append(grants, grant{kind, rest[:i], strings.Split(rest[i+1:], ",")})
	}
	return grants
}

// bundle is what the registry has to trust.
func (s *Tokens) bundle() string { return encodePEM("CERTIFICATE", s.signer.cert.Raw) }
