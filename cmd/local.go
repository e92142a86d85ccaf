package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/registry"
	"github.com/tareml/tare/storage"
)

// resolveLocal finds a reference in the store: by its name, or by its digest
// under any name of the same repository.
func resolveLocal(store *storage.Store, ref registry.Reference) (ocispec.Descriptor, error) {
	entries, err := store.List()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, e := range entries {
		if matches(e, ref) {
			return e.Descriptor, nil
		}
	}
	return ocispec.Descriptor{}, withHint(fmt.Errorf("%s: %w in the local store %s", ref, blob.ErrNotFound, store.Dir()), "tare ls shows what is there")
}

// matches says whether an entry of the store is what ref names. A digest decides
// over a tag.
func matches(e storage.Entry, ref registry.Reference) bool {
	if ref.Digest == "" {
		return e.Ref == ref.String()
	}
	if e.Descriptor.Digest != ref.Digest {
		return false
	}
	if e.Ref == "" {
		return true
	}
	named, err := registry.ParseReference(e.Ref)
	return err == nil && named.Name() == ref.Name()
}

// artifact is a model artifact and where its manifest was found.
type artifact struct {
	*modelpack.Artifact
	desc ocispec.Descriptor
	data []byte // the manifest
}

// digests lists all that the artifact needs.
func (a *artifact) digests() []digest.Digest {
	all := []digest.Digest{a.desc.Digest, a.Manifest.Config.Digest}
	for _, l := range a.Layers {
		all = append(all, l.Digest)
	}
	return all
}

// transfer is what moving the artifact means: each blob once. It reports bytes
// and blobs.
func (a *artifact) transfer() (size int64, blobs int) {
	seen := make(map[digest.Digest]bool)
	for _, desc := range append([]ocispec.Descriptor{a.Manifest.Config}, a.Manifest.Layers...) {
		if !seen[desc.Digest] {
			seen[desc.Digest] = true
			size += desc.Size
		}
	}
	return size, len(seen)
}

func newArtifact(ref registry.Reference, desc ocispec.Descriptor, data []byte) (*artifact, error) {
	parsed, err := modelpack.ParseManifest(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return &artifact{parsed, desc, data}, nil
}

// localArtifact reads an artifact of the store.
func localArtifact(store *storage.Store, ref registry.Reference) (*artifact, error) {
	desc, err := resolveLocal(store, ref)
	if err != nil {
		return nil, err
	}
	data, err := store.ReadAll(desc)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return newArtifact(ref, desc, data)
}

// remoteArtifact reads an artifact of a registry.
func remoteArtifact(ctx context.Context, repo *registry.Repository, ref registry.Reference) (*artifact, error) {
	desc, data, err := repo.Manifest(ctx, ref)
	if err != nil {
		return nil, err
	}
	return newArtifact(ref, desc, data)
}

// protect keeps digests from being pruned while a command reads them. A store
// that cannot be written to cannot be pruned either.
func protect(ctx context.Context, store *storage.Store, digests []digest.Digest) (release func() error, err error) {
	session, err := store.Begin(ctx)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	if err := session.Rely(digests...); err != nil {
		session.Close()
		return nil, err
	}
	return session.Close, nil
}
