package modelpack_test

import (
	"encoding/json"
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/modelpack"
)

func TestMediaTypesRoundTrip(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range modelpack.Kinds() {
		for _, f := range []modelpack.Format{modelpack.Raw, modelpack.Tar, modelpack.TarGzip, modelpack.TarZstd} {
			mt := modelpack.MediaType(k, f)
			if seen[mt] {
				t.Errorf("%s stands for two things", mt)
			}
			seen[mt] = true
			if k2, f2, ok := modelpack.ParseMediaType(mt); !ok || k2 != k || f2 != f {
				t.Errorf("%s parses as %v %v %v", mt, k2, f2, ok)
			}
			old := strings.Replace(mt, "vnd.cncf", "vnd.cnai", 1)
			if k2, f2, ok := modelpack.ParseMediaType(old); !ok || k2 != k || f2 != f {
				t.Errorf("%s parses as %v %v %v", old, k2, f2, ok)
			}
		}
	}
	// the spec's own spelling of one of each shape
	for _, mt := range []string{
		"application/vnd.cncf.model.weight.v1.raw",
		"application/vnd.cncf.model.weight.config.v1.tar",
		"application/vnd.cncf.model.doc.v1.tar+gzip",
		"application/vnd.cncf.model.dataset.v1.tar+zstd",
		"application/vnd.cncf.model.code.v1.tar",
	} {
		if !seen[mt] {
			t.Errorf("%s is not written", mt)
		}
	}
	for _, mt := range []string{"", "application/vnd.oci.image.layer.v1.tar", "application/vnd.cncf.model.weight.v1.zip", "application/vnd.cncf.model.config.v1+json", "application/vnd.cncf.model.weight.v2.tar"} {
		if _, _, ok := modelpack.ParseMediaType(mt); ok {
			t.Errorf("%s is taken for a layer", mt)
		}
	}
}

func layerDescriptor(mediaType string, annotations map[string]string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString("x"), Size: 1, Annotations: annotations}
}

func marshal(t *testing.T, m ocispec.Manifest) []byte {
	t.Helper()
	m.SchemaVersion = 2
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseManifestReadsEveryDialect(t *testing.T) {
	weight := "application/vnd.cncf.model.weight.v1.raw"
	for name, m := range map[string]ocispec.Manifest{
		"current": {
			ArtifactType: modelpack.ArtifactType,
			Config:       ocispec.Descriptor{MediaType: modelpack.MediaTypeConfig},
			Layers:       []ocispec.Descriptor{layerDescriptor(weight, map[string]string{"org.cncf.model.filepath": "a.bin"})},
		},
		"no artifactType": {
			Config: ocispec.Descriptor{MediaType: modelpack.MediaTypeConfig},
			Layers: []ocispec.Descriptor{layerDescriptor(weight, map[string]string{"org.cncf.model.filepath": "a.bin"})},
		},
		"older": {
			ArtifactType: "application/vnd.cnai.model.manifest.v1+json",
			Config:       ocispec.Descriptor{MediaType: "application/vnd.cnai.model.config.v1+json"},
			Layers:       []ocispec.Descriptor{layerDescriptor("application/vnd.cnai.model.weight.v1.raw", map[string]string{"org.cnai.model.filepath": "a.bin"})},
		},
		"title only, empty config": {
			Config: ocispec.Descriptor{MediaType: "application/vnd.oci.empty.v1+json"},
			Layers: []ocispec.Descriptor{layerDescriptor(weight, map[string]string{"org.opencontainers.image.title": "a.bin"})},
		},
	} {
		a, err := modelpack.ParseManifest(marshal(t, m))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if l := a.Layers[0]; l.Kind != modelpack.Model || l.Format != modelpack.Raw || l.Path != "a.bin" {
			t.Errorf("%s: read as %v %v %q", name, l.Kind, l.Format, l.Path)
		}
	}
}

func TestParseManifestRefusesWhatIsNoModel(t *testing.T) {
	image := ocispec.Manifest{
		Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig},
		Layers: []ocispec.Descriptor{layerDescriptor(ocispec.MediaTypeImageLayer, nil)},
	}
	strange := image
	strange.ArtifactType = modelpack.ArtifactType
	for name, data := range map[string][]byte{
		"image":               marshal(t, image),
		"index":               []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`),
		"no layers":           marshal(t, ocispec.Manifest{ArtifactType: modelpack.ArtifactType}),
		"unknown layer types": marshal(t, strange),
	} {
		if _, err := modelpack.ParseManifest(data); !errors.Is(err, modelpack.ErrNotModel) {
			t.Errorf("%s: error %v, want %v", name, err, modelpack.ErrNotModel)
		}
	}
	million := []byte(`{"layers":[` + strings.Repeat("{},", 1_000_000) + `{}]}`)
	if _, err := modelpack.ParseManifest(million); !errors.Is(err, blob.ErrHostile) {
		t.Errorf("a million layers: error %v", err)
	}
	if _, err := modelpack.ParseManifest([]byte("{")); err == nil {
		t.Error("broken JSON was read")
	}
}

func TestFileMetadataIsTheSameEverywhere(t *testing.T) {
	got, err := json.Marshal(modelpack.NewFileMetadata("sub/a.bin", 5, true))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"a.bin","mode":493,"uid":0,"gid":0,"size":5,"mtime":"1970-01-01T00:00:00Z","typeflag":0}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCheckPath(t *testing.T) {
	for _, good := range []string{"a", "a/b.bin", "..a", "a..b", "ünï/模型.bin", "with space", ".hidden", "name:b", ".tareignore"} {
		if err := modelpack.CheckPath(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", ".", "..", "/", "/etc/passwd", "../a", "a/../b", "a/..", "a//b", "a/", "./a", "a/./b",
		"c:/a", "C:a", `a\b`, `..\a`, "a\x00b", "\xff", ".tare", ".tare/state.json", "sub/.tare/state.json", "a/.Tare/x", ".TARE/x",
		strings.Repeat("x", 256), strings.Repeat("x/", 64) + "x", ".tare./x", ".tare /x", strings.Repeat("x/", 2100) + "x",
	} {
		if err := modelpack.CheckPath(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

// FuzzParseManifest looks for a manifest that makes parsing panic, or that says
// something else once it was written again.
func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"artifactType":"application/vnd.cncf.model.manifest.v1+json","config":{},"layers":[{"mediaType":"application/vnd.cncf.model.weight.v1.raw","digest":"sha256:x","size":-1,"annotations":{"org.cncf.model.filepath":"../a","org.cncf.model.file.metadata+json":"{\"size\":1}"}}]}`))
	f.Add([]byte(`{"layers":[{"mediaType":"application/vnd.cnai.model.doc.v1.tar"}]}`))
	f.Add([]byte(`{"config":{"mediaType":"application/vnd.oci.image.config.v1+json"},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip"}]}`))
	f.Add([]byte(`{"layers":[{"mediaType":"application/vnd.kitops.modelkit.docs.v1.raw+gzip"},{"mediaType":"application/vnd.docker.ai.gguf.v3"},{"mediaType":"application/vnd.docker.ai.gguf.v3"}],"annotations":{"ml.kitops.modelkit.kitfile":"{\"docs\":[{\"digest\":\"\"}]}"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		either, eitherErr := modelpack.ParseImage(data)
		a, err := modelpack.ParseManifest(data)
		if (err == nil) != (eitherErr == nil && !either.Image) {
			t.Fatalf("a model for one and not for the other: %v, %v", err, eitherErr)
		}
		if err != nil {
			return
		}
		if len(a.Layers) == 0 || len(a.Layers) != len(a.Manifest.Layers) {
			t.Fatalf("%d layers of %d", len(a.Layers), len(a.Manifest.Layers))
		}
		again, err := modelpack.NewManifest(a.Manifest.Config, a.Manifest.Layers, a.Manifest.Annotations)
		if err != nil {
			t.Fatal(err)
		}
		b, err := modelpack.ParseManifest(again)
		if err != nil {
			t.Fatalf("what was read once cannot be read again: %v", err)
		}
		for i := range a.Layers {
			if a.Layers[i].Path != b.Layers[i].Path || a.Layers[i].Kind != b.Layers[i].Kind || a.Layers[i].Format != b.Layers[i].Format {
				t.Errorf("layer %d: %+v, then %+v", i, a.Layers[i], b.Layers[i])
			}
		}
	})
}

func FuzzCheckPath(f *testing.F) {
	for _, seed := range []string{"a/b", "../a", "/a", "a\x00", ".tare/x", "a//b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if modelpack.CheckPath(p) != nil {
			return
		}
		if clean := path.Clean("/dest/" + p); clean != "/dest/"+p || !strings.HasPrefix(clean, "/dest/") {
			t.Errorf("%q passes and means %q", p, clean)
		}
	})
}
