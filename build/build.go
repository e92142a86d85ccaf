// Package build turns a directory and its Modelfile into an artifact.
//
// It works in three steps. [NewPlan] decides which files belong to the artifact
// and as what, and finds every mistake that can be found without reading
// content. [Plan.Layers] makes layers of them. [Plan.Build] then reads each file
// once, hands the layers to a [Store], and ends with the config and the manifest.
// [Plan.Push] sends the same artifact to an [Uploader] and stores nothing.
//
// The result depends on the paths and the content of the files and on the
// Modelfile alone: not on the clock, on owners, permission bits or times of
// files, on the order of a directory or on how many files are read at once.
// Compressed layers also depend on the release of tare, since compressors change.
package build

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/modelpack"
)

// Store is where a build puts what it makes.
type Store interface {
	// Ingest keeps what r holds and returns its digest and size. When r ends in
	// an error other than io.EOF nothing is kept.
	Ingest(ctx context.Context, r io.Reader) (digest.Digest, int64, error)
	// Has says whether the content of desc is there, and will stay.
	Has(desc ocispec.Descriptor) (bool, error)
	// Reserve is an error if there is no room for so many bytes more.
	Reserve(bytes int64) error
}

// Cloner is a [Store] that may be able to take in a file without copying it.
type Cloner interface {
	CanClone(f *os.File) bool
}

// Observer is told how a build gets on, from several goroutines at once: phase
// "data" while bytes of path become safe, "done" when a layer is complete. The
// numbers are bytes since the last call: newly safe, skipped because they were
// there already, and resumed from an earlier attempt. They are those of layers
// before compression. In a push safe bytes are those that were sent, skipped also
// those that compression saved; numbers are negative for bytes that have to be sent
// again, and each [Uploader] counts.
type Observer interface {
	Observe(phase, path string, safe, skipped, resumed int64)
}

// Options change how a build goes about it.
type Options struct {
	// Concurrency is how many layers are read at once; less than one means one.
	Concurrency int
	// Uploads is how many layers are sent at once, besides; less than one means
	// one. It is for Push.
	Uploads int
	// TempDir is where Push keeps what it cannot read twice, the system's
	// directory for temporary files if it is empty or cannot be written to.
	TempDir string
	// Created goes into the config, and so into the digest, if it is not nil.
	Created *time.Time
	// Flat titles raw layers by base name, as in [Layout].
	Flat bool
	// Cache may be nil. With one, files that did not change are not read.
	Cache Cache
	// Observer may be nil.
	Observer Observer
}

// Result is a finished artifact.
type Result struct {
	// Manifest describes the manifest blob.
	Manifest ocispec.Descriptor
	// Layers is the number of layers, Size their bytes and the config's.
	Layers int
	Size   int64
	// Read is the number of bytes of the layers that were made anew, before
	// compression; the others did not change.
	Read int64
}

// built is a layer that is in the store.
type built struct {
	desc   ocispec.Descriptor
	diffID digest.Digest
}

// builder is one run of Build.
type builder struct {
	plan  *Plan
	store Store // nil in a push
	o     Options
	reads Observer // of what is read from files
	start time.Time

	mu   sync.Mutex
	read int64
}

// Build makes layers of the plan's files in store and returns the artifact. It
// does not tag it. A file that changes while it is read is an error.
func (p *Plan) Build(ctx context.Context, store Store, layers []Layer, o Options) (*Result, error) {
	b := &builder{plan: p, store: store, o: o, reads: o.Observer, start: time.Now()}
	done := make([]built, len(layers))
	todo, err := b.recallAll(ctx, layers, done)
	if err != nil {
		return nil, err
	}
	if err := b.reserve(layers, todo); err != nil {
		return nil, err
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(max(o.Concurrency, 1))
	for _, i := range todo {
		if gctx.Err() != nil {
			break
		}
		group.Go(func() (err error) {
			done[i], err = b.layer(gctx, layers[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a, err := b.assemble(done)
	if err != nil {
		return nil, err
	}
	return &a.Result, b.keep(ctx, a)
}

// keep stores what an artifact has besides its layers.
func (b *builder) keep(ctx context.Context, a *assembled) error {
	if _, _, err := b.store.Ingest(ctx, bytes.NewReader(a.config)); err != nil {
		return fmt.Errorf("storing the config: %w", err)
	}
	if _, _, err := b.store.Ingest(ctx, bytes.NewReader(a.manifest)); err != nil {
		return fmt.Errorf("storing the manifest: %w", err)
	}
	return nil
}

// recallAll fills in the layers that did not change and returns the others.
func (b *builder) recallAll(ctx context.Context, layers []Layer, done []built) (todo []int, err error) {
	for i, l := range layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		known, ok := b.recall(l)
		if ok {
			if ok, err = b.store.Has(known.built.desc); err != nil {
				return nil, err
			}
		}
		if !ok {
			todo = append(todo, i)
			continue
		}
		done[i] = known.built
		b.observe("data", l.Path, 0, l.Size())
		b.observe("done", l.Path, 0, 0)
	}
	return todo, nil
}

// reserve asks for the room that the layers will take, as far as they will not
// share it with their files.
func (b *builder) reserve(layers []Layer, todo []int) error {
	var bytes, raw int64
	var sample *File
	for _, i := range todo {
		if layers[i].Format == modelpack.Raw {
			raw += layers[i].Size()
			sample = &layers[i].Files[0]
			continue
		}
		bytes += layers[i].Size()
	}
	if raw > 0 && !b.canClone(*sample) {
		bytes += raw
	}
	return b.store.Reserve(bytes)
}

func (b *builder) canClone(file File) bool {
	c, ok := b.store.(Cloner)
	if !ok {
		return false
	}
	f, err := b.plan.tree.open(file.Path)
	if err != nil {
		return false
	}
	defer f.Close()
	return c.CanClone(f)
}

// layer makes one layer.
func (b *builder) layer(ctx context.Context, l Layer) (built, error) {
	c, err := b.open(l)
	if err != nil {
		return built{}, fmt.Errorf("packaging %s: %w", l.Path, err)
	}
	defer c.close()
	dgst, size, err := b.store.Ingest(ctx, c.reader)
	if err != nil {
		return built{}, fmt.Errorf("packaging %s: %w", l.Path, err)
	}
	if err := c.close(); err != nil {
		return built{}, fmt.Errorf("packaging %s: %w", l.Path, err)
	}
	r := c.became(dgst, size)
	b.made(l, r, c.identities())
	b.observe("done", l.Path, 0, 0)
	return b.finish(l, r, c.identities())
}

// made remembers a layer that was read.
func (b *builder) made(l Layer, r remembered, ids []disk.Identity) {
	b.remember(l, r, ids)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read += l.Size()
}

// finish describes a layer in the words of a manifest.
func (b *builder) finish(l Layer, r remembered, ids []disk.Identity) (built, error) {
	var size int64
	for _, id := range ids {
		size += id.Size
	}
	metadata := modelpack.NewFileMetadata(l.Path, size, r.Executable)
	if l.Bundle {
		metadata = modelpack.NewDirMetadata(l.Path, size)
	}
	data, err := json.Marshal(metadata)
	if err != nil {
		return built{}, err
	}
	annotations := map[string]string{
		modelpack.AnnotationFilepath:     l.Path,
		modelpack.AnnotationFileMetadata: string(data),
	}
	// A tool that goes by the title would save an archive under the file's name.
	if l.Format == modelpack.Raw {
		annotations[ocispec.AnnotationTitle] = l.Path
		if b.o.Flat {
			annotations[ocispec.AnnotationTitle] = path.Base(l.Path)
		}
	}
	return built{diffID: r.DiffID, desc: ocispec.Descriptor{
		MediaType:   modelpack.MediaType(l.Kind, l.Format),
		Digest:      r.Digest,
		Size:        r.Size,
		Annotations: annotations,
	}}, nil
}

// assembled is an artifact whose layers are where they belong.
type assembled struct {
	Result
	configDesc       ocispec.Descriptor
	config, manifest []byte
}

// assemble makes the config and the manifest.
func (b *builder) assemble(layers []built) (*assembled, error) {
	a := &assembled{Result: Result{Layers: len(layers), Read: b.read}}
	descs := make([]ocispec.Descriptor, len(layers))
	diffIDs := make([]digest.Digest, len(layers))
	for i, l := range layers {
		descs[i], diffIDs[i] = l.desc, l.diffID
		a.Size += l.desc.Size
	}
	var err error
	if a.config, err = json.Marshal(config(b.plan.modelfile, diffIDs, b.o.Created)); err != nil {
		return nil, err
	}
	a.configDesc = describeBytes(modelpack.MediaTypeConfig, a.config)
	if a.manifest, err = modelpack.NewManifest(a.configDesc, descs, annotations(b.plan.modelfile)); err != nil {
		return nil, err
	}
	if n := max(len(a.manifest), len(a.config)); n > modelpack.MaxManifestSize {
		return nil, fmt.Errorf("manifest or config of %d bytes: registries take no more than %d", n, modelpack.MaxManifestSize)
	}
	a.Size += a.configDesc.Size
	a.Manifest = describeBytes(ocispec.MediaTypeImageManifest, a.manifest)
	a.Manifest.ArtifactType = modelpack.ArtifactType
	return a, nil
}

func describeBytes(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

func (b *builder) observe(phase, path string, safe, skipped int64) {
	if b.o.Observer != nil {
		b.o.Observer.Observe(phase, path, safe, skipped, 0)
	}
}

// content is a layer that is being read.
type content struct {
	reader     io.Reader
	single     *source     // of a layer of one file
	bundle     *bundle     // of a bundle
	compressor *compressor // nil if the layer is not compressed
	spool      *spool      // nil if there is none
}

// open opens a layer's files, a bundle's one after the other.
func (b *builder) open(l Layer) (*content, error) {
	c := &content{}
	if l.Bundle {
		c.bundle = &bundle{plan: b.plan, files: l.Files, o: b.reads}
		c.reader = c.bundle
	} else {
		s, err := b.plan.open(l.Files[0], l.Format, modelpack.TarEnd)
		if err != nil {
			return nil, err
		}
		c.single, c.reader = s, s.reader(b.reads)
	}
	if l.Format == modelpack.Raw || l.Format == modelpack.Tar {
		return c, nil
	}
	z, err := compress(c.reader, l.Format)
	if err != nil {
		c.close()
		return nil, err
	}
	c.compressor, c.reader = z, z
	return c, nil
}

// close closes files; it may be called twice. The compressor reads them, so it
// goes first.
func (c *content) close() error {
	if c.compressor != nil {
		c.compressor.Close()
	}
	if c.spool != nil {
		c.spool.Close()
	}
	if c.bundle != nil {
		return c.bundle.Close()
	}
	if c.single.file == nil {
		return nil
	}
	err := c.single.Close()
	c.single.file = nil
	return err
}

// became is what there is to remember of a layer that was read to its end.
func (c *content) became(dgst digest.Digest, size int64) remembered {
	r := remembered{Digest: dgst, DiffID: dgst, Size: size, Executable: c.executable()}
	if c.compressor != nil {
		c.compressor.Close()
		r.DiffID = c.compressor.diffID()
	}
	return r
}

// changed says whether the file of a layer is still the one that was opened. The
// files of a bundle are checked as they are read.
func (c *content) changed() error {
	if c.single == nil {
		return nil
	}
	return c.single.changed()
}

// executable says whether a layer's file can be run. A bundle's files have their
// modes in the archive.
func (c *content) executable() bool { return c.single != nil && c.single.executable }

// identities are those of the files as they were opened.
func (c *content) identities() []disk.Identity {
	if c.bundle != nil {
		return c.bundle.opened
	}
	return []disk.Identity{disk.Identify(c.single.before)}
}
