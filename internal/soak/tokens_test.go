package soak

import (
	"bytes"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/internal/netproxy"
	"github.com/tareml/tare/internal/testregistry"
)

const (
	// A pull of longShard bytes at longRate lasts 7 seconds: more than three times
	// as long as a token. Its one connection is cut every second, and what
	// follows begins with a token.
	longShard = 14 << 20
	longRate  = 2 << 20
	longCuts  = 6
	longName  = "/soak/long:v1"

	// secured is what TLS adds: to the whole, and the record that a cut goes through.
	secured = longShard/100 + longCuts*16<<10
)

// TestPullOutlivesTokens pulls with tokens that end long before the pull does.
func TestPullOutlivesTokens(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...testregistry.Option) *testregistry.Registry{
		"docker-registry 2.8": testregistry.Debian,
		"distribution 3":      testregistry.Distribution,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("renewed in time", func(t *testing.T) {
				t.Parallel()
				s := newTokenShelf(t, start)
				// The registry is more patient than it says, by more than a
				// request may take on a slow machine.
				s.reg.Tokens.SetLife(4*time.Second, 2*time.Second)
				answers, tokens := s.pull(t)
				if slices.Contains(answers, http.StatusUnauthorized) {
					t.Errorf("a token was used after its end: %v", answers)
				}
				if tokens < 4 {
					t.Errorf("%d tokens, want at least 4", tokens)
				}
			})
			t.Run("refused in mid-transfer", func(t *testing.T) {
				t.Parallel()
				s := newTokenShelf(t, start)
				s.reg.Tokens.SetLife(2*time.Second, time.Hour)
				answers, tokens := s.pull(t)
				refused := 0
				for _, status := range answers {
					if status == http.StatusUnauthorized {
						refused++
					}
				}
				if refused < 2 || tokens != refused+1 {
					t.Errorf("%v: %d refused, with %d tokens", answers, refused, tokens)
				}
			})
		})
	}
}

// tokenShelf is a registry over TLS with tokens, that has one large blob.
type tokenShelf struct {
	reg    *testregistry.Registry
	m      *machine
	ca     string
	layer  digest.Digest
	digest string
}

func newTokenShelf(t *testing.T, start func(testing.TB, ...testregistry.Option) *testregistry.Registry) *tokenShelf {
	t.Helper()
	ca, cert, key := testregistry.SelfSigned(t)
	s := &tokenShelf{reg: start(t, testregistry.WithTLS(cert, key), testregistry.WithTokens()), m: tokenMachine(t), ca: ca}
	data := noise(longShard, 1)
	s.layer = digest.FromBytes(data)
	must(t, os.MkdirAll(s.m.path("model"), 0o755))
	must(t, os.WriteFile(s.m.path("model", "model.safetensors"), data, 0o644))
	must(t, os.WriteFile(s.m.path("model", "Modelfile"), []byte("NAME soak\nMODEL *.safetensors\n"), 0o644))
	s.m.must(t, "build", "--raw", "-t", s.reg.Host+longName, "model")
	s.digest = string(s.m.must(t, "push", "--ca-file", ca, "--format", "{{.Digest}}", s.reg.Host+longName))
	return s
}

// tokenMachine is one whose user the registry knows.
func tokenMachine(t *testing.T) *machine {
	m := newMachine(t)
	m.env = []string{"TARE_USERNAME=" + testregistry.Username, "TARE_PASSWORD=" + testregistry.Password}
	return m
}

// pull pulls to another machine, and returns the status of each answer to a
// request for the blob, and the number of tokens that it took.
func (s *tokenShelf) pull(t *testing.T) (answers []int, tokens int) {
	t.Helper()
	var o netproxy.Options
	for i := range int64(longCuts) {
		o.Cuts = append(o.Cuts, netproxy.Cut{After: (i + 1) * longShard / (longCuts + 1)})
	}
	o.Rate = longRate
	p, err := netproxy.Start(t.Context(), s.reg.Host, o)
	must(t, err)
	t.Cleanup(p.Close)
	m := tokenMachine(t)
	logged, given := len(s.reg.AccessLog()), len(s.reg.Tokens.Given())
	out := m.must(t, "pull", "--ca-file", s.ca, "--format", "{{.Digest}}", p.Addr()+longName)
	if string(out) != s.digest {
		t.Errorf("pulled %s, want %s", bytes.TrimSpace(out), s.digest)
	}
	m.must(t, "verify")
	must(t, p.WaitIdle(t.Context()))
	if passed, most := p.Passed(), int64(longShard+secured+overhead); passed > most {
		t.Errorf("%d bytes were sent for %d, want at most %d", passed, longShard, most)
	}
	if left := p.CutsLeft(); left > 0 {
		t.Errorf("%d cuts did not happen", left)
	}
	for _, a := range s.reg.AccessLog()[logged:] {
		if a.Method == http.MethodGet && strings.HasSuffix(a.Path, s.layer.String()) {
			answers = append(answers, a.Status)
		}
	}
	served := slices.DeleteFunc(slices.Clone(answers), func(status int) bool { return status == http.StatusUnauthorized })
	want := append([]int{http.StatusOK}, slices.Repeat([]int{http.StatusPartialContent}, longCuts)...)
	if !slices.Equal(served, want) {
		t.Errorf("answers %v, want %v and refusals", answers, want)
	}
	tokens = len(s.reg.Tokens.Given()) - given
	t.Logf("answers %v, %d tokens, %d bytes beyond the blob", answers, tokens, p.Passed()-longShard)
	return answers, tokens
}
