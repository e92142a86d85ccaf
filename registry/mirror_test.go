package registry

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/tareml/tare/blob"
	fault "github.com/tareml/tare/internal/faultregistry"
	"github.com/tareml/tare/internal/testregistry"
)

// mirrored is a registry with mirrors, and a client that knows of them.
type mirrored struct {
	origin  *fault.Registry
	mirrors []*fault.Registry
	art     *fault.Artifact
	hosts   Hosts
	store   credentials.Store
}

// newMirrored makes mirrors, each with these options.
func newMirrored(t *testing.T, mirrors ...[]fault.Option) *mirrored {
	t.Helper()
	m := &mirrored{origin: fault.New(t), store: credentials.NewMemoryStore()}
	m.art = m.origin.AddContent("models/x", fault.Random(engineSize, 21))
	for _, options := range mirrors {
		mirror := fault.New(t, append(options, fault.WithMirrorOf(m.origin))...)
		m.mirrors = append(m.mirrors, mirror)
		m.hosts.Mirrors = append(m.hosts.Mirrors, Host{URL: mirror.URL + "/v2", Pull: true, Resolve: true})
	}
	return m
}

func (m *mirrored) repository(t *testing.T) *Repository {
	t.Helper()
	client := newTestClient(t, Options{PlainHTTP: true, Credentials: m.store, Hosts: func(string) (Hosts, error) { return m.hosts, nil }})
	client.grain = fine(4)
	return newTestRepository(t, client, m.origin.Ref(m.art))
}

// pull pulls by tag into memory.
func (m *mirrored) pull(t *testing.T) error {
	t.Helper()
	repo, dst := m.repository(t), newMemory()
	desc, data, err := repo.Manifest(t.Context(), repo.ref)
	if err != nil {
		return err
	}
	if err := repo.Pull(t.Context(), desc, data, dst, TransferOptions{}); err != nil {
		return err
	}
	for _, layer := range m.art.Layers {
		if _, ok := dst.content[layer.Digest]; !ok {
			t.Error("a layer is missing")
		}
	}
	return nil
}

func always(r *fault.Registry, kind fault.Kind, f fault.Fault) { r.Script(kind, f.Always()) }

// TestMirrorsAreAskedFirst fetches all from the first mirror, and tells it whose
// content is meant.
func TestMirrorsAreAskedFirst(t *testing.T) {
	m := newMirrored(t, nil, nil)
	if err := m.pull(t); err != nil {
		t.Fatal(err)
	}
	if n := len(m.origin.Requests()) + len(m.mirrors[1].Requests()); n > 0 {
		t.Errorf("%d requests went to others than the first mirror", n)
	}
	for _, req := range m.mirrors[0].Requests() {
		if req.NS != m.origin.Host {
			t.Errorf("%s has ns=%q, want %q", req.Path, req.NS, m.origin.Host)
		}
	}
}

// TestMirrorsFail in every way, and the next one is asked.
func TestMirrorsFail(t *testing.T) {
	for name, test := range map[string]struct {
		script func(*fault.Registry)
		all    bool // nothing came from the mirror
	}{
		"dead": {func(r *fault.Registry) { r.Close() }, true},
		"broken": {func(r *fault.Registry) {
			always(r, fault.Manifest, fault.Status(500))
			always(r, fault.Blob, fault.Status(500))
		}, true},
		"asks to come back":     {func(r *fault.Registry) { always(r, fault.Manifest, fault.Busy(429, 3600)) }, true},
		"without the manifest":  {func(r *fault.Registry) { always(r, fault.Manifest, fault.Status(404)) }, false},
		"without the blobs":     {func(r *fault.Registry) { always(r, fault.Blob, fault.Status(404)) }, true},
		"forbidden":             {func(r *fault.Registry) { always(r, fault.Blob, fault.Status(403)) }, true},
		"wrong manifest":        {func(r *fault.Registry) { always(r, fault.Manifest, fault.Corrupt(5)) }, false},
		"wrong bytes":           {func(r *fault.Registry) { always(r, fault.Blob, fault.Corrupt(engineSize/3)) }, false},
		"other content":         {func(r *fault.Registry) { always(r, fault.Blob, fault.Instead(fault.Bytes([]byte("no")))) }, true},
		"cut before each byte":  {func(r *fault.Registry) { always(r, fault.Blob, fault.Cut(0)) }, true},
		"cut, and then dead":    {func(r *fault.Registry) { r.Script(fault.Blob, fault.Cut(1<<20).Do(func() { go r.Close() })) }, false},
		"cut, and then without": {func(r *fault.Registry) { r.Script(fault.Blob, fault.Cut(1<<20), fault.Status(404).After(1).Always()) }, false},
		"without ranges":        {func(r *fault.Registry) { always(r, fault.Blob, fault.NoRange()) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirrored(t, nil)
			test.script(m.mirrors[0])
			if err := m.pull(t); err != nil {
				t.Fatal(err)
			}
			if sent := m.mirrors[0].Sent(); test.all && sent >= engineSize {
				t.Errorf("%d bytes came from the mirror", sent)
			}
			if most := int64(2*engineSize + kernel); m.origin.Sent()+m.mirrors[0].Sent() > most {
				t.Errorf("%d bytes on the wire, want at most %d", m.origin.Sent()+m.mirrors[0].Sent(), most)
			}
		})
	}
}

// TestMirrorThatHangs is given up after one silence.
func TestMirrorThatHangs(t *testing.T) {
	m := newMirrored(t, nil)
	m.mirrors[0].Script(fault.Blob, fault.Hang(0).Always())
	client := newTestClient(t, Options{PlainHTTP: true, Stall: 100 * time.Millisecond, Hosts: func(string) (Hosts, error) { return m.hosts, nil }})
	repo := newTestRepository(t, client, m.origin.Ref(m.art))
	if _, err := repo.Download(t.Context(), m.art.Layers[0], &memorySink{}, nil); err != nil {
		t.Fatal(err)
	}
	if n := len(m.mirrors[0].RequestsOf(fault.Blob)); n != 1 {
		t.Errorf("the mirror was asked %d times", n)
	}
}

// TestMirrorsInTheirOrder asks the second when the first does not have it.
func TestMirrorsInTheirOrder(t *testing.T) {
	m := newMirrored(t, nil, nil)
	always(m.mirrors[0], fault.Blob, fault.Status(404))
	if err := m.pull(t); err != nil {
		t.Fatal(err)
	}
	if m.mirrors[1].Sent() < engineSize || m.origin.Sent() > 0 {
		t.Errorf("%d bytes from the second mirror, %d from the registry", m.mirrors[1].Sent(), m.origin.Sent())
	}
}

// TestMirrorThatMayNotResolve is asked for what has a digest alone.
func TestMirrorThatMayNotResolve(t *testing.T) {
	m := newMirrored(t, nil)
	m.hosts.Mirrors[0].Resolve = false
	if err := m.pull(t); err != nil {
		t.Fatal(err)
	}
	if len(m.mirrors[0].RequestsOf(fault.Manifest)) > 0 || m.mirrors[0].Sent() < engineSize {
		t.Error("the mirror was asked what a tag means, or not for blobs")
	}
	repo := m.repository(t)
	if _, _, err := repo.Manifest(t.Context(), repo.ref.WithDigest(m.art.Descriptor.Digest)); err != nil {
		t.Fatal(err)
	}
	if len(m.mirrors[0].RequestsOf(fault.Manifest)) == 0 {
		t.Error("the mirror was not asked for a manifest by digest")
	}
	m.hosts.Mirrors[0].Pull = false
	m.mirrors[0].Forget()
	if err := m.pull(t); err != nil || len(m.mirrors[0].Requests()) > 0 {
		t.Errorf("%v, and the mirror was asked", err)
	}
}

// TestMirrorsAndTheRegistryFail ends in the error of the registry.
func TestMirrorsAndTheRegistryFail(t *testing.T) {
	m := newMirrored(t, nil)
	always(m.mirrors[0], fault.Blob, fault.Corrupt(engineSize/3))
	always(m.origin, fault.Blob, fault.Corrupt(engineSize/2))
	err := m.pull(t)
	if !errors.Is(err, blob.ErrMismatch) || !strings.Contains(err.Error(), m.origin.Host) {
		t.Errorf("%v", err)
	}
}

// TestMirrorsHaveCredentialsOfTheirOwn shows each host its own and no other.
func TestMirrorsHaveCredentialsOfTheirOwn(t *testing.T) {
	m := newMirrored(t, []fault.Option{fault.WithBasic()})
	m.store = StaticCredentials(m.origin.Host, "origin", "s3cret", m.store)
	if err := m.pull(t); err != nil {
		t.Fatal(err)
	}
	if m.mirrors[0].Sent() > 0 {
		t.Error("the mirror let somebody in without its credentials")
	}
	for _, req := range m.mirrors[0].Requests() {
		if req.Header.Get("Authorization") != "" {
			t.Error("the mirror was shown credentials that are not its own")
		}
	}
	for _, m := range []*fault.Registry{m.origin, m.mirrors[0]} {
		m.Forget()
	}
	must := m.store.Put(t.Context(), credentials.ServerAddressFromRegistry(m.mirrors[0].Host), auth.Credential{Username: fault.Username, Password: fault.Password})
	if err := errors.Join(must, m.pull(t)); err != nil {
		t.Fatal(err)
	}
	if m.mirrors[0].Sent() < engineSize || len(m.origin.Requests()) > 0 {
		t.Error("the mirror was not used with its own credentials")
	}
}

// TestServer is the registry under another address, and with a prefix.
func TestServer(t *testing.T) {
	origin := fault.New(t, fault.WithPrefix("/proxy/v2"))
	art := origin.Add("models/x", []byte("weights"))
	hosts := Hosts{Server: Host{URL: origin.URL + "/proxy/v2", Pull: true, Resolve: true, Push: true, Header: http.Header{"X-Team": {"a"}}}}
	client := newTestClient(t, Options{Hosts: func(string) (Hosts, error) { return hosts, nil }})
	repo := newTestRepository(t, client, "registry.invalid/models/x:v1")
	desc, data, err := repo.Manifest(t.Context(), repo.ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.Pull(t.Context(), desc, data, newMemory(), TransferOptions{}); err != nil {
		t.Fatal(err)
	}
	if desc.Digest != art.Descriptor.Digest || slices.ContainsFunc(origin.Requests(), func(r fault.Request) bool { return r.Header.Get("X-Team") != "a" }) {
		t.Error("not the artifact, or a request without the header")
	}
	if err := repo.Push(t.Context(), desc, data, newMemory(), TransferOptions{}); err == nil {
		t.Error("pushed to a prefix")
	}
}

// TestHostsThatCannotBeRead stop a pull before anything is asked.
func TestHostsThatCannotBeRead(t *testing.T) {
	bad := errors.New("hosts.toml: bad")
	client := newTestClient(t, Options{Hosts: func(string) (Hosts, error) { return Hosts{}, bad }})
	repo := newTestRepository(t, client, "registry.invalid/models/x:v1")
	if _, _, err := repo.Manifest(t.Context(), repo.ref); !errors.Is(err, bad) {
		t.Errorf("%v", err)
	}
}

// TestServerElsewhere is pushed to with the credentials of where it is, and
// checked there: a mirror's word is not asked for.
func TestServerElsewhere(t *testing.T) {
	server := testregistry.Debian(t, testregistry.WithAuth()).Host
	stale := fault.New(t)
	stale.Add("models/x", []byte("old"))
	hosts := Hosts{
		Server:  Host{URL: "http://" + server + "/v2", Pull: true, Resolve: true},
		Mirrors: []Host{{URL: stale.URL + "/v2", Pull: true, Resolve: true}},
	}
	client := newTestClient(t, Options{
		Hosts:       func(string) (Hosts, error) { return hosts, nil },
		Credentials: StaticCredentials(server, testregistry.Username, testregistry.Password, DockerCredentials()),
	})
	src := newMemory()
	desc, manifest := src.artifact(t, randomBytes(1000, 1))
	repo := newTestRepository(t, client, "registry.invalid/models/x:v1")
	if err := repo.Push(t.Context(), desc, manifest, src, TransferOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := len(stale.Requests()); n > 0 {
		t.Errorf("a mirror was asked %d times", n)
	}
	if _, err := client.Login(t.Context(), "registry.invalid", testregistry.Username, "wrong"); !errors.Is(err, ErrDenied) {
		t.Errorf("%v, want the server that hosts.toml names to be asked", err)
	}
}

// TestMirrorsErrorsAreTold when the registry fails too.
func TestMirrorsErrorsAreTold(t *testing.T) {
	m := newMirrored(t, nil)
	always(m.mirrors[0], fault.Manifest, fault.Status(401))
	m.origin.Close()
	if err := m.pull(t); err == nil || !strings.Contains(err.Error(), "mirror "+m.mirrors[0].Host+": ") {
		t.Errorf("%v", err)
	}
}

// TestFetchDoubtsMirrors: a stream cannot take back what was read, but the next
// one does not come from where the wrong bytes came from.
func TestFetchDoubtsMirrors(t *testing.T) {
	m := newMirrored(t, nil)
	always(m.mirrors[0], fault.Blob, fault.Corrupt(engineSize/3))
	repo := m.repository(t)
	read := func() error {
		r, err := repo.Fetch(t.Context(), m.art.Layers[0])
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(io.Discard, r)
		return err
	}
	if err := read(); !errors.Is(err, blob.ErrMismatch) {
		t.Errorf("error %v, want %v", err, blob.ErrMismatch)
	}
	asked := len(m.mirrors[0].Requests())
	if err := read(); err != nil {
		t.Error(err)
	}
	if len(m.mirrors[0].Requests()) != asked {
		t.Error("the mirror was asked again")
	}
}
