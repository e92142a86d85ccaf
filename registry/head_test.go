package registry

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/blob"
	fault "github.com/tareml/tare/internal/faultregistry"
)

// methods lists what a registry was asked of manifests, in order.
func methods(r *fault.Registry) string {
	var all []string
	for _, req := range r.Requests() {
		all = append(all, req.Method+" "+string(req.Kind))
	}
	return strings.Join(all, ", ")
}

func checkResolve(t *testing.T, repo *Repository, want digest.Digest) {
	t.Helper()
	if got, err := repo.Resolve(t.Context(), repo.ref); err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

// TestResolveIsOneRequest each time, also with tokens once there is one.
func TestResolveIsOneRequest(t *testing.T) {
	for name, test := range map[string]struct {
		options []fault.Option
		first   string
	}{
		"open":   {nil, "HEAD manifest"},
		"basic":  {[]fault.Option{fault.WithBasic()}, "HEAD manifest, HEAD manifest"},
		"tokens": {[]fault.Option{fault.WithTokens(time.Hour)}, "HEAD manifest, GET token, HEAD manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			reg := fault.New(t, test.options...)
			art := reg.Add("models/x", []byte("weights"))
			repo := newTestRepository(t, engineClient(t, reg, 1, Options{}), reg.Ref(art))
			checkResolve(t, repo, art.Descriptor.Digest)
			if got := methods(reg); got != test.first {
				t.Errorf("first check: %s, want %s", got, test.first)
			}
			reg.Forget()
			moved := reg.Add("models/x", []byte("other weights"))
			checkResolve(t, repo, moved.Descriptor.Digest)
			if got := methods(reg); got != "HEAD manifest" {
				t.Errorf("second check: %s", got)
			}
		})
	}
}

// TestResolveOfADigestAsksNobody, and neither does what cannot be resolved.
func TestResolveOfADigestAsksNobody(t *testing.T) {
	repo, m := faultyServer(t, status(http.StatusOK))
	if got, err := repo.Resolve(t.Context(), repo.ref.WithDigest(someDigest)); err != nil || got != someDigest {
		t.Errorf("%s, %v", got, err)
	}
	for _, ref := range []Reference{parse(t, "a.example/b"), {Registry: repo.ref.Registry, Repository: repo.ref.Repository, Tag: "-"}} {
		if _, err := repo.Resolve(t.Context(), ref); err == nil {
			t.Errorf("%s resolved", ref)
		}
	}
	if m.requests.Load() > 0 {
		t.Errorf("%d requests", m.requests.Load())
	}
}

// TestResolveWithoutHead asks for the manifest where HEAD is of no use.
func TestResolveWithoutHead(t *testing.T) {
	manifest := []byte(`{"schemaVersion":2}`)
	for name, head := range map[string]http.Handler{
		"no header":         status(http.StatusOK),
		"rubbish in header": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Docker-Content-Digest", "sha256:../x") }),
		"not allowed":       status(http.StatusMethodNotAllowed),
		"not implemented":   status(http.StatusNotImplemented),
		"not found":         status(http.StatusNotFound),
		"forbidden":         status(http.StatusForbidden),
		"bad":               status(http.StatusBadRequest),
	} {
		repo, m := faultyServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodHead {
				head.ServeHTTP(w, req)
				return
			}
			w.Write(manifest)
		}))
		got, err := repo.Resolve(t.Context(), repo.ref)
		if err != nil || got != digest.FromBytes(manifest) || m.requests.Load() != 2 {
			t.Errorf("%s: %s, %v after %d requests", name, got, err, m.requests.Load())
		}
	}
}

// TestResolveErrors are those of the registry, in its words.
func TestResolveErrors(t *testing.T) {
	reg := fault.New(t)
	art := reg.Add("models/x", []byte("weights"))
	repo := newTestRepository(t, engineClient(t, reg, 1, Options{}), reg.Ref(art))
	_, err := repo.Resolve(t.Context(), repo.ref.WithTag("v2"))
	if !errors.Is(err, blob.ErrNotFound) || !strings.Contains(err.Error(), "resolving "+repo.ref.WithTag("v2").String()+": manifest unknown") {
		t.Errorf("%v", err)
	}
	reg.Script(fault.Manifest, fault.Status(http.StatusBadGateway).Head().Always())
	reg.Forget()
	if _, err := repo.Resolve(t.Context(), repo.ref); !errors.Is(err, ErrUnavailable) || strings.Contains(methods(reg), "GET") {
		t.Errorf("%v after %s", err, methods(reg))
	}
	reg.Close()
	if _, err := repo.Resolve(t.Context(), repo.ref); !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v", err)
	}
}

// TestResolveAsksMirrors that may resolve, before the registry.
func TestResolveAsksMirrors(t *testing.T) {
	m := newMirrored(t, nil, nil)
	m.hosts.Mirrors[0].Resolve = false
	checkResolve(t, m.repository(t), m.art.Descriptor.Digest)
	if n := len(m.mirrors[0].Requests()) + len(m.origin.Requests()); n > 0 || methods(m.mirrors[1]) != "HEAD manifest" {
		t.Errorf("%d other requests; of the mirror: %s", n, methods(m.mirrors[1]))
	}
	if req := m.mirrors[1].Requests(); len(req) > 0 && req[0].NS != m.origin.Host {
		t.Errorf("ns=%q", req[0].NS)
	}
}

// TestResolveGoesOnToTheRegistry when a mirror does not know, with no GET there.
func TestResolveGoesOnToTheRegistry(t *testing.T) {
	m := newMirrored(t, nil)
	always(m.mirrors[0], fault.Manifest, fault.Status(http.StatusNotFound).Head())
	checkResolve(t, m.repository(t), m.art.Descriptor.Digest)
	if methods(m.mirrors[0]) != "HEAD manifest" || methods(m.origin) != "HEAD manifest" {
		t.Errorf("mirror: %s; registry: %s", methods(m.mirrors[0]), methods(m.origin))
	}
}

// TestResolveForgivesMirrors that were out of order at an earlier check.
func TestResolveForgivesMirrors(t *testing.T) {
	m := newMirrored(t, nil)
	always(m.mirrors[0], fault.Manifest, fault.Status(http.StatusServiceUnavailable).Head())
	repo := m.repository(t)
	checkResolve(t, repo, m.art.Descriptor.Digest)
	m.mirrors[0].Heal()
	m.origin.Forget()
	checkResolve(t, repo, m.art.Descriptor.Digest)
	if n := len(m.origin.Requests()); n > 0 {
		t.Errorf("the registry was asked %d times though the mirror is well", n)
	}
}
