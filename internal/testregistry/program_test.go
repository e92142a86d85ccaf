package testregistry_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tareml/tare/internal/testregistry"
)

// eachProgram runs a test against both versions of the program.
func eachProgram(t *testing.T, test func(*testing.T, func(testing.TB, ...testregistry.Option) *testregistry.Registry)) {
	t.Run("docker-registry 2.8", func(t *testing.T) { test(t, testregistry.Debian) })
	t.Run("distribution 3", func(t *testing.T) { test(t, testregistry.Distribution) })
}

// client speaks to one registry.
type client struct {
	http.Client
	t     *testing.T
	base  string
	basic bool
	token string
}

// newClient trusts the authority in caFile; without one it speaks plain HTTP.
func newClient(t *testing.T, r *testregistry.Registry, caFile string) *client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	c := &client{Client: http.Client{Transport: transport}, t: t, base: "http://" + r.Host}
	if caFile == "" {
		return c
	}
	c.base = "https://" + r.Host
	ca, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		t.Fatal("no certificate in " + caFile)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	return c
}

// send returns a response whose body the caller closes.
func (c *client) send(method, address string, body []byte, header ...string) *http.Response {
	c.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = c.base + address
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	} else if c.basic {
		req.SetBasicAuth(testregistry.Username, testregistry.Password)
	}
	resp, err := c.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

// must sends, reads the answer and checks its status.
func (c *client) must(want int, method, address string, body []byte, header ...string) (http.Header, []byte) {
	c.t.Helper()
	resp := c.send(method, address, body, header...)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != want {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, address, resp.StatusCode, want, data)
	}
	return resp.Header, data
}

// push uploads a blob and returns its path.
func (c *client) push(data []byte) string {
	c.t.Helper()
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(data))
	header, _ := c.must(http.StatusAccepted, http.MethodPost, "/v2/m/x/blobs/uploads/", nil)
	at := header.Get("Location")
	c.must(http.StatusCreated, http.MethodPut, at+"&digest="+digest, data, "Content-Type", "application/octet-stream")
	return "/v2/m/x/blobs/" + digest
}

var challenge = regexp.MustCompile(`Bearer realm="([^"]+)",service="([^"]+)"`)

// fetchToken asks for a token for the scope, at the service that the registry
// names.
func (c *client) fetchToken(scope string) {
	c.t.Helper()
	c.token, c.basic = "", true
	header, _ := c.must(http.StatusUnauthorized, http.MethodGet, "/v2/", nil)
	m := challenge.FindStringSubmatch(header.Get("WWW-Authenticate"))
	if m == nil {
		c.t.Fatalf("challenge %q", header.Get("WWW-Authenticate"))
	}
	_, body := c.must(http.StatusOK, http.MethodGet, m[1]+"?service="+m[2]+"&scope="+scope, nil)
	var answer struct{ Token string }
	if err := json.Unmarshal(body, &answer); err != nil {
		c.t.Fatal(err)
	}
	c.token = answer.Token
}

func TestPasswordOverTLS(t *testing.T) {
	ca, cert, key := testregistry.SelfSigned(t)
	eachProgram(t, func(t *testing.T, start func(testing.TB, ...testregistry.Option) *testregistry.Registry) {
		c := newClient(t, start(t, testregistry.WithTLS(cert, key), testregistry.WithAuth()), ca)
		c.must(http.StatusUnauthorized, http.MethodGet, "/v2/", nil)
		c.basic = true
		if _, got := c.must(http.StatusOK, http.MethodGet, c.push([]byte("one")), nil); string(got) != "one" {
			t.Errorf("%q came back", got)
		}
	})
}

func TestTokensOverTLS(t *testing.T) {
	ca, cert, key := testregistry.SelfSigned(t)
	eachProgram(t, func(t *testing.T, start func(testing.TB, ...testregistry.Option) *testregistry.Registry) {
		reg := start(t, testregistry.WithTLS(cert, key), testregistry.WithTokens())
		if !strings.HasPrefix(reg.Tokens.URL, "https://") {
			t.Fatalf("the realm is %s", reg.Tokens.URL)
		}
		c := newClient(t, reg, ca)
		c.must(http.StatusUnauthorized, http.MethodGet, reg.Tokens.URL, nil)
		c.fetchToken("repository:m/x:pull,push")
		blob := c.push([]byte("one"))
		if _, got := c.must(http.StatusOK, http.MethodGet, blob, nil); string(got) != "one" {
			t.Errorf("%q came back", got)
		}
		c.fetchToken("repository:m/y:pull")
		c.must(http.StatusUnauthorized, http.MethodGet, blob, nil)
		if got, want := reg.Tokens.Given(), []string{"repository:m/x:pull,push", "repository:m/y:pull"}; !slices.Equal(got, want) {
			t.Errorf("tokens for %q, want %q", got, want)
		}
	})
}

func TestTokensEnd(t *testing.T) {
	eachProgram(t, func(t *testing.T, start func(testing.TB, ...testregistry.Option) *testregistry.Registry) {
		reg := start(t, testregistry.WithTokens())
		c := newClient(t, reg, "")
		c.fetchToken("")
		c.must(http.StatusOK, http.MethodGet, "/v2/", nil)
		reg.Tokens.SetLife(-time.Second, time.Hour)
		c.fetchToken("")
		c.must(http.StatusUnauthorized, http.MethodGet, "/v2/", nil)
	})
}

func TestAccessLog(t *testing.T) {
	eachProgram(t, func(t *testing.T, start func(testing.TB, ...testregistry.Option) *testregistry.Registry) {
		reg := start(t, testregistry.WithAuth())
		c := newClient(t, reg, "")
		c.must(http.StatusUnauthorized, http.MethodGet, "/v2/", nil)
		c.basic = true
		data := bytes.Repeat([]byte("0123456789abcdef"), 2<<20)
		blob := c.push(data)
		c.must(http.StatusOK, http.MethodGet, blob+"?ns=docker.io", nil)
		c.must(http.StatusPartialContent, http.MethodGet, blob, nil, "Range", "bytes=5-104")
		cut := c.send(http.MethodGet, blob, nil)
		io.CopyN(io.Discard, cut.Body, 1<<20)
		cut.Body.Close()
		log := reg.AccessLog()
		if len(log) != 6 {
			t.Fatalf("%d requests in the log, want 6: %+v", len(log), log)
		}
		if log[1].Method != http.MethodPost || log[1].Status != http.StatusAccepted || log[2].Method != http.MethodPut || log[2].Status != http.StatusCreated {
			t.Errorf("an upload is %+v", log[1:3])
		}
		log[0].Bytes = 0 // of an error's text
		for i, want := range map[int]testregistry.Access{
			0: {Method: http.MethodGet, Path: "/v2/", Status: http.StatusUnauthorized},
			3: {Method: http.MethodGet, Path: blob + "?ns=docker.io", Status: http.StatusOK, Bytes: int64(len(data))},
			4: {Method: http.MethodGet, Path: blob, Status: http.StatusPartialContent, Bytes: 100},
		} {
			if log[i] != want {
				t.Errorf("request %d is %+v, want %+v", i, log[i], want)
			}
		}
		if last := log[5]; last.Path != blob || last.Bytes < 1<<20 || last.Bytes >= int64(len(data)) {
			t.Errorf("a request that was cut after 1 MiB is %+v", last)
		}
		if again := reg.AccessLog(); !slices.Equal(again[1:], log[1:]) {
			t.Errorf("to ask for the log changed it: %+v", again)
		}
	})
}
