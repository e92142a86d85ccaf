package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

// reference is as much of a descriptor as marking needs.
type reference struct {
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
}

// references is what manifests and indexes of all kinds refer to others with.
type references struct {
	Config    reference   `json:"config"`
	Layers    []reference `json:"layers"`
	Blobs     []reference `json:"blobs"`
	Subject   reference   `json:"subject"`
	Manifests []reference `json:"manifests"`
}

// leaves are the references to content that refers to nothing itself.
func (r references) leaves() []reference {
	return append(append([]reference{r.Config}, r.Layers...), r.Blobs...)
}

// nodes are the references to other manifests.
func (r references) nodes() []reference {
	return append([]reference{r.Subject}, r.Manifests...)
}

// isManifest says whether content of a media type refers to other content.
func isManifest(mediaType string) bool {
	switch mediaType {
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex,
		"application/vnd.oci.artifact.manifest.v1+json",
		"application/vnd.docker.distribution.manifest.v2+json",
		"application/vnd.docker.distribution.manifest.list.v2+json":
		return true
	}
	return false
}

// markFrom marks root and all that it leads to. A manifest that is missing leads
// nowhere. One that is there but damaged could lead anywhere: that is an error.
func (c *collector) markFrom(ctx context.Context, root reference) error {
	todo := []reference{root}
	for len(todo) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		c.marked[next.Digest] = true
		if c.parsed[next] {
			continue
		}
		c.parsed[next] = true
		refs, err := c.store.references(next)
		if err != nil {
			return err
		}
		for _, leaf := range refs.leaves() {
			c.marked[leaf.Digest] = true
		}
		todo = append(todo, refs.nodes()...)
	}
	return nil
}

// errAside says that a manifest was there, but damaged.
var errAside = fmt.Errorf("set aside: %w", blob.ErrMismatch)

// errTooLarge says that content is larger than any manifest.
var errTooLarge = fmt.Errorf("larger than %d bytes", maxSmall)

// references returns what the content of node refers to. If its media type does
// not say that it is a manifest, it still counts as one as far as it looks like
// one.
func (s *Store) references(node reference) (references, error) {
	var refs references
	data, err := s.readSmall(node.Digest)
	if isNotExist(err) && isManifest(node.MediaType) && s.isAside(node.Digest) {
		err = errAside
	}
	switch {
	case isNotExist(err) || errors.Is(err, digest.ErrDigestInvalidFormat) || errors.Is(err, digest.ErrDigestInvalidLength):
		return refs, nil // a name that no blob has leads nowhere either
	case errors.Is(err, errTooLarge) && !isManifest(node.MediaType):
		return refs, nil
	case err == nil:
		if err = json.Unmarshal(data, &refs); err == nil || !isManifest(node.MediaType) {
			return refs, nil
		}
	}
	return refs, &hintError{
		err:  fmt.Errorf("manifest %s, nothing was removed: %w", node.Digest, err),
		hint: "what the damaged manifest needs cannot be told: pull or build it again, or remove its tags, and try again",
	}
}

// readSmall returns the verified content of a blob whose size is not known.
func (s *Store) readSmall(d digest.Digest) ([]byte, error) {
	path, err := s.blobPath(d)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSmall {
		return nil, errTooLarge
	}
	r, err := blob.NewReader(f, ocispec.Descriptor{Digest: d, Size: info.Size()})
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
