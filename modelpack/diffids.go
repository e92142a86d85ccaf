package modelpack

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/blob"
)

// diffConfig is what configs say of the content of layers before it was
// compressed: ModelPack's, and those of images and of Docker's models.
type diffConfig struct {
	ModelFS struct {
		DiffIDs []digest.Digest `json:"diffIds"`
	} `json:"modelfs"`
	RootFS struct {
		DiffIDs []digest.Digest `json:"diff_ids"`
	} `json:"rootfs"`
}

// readDiffIDs tells the layers the digests of their uncompressed content. A
// config that has none, as some tools write it, is fine; one that speaks of other
// layers belongs to another artifact.
func (a *Artifact) readDiffIDs(data []byte) error {
	if !strings.HasSuffix(a.Manifest.Config.MediaType, "json") {
		return nil
	}
	var c diffConfig
	if err := unmarshal("config", data, &c); err != nil {
		return fmt.Errorf("%w: %w", err, blob.ErrHostile)
	}
	ids := append(c.ModelFS.DiffIDs, c.RootFS.DiffIDs...)
	if len(ids) == 0 {
		return nil
	}
	if len(ids) != len(a.Layers) {
		return fmt.Errorf("config %s has %d diffIds, the manifest %d layers: %w", a.Manifest.Config.Digest, len(ids), len(a.Layers), blob.ErrHostile)
	}
	for i, id := range ids {
		l := &a.Layers[i]
		if err := id.Validate(); err != nil {
			return fmt.Errorf("layer %s: diffId %q: %w: %w", l.Digest, id, err, blob.ErrHostile)
		}
		if l.Format == TarGzip || l.Format == TarZstd {
			l.DiffID = id
		} else if id != l.Digest {
			return fmt.Errorf("layer %s: the config has diffId %s for it: %w", l.Digest, id, blob.ErrHostile)
		}
	}
	return nil
}
