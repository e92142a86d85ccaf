package storage_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/internal/storetest"
	"github.com/tareml/tare/internal/testregistry"
	"github.com/tareml/tare/storage"
)

// theirImage is an image of another tool, of one layer.
func theirImage(t *testing.T, content string) v1.Image {
	t.Helper()
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(base, static.NewLayer([]byte(content), "application/octet-stream"))
	must(t, err)
	return img
}

// nestedLayout writes a layout whose index holds an index that holds an index of
// images, beside an image of its own and one without a name.
func nestedLayout(t *testing.T, dir string) {
	t.Helper()
	inner := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: theirImage(t, "inner one"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: theirImage(t, "inner two")})
	outer := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: inner}, mutate.IndexAddendum{Add: theirImage(t, "outer")})
	path, err := layout.Write(dir, empty.Index)
	must(t, err)
	must(t, path.AppendIndex(outer, layout.WithAnnotations(map[string]string{refName: "nested:1"})))
	must(t, path.AppendImage(theirImage(t, "plain"), layout.WithAnnotations(map[string]string{refName: "plain:1"})))
	must(t, path.AppendImage(theirImage(t, "nameless")))
}

// checkSurvives lists, collects, tags and verifies a store that another tool
// wrote, and finds every file of it as it was.
func checkSurvives(t *testing.T, s *storage.Store, refs []string) {
	t.Helper()
	before := files(t, s.Dir())
	checkRefs(t, s, refs)
	checkGC(t, s, 0)
	session := begin(t, s)
	must(t, session.Tag("ours:1", storetest.PutArtifact(t, session, []byte("ours"))))
	must(t, session.Close())
	checkRefs(t, s, append([]string{"ours:1"}, refs...))
	checkGC(t, s, 0)
	must(t, s.Untag("ours:1"))
	checkGC(t, s, 3)
	checkRefs(t, s, refs)
	after := files(t, s.Dir())
	for _, name := range before {
		if !slices.Contains(after, name) {
			t.Errorf("lost: %s", name)
		}
	}
	if got, err := s.Verify(t.Context(), nil, storage.VerifyOptions{Concurrency: 2}); err != nil || len(got.Bad) != 0 || got.Blobs == 0 {
		t.Errorf("verify: %v, %v", got, err)
	}
}

// checkRefs compares the names of all entries, in any order.
func checkRefs(t *testing.T, s *storage.Store, want []string) {
	t.Helper()
	list, err := s.List()
	must(t, err)
	var got []string
	for _, e := range list {
		got = append(got, e.Ref)
		if data, err := s.ReadAll(e.Descriptor); err != nil || !strings.Contains(string(data), "schemaVersion") {
			t.Errorf("%q: %v", e.Ref, err)
		}
	}
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("entries %q, want %q", got, want)
	}
}

func TestNestedIndexSurvives(t *testing.T) {
	dir := t.TempDir()
	nestedLayout(t, dir)
	s := open(t, dir)
	checkSurvives(t, s, []string{"", "nested:1", "plain:1"})
	must(t, s.Untag("nested:1"))
	checkGC(t, s, 11) // 2 indexes, 3 manifests, 3 layers, 3 configs
	checkRefs(t, s, []string{"", "plain:1"})
}

// TestDamagedNestedIndex must not lose what a damaged index leads to.
func TestDamagedNestedIndex(t *testing.T) {
	dir := t.TempDir()
	nestedLayout(t, dir)
	s := open(t, dir)
	outer, err := s.Resolve("nested:1")
	must(t, err)
	data, err := s.ReadAll(outer)
	must(t, err)
	_, after, _ := strings.Cut(string(data), `"digest":"`)
	inner, _, _ := strings.Cut(after, `"`)
	write(t, dir, blobFile(digest.Digest(inner)), "{}")
	for range 2 { // the second time it was set aside
		if freed, err := s.GC(t.Context(), false); err == nil || freed.Blobs != 0 {
			t.Errorf("got %v, %v, want an error", freed, err)
		}
		_, err := s.Verify(t.Context(), nil, storage.VerifyOptions{})
		must(t, err)
	}
}

// TestSkopeoSurvives lets skopeo write a layout of several images, one of them
// into a store of ours.
func TestSkopeoSurvives(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		if os.Getenv(testregistry.RequirePeers) != "" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: %v", err)
	}
	source := t.TempDir()
	nestedLayout(t, source)
	dir := filepath.Join(t.TempDir(), "store")
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(skopeo, append([]string{"--insecure-policy", "copy", "-q"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("skopeo copy %q: %v\n%s", args, err, out)
		}
	}
	run("oci:"+source+":plain:1", "oci:"+dir+":one:1")
	run("oci:"+source+":plain:1", "oci:"+dir+":two:1")
	checkSurvives(t, open(t, dir), []string{"one:1", "two:1"})

	session := begin(t, open(t, dir))
	must(t, session.Tag("ours:1", storetest.PutArtifact(t, session, []byte("ours"))))
	must(t, session.Close())
	run("oci:"+source+":plain:1", "oci:"+dir+":three:1")
	checkRefs(t, open(t, dir), []string{"one:1", "ours:1", "three:1", "two:1"})
	checkGC(t, open(t, dir), 0)
}
