package faultregistry_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"testing"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"github.com/tareml/tare/internal/faultregistry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const size = 1 << 16

// answer is what came back: as much of the body as could be read.
type answer struct {
	status int
	header http.Header
	body   []byte
	length int64 // as declared
	err    error
}

// newClient follows nothing, uncompresses nothing and is gone with the test.
func newClient(t *testing.T, identity *tls.Config) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true, TLSClientConfig: identity}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// newRequest takes header fields as pairs of a name and a value.
func newRequest(ctx context.Context, t *testing.T, method, url string, header ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return req
}

func do(client *http.Client, req *http.Request) answer {
	resp, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, body, resp.ContentLength, err}
}

func get(t *testing.T, client *http.Client, url string, header ...string) answer {
	t.Helper()
	return do(client, newRequest(t.Context(), t, http.MethodGet, url, header...))
}

// blobURL is where the i-th layer is.
func blobURL(reg *faultregistry.Registry, art *faultregistry.Artifact, i int) string {
	return reg.URL + "/v2/" + art.Name + "/blobs/" + art.Layers[i].Digest.String()
}

func random(n int64, seed uint64) []byte {
	data := make([]byte, n)
	faultregistry.Random(n, seed).ReadAt(data, 0)
	return data
}

// fill starts a registry with one layer.
func fill(t *testing.T, options ...faultregistry.Option) (*faultregistry.Registry, *faultregistry.Artifact, []byte) {
	t.Helper()
	reg := faultregistry.New(t, options...)
	data := random(size, 1)
	return reg, reg.Add("models/x", data), data
}

func trusting(t testing.TB, reg *faultregistry.Registry) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(reg.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("the CA file has no certificate")
	}
	return &tls.Config{RootCAs: pool}
}

// login gets a token by the challenge of a 401.
func login(t *testing.T, client *http.Client, challenge string) string {
	t.Helper()
	fields := map[string]string{}
	for _, field := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(challenge, -1) {
		fields[field[1]] = field[2]
	}
	req := newRequest(t.Context(), t, http.MethodGet, fields["realm"]+"?scope="+url.QueryEscape(fields["scope"]))
	req.SetBasicAuth(faultregistry.Username, faultregistry.Password)
	var reply struct {
		Token     string `json:"token"`
		ExpiresIn int    `json:"expires_in"`
	}
	got := do(client, req)
	if err := json.Unmarshal(got.body, &reply); err != nil || reply.ExpiresIn != 60 {
		t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	return "Bearer " + reply.Token
}

func digestOf(data []byte) digest.Digest { return digest.FromBytes(data) }
