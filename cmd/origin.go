package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/registry"
)

// The values of --pull. They mean what imagePullPolicy means in Kubernetes.
const (
	pullAlways  = "always"
	pullMissing = "missing"
	pullNever   = "never"
)

const (
	fromStore    = "store"
	fromRegistry = "registry"
)

// target is a reference and where its files go, below a directory.
type target struct {
	ref    registry.Reference
	subdir string
}

// schemes are what may stand before a reference whose files are wanted.
var schemes = []string{"modelpack://", "oci://"}

// parseTarget reads REF[=SUBDIR].
func parseTarget(arg string) (target, error) {
	name := arg
	for _, scheme := range schemes {
		name = strings.TrimPrefix(name, scheme)
	}
	name, subdir, hasDir := strings.Cut(name, "=")
	ref, err := parseRef(name)
	if err != nil {
		return target{}, err
	}
	if hasDir {
		subdir = strings.TrimSuffix(strings.TrimPrefix(subdir, "./"), "/")
		if err := modelpack.CheckPath(subdir); err != nil {
			return target{}, usage(fmt.Errorf("%s: directory below the destination: %w", arg, err))
		}
	}
	return target{ref, subdir}, nil
}

// parseTargets reads the references among the arguments of a command.
func parseTargets(args []string) ([]target, error) {
	var targets []target
	taken := make(map[string]string)
	for _, arg := range args {
		t, err := parseTarget(arg)
		if err != nil {
			return nil, err
		}
		if other, ok := taken[t.subdir]; ok {
			return nil, usage(withHint(fmt.Errorf("%s and %s go to the same directory", other, arg), "REF=SUBDIR names one below DIR"))
		}
		taken[t.subdir] = arg
		targets = append(targets, t)
	}
	return targets, nil
}

// origins finds what references mean, and where the content comes from. Close it
// after use.
type origins struct {
	pull   string // --pull, empty if it was not given
	store  *view  // nil if there is none
	client *registry.Client
}

// origins opens the store, if there is one, and makes a client whose credentials
// are for the first of the references.
func (a *app) origins(ctx context.Context, remote *remoteFlags, pull string, ref registry.Reference) (*origins, error) {
	store, err := a.view(ctx)
	if err != nil && (!errors.Is(err, errNoStore) || pull == pullNever) {
		return nil, err
	}
	o := &origins{pull: pull}
	if err == nil { // a container may have no home
		o.store = store
	}
	if o.client, err = remote.clientFor(ref); err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

func (o *origins) close() {
	if o.store != nil {
		o.store.Close()
	}
	if o.client != nil {
		o.client.Close()
	}
}

// origin is an artifact and where its content comes from: a blob that the store
// has comes from there, any other from the registry.
type origin struct {
	art      *artifact
	resolved string
	source   string
	store    *view                // nil if there is none
	repo     *registry.Repository // nil if it was not asked

	ref    registry.Reference
	remote sync.Map // digests of blobs that the registry was asked for
}

// IsLocal says whether a blob came from the store alone.
func (f *origin) IsLocal(d digest.Digest) bool {
	_, asked := f.remote.Load(d)
	return !asked
}

// lost says how to have what the store lacks, and no registry was asked for.
func (f *origin) lost(err error) error {
	if f.repo != nil || !isLost(err) {
		return err
	}
	return withHint(err, "tare pull %s brings it back", f.ref)
}

// policy is --pull, or the default for a reference.
func (o *origins) policy(ref registry.Reference) string {
	switch {
	case o.pull != "":
		return o.pull
	case ref.Digest == "" && ref.Tag == registry.DefaultTag:
		return pullAlways
	}
	return pullMissing
}

// find finds what ref means.
func (o *origins) find(ctx context.Context, ref registry.Reference) (*origin, error) {
	f := &origin{store: o.store, ref: ref}
	policy := o.policy(ref)
	if policy != pullAlways {
		ok, err := f.findLocal(ref, policy)
		if ok || err != nil {
			return f, err
		}
	}
	var err error
	if f.repo, err = o.client.Repository(ref); err != nil {
		return nil, err
	}
	return f, f.findRemote(ctx, ref, policy)
}

// findLocal is false if the registry has to be asked.
func (f *origin) findLocal(ref registry.Reference, policy string) (bool, error) {
	if f.store == nil {
		return false, nil
	}
	art, err := f.store.contents(ref)
	if errors.Is(err, blob.ErrNotFound) && policy == pullMissing {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	f.art, f.resolved, f.source = art, fromStore, fromStore
	if policy == pullNever {
		return true, nil
	}
	return f.store.complete(art)
}

func (f *origin) findRemote(ctx context.Context, ref registry.Reference, policy string) (err error) {
	if f.art, err = remoteContents(ctx, f.repo, ref); err != nil {
		return f.localHint(err, ref, policy)
	}
	f.resolved, f.source = fromRegistry, fromRegistry
	if f.store == nil {
		return nil
	}
	complete, err := f.store.complete(f.art)
	if complete {
		f.source = fromStore
	}
	return err
}

// localHint tells who asked for a tag that only the store could give.
func (f *origin) localHint(err error, ref registry.Reference, policy string) error {
	if policy != pullAlways || f.store == nil || errors.Is(err, registry.ErrDenied) {
		return err
	}
	if _, lerr := resolve(f.store.Store, ref); lerr != nil {
		return err
	}
	return withHint(err, "the local store has %s: --pull missing takes it from there", ref)
}

// Fetch implements [extract.Source].
func (f *origin) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if f.store != nil {
		r, err := f.store.Fetch(ctx, desc)
		if f.repo == nil || !isLost(err) {
			return r, f.lost(err)
		}
	}
	f.remote.Store(desc.Digest, true)
	return f.repo.Fetch(ctx, desc)
}

// Fill implements [extract.Source].
func (f *origin) Fill(ctx context.Context, desc ocispec.Descriptor, sink blob.Sink, report func(safe, resumed int64)) (blob.Proof, error) {
	if f.store != nil {
		var moved int64
		proof, err := f.store.Fill(ctx, desc, sink, func(n int64) {
			moved += n
			report(n, 0)
		})
		if f.repo == nil || !isLost(err) {
			return proof, f.lost(err)
		}
		report(-moved, 0)
	}
	f.remote.Store(desc.Digest, true)
	return f.repo.Download(ctx, desc, sink, report)
}

// isLost says that a store does not have the right content.
func isLost(err error) bool {
	return errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrMismatch)
}

// readConfig has the artifact learn what only its config says.
func (f *origin) readConfig(ctx context.Context) error {
	config := f.art.Manifest.Config
	if config.Size > modelpack.MaxManifestSize {
		return fmt.Errorf("config %s of %d bytes: %w", config.Digest, config.Size, blob.ErrHostile)
	}
	data, err := f.readAll(ctx, config)
	if err != nil {
		return fmt.Errorf("config that the manifest names: %w", err)
	}
	return f.art.ReadConfig(data)
}

func (f *origin) readAll(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	r, err := f.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// model is what to extract for t.
func (f *origin) model(t target) extract.Model {
	return extract.Model{
		Artifact:   f.art.Artifact,
		Source:     f,
		Digest:     f.art.named,
		Repository: t.ref.Name(),
		Subdir:     t.subdir,
	}
}
