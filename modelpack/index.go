package modelpack

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

const dockerMediaTypeList = "application/vnd.docker.distribution.manifest.list.v2+json"

// dockerReference on an entry of an index says that it describes another one:
// it is an attestation of how that was built.
const dockerReference = "vnd.docker.reference.type"

// Index is a list of manifests that go by one name, such as those of an image
// for several platforms.
type Index struct {
	Manifests []ocispec.Descriptor
}

// ParseIndex reads an OCI index or a manifest list of Docker's. The second result
// is false if data is well formed and neither, and then may be a manifest.
func ParseIndex(data []byte) (*Index, bool, error) {
	var x struct {
		MediaType      string               `json:"mediaType"`
		Manifests      []ocispec.Descriptor `json:"manifests"`
		Config, Layers json.RawMessage
	}
	if err := unmarshal("manifest", data, &x); err != nil {
		return nil, false, err
	}
	switch x.MediaType {
	case ocispec.MediaTypeImageIndex, dockerMediaTypeList:
	case "":
		if x.Manifests == nil {
			return nil, false, nil
		}
	default:
		return nil, false, nil
	}
	if x.Config != nil || x.Layers != nil { // two readers could see two things in it
		return nil, false, fmt.Errorf("an index that is a manifest as well: %w", blob.ErrHostile)
	}
	return &Index{x.Manifests}, true, nil
}

// Choose picks the manifest for a platform, in Go's words for it. Where there is
// but one, its platform does not matter; else it is the one for the platform,
// for Linux on the same processor, since models seldom are for anything else, or
// the only one for no platform in particular. Attestations never are. The error
// lists what there is.
func (x *Index) Choose(os, arch string) (ocispec.Descriptor, error) {
	all := x.contents()
	if len(all) == 1 {
		return all[0], nil
	}
	for _, system := range []string{os, "linux"} {
		for _, desc := range all {
			if p := desc.Platform; p != nil && p.OS == system && p.Architecture == arch {
				return desc, nil
			}
		}
	}
	var neutral []ocispec.Descriptor
	for _, desc := range all {
		if platform(desc) == "" {
			neutral = append(neutral, desc)
		}
	}
	if len(neutral) == 1 {
		return neutral[0], nil
	}
	return ocispec.Descriptor{}, notInIndex(os, arch, all)
}

// contents lists the manifests that are no attestations, each once.
func (x *Index) contents() []ocispec.Descriptor {
	var all []ocispec.Descriptor
	seen := make(map[digest.Digest]ocispec.Descriptor)
	for _, desc := range x.Manifests {
		first, again := seen[desc.Digest]
		if isAttestation(desc) || again && platform(desc) == platform(first) {
			continue
		}
		seen[desc.Digest] = desc
		all = append(all, desc)
	}
	if len(seen) == 1 {
		return all[:1]
	}
	return all
}

func isAttestation(desc ocispec.Descriptor) bool {
	return desc.Annotations[dockerReference] != "" || platform(desc) == "unknown/unknown"
}

// platform is empty for what is for none in particular.
func platform(desc ocispec.Descriptor) string {
	p := desc.Platform
	if p == nil || p.OS == "" && p.Architecture == "" {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

func notInIndex(os, arch string, all []ocispec.Descriptor) error {
	if len(all) == 0 {
		return fmt.Errorf("an index of nothing: %w", ErrNotModel)
	}
	const most = 10
	var list []string
	for _, desc := range all[:min(most, len(all))] {
		list = append(list, fmt.Sprintf("%q", strings.TrimSpace(platform(desc)+" "+desc.Digest.String())))
	}
	if more := len(all) - most; more > 0 {
		list = append(list, fmt.Sprintf("%d more", more))
	}
	return fmt.Errorf("manifest for %s/%s %w in the index, which has %s", os, arch, blob.ErrNotFound, strings.Join(list, ", "))
}
