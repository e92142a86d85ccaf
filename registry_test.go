package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/tareml/tare/internal/netproxy"
	"github.com/tareml/tare/internal/testregistry"
	"github.com/tareml/tare/registry"
)

// TestRegistry has the binary do with a registry all that registries differ in:
//
//	TARE_TEST_REGISTRY       the repository to work in, registry.example.com/team/tare-test;
//	                         if it is not set two registries are started for the test
//	TARE_TEST_SIZE           of the weights, 300KiB; above 64MiB they go in chunks
//	TARE_TEST_CA_FILE        an authority to trust, as for --ca-file
//	TARE_TEST_WRONG_PASSWORD 1 to try one, which may lock the user out
//
// docs/registries.md says more.
func TestRegistry(t *testing.T) {
	if repository := os.Getenv("TARE_TEST_REGISTRY"); repository != "" {
		theirs(t, repository).run(t)
		return
	}
	t.Run("docker-registry", func(t *testing.T) {
		t.Parallel()
		ours(t, testregistry.Debian).run(t)
	})
	t.Run("distribution", func(t *testing.T) {
		t.Parallel()
		s := ours(t, testregistry.Distribution)
		s.keeps = true
		s.run(t)
	})
}

// run lets each check build on those before it.
func (s *suite) run(t *testing.T) {
	if !t.Run("lets us in", s.testLetsUsIn) {
		t.Fatalf("nothing else can be tested: look at the name %s and at the credentials", s.repository)
	}
	s.model = s.newModel(t, s.size)
	if !t.Run("push", s.testPush) {
		t.Fatal("nothing else can be tested")
	}
	for _, check := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"push again", s.testPushAgain},
		{"second tag", s.testSecondTag},
		{"changed layer and moved tag", s.testChangedLayer},
		{"push by digest", s.testPushByDigest},
		{"mount", s.testMount},
		{"pull", s.testPull},
		{"pull goes on after a kill", s.testPullResumed},
		{"push goes on after a cut", s.testPushCut},
		{"push goes on after a kill", s.testPushResumed},
		{"empty blob", s.testEmptyBlob},
		{"artifact with a subject", s.testSubject},
		{"nothing there", s.testNotFound},
		{"wrong password", s.testWrongPassword},
	} {
		t.Run(check.name, check.run)
	}
}

// testLetsUsIn needs credentials that are good for pull and push.
func (s *suite) testLetsUsIn(t *testing.T) {
	m := s.newModel(t, 100)
	s.build(t, s.ref("hello"), m.dir)
	s.push(t, s.ref("hello"))
	if got := s.remoteDigest(t, s.ref("hello")); got != s.digests[s.ref("hello")] {
		t.Errorf("%s is %s, and %s was pushed", s.ref("hello"), got, s.digests[s.ref("hello")])
	}
}

func (s *suite) testPush(t *testing.T) {
	s.build(t, s.ref("a"), s.model.dir)
	sent := s.push(t, s.ref("a"))
	t.Logf("%d bytes were sent for %d", sent, s.size)
	if s.local && (sent < s.size || sent > s.size+s.slack()) {
		t.Errorf("%d bytes were sent for %d", sent, s.size)
	}
}

func (s *suite) testPushAgain(t *testing.T) { s.pushWithoutBlobs(t, s.ref("a")) }

func (s *suite) testSecondTag(t *testing.T) {
	s.must(t, "tag", s.ref("a"), s.ref("b"))
	s.digests[s.ref("b")] = s.digests[s.ref("a")]
	s.pushWithoutBlobs(t, s.ref("b"))
}

// testChangedLayer keeps the weights, and gives a tag that is there to the result.
func (s *suite) testChangedLayer(t *testing.T) {
	s.build(t, s.ref("b"), s.changed(t).dir)
	s.pushWithoutBlobs(t, s.ref("b"))
	if got := s.remoteDigest(t, s.ref("b")); got != s.digests[s.ref("b")] {
		t.Errorf("the tag did not move: it is %s, and %s was pushed", got, s.digests[s.ref("b")])
	}
	if got := s.remoteDigest(t, s.ref("a")); got != s.digests[s.ref("a")] {
		t.Errorf("the other tag is %s, and was %s", got, s.digests[s.ref("a")])
	}
}

func (s *suite) testPushByDigest(t *testing.T) {
	s.build(t, s.ref("local"), s.changed(t).dir)
	ref := s.repository + "@" + s.digests[s.ref("local")]
	s.digests[ref] = s.digests[s.ref("local")]
	delete(s.digests, s.ref("local")) // which stays here
	s.pushWithoutBlobs(t, ref)
	if got := s.remoteDigest(t, ref); got != s.digests[ref] {
		t.Errorf("it is %s there", got)
	}
}

// testMount pushes the same to a repository beside this one, which some registries
// make by themselves.
func (s *suite) testMount(t *testing.T) {
	ref := s.repository + "-mount:" + s.name("a")
	s.must(t, "tag", s.ref("a"), ref)
	sent, r := s.up(t, netproxy.Options{}, "push", ref)
	if !s.local && (r.code == notFound || r.code == denied) {
		t.Skipf("SKIPPED: there is no repository %s-mount, or it is not for us: %s", s.repository, r.stderr)
	}
	r.want(t, 0)
	s.digests[ref] = s.digests[s.ref("a")]
	switch {
	case sent < s.slack():
	case s.local:
		t.Errorf("%d bytes were sent although the registry has all blobs in another repository", sent)
	default:
		t.Logf("this registry does not mount: %d bytes were sent", sent)
	}
}

func (s *suite) testPull(t *testing.T) {
	there := s.machine(t)
	got, r := there.down(t, netproxy.Options{}, "pull", s.ref("a"))
	r.want(t, 0)
	t.Logf("%d bytes were received for %d", got, s.size)
	there.sameFiles(t, s.ref("a"), s.model)
}

// testPullResumed kills a pull at half.
func (s *suite) testPullResumed(t *testing.T) {
	there := s.machine(t)
	first := there.killed(t, netproxy.Options{}, "pull", s.ref("a"))
	second, r := there.down(t, netproxy.Options{}, "pull", s.ref("a"))
	r.want(t, 0)
	t.Logf("%d bytes were received before the kill and %d after it, for %d", first, second, s.size)
	if second > s.size+s.slack() {
		t.Errorf("after the kill more was received than there is")
	}
	if s.local && first+second > s.size+s.pullWindow()+s.slack() {
		t.Errorf("%d bytes were received twice", first+second-s.size)
	}
	there.sameFiles(t, s.ref("a"), s.model)
}

// testPushCut ends the connection at half, and leaves the rest to the same process.
// Of ours it asks for more: what fits into the buffers on the way might have
// arrived, and waiting for that takes seconds.
func (s *suite) testPushCut(t *testing.T) {
	size := s.size
	if s.local {
		size = max(size, 16<<20)
	}
	m := s.newModel(t, size)
	s.build(t, s.ref("cut"), m.dir)
	sent, r := s.up(t, netproxy.Options{Cuts: []netproxy.Cut{{After: size / 2, Reset: true}}}, "push", s.ref("cut"))
	r.want(t, 0)
	s.checkExtra(t, sent, size)
	s.checkPushed(t, s.ref("cut"), m)
}

// testPushResumed kills a push at half, and has a new process go on.
func (s *suite) testPushResumed(t *testing.T) {
	m := s.newModel(t, s.size)
	s.build(t, s.ref("kill"), m.dir)
	first := s.killed(t, netproxy.Options{Up: true}, "push", s.ref("kill"))
	s.checkExtra(t, first+s.push(t, s.ref("kill")), s.size)
	s.checkPushed(t, s.ref("kill"), m)
}

func (s *suite) testEmptyBlob(t *testing.T) {
	m := s.newModel(t, 100)
	m.add(t, "empty.txt", nil)
	s.build(t, s.ref("empty"), m.dir)
	s.push(t, s.ref("empty"))
	s.checkPushed(t, s.ref("empty"), m)
}

// testSubject pushes what is about the model, and asks the registry for it. There
// is no command for that.
func (s *suite) testSubject(t *testing.T) {
	subject, _, err := s.api(t, s.ref("a")).Manifest(t.Context(), s.parse(t, s.ref("a")))
	s.unlessDenied(t, err)
	manifest, desc := about(t, subject)
	ref := s.repository + "@" + desc.Digest.String()
	repo := s.api(t, ref)
	if _, err := repo.Upload(t.Context(), ocispec.DescriptorEmptyJSON, newEmptyJSON(), nil); err != nil {
		t.Fatal(err)
	}
	if err := repo.PushManifest(t.Context(), desc, manifest); err != nil {
		t.Fatalf("this registry takes no manifest with a subject: %v", err)
	}
	s.digests[ref] = desc.Digest.String()
	var found []string
	err = s.oras(t, s.repository).Referrers(t.Context(), subject, "", func(all []ocispec.Descriptor) error {
		for _, d := range all {
			found = append(found, d.Digest.String())
		}
		return nil
	})
	if err != nil || !strings.Contains(strings.Join(found, " "), desc.Digest.String()) {
		t.Errorf("%s is about %s, and the registry says of it: %q, %v", desc.Digest, subject.Digest, found, err)
	}
}

// testNotFound allows for registries that do not tell what is missing from what is
// somebody else's.
func (s *suite) testNotFound(t *testing.T) {
	for _, ref := range []string{s.repository + ":" + s.name("missing"), s.repository + "-" + s.name("missing") + ":v1"} {
		_, r := s.down(t, netproxy.Options{}, "pull", ref)
		if r.code != notFound && (s.local || r.code != denied) {
			t.Errorf("%s: exit code %d, want %d: %s", ref, r.code, notFound, r.stderr)
		}
		t.Logf("%s", r.stderr)
	}
}

func (s *suite) testWrongPassword(t *testing.T) {
	if !s.local && os.Getenv("TARE_TEST_WRONG_PASSWORD") != "1" {
		t.Skip("SKIPPED: TARE_TEST_WRONG_PASSWORD=1 tries one")
	}
	stranger := *s
	stranger.env = append(stranger.env, "TARE_USERNAME=nobody", "TARE_PASSWORD=wrong")
	_, r := stranger.up(t, netproxy.Options{}, "push", s.ref("a"))
	r.want(t, denied)
	t.Logf("%s", r.stderr)
}

// changed is the model with another config.json.
func (s *suite) changed(t *testing.T) *model {
	m := s.newModel(t, 0)
	m.add(t, "weights.bin", s.model.files["weights.bin"])
	return m
}

// pushWithoutBlobs pushes what may cost the config, small files and a manifest, but
// not the weights.
func (s *suite) pushWithoutBlobs(t *testing.T, ref string) {
	t.Helper()
	if sent := s.push(t, ref); sent > s.slack() {
		t.Errorf("%d bytes were sent although the registry has the weights", sent)
	}
}

// checkExtra looks at what was sent in spite of an interruption at half. Where
// uploads are kept it is a chunk at most, elsewhere all that had been sent.
func (s *suite) checkExtra(t *testing.T, sent, size int64) {
	t.Helper()
	t.Logf("the interruption cost %d bytes of %d", sent-size, size)
	if most := size + size/2 + s.slack() + size/50; sent > most {
		t.Errorf("%d bytes were sent, and %d should do", sent, most)
	}
	switch extra := sent - size; {
	case extra <= chunk+s.slack():
	case s.keeps:
		t.Errorf("that is more than a chunk of %d", chunk)
	default:
		t.Logf("this registry keeps no unfinished uploads")
	}
}

// checkPushed extracts what was pushed straight from the registry.
func (s *suite) checkPushed(t *testing.T, ref string, m *model) {
	t.Helper()
	out := t.TempDir()
	_, r := s.down(t, netproxy.Options{}, "extract", "--pull", "always", "--no-sync", ref, out)
	r.want(t, 0)
	m.sameAs(t, out)
}

// unlessDenied skips what commands can do and the test cannot: it knows docker's
// credentials and those in the environment.
func (s *suite) unlessDenied(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, registry.ErrDenied) && !s.local {
		t.Skipf("SKIPPED: the test itself has no credentials for this registry: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// remove deletes what was pushed, where the registry lets us.
func (s *suite) remove(t *testing.T) {
	for ref, text := range s.digests {
		manifests := s.oras(t, s.parse(t, ref).Name()).Manifests()
		desc, err := manifests.Resolve(context.Background(), text)
		if err == nil {
			err = manifests.Delete(context.Background(), desc)
		}
		if err != nil && !errors.Is(err, errdef.ErrNotFound) { // it had two names
			t.Logf("%s stays in the registry: %v", ref, err)
		}
	}
}

// oras is a client for what tare does not do: it asks for referrers and deletes.
func (s *suite) oras(t *testing.T, repository string) *remote.Repository {
	repo, err := remote.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	find := s.credentials(t)
	repo.PlainHTTP = s.ca == "" && isLoopback(repo.Reference.Registry)
	repo.Client = &auth.Client{
		Client: s.client(t),
		Cache:  auth.NewCache(),
		Credential: func(ctx context.Context, host string) (auth.Credential, error) {
			return find.Get(ctx, credentials.ServerAddressFromHostname(host))
		},
	}
	return repo
}

// api is the repository of ref as the package has it.
func (s *suite) api(t *testing.T, ref string) *registry.Repository {
	t.Helper()
	o := registry.Options{Credentials: s.credentials(t)}
	if s.ca != "" {
		o.TLS.CA = []string{s.ca}
	}
	client, err := registry.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	repo, err := client.Repository(s.parse(t, ref))
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func (s *suite) parse(t *testing.T, ref string) registry.Reference {
	t.Helper()
	parsed, err := registry.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
