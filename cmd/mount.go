package cmd

import (
	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/registry"
)

// mountable names, by digest, another repository of ref's registry that has been
// given a blob under some tag of the store. What cannot be read has none.
func (v *view) mountable(ref registry.Reference) map[digest.Digest]string {
	entries, err := v.List()
	if err != nil {
		return nil
	}
	from := make(map[digest.Digest]string)
	for _, e := range entries {
		named, err := registry.ParseReference(e.Ref)
		if err != nil || named.Registry != ref.Registry || named.Repository == ref.Repository {
			continue
		}
		data, err := v.ReadAll(e.Descriptor)
		if err != nil {
			continue
		}
		art, err := parseArtifact(e.Descriptor, data)
		if err != nil {
			continue
		}
		for _, desc := range art.blobs() {
			from[desc.Digest] = named.Repository
		}
	}
	return from
}
