// Package build turns a directory and its Modelfile into an artifact.
//
// It works in two steps. [NewPlan] decides which files belong to the artifact,
// in which order and as what, and finds every mistake that can be found without
// reading content. [Plan.Build] then reads each file once, hands it to a [Store]
// as a layer, and ends with the config and the manifest.
//
// The result depends on the paths and the content of the files and on the
// Modelfile alone: not on the clock, on owners, permission bits or times of
// files, on the order of a directory or on how many files are read at once.
package build

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/modelpack"
)

// Store is where a build puts what it makes.
type Store interface {
	// Ingest keeps what r holds and returns its digest and size. When r ends in
	// an error other than io.EOF nothing is kept.
	Ingest(ctx context.Context, r io.Reader) (digest.Digest, int64, error)
}

// Observer is told how a build gets on, from several goroutines at once: phase
// "data" while bytes of path become safe, "done" when path is complete. The
// numbers are bytes since the last call: newly safe, skipped because they were
// there already, and resumed from an earlier attempt.
type Observer interface {
	Observe(phase, path string, safe, skipped, resumed int64)
}

// Options change how a build goes about it. The zero value is a tar build.
type Options struct {
	// Format of the layers: [modelpack.Tar] (the default) or [modelpack.Raw].
	Format modelpack.Format
	// Concurrency is how many files are read at once; less than one means one.
	Concurrency int
	// Created goes into the config, and so into the digest, if it is not nil.
	Created *time.Time
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
}

// layer is a layer that is in the store.
type layer struct {
	desc   ocispec.Descriptor
	diffID digest.Digest
}

// Build reads the files of the plan into store and returns the artifact. It does
// not tag it. A file that changes while it is read is an error.
func (p *Plan) Build(ctx context.Context, store Store, o Options) (*Result, error) {
	layers := make([]layer, len(p.Files))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(max(o.Concurrency, 1))
	for i, file := range p.Files {
		if gctx.Err() != nil {
			break
		}
		group.Go(func() (err error) {
			layers[i], err = p.layer(gctx, store, file, o)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return p.finish(ctx, store, layers, o)
}

// layer reads one file into the store.
func (p *Plan) layer(ctx context.Context, store Store, file File, o Options) (layer, error) {
	src, err := p.open(file, o.Format)
	if err != nil {
		return layer{}, err
	}
	defer src.Close()
	dgst, size, err := store.Ingest(ctx, src.reader(o.Observer))
	if err != nil {
		return layer{}, fmt.Errorf("packaging %s: %w", file.Path, err)
	}
	annotations, err := src.annotations()
	if err != nil {
		return layer{}, err
	}
	if o.Observer != nil {
		o.Observer.Observe("done", file.Path, 0, 0, 0)
	}
	return layer{
		diffID: dgst,
		desc: ocispec.Descriptor{
			MediaType:   modelpack.MediaType(file.Kind, src.format),
			Digest:      dgst,
			Size:        size,
			Annotations: annotations,
		},
	}, nil
}

// finish stores the config and the manifest.
func (p *Plan) finish(ctx context.Context, store Store, layers []layer, o Options) (*Result, error) {
	r := &Result{Layers: len(layers)}
	descs := make([]ocispec.Descriptor, len(layers))
	diffIDs := make([]digest.Digest, len(layers))
	for i, l := range layers {
		descs[i], diffIDs[i] = l.desc, l.diffID
		r.Size += l.desc.Size
	}
	configJSON, err := json.Marshal(config(p.modelfile, diffIDs, o.Created))
	if err != nil {
		return nil, err
	}
	configDesc, err := put(ctx, store, modelpack.MediaTypeConfig, configJSON)
	if err != nil {
		return nil, fmt.Errorf("storing the config: %w", err)
	}
	manifest, err := modelpack.NewManifest(configDesc, descs, annotations(p.modelfile))
	if err != nil {
		return nil, err
	}
	r.Size += configDesc.Size
	r.Manifest, err = put(ctx, store, ocispec.MediaTypeImageManifest, manifest)
	if err != nil {
		return nil, fmt.Errorf("storing the manifest: %w", err)
	}
	r.Manifest.ArtifactType = modelpack.ArtifactType
	return r, nil
}
