package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/registry"
	"github.com/tareml/tare/storage"
)

// parseRef reads a reference among the arguments.
func parseRef(s string) (registry.Reference, error) {
	ref, err := registry.ParseReference(s)
	return ref, usage(err)
}

// parseTag reads a reference that names a tag to be written.
func parseTag(s string) (registry.Reference, error) {
	ref, err := parseRef(s)
	if err == nil && ref.Digest != "" {
		err = usage(withHint(fmt.Errorf("reference %q: a digest cannot be chosen", s), "use a tag: %s:v1", ref.Name()))
	}
	return ref, err
}

// artifact is a model artifact and the manifest that it was read from.
type artifact struct {
	*modelpack.Artifact
	desc  ocispec.Descriptor
	data  []byte
	named digest.Digest // what the reference means: the manifest, or an index that it is from
}

func newArtifact(ref registry.Reference, desc ocispec.Descriptor, data []byte) (*artifact, error) {
	art, err := parseArtifact(desc, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return art, nil
}

func parseArtifact(desc ocispec.Descriptor, data []byte) (*artifact, error) {
	parsed, err := modelpack.ParseManifest(data)
	if err != nil {
		return nil, err
	}
	return &artifact{parsed, desc, data, desc.Digest}, nil
}

// digests lists all that the artifact needs.
func (a *artifact) digests() []digest.Digest {
	all := []digest.Digest{a.desc.Digest}
	for _, desc := range a.blobs() {
		all = append(all, desc.Digest)
	}
	return all
}

// blobs are the config and the layers, which may be the same blob.
func (a *artifact) blobs() []ocispec.Descriptor {
	return append([]ocispec.Descriptor{a.Manifest.Config}, a.Manifest.Layers...)
}

// transfer is how many bytes moving the artifact means: each blob once.
func (a *artifact) transfer() (size int64) {
	seen := make(map[digest.Digest]bool)
	for _, desc := range a.blobs() {
		if !seen[desc.Digest] {
			seen[desc.Digest] = true
			size += desc.Size
		}
	}
	return size
}

// view is the local store as a command reads it. What the command relies on is
// kept from being pruned, as far as it may write to the store.
type view struct {
	*storage.Store
	session *storage.Session // nil if nothing can be protected
}

// view opens the store for reading. Close it after use.
func (a *app) view(ctx context.Context) (*view, error) {
	store, err := a.store()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(store.Dir(), ocispec.ImageLayoutFile)); errors.Is(err, fs.ErrNotExist) {
		return &view{Store: store}, nil // reading makes no store
	}
	session, err := store.Begin(ctx)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return &view{Store: store}, nil
	}
	return &view{store, session}, err
}

// Close gives up what was relied on.
func (v *view) Close() error {
	if v.session == nil {
		return nil
	}
	return v.session.Close()
}

// rely protects digests. It comes before looking whether they are there.
func (v *view) rely(digests ...digest.Digest) error {
	if v.session == nil {
		return nil
	}
	return v.session.Rely(digests...)
}

// artifact reads an artifact and protects all of it.
func (v *view) artifact(ref registry.Reference) (*artifact, error) {
	desc, err := resolve(v.Store, ref)
	if err != nil {
		return nil, err
	}
	if err := v.rely(desc.Digest); err != nil { // and with it what it refers to
		return nil, err
	}
	data, err := v.ReadAll(desc)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return newArtifact(ref, desc, data)
}

// contents is artifact for commands that want the files: it takes plain images too, and
// of an index the manifest for this machine.
func (v *view) contents(ref registry.Reference) (*artifact, error) {
	desc, err := resolve(v.Store, ref)
	if err != nil {
		return nil, err
	}
	if err := v.rely(desc.Digest); err != nil {
		return nil, err
	}
	data, err := v.ReadAll(desc)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return parseContents(ref, desc, data, v.ReadAll)
}

// parseContents reads a manifest, or that one of an index which is for this
// machine. What runs in a cluster is Linux.
func parseContents(ref registry.Reference, desc ocispec.Descriptor, data []byte, read func(ocispec.Descriptor) ([]byte, error)) (*artifact, error) {
	named := desc.Digest
	index, ok, err := modelpack.ParseIndex(data)
	if err == nil && ok {
		if desc, err = index.Choose("linux", runtime.GOARCH); err == nil {
			data, err = read(desc)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	parsed, err := modelpack.ParseImage(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return &artifact{parsed, desc, data, named}, nil
}

// complete says whether all of an artifact is there, and protects it.
func (v *view) complete(art *artifact) (bool, error) {
	if err := v.rely(art.digests()...); err != nil {
		return false, err
	}
	for _, desc := range art.blobs() {
		src, err := v.Open(desc)
		if err != nil {
			return false, nil
		}
		src.Close()
	}
	return true, nil
}

// resolve finds a reference in the store: by its name, or by its digest under
// any name of the same repository.
func resolve(store *storage.Store, ref registry.Reference) (ocispec.Descriptor, error) {
	entries, err := store.List()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, e := range entries {
		if matches(e, ref) {
			return e.Descriptor, nil
		}
	}
	return ocispec.Descriptor{}, withHint(fmt.Errorf("%s: %w in the local store", ref, blob.ErrNotFound),
		"to see what is there: tare ls --store %s", store.Dir())
}

// matches says whether an entry of the store is what ref names. A digest decides
// over a tag. Other tools may have written the name in a shorter form.
func matches(e storage.Entry, ref registry.Reference) bool {
	if e.Ref == "" {
		return e.Descriptor.Digest == ref.Digest
	}
	named, err := registry.ParseReference(e.Ref)
	if err != nil {
		return false
	}
	if ref.Digest == "" {
		return named.String() == ref.String()
	}
	return e.Descriptor.Digest == ref.Digest && named.Name() == ref.Name()
}
