package modelpack_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/modelpack"
)

// TestDiffIDs holds configs against the layers that they are about.
func TestDiffIDs(t *testing.T) {
	raw, zipped, content := digest.FromString("raw"), digest.FromString("zipped"), digest.FromString("content")
	ids := func(ids ...digest.Digest) string {
		s := ""
		for i, id := range ids {
			if i > 0 {
				s += ","
			}
			s += fmt.Sprintf("%q", id)
		}
		return "[" + s + "]"
	}
	for name, c := range map[string]struct {
		config string
		want   digest.Digest // of the compressed layer's content
		err    error
	}{
		"right":        {config: `{"modelfs":{"diffIds":` + ids(raw, content) + `}}`, want: content},
		"an image's":   {config: `{"rootfs":{"diff_ids":` + ids(raw, content) + `}}`, want: content},
		"empty object": {config: `{}`},
		"none":         {config: `{"modelfs":{"type":"layers","diffIds":[]}}`},
		"too few":      {config: `{"modelfs":{"diffIds":` + ids(raw) + `}}`, err: blob.ErrHostile},
		"too many":     {config: `{"modelfs":{"diffIds":` + ids(raw, content, raw) + `}}`, err: blob.ErrHostile},
		"another":      {config: `{"modelfs":{"diffIds":` + ids(zipped, content) + `}}`, err: blob.ErrHostile},
		"malformed":    {config: `{"modelfs":{"diffIds":` + ids(raw, "sha256:../x") + `}}`, err: blob.ErrHostile},
		"no JSON":      {config: `nonsense`, err: blob.ErrHostile},
	} {
		a := &modelpack.Artifact{
			Manifest: ocispec.Manifest{Config: ocispec.Descriptor{MediaType: modelpack.MediaTypeConfig}},
			Layers: []modelpack.Layer{
				{Descriptor: ocispec.Descriptor{Digest: raw}, Format: modelpack.Raw},
				{Descriptor: ocispec.Descriptor{Digest: zipped}, Format: modelpack.TarGzip},
			},
		}
		if err := a.ReadConfig([]byte(c.config)); !errors.Is(err, c.err) {
			t.Errorf("%s: error %v, want %v", name, err, c.err)
		}
		if c.err == nil && (a.Layers[1].DiffID != c.want || a.Layers[0].DiffID != "") {
			t.Errorf("%s: diffIds %q and %q", name, a.Layers[0].DiffID, a.Layers[1].DiffID)
		}
	}
}
