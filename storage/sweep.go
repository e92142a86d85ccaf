package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// sweep removes what is not marked. It goes on after an error, to free what it
// can.
func (c *collector) sweep(ctx context.Context) error {
	var errs []error
	for _, step := range []func(context.Context) error{c.sweepBlobs, c.sweepTemps, c.sweepSessions, c.sweepPartials} {
		errs = append(errs, step(ctx))
	}
	return errors.Join(errs...)
}

// sweepBlobs removes blobs. Files that have no blob's name are somebody else's.
func (c *collector) sweepBlobs(ctx context.Context) error {
	algorithms, err := c.store.names(blobsDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, alg := range algorithms {
		errs = append(errs, c.sweepAlgorithm(ctx, digest.Algorithm(alg)))
	}
	return errors.Join(errs...)
}

func (c *collector) sweepAlgorithm(ctx context.Context, alg digest.Algorithm) error {
	if !alg.Available() {
		return nil
	}
	names, err := c.store.names(blobsDir + "/" + alg.String())
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		d := digest.NewDigestFromEncoded(alg, name)
		if d.Validate() == nil && !c.marked[d] {
			errs = append(errs, c.removeBlob(d))
		}
	}
	return errors.Join(errs...)
}

func (c *collector) removeBlob(d digest.Digest) error {
	path, err := c.store.blobPath(d)
	if err != nil {
		return err
	}
	size, ok, err := c.remove(path)
	if ok {
		c.freed.Blobs++
		c.freed.Bytes += size
		c.freed.Digests = append(c.freed.Digests, d)
	}
	return err
}

// sweepTemps removes temporary files whose session is not live.
func (c *collector) sweepTemps(context.Context) error {
	names, err := c.store.names(tmpDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		session, _, _ := strings.Cut(name, ".")
		if !slices.Contains(c.live, session) {
			errs = append(errs, c.removeLeftover(filepath.Join(c.store.path(tmpDir), name)))
		}
	}
	// Nobody else can be writing these now.
	for _, name := range []string{indexNew, copyNew, layoutNew} {
		errs = append(errs, c.removeLeftover(c.store.path(name)))
	}
	return errors.Join(errs...)
}

// sweepSessions removes the files of dead sessions, after their leftovers.
func (c *collector) sweepSessions(context.Context) error {
	names, err := c.store.names(sessionsDir)
	if err != nil || c.dryRun {
		return err
	}
	var errs []error
	for _, name := range names {
		if !slices.Contains(c.live, name) {
			errs = append(errs, ignoreNotExist(os.Remove(filepath.Join(c.store.path(sessionsDir), name))))
		}
	}
	return errors.Join(errs...)
}

// sweepPartials removes transfers of blobs that nobody waits for and whose lock
// nobody holds.
func (c *collector) sweepPartials(context.Context) error {
	names, err := c.store.names(partialDir)
	if err != nil {
		return err
	}
	abandoned := make(map[digest.Digest]bool)
	for _, name := range names {
		if d := partialDigest(name); d != "" && !c.awaited(d) {
			abandoned[d] = true
		}
	}
	var errs []error
	for d := range abandoned {
		errs = append(errs, c.sweepPartial(d))
	}
	return errors.Join(errs...)
}

// awaited says whether a blob is needed and not there yet.
func (c *collector) awaited(d digest.Digest) bool {
	path, err := c.store.blobPath(d)
	if err != nil || !c.marked[d] {
		return false
	}
	_, err = os.Stat(path)
	return isNotExist(err)
}

// sweepPartial removes one transfer. Its lock goes last.
func (c *collector) sweepPartial(d digest.Digest) error {
	path := filepath.Join(c.store.path(partialDir), partialName(d))
	lock, err := tryAcquire(path+lockSuffix, exclusive)
	if errors.Is(err, errLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, suffix := range []string{stateNewSuffix, stateSuffix, ""} {
		errs = append(errs, c.removeLeftover(path+suffix))
	}
	return errors.Join(append(errs, lock.remove())...)
}

func (c *collector) removeLeftover(path string) error {
	size, ok, err := c.remove(path)
	if ok {
		c.freed.Leftovers++
		c.freed.Bytes += size
	}
	return err
}

// remove removes a regular file, or in a dry run says that it would.
func (c *collector) remove(path string) (size int64, ok bool, err error) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return 0, false, ignoreNotExist(err)
	}
	if c.dryRun {
		return info.Size(), true, nil
	}
	if err := os.Remove(path); err != nil {
		return 0, false, ignoreNotExist(err)
	}
	return info.Size(), true, nil
}

// names lists a directory of the store, which need not be there.
func (s *Store) names(dir string) ([]string, error) {
	entries, err := os.ReadDir(s.path(dir))
	if err != nil {
		return nil, ignoreNotExist(err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}
