package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/filelock"
)

// Receive brings in the content of desc through fill, which gets the sink to
// fill and returns the proof that it did. If the content is there already,
// present is true and fill is not called.
//
// One process transfers a blob; others that want the same one wait for it, and
// go on from its bytes if it fails. An error of fill that is [blob.ErrMismatch]
// discards the bytes, after any other error the next Receive starts with them.
func (ss *Session) Receive(
	ctx context.Context, desc ocispec.Descriptor, fill func(context.Context, blob.Sink) (blob.Proof, error),
) (present bool, err error) {
	if _, err := blob.NewVerifier(desc); err != nil {
		return false, err
	}
	if present, err := ss.Has(desc); present || err != nil {
		return present, err
	}
	p, err := ss.store.openPartial(ctx, desc)
	if err != nil {
		return false, fmt.Errorf("receiving %s: %w", desc.Digest, err)
	}
	// The one that we waited for may have brought it.
	if present, err := ss.store.has(ctx.Err, desc); present || err != nil {
		return present, errors.Join(err, p.discard())
	}
	proof, err := fill(ctx, p)
	if err == nil {
		err = p.finish(proof)
	}
	switch {
	case err == nil:
		err = ss.publish(p.path, desc.Digest, desc.Size)
	case errors.Is(err, blob.ErrMismatch):
		return false, errors.Join(err, p.discard())
	}
	if err != nil {
		return false, errors.Join(err, p.keep())
	}
	return false, p.discard()
}

// errUnproved is the error of a transfer that says it is done and is not.
var errUnproved = fmt.Errorf("transfer ended without proof: %w", blob.ErrMismatch)

// finish closes the partial file of a transfer that is done, if proof says so
// too.
func (p *partial) finish(proof blob.Proof) error {
	if err := proof.Covers(p.desc); err != nil {
		return fmt.Errorf("%w: %w", errUnproved, err)
	}
	info, err := p.Stat()
	if err != nil {
		return err
	}
	if info.Size() < p.desc.Size {
		return fmt.Errorf("%w: %s has %d of %d bytes", errUnproved, p.path, info.Size(), p.desc.Size)
	}
	// Whatever is behind the proved bytes is an older attempt's.
	if err := p.Truncate(p.desc.Size); err != nil {
		return err
	}
	return p.closeData()
}

// openPartial locks the transfer of desc and opens its file. It waits for
// whoever has it.
func (s *Store) openPartial(ctx context.Context, desc ocispec.Descriptor) (*partial, error) {
	path := filepath.Join(s.path(partialDir), fileName(desc.Digest))
	lock, err := filelock.Acquire(ctx.Err, path+lockSuffix, filelock.Exclusive)
	if err != nil {
		return nil, err
	}
	p := &partial{path: path, desc: desc, lock: lock}
	if err := p.open(s.path(partialDir), s.host.id); err != nil {
		return nil, errors.Join(err, p.keep())
	}
	return p, nil
}

// open opens the data file.
func (p *partial) open(dir, host string) (err error) {
	if p.root, err = os.OpenRoot(dir); err != nil {
		return err
	}
	p.Partial, err = disk.OpenPartial(p.root, fileName(p.desc.Digest), p.desc.Size, host)
	return err
}
