package storage_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"

	"github.com/tareml/tare/internal/storetest"
)

const refName = "org.opencontainers.image.ref.name"

// TestOthersReadOurs reads a store with go-containerregistry.
func TestOthersReadOurs(t *testing.T) {
	s := tagged(t)
	want, err := s.Resolve("kept")
	must(t, err)
	idx, err := layout.ImageIndexFromPath(s.Dir())
	must(t, err)
	manifest, err := idx.IndexManifest()
	must(t, err)
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Annotations[refName] != "kept" {
		t.Fatalf("index: %v", manifest)
	}
	img, err := idx.Image(manifest.Manifests[0].Digest)
	must(t, err)
	got, err := img.Digest()
	must(t, err)
	if got.String() != want.Digest.String() {
		t.Errorf("digest %s, want %s", got, want.Digest)
	}
	layers, err := img.Layers()
	must(t, err)
	for _, layer := range layers {
		checkLayer(t, layer)
	}
}

func checkLayer(t *testing.T, layer v1.Layer) {
	t.Helper()
	want, err := layer.Digest()
	must(t, err)
	r, err := layer.Compressed()
	must(t, err)
	defer r.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, r)
	must(t, err)
	if got := hex.EncodeToString(hash.Sum(nil)); got != want.Hex {
		t.Errorf("layer %s has the content of %s", want, got)
	}
}

// TestReadOthers reads and then changes a store of go-containerregistry's.
func TestReadOthers(t *testing.T) {
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	must(t, err)
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer([]byte("weights"), "application/octet-stream"))
	must(t, err)
	must(t, path.AppendImage(img, layout.WithAnnotations(map[string]string{refName: "theirs:1"})))
	must(t, path.AppendImage(img)) // and once without a name

	s := open(t, dir)
	desc, err := s.Resolve("theirs:1")
	must(t, err)
	checkLayers(t, s, desc)
	session := begin(t, s)
	must(t, session.Tag("ours:1", storetest.PutArtifact(t, session, []byte("ours"))))
	must(t, session.Close())
	checkGC(t, s, 0)
	list, err := s.List()
	must(t, err)
	if len(list) != 3 || list[0].Ref != "" || list[1].Ref != "ours:1" || list[2].Ref != "theirs:1" {
		t.Fatalf("list: %v", list)
	}
	if !list[2].Tagged.IsZero() || list[1].Tagged.IsZero() {
		t.Errorf("only our own tag should have a time: %v", list)
	}
	must(t, s.Untag("theirs:1"))
	checkGC(t, s, 0) // the nameless one still needs it
	checkLayers(t, s, desc)
}
