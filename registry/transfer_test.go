package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/internal/testregistry"
)

// peer is a registry that tests run against, and a client that may use it.
type peer struct {
	host   string
	client *Client
}

// onPeers runs test against each kind of registry, both real ones as they are
// deployed among them: over TLS, and with one of the two ways to let people in.
func onPeers(t *testing.T, test func(*testing.T, peer)) {
	t.Run("memory", func(t *testing.T) {
		test(t, peer{testregistry.Memory(t).Host, newTestClient(t, Options{})})
	})
	t.Run("debian", func(t *testing.T) {
		test(t, peer{testregistry.Debian(t).Host, newTestClient(t, Options{})})
	})
	t.Run("debian with htpasswd", func(t *testing.T) {
		test(t, knownPeer(t, testregistry.Debian(t, testregistry.WithAuth()).Host, Options{}))
	})
	t.Run("bearer token", func(t *testing.T) {
		tokens := &tokenServer{}
		tokens.host = testregistry.Memory(t, tokens.wrap).Host
		test(t, knownPeer(t, tokens.host, Options{}))
	})
	t.Run("debian over TLS with tokens", func(t *testing.T) {
		test(t, securePeer(t, testregistry.Debian, testregistry.WithTokens()))
	})
	t.Run("distribution over TLS with htpasswd", func(t *testing.T) {
		test(t, securePeer(t, testregistry.Distribution, testregistry.WithAuth()))
	})
}

// onAllPeers is onPeers with what each of the real ones does not get there.
func onAllPeers(t *testing.T, test func(*testing.T, peer)) {
	onPeers(t, test)
	t.Run("debian over TLS with htpasswd", func(t *testing.T) {
		test(t, securePeer(t, testregistry.Debian, testregistry.WithAuth()))
	})
	t.Run("distribution over TLS with tokens", func(t *testing.T) {
		test(t, securePeer(t, testregistry.Distribution, testregistry.WithTokens()))
	})
}

// knownPeer lets in the one user of a test registry.
func knownPeer(t *testing.T, host string, o Options) peer {
	t.Helper()
	o.Credentials = StaticCredentials(host, testregistry.Username, testregistry.Password, DockerCredentials())
	return peer{host, newTestClient(t, o)}
}

// securePeer is a registry with a certificate of an authority that the client
// was told of, and that lets one user in.
func securePeer(t *testing.T, start func(testing.TB, ...testregistry.Option) *testregistry.Registry, access testregistry.Option) peer {
	t.Helper()
	ca, cert, key := testregistry.SelfSigned(t)
	reg := start(t, testregistry.WithTLS(cert, key), access)
	return knownPeer(t, reg.Host, Options{TLS: TLSFiles{CA: []string{ca}}})
}

func (p peer) repo(t *testing.T, name string) *Repository {
	return newTestRepository(t, p.client, p.host+"/"+name)
}

// push pushes and fails the test if that fails.
func (p peer) push(t *testing.T, name string, src *memory, desc ocispec.Descriptor, manifest []byte) {
	t.Helper()
	if err := p.repo(t, name).Push(t.Context(), desc, manifest, src, TransferOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestPushThenPull(t *testing.T) {
	onAllPeers(t, func(t *testing.T, p peer) {
		layers := [][]byte{randomBytes(5<<20+17, 1), randomBytes(100, 2), {}, randomBytes(100, 2)}
		src := newMemory()
		desc, manifest := src.artifact(t, layers...)
		pushed := &tally{}
		options := TransferOptions{Observer: pushed, NameKeys: []string{"absent", "test.name"}}
		if err := p.repo(t, "m/x:v1").Push(t.Context(), desc, manifest, src, options); err != nil {
			t.Fatal(err)
		}

		repo := p.repo(t, "m/x:v1")
		got, data, err := repo.Manifest(t.Context(), repo.ref)
		if err != nil {
			t.Fatal(err)
		}
		if got.Digest != desc.Digest || got.Size != desc.Size || got.MediaType != desc.MediaType || !bytes.Equal(data, manifest) {
			t.Errorf("manifest is %+v, want %+v", got, desc)
		}
		dst, pulled := newMemory(), &tally{}
		options.Observer = pulled
		if err := repo.Pull(t.Context(), got, data, dst, options); err != nil {
			t.Fatal(err)
		}
		for i, layer := range layers {
			if !bytes.Equal(dst.content[digest.FromBytes(layer)], layer) {
				t.Errorf("layer %d is not what was pushed", i)
			}
		}
		if last := dst.order[len(dst.order)-1]; last != desc.Digest {
			t.Errorf("%s was published last, not the manifest", last)
		}
		config := "sha256:44136fa355b3" // {}
		if want := []string{"a", "b", "c", config}; !slices.Equal(pulled.finished(), want) || !slices.Equal(pushed.finished(), want) {
			t.Errorf("finished %v and %v, want %v", pushed.finished(), pulled.finished(), want)
		}
		if want := [3]int64{int64(len(layers[0])), 0, 0}; pulled.sums["a"] != want || pushed.sums["a"] != want {
			t.Errorf("observed %v and %v of a, want %v", pushed.sums["a"], pulled.sums["a"], want)
		}
	})
}

func TestPushSkipsWhatIsThere(t *testing.T) {
	onPeers(t, func(t *testing.T, p peer) {
		src := newMemory()
		desc, manifest := src.artifact(t, randomBytes(1000, 1))
		p.push(t, "m/x:v1", src, desc, manifest)
		src.opened = nil
		seen := &tally{}
		if err := p.repo(t, "m/x:v1").Push(t.Context(), desc, manifest, src, TransferOptions{Observer: seen, NameKeys: []string{"test.name"}}); err != nil {
			t.Fatal(err)
		}
		if len(src.opened) != 0 {
			t.Errorf("opened %v", src.opened)
		}
		if want := [3]int64{0, 1000, 0}; seen.sums["a"] != want {
			t.Errorf("observed %v, want %v", seen.sums["a"], want)
		}
	})
}

func TestTagMovesToWhatWasPushed(t *testing.T) {
	onPeers(t, func(t *testing.T, p peer) {
		src := newMemory()
		desc1, manifest1 := src.artifact(t, []byte("one"))
		desc2, manifest2 := src.artifact(t, []byte("two"))
		for i, step := range []struct {
			desc     ocispec.Descriptor
			manifest []byte
		}{{desc1, manifest1}, {desc2, manifest2}, {desc1, manifest1}} {
			p.push(t, "m/x:v1", src, step.desc, step.manifest)
			got, _, err := p.repo(t, "m/x").Manifest(t.Context(), parse(t, p.host+"/m/x:v1"))
			if err != nil || got.Digest != step.desc.Digest {
				t.Errorf("step %d: the tag is at %s, want %s (%v)", i, got.Digest, step.desc.Digest, err)
			}
		}
	})
}

func TestPushAndPullByDigest(t *testing.T) {
	onPeers(t, func(t *testing.T, p peer) {
		src := newMemory()
		desc, manifest := src.artifact(t, []byte("one"))
		p.push(t, "m/x@"+desc.Digest.String(), src, desc, manifest)
		repo := p.repo(t, "m/x@"+desc.Digest.String())
		if got, _, err := repo.Manifest(t.Context(), repo.ref); err != nil || got.Digest != desc.Digest {
			t.Errorf("%s, %v", got.Digest, err)
		}
		if _, _, err := repo.Manifest(t.Context(), repo.ref.WithTag("latest")); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("a tag came into being: %v", err)
		}
		other, otherManifest := src.artifact(t, []byte("two"))
		if err := repo.Push(t.Context(), other, otherManifest, src, TransferOptions{}); !errors.Is(err, blob.ErrMismatch) {
			t.Errorf("another digest was pushed: %v", err)
		}
	})
}

func TestPullIndexByTag(t *testing.T) {
	onPeers(t, func(t *testing.T, p peer) {
		src := newMemory()
		desc, manifest := src.artifact(t, []byte("one"))
		p.push(t, "m/x:v1", src, desc, manifest)
		index, _ := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": []any{desc}})
		indexDesc := describe(ocispec.MediaTypeImageIndex, index)
		repo := p.repo(t, "m/x:all")
		if err := repo.pushManifest(t.Context(), indexDesc, index); err != nil {
			t.Fatal(err)
		}
		got, data, err := repo.Manifest(t.Context(), repo.ref)
		if err != nil || got.MediaType != ocispec.MediaTypeImageIndex || got.Digest != indexDesc.Digest {
			t.Fatalf("%+v, %v", got, err)
		}
		if err := repo.Pull(t.Context(), got, data, newMemory(), TransferOptions{}); err == nil {
			t.Error("an index was pulled as if it had layers")
		}
	})
}

func TestMissing(t *testing.T) {
	onPeers(t, func(t *testing.T, p peer) {
		src := newMemory()
		desc, manifest := src.artifact(t, []byte("one"))
		p.push(t, "m/x:v1", src, desc, manifest)
		for _, name := range []string{"m/x:v2", "no/such:v1", "m/x@" + someDigest.String()} {
			repo := p.repo(t, name)
			_, _, err := repo.Manifest(t.Context(), repo.ref)
			if !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			} else if want := "pulling " + p.host + "/" + name + ": "; !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), ": not found") {
				t.Errorf("%s: %q", name, err)
			}
		}
		absent := describe("", []byte("absent"))
		if _, err := p.repo(t, "m/x:v1").Download(t.Context(), absent, &memorySink{}, nil); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("download: %v", err)
		}
		if _, err := p.repo(t, "m/x:v1").Fetch(t.Context(), absent); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("fetch: %v", err)
		}
	})
}

func TestPushOfContentThatIsNotThere(t *testing.T) {
	onPeers(t, func(t *testing.T, p peer) {
		src := newMemory()
		desc, manifest := src.artifact(t, []byte("one"), []byte("two"))
		delete(src.content, digest.FromString("two"))
		repo := p.repo(t, "m/x:v1")
		if err := repo.Push(t.Context(), desc, manifest, src, TransferOptions{}); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("push: %v", err)
		}
		if _, _, err := repo.Manifest(t.Context(), repo.ref); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("the manifest was pushed all the same: %v", err)
		}
	})
}

func TestUploadOfWrongContent(t *testing.T) {
	onPeers(t, func(t *testing.T, p peer) {
		desc := describe("", []byte("right"))
		for _, content := range []string{"wrong", "longer than that"} {
			_, err := p.repo(t, "m/x:v1").Upload(t.Context(), desc, blob.Bytes(content), nil)
			if err == nil {
				t.Errorf("%q was taken for %q", content, "right")
			}
		}
	})
}

func TestDeniedWithoutCredentials(t *testing.T) {
	host := testregistry.Debian(t, testregistry.WithAuth()).Host
	repo := newTestRepository(t, newTestClient(t, Options{}), host+"/m/x:v1")
	_, _, err := repo.Manifest(t.Context(), repo.ref)
	if !errors.Is(err, ErrDenied) || hintOf(err) != "tare login "+host {
		t.Errorf("manifest: %v, hint %q", err, hintOf(err))
	}
	if _, err := repo.Upload(t.Context(), describe("", []byte("x")), blob.Bytes("x"), nil); !errors.Is(err, ErrDenied) {
		t.Errorf("upload: %v", err)
	}
}

func TestDeniedWithWrongPassword(t *testing.T) {
	host := testregistry.Debian(t, testregistry.WithAuth()).Host
	client := newTestClient(t, Options{Credentials: StaticCredentials(host, testregistry.Username, "s3cret-wrong", DockerCredentials())})
	repo := newTestRepository(t, client, host+"/m/x:v1")
	_, _, err := repo.Manifest(t.Context(), repo.ref)
	if !errors.Is(err, ErrDenied) || !strings.Contains(hintOf(err), "refused") {
		t.Errorf("%v, hint %q", err, hintOf(err))
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the password is in %q", err)
	}
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	listener.Close()
	for _, options := range []Options{{}, {PlainHTTP: true}} {
		repo := newTestRepository(t, newTestClient(t, options), host+"/m/x:v1")
		if _, _, err := repo.Manifest(t.Context(), repo.ref); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%+v: %v", options, err)
		}
	}
	repo := newTestRepository(t, newTestClient(t, Options{}), "no-such-host.invalid/m/x:v1")
	if _, _, err := repo.Manifest(t.Context(), repo.ref); !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "https://") {
		t.Errorf("%v", err)
	}
}

func TestPullOfHostileManifests(t *testing.T) {
	var requests atomic.Int64
	host := testregistry.Memory(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path != "/v2/" {
				requests.Add(1)
			}
			next.ServeHTTP(w, req)
		})
	}).Host
	repo := newTestRepository(t, newTestClient(t, Options{}), host+"/m/x:v1")
	config := `{"mediaType":"x","digest":"` + someDigest.String() + `","size":0}`
	for name, test := range map[string]struct {
		manifest string
		want     error
	}{
		"not JSON":       {`{`, blob.ErrHostile},
		"negative size":  {`{"config":` + config + `,"layers":[{"digest":"` + someDigest.String() + `1","size":-1}]}`, blob.ErrHostile},
		"bad digest":     {`{"config":` + config + `,"layers":[{"digest":"../../etc/passwd","size":1}]}`, blob.ErrHostile},
		"no digest":      {`{"config":{}}`, blob.ErrHostile},
		"no config":      {`{"layers":[]}`, nil},
		"contradictions": {`{"config":` + config + `,"layers":[{"digest":"` + someDigest.String() + `","size":7}]}`, blob.ErrHostile},
	} {
		err := repo.Pull(t.Context(), describe("", []byte(test.manifest)), []byte(test.manifest), newMemory(), TransferOptions{})
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := repo.Pull(t.Context(), describe("", []byte("a")), []byte("b"), newMemory(), TransferOptions{})
	if !errors.Is(err, blob.ErrMismatch) {
		t.Errorf("another manifest: %v", err)
	}
	if requests.Load() != 0 {
		t.Errorf("%d requests were made", requests.Load())
	}
}

func TestPullEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	armed := atomic.Bool{}
	host := testregistry.Memory(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if armed.Load() && req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/") {
				cancel()
				<-req.Context().Done()
				return
			}
			next.ServeHTTP(w, req)
		})
	}).Host
	p := peer{host, newTestClient(t, Options{})}
	src := newMemory()
	desc, manifest := src.artifact(t, []byte("one"), []byte("two"))
	p.push(t, "m/x:v1", src, desc, manifest)
	armed.Store(true)
	dst := newMemory()
	err := p.repo(t, "m/x:v1").Pull(ctx, desc, manifest, dst, TransferOptions{})
	if !errors.Is(err, context.Canceled) || passing(err) {
		t.Errorf("%v", err)
	}
	if len(dst.content) != 0 {
		t.Errorf("%d blobs were published", len(dst.content))
	}
}

func TestPullBoundsConcurrency(t *testing.T) {
	var now, most atomic.Int64
	host := testregistry.Memory(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/") {
				n := now.Add(1)
				defer now.Add(-1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
			}
			next.ServeHTTP(w, req)
		})
	}).Host
	p := peer{host, newTestClient(t, Options{})}
	src := newMemory()
	var layers [][]byte
	for i := range 20 {
		layers = append(layers, randomBytes(10000, byte(i)))
	}
	desc, manifest := src.artifact(t, layers...)
	p.push(t, "m/x:v1", src, desc, manifest)
	if err := p.repo(t, "m/x:v1").Pull(t.Context(), desc, manifest, newMemory(), TransferOptions{Concurrency: 2}); err != nil {
		t.Fatal(err)
	}
	if most.Load() > 2 {
		t.Errorf("%d at once, want at most 2", most.Load())
	}
}
