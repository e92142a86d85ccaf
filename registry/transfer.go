package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/blob"
)

// Phases that an [Observer] sees.
const (
	PhaseData = "data" // bytes moved
	PhaseDone = "done" // a blob is complete
)

// defaultConcurrency is how many blobs are moved at once.
const defaultConcurrency = 4

// Destination is what a pull fills.
type Destination interface {
	// Receive takes in the content of desc. If it is not there it calls fill
	// with a sink, and publishes what is in the sink if fill proves it. It
	// says whether the content was there without that.
	Receive(ctx context.Context, desc ocispec.Descriptor, fill func(context.Context, blob.Sink) (blob.Proof, error)) (present bool, err error)
}

// Content is what a push reads.
type Content interface {
	// Open opens the content of desc. The caller closes it.
	Open(desc ocispec.Descriptor) (blob.Source, error)
}

// Observer is told of the progress of a transfer.
type Observer interface {
	// Observe is called from many goroutines. In PhaseData the numbers are
	// what came on top since the last call: bytes that were moved (safe), that
	// were there already (skipped), that an earlier attempt had moved
	// (resumed). No byte is counted as two of these, and those of a complete
	// blob add up to its size. They are negative when bytes have to be moved
	// again. In PhaseDone they are zero. Path is the name of the blob for
	// people; a blob that a manifest names twice is seen once.
	Observe(phase, path string, safe, skipped, resumed int64)
}

// TransferOptions says how a pull or a push goes about its work.
type TransferOptions struct {
	// Concurrency is how many blobs are moved at once, 4 if zero.
	Concurrency int

	// Observer is told of progress, unless it is nil.
	Observer Observer

	// MountFrom names, by digest, other repositories of the registry that may
	// have a blob, so that it need not be sent.
	MountFrom map[digest.Digest]string

	// NameKeys are the annotations of a descriptor that may hold its name for
	// people; the first that is there is used, else a short digest.
	NameKeys []string
}

// Pull moves the content that a manifest names into dst, and the manifest last.
// The manifest is one that [Repository.Manifest] returned; an index is refused,
// the caller chooses one of its manifests.
func (r *Repository) Pull(ctx context.Context, desc ocispec.Descriptor, manifest []byte, dst Destination, o TransferOptions) error {
	blobs, err := contents(desc, manifest)
	if err != nil {
		return r.pulling(desc, err)
	}
	err = o.each(ctx, blobs, func(ctx context.Context, desc ocispec.Descriptor) error {
		return r.receive(ctx, desc, dst, o)
	})
	if err != nil {
		return err
	}
	_, err = dst.Receive(ctx, desc, func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
		if _, err := sink.WriteAt(manifest, 0); err != nil {
			return blob.Proof{}, err
		}
		return prove(desc, manifest)
	})
	return err
}

// receive moves one blob into dst.
func (r *Repository) receive(ctx context.Context, desc ocispec.Descriptor, dst Destination, o TransferOptions) error {
	name := o.name(desc)
	present, err := dst.Receive(ctx, desc, func(ctx context.Context, sink blob.Sink) (blob.Proof, error) {
		return r.Download(ctx, desc, sink, func(safe, resumed int64) {
			o.observe(PhaseData, name, safe, 0, resumed)
		})
	})
	if err != nil {
		return err
	}
	if present {
		o.observe(PhaseData, name, 0, desc.Size, 0)
	}
	o.observe(PhaseDone, name, 0, 0, 0)
	return nil
}

// Push moves the content that a manifest names to the registry, and the
// manifest last: under the tag of the repository's reference if it has one,
// which is moved if it pointed elsewhere. It then checks that the registry
// agrees.
func (r *Repository) Push(ctx context.Context, desc ocispec.Descriptor, manifest []byte, src Content, o TransferOptions) error {
	blobs, err := contents(desc, manifest)
	if err != nil {
		return fmt.Errorf("pushing %s: %w", r.ref, err)
	}
	if ctx, err = r.scoped(ctx, "pull", "push"); err != nil {
		return fmt.Errorf("pushing %s: %w", r.ref, err)
	}
	err = o.each(ctx, blobs, func(ctx context.Context, desc ocispec.Descriptor) error {
		return r.deliver(ctx, desc, src, o)
	})
	if err != nil {
		return err
	}
	return r.PushManifest(ctx, desc, manifest)
}

// deliver moves one blob to the registry.
func (r *Repository) deliver(ctx context.Context, desc ocispec.Descriptor, src Content, o TransferOptions) error {
	name := o.name(desc)
	open := func() (blob.Source, error) { return src.Open(desc) }
	present, err := r.upload(ctx, desc, o.MountFrom[desc.Digest], open, func(safe, resumed int64) {
		o.observe(PhaseData, name, safe, 0, resumed)
	})
	if err != nil {
		return fmt.Errorf("pushing %s: %w", r.ref, about(name, desc, err))
	}
	if present {
		o.observe(PhaseData, name, 0, desc.Size, 0)
	}
	o.observe(PhaseDone, name, 0, 0, 0)
	return nil
}

// about says which of several blobs err is about, unless it would be the same for
// each of them.
func about(name string, desc ocispec.Descriptor, err error) error {
	if errors.Is(err, ErrUnreachable) || errors.Is(err, ErrDenied) {
		return err
	}
	return fmt.Errorf("%s (%s): %w", name, desc.Digest, err)
}

// contents lists what a manifest names, config first and nothing twice, having
// checked the manifest against desc.
func contents(desc ocispec.Descriptor, manifest []byte) ([]ocispec.Descriptor, error) {
	if _, err := prove(desc, manifest); err != nil {
		return nil, err
	}
	var m struct {
		Config    *ocispec.Descriptor  `json:"config"`
		Layers    []ocispec.Descriptor `json:"layers"`
		Manifests json.RawMessage      `json:"manifests"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, fmt.Errorf("reading the manifest: %w: %w", err, blob.ErrHostile)
	}
	if m.Manifests != nil || m.Config == nil {
		return nil, fmt.Errorf("%s is not a manifest with a config and layers", printable(desc.MediaType))
	}
	sizes := map[string]int64{}
	var list []ocispec.Descriptor
	for _, d := range append([]ocispec.Descriptor{*m.Config}, m.Layers...) {
		size, seen := sizes[d.Digest.String()]
		if seen && size != d.Size {
			return nil, fmt.Errorf("%s has both %d and %d bytes: %w", d.Digest, size, d.Size, blob.ErrHostile)
		}
		if seen {
			continue
		}
		if _, err := blob.NewVerifier(d); err != nil {
			return nil, err
		}
		sizes[d.Digest.String()] = d.Size
		list = append(list, d)
	}
	return list, nil
}

// each calls move for all blobs, a few at a time, and stops at the first error.
func (o TransferOptions) each(ctx context.Context, blobs []ocispec.Descriptor, move func(context.Context, ocispec.Descriptor) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, o.concurrency()))
	for _, desc := range blobs {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return move(gctx, desc) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

func (o TransferOptions) concurrency() int {
	if o.Concurrency == 0 {
		return defaultConcurrency
	}
	return o.Concurrency
}

func (o TransferOptions) observe(phase, name string, safe, skipped, resumed int64) {
	if o.Observer != nil && (phase == PhaseDone || safe != 0 || skipped != 0 || resumed != 0) {
		o.Observer.Observe(phase, name, safe, skipped, resumed)
	}
}

// name is what to call desc in front of people.
func (o TransferOptions) name(desc ocispec.Descriptor) string {
	for _, key := range o.NameKeys {
		if name := desc.Annotations[key]; name != "" {
			return name
		}
	}
	hex := desc.Digest.Encoded()
	return desc.Digest.Algorithm().String() + ":" + hex[:min(12, len(hex))]
}
