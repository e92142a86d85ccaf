package storage

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/blob"
)

// Observer is told how [Store.Verify] gets on, from several goroutines at once:
// phase "data" while bytes of path, which is a digest, are hashed, "done" when
// all of them are. Safe is the number of bytes since the last call, the other
// numbers are zero.
type Observer interface {
	Observe(phase, path string, safe, skipped, resumed int64)
}

// VerifyOptions change how a verification goes about it.
type VerifyOptions struct {
	// Concurrency is how many blobs are hashed at once; less than one means one.
	Concurrency int
	// Observer may be nil.
	Observer Observer
}

// Verified is what a verification found.
type Verified struct {
	Blobs int   // blobs that are what they are named after
	Bytes int64 // of those
	Bad   []BadBlob
}

// BadBlob is a blob that is damaged, cannot be read, or is missing.
type BadBlob struct {
	Digest  digest.Digest
	Problem string // in a few words
	Aside   string // where its file was moved, empty if it was not
}

// Verify reads blobs and says which of them are bad, sorted by digest. Damaged
// ones are set aside and no longer present, as far as the store can be written
// to. If digests is nil it reads all that are in the store, else one that is not
// there is bad. The error is that of ctx or of listing the store.
func (s *Store) Verify(ctx context.Context, digests []digest.Digest, o VerifyOptions) (Verified, error) {
	v := &verification{store: s, all: digests == nil, o: o}
	if v.all {
		var err error
		if digests, err = s.digests(); err != nil {
			return Verified{}, err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(o.Concurrency, 1))
	for _, d := range slices.Compact(slices.Sorted(slices.Values(digests))) {
		group.Go(func() error { return v.blob(ctx, d) })
	}
	if err := group.Wait(); err != nil {
		return Verified{}, err
	}
	slices.SortFunc(v.found.Bad, func(a, b BadBlob) int { return cmp.Compare(a.Digest, b.Digest) })
	return v.found, nil
}

// verification is one run of Verify.
type verification struct {
	store *Store
	all   bool // blobs in the store, which may be removed meanwhile
	o     VerifyOptions

	mu    sync.Mutex
	found Verified
}

// blob verifies one blob. Its error is only that of ctx.
func (v *verification) blob(ctx context.Context, d digest.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	bytes, aside, err := v.check(ctx, d)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	v.observe("done", d, 0)
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case err == nil:
		v.found.Blobs++
		v.found.Bytes += bytes
	case !v.all || !errors.Is(err, blob.ErrNotFound):
		v.found.Bad = append(v.found.Bad, BadBlob{Digest: d, Problem: problem(err), Aside: aside})
	}
	return nil
}

// check hashes a blob. If it is damaged it is set aside.
func (v *verification) check(ctx context.Context, d digest.Digest) (bytes int64, aside string, err error) {
	path, err := v.store.blobPath(d)
	if err != nil {
		return 0, "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, "", notFound(d, err)
	}
	defer f.Close()
	r := &observed{r: f, v: v, d: d}
	err = v.store.rehash(ctx.Err, r, d)
	switch {
	case err == nil:
		v.store.trust(f, d)
	case isMismatch(err):
		aside, _ = v.store.setAside(ctx.Err, f, d) // the problem stays the same
	}
	return r.n, aside, err
}

// problem says what is wrong with a blob whose digest is said elsewhere.
func problem(err error) string {
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return "missing"
	case isMismatch(err):
		return "content does not match its digest"
	}
	return err.Error()
}

func (v *verification) observe(phase string, d digest.Digest, bytes int64) {
	if v.o.Observer != nil {
		v.o.Observer.Observe(phase, d.String(), bytes, 0, 0)
	}
}

// observed reports what is read.
type observed struct {
	r io.Reader
	v *verification
	d digest.Digest
	n int64 // bytes so far
}

// Read implements [io.Reader].
func (o *observed) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if n > 0 {
		o.n += int64(n)
		o.v.observe("data", o.d, int64(n))
	}
	return n, err
}

// digests lists the blobs in the store. Files that have no blob's name are
// somebody else's.
func (s *Store) digests() ([]digest.Digest, error) {
	algorithms, err := s.names(blobsDir)
	if err != nil {
		return nil, err
	}
	var all []digest.Digest
	for _, alg := range algorithms {
		some, err := s.digestsOf(digest.Algorithm(alg))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// digestsOf lists the blobs of one algorithm, none of one that is not known.
func (s *Store) digestsOf(alg digest.Algorithm) ([]digest.Digest, error) {
	if !alg.Available() {
		return nil, nil
	}
	names, err := s.names(blobsDir + "/" + alg.String())
	if err != nil {
		return nil, err
	}
	var all []digest.Digest
	for _, name := range names {
		if d := digest.NewDigestFromEncoded(alg, name); d.Validate() == nil {
			all = append(all, d)
		}
	}
	return all, nil
}
