package interop_test

import (
	"errors"
	"io"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// readCrane pulls each layer through go-containerregistry, which verifies it and
// finds out by itself how it is compressed, and holds the diffIDs of the config to
// what comes out.
func readCrane(t *testing.T, a *artifact) (files, error) {
	image := craneImage(t, a)
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	got := make(files)
	for i, desc := range a.manifest.Layers {
		content, err := uncompressed(layers[i])
		if err != nil {
			return nil, err
		}
		if d := digest.FromString(content); d != a.config.ModelFS.DiffIDs[i] {
			t.Errorf("layer %d: diffID %s, its content is %s", i, a.config.ModelFS.DiffIDs[i], d)
		}
		if err := got.unpack(desc, content); err != nil {
			return nil, err
		}
	}
	return got, nil
}

func craneImage(t *testing.T, a *artifact) v1.Image {
	t.Helper()
	ref, err := name.ParseReference(a.ref)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func uncompressed(l v1.Layer) (string, error) {
	r, err := l.Uncompressed()
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(r)
	return string(content), errors.Join(err, r.Close())
}

// TestCraneReadsTheStore: the store is a layout to others, blob by blob what its
// index and manifests say.
func TestCraneReadsTheStore(t *testing.T) {
	m, host := oddModel(t), newRegistry(t)
	for _, f := range formats() {
		a := newArtifact(t, m, f, host)
		index, err := layout.ImageIndexFromPath(a.store)
		if err != nil {
			t.Fatal(err)
		}
		content, err := index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		named := match.Annotation(ocispec.AnnotationRefName, a.ref)
		if len(content.Manifests) != 1 || !named(content.Manifests[0]) {
			t.Errorf("%s: the index has %+v, want %s alone", f, content.Manifests, a.ref)
		}
		if err := validate.Index(index); err != nil {
			t.Errorf("%s: in the store: %v", f, err)
		}
		if err := validate.Image(craneImage(t, a)); err != nil {
			t.Errorf("%s: in the registry: %v", f, err)
		}
	}
}
