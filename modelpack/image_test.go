package modelpack_test

import (
	"errors"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/modelpack"
)

func TestParseImage(t *testing.T) {
	const rootfs = "application/vnd.docker.image.rootfs."
	for name, test := range map[string]struct {
		m    ocispec.Manifest
		want []string
	}{
		"OCI": {
			ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: layer(ocispec.MediaTypeImageConfig, ""), Layers: []ocispec.Descriptor{
				layer(ocispec.MediaTypeImageLayer, "", "org.opencontainers.image.title", "a"), layer(ocispec.MediaTypeImageLayerGzip, ""), layer(ocispec.MediaTypeImageLayerZstd, ""),
				layer("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", ""),
			}},
			[]string{`model tar ""`, `model tar+gzip ""`, `model tar+zstd ""`, `model tar+gzip ""`},
		},
		"Docker": {
			ocispec.Manifest{MediaType: "application/vnd.docker.distribution.manifest.v2+json", Config: layer("application/vnd.docker.container.image.v1+json", ""), Layers: []ocispec.Descriptor{
				layer(rootfs+"diff.tar.gzip", ""), layer(rootfs+"diff.tar", ""), layer(rootfs+"diff.tar.zstd", ""), layer(rootfs+"foreign.diff.tar.gzip", ""),
			}},
			[]string{`model tar+gzip ""`, `model tar ""`, `model tar+zstd ""`, `model tar+gzip ""`},
		},
	} {
		a, err := modelpack.ParseImage(marshal(t, test.m))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !a.Image {
			t.Errorf("%s: no image", name)
		}
		checkLayers(t, a, test.want...)
		if _, err := modelpack.ParseManifest(marshal(t, test.m)); !errors.Is(err, modelpack.ErrNotModel) {
			t.Errorf("%s: taken for a model: %v", name, err)
		}
	}
}

func TestParseImageReadsModelsToo(t *testing.T) {
	for name, config := range map[string]string{"model": modelpack.MediaTypeConfig, "image config": ocispec.MediaTypeImageConfig, "no config": ""} {
		a, err := modelpack.ParseImage(marshal(t, ocispec.Manifest{Config: layer(config, ""), Layers: []ocispec.Descriptor{
			layer("application/vnd.cncf.model.weight.v1.raw", "", "org.cncf.model.filepath", "a"),
		}}))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if a.Image || a.Layers[0].Path != "a" {
			t.Errorf("%s: image %v, %+v", name, a.Image, a.Layers)
		}
	}
}

func TestParseImageRefusesWhatIsNoImage(t *testing.T) {
	tar := []ocispec.Descriptor{layer(ocispec.MediaTypeImageLayer, "")}
	image := layer(ocispec.MediaTypeImageConfig, "")
	for name, m := range map[string]ocispec.Manifest{
		"artifactType": {ArtifactType: "application/vnd.example+type", Config: image, Layers: tar},
		"other config": {Config: layer("application/vnd.cncf.helm.config.v1+json", ""), Layers: tar},
		"model":        {ArtifactType: modelpack.ArtifactType, Config: image, Layers: tar},
		"no layers":    {Config: image},
		"attestation":  {Config: image, Layers: []ocispec.Descriptor{layer("application/vnd.in-toto+json", "", "in-toto.io/predicate-type", "https://slsa.dev/provenance/v1")}},
		"encrypted":    {Config: image, Layers: []ocispec.Descriptor{layer(ocispec.MediaTypeImageLayerGzip+"+encrypted", "")}},
		"mixed names":  {Config: image, Layers: []ocispec.Descriptor{layer("application/vnd.oci.image.layer.v1.tar.gzip", "")}},
		"no archive":   {Config: image, Layers: []ocispec.Descriptor{layer("application/vnd.oci.image.layer.v1", "")}},
	} {
		if a, err := modelpack.ParseImage(marshal(t, m)); !errors.Is(err, modelpack.ErrNotModel) {
			t.Errorf("%s: %v, error %v", name, a, err)
		}
	}
	_, err := modelpack.ParseImage(marshal(t, ocispec.Manifest{Config: image, Layers: append(tar, layer("application/vnd.in-toto+json", ""))}))
	if err == nil || !strings.Contains(err.Error(), "layer 2 ") || !strings.Contains(err.Error(), `"application/vnd.in-toto+json"`) {
		t.Errorf("the error does not say what is wrong: %v", err)
	}
	if _, err := modelpack.ParseImage([]byte(`{"layers":[` + strings.Repeat(" ", modelpack.MaxManifestSize) + `]}`)); !errors.Is(err, blob.ErrHostile) {
		t.Errorf("a large manifest: error %v", err)
	}
}
