package cmd

import (
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/registry"
)

// TestLayersAreThoseOfTheArtifact: the config is none, two layers that are one blob
// are two, and a name that two blobs have counts for both.
func TestLayersAreThoseOfTheArtifact(t *testing.T) {
	desc := func(content string, annotations map[string]string) ocispec.Descriptor {
		return ocispec.Descriptor{Digest: digest.FromString(content), Size: 1, Annotations: annotations}
	}
	at := func(path string) map[string]string { return map[string]string{modelpack.AnnotationFilepath: path} }
	art := &artifact{Artifact: &modelpack.Artifact{Manifest: ocispec.Manifest{
		Config: desc("config", nil),
		Layers: []ocispec.Descriptor{
			desc("a", at("a.bin")), desc("b", at("b.bin")), desc("a", at("copy.bin")), desc("c", at("b.bin")), desc("d", nil),
		},
	}}}
	reporter := progress.New(progress.None, nil, 0)
	o := (&transferFlags{}).transferOptions(reporter, art)
	for _, step := range []struct {
		done ocispec.Descriptor
		want int
	}{
		{art.Manifest.Config, 0}, {art.Manifest.Layers[0], 2}, {art.Manifest.Layers[1], 4}, {art.Manifest.Layers[3], 4}, {art.Manifest.Layers[4], 5},
	} {
		name := o.Plan([]ocispec.Descriptor{step.done})[0].Name
		o.Observer.Observe(registry.PhaseData, name, 1, 0, 0)
		o.Observer.Observe(registry.PhaseDone, name, 0, 0, 0)
		if got := reporter.Status().Done; got != step.want {
			t.Errorf("%d layers are done with %s, want %d", got, name, step.want)
		}
	}
	if s := reporter.Status(); s.Safe != 5 || s.Safe != art.transfer() {
		t.Errorf("told of %d bytes of %d", s.Safe, art.transfer())
	}
}
