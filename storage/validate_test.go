package storage_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/internal/storetest"
)

// TestValidate lets go-containerregistry check every digest, size and diff ID of
// a store.
func TestValidate(t *testing.T) {
	s := open(t, t.TempDir())
	session := begin(t, s)
	// An image: validate insists on a config with diff IDs.
	tar := make([]byte, 1024)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write(tar)
	must(t, errors.Join(err, w.Close()))
	layer := storetest.Put(t, session, ocispec.MediaTypeImageLayerGzip, zipped.Bytes())
	config, err := json.Marshal(map[string]any{
		"os": "linux", "architecture": "amd64",
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest.FromBytes(tar).String()}},
	})
	must(t, err)
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: storetest.Put(t, session, ocispec.MediaTypeImageConfig, config),
		Layers: []ocispec.Descriptor{layer},
	})
	must(t, err)
	desc := storetest.Describe(ocispec.MediaTypeImageManifest, manifest)
	_, err = session.Receive(t.Context(), desc, storetest.Write(desc, manifest))
	must(t, err)
	must(t, session.Tag("image:1", desc))
	idx, err := layout.ImageIndexFromPath(s.Dir())
	must(t, err)
	must(t, validate.Index(idx))
}
