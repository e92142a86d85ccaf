package modelpack

import (
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's name for a config is older than OCI's, and still written.
const dockerMediaTypeImageConfig = "application/vnd.docker.container.image.v1+json"

// ParseImage reads a manifest as [ParseManifest] does, and that of a plain image
// too: an image config, no artifactType, and layers that are nothing but layers
// of a file system. What else is packed as an image, such as attestations, is
// [ErrNotModel].
func ParseImage(data []byte) (*Artifact, error) {
	m, err := decodeManifest(data)
	if err != nil {
		return nil, err
	}
	a, err := newModel(m)
	if err == nil || m.ArtifactType != "" || !isImageConfig(m.Config.MediaType) {
		return a, err
	}
	if a, err = newArtifact(m, parseImageLayer); err != nil {
		return nil, err
	}
	a.Image = true
	return a, nil
}

func isImageConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == dockerMediaTypeImageConfig
}

func parseImageLayer(desc ocispec.Descriptor) (Layer, error) {
	format, ok := parseImageType(desc.MediaType)
	if !ok {
		return Layer{}, unknownType(desc)
	}
	return Layer{Descriptor: desc, Kind: Model, Format: format}, nil
}

// parseImageType reads the media type of an image's layer. OCI's names end in
// .tar, .tar+gzip or .tar+zstd, Docker's in .tar, .tar.gzip or .tar.zstd.
func parseImageType(mediaType string) (Format, bool) {
	var separator string
	base, compression, ok := strings.Cut(mediaType, ".tar")
	switch base {
	case "application/vnd.oci.image.layer.v1", "application/vnd.oci.image.layer.nondistributable.v1":
		separator = "+"
	case "application/vnd.docker.image.rootfs.diff", "application/vnd.docker.image.rootfs.foreign.diff":
		separator = "."
	default:
		return "", false
	}
	switch compression {
	case "":
		return Tar, ok
	case separator + "gzip":
		return TarGzip, true
	case separator + "zstd":
		return TarZstd, true
	}
	return "", false
}
