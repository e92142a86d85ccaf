package interop_test

import (
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	specv1 "github.com/modelpack/model-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// format is a way to package a model.
type format string

const (
	tarLayers format = "tar"
	rawLayers format = "raw"
	gzipped   format = "tar+gzip"
	zstded    format = "tar+zstd"
	bundled   format = "bundle"
	flatRaw   format = "raw-flat"
)

func formats() []format {
	return []format{tarLayers, rawLayers, gzipped, zstded, bundled, flatRaw}
}

// flags are what tells tare build to use the format.
func (f format) flags() []string {
	return map[format][]string{
		rawLayers: {"--raw"},
		gzipped:   {"--layer-format", "tar+gzip"},
		zstded:    {"--layer-format", "tar+zstd"},
		bundled:   {"--bundle", "code,dataset,doc"},
		flatRaw:   {"--raw", "--flat"},
	}[f]
}

// artifact is a model that tare has built and pushed.
type artifact struct {
	*model
	format   format
	store    string // an OCI layout
	ref      string // in the store and in a registry
	digest   digest.Digest
	manifest ocispec.Manifest
	config   specv1.Model
}

// newRegistry starts a registry in this process and returns its host and port.
func newRegistry(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// newArtifact builds m and pushes it to the registry at host.
func newArtifact(t *testing.T, m *model, f format, host string) *artifact {
	t.Helper()
	a := &artifact{
		model:  m,
		format: f,
		store:  t.TempDir(),
		ref:    host + "/interop/" + m.name + ":" + strings.ReplaceAll(string(f), "+", "-"),
	}
	args := append([]string{"build", "-t", a.ref, "--format", "{{.Digest}}"}, f.flags()...)
	if m.modelfile != "" {
		args = append(args, "-f", m.modelfile)
	}
	a.digest = digest.Digest(strings.TrimSpace(tare(t, a.store, append(args, m.dir)...)))
	tare(t, a.store, "push", a.ref)
	a.unmarshal(t, a.digest, &a.manifest)
	a.unmarshal(t, a.manifest.Config.Digest, &a.config)
	return a
}

// blobPath is where the store keeps a blob.
func (a *artifact) blobPath(d digest.Digest) string {
	return filepath.Join(a.store, "blobs", d.Algorithm().String(), d.Encoded())
}

// blob is the content of a blob.
func (a *artifact) blob(d digest.Digest) (string, error) {
	content, err := os.ReadFile(a.blobPath(d))
	return string(content), err
}

func (a *artifact) unmarshal(t *testing.T, d digest.Digest, v any) {
	t.Helper()
	content, err := a.blob(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(content), v); err != nil {
		t.Fatal(err)
	}
}
