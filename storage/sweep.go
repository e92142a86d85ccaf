package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/filelock"
)

// sweep removes what is not marked. It goes on after an error, to free what it
// can.
func (c *collector) sweep(ctx context.Context) error {
	var errs []error
	for _, step := range []func(context.Context) error{
		c.sweepBlobs, c.sweepBad, c.sweepRecords, c.sweepTemps, c.sweepSessions, c.sweepPartials,
	} {
		errs = append(errs, step(ctx))
	}
	return errors.Join(errs...)
}

// sweepBlobs removes blobs.
func (c *collector) sweepBlobs(ctx context.Context) error {
	all, err := c.store.digests()
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range all {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if !c.marked[d] {
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

// sweepBad removes what was set aside.
func (c *collector) sweepBad(context.Context) error {
	names, err := c.store.names(badDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if fileDigest(name) != "" {
			errs = append(errs, c.removeLeftover(filepath.Join(c.store.path(badDir), name)))
		}
	}
	return errors.Join(errs...)
}

// sweepRecords takes blobs that are gone off the records of all hosts, and
// removes records that have no others. Nobody can be adding to them now.
func (c *collector) sweepRecords(context.Context) error {
	records, err := c.store.names(unsyncedDir)
	if err != nil || c.dryRun {
		return err
	}
	var errs []error
	for _, record := range records {
		errs = append(errs, c.sweepRecord(filepath.Join(c.store.path(unsyncedDir), record)))
	}
	return errors.Join(errs...)
}

func (c *collector) sweepRecord(record string) error {
	entries, err := os.ReadDir(record)
	if err != nil {
		return ignoreNotExist(err)
	}
	gone := slices.DeleteFunc(entries, func(e os.DirEntry) bool { return c.store.mayHave(fileDigest(e.Name())) })
	return clearEntries(record, gone)
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
		if d := fileDigest(name); d != "" && !c.awaited(d) {
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
func (c *collector) awaited(d digest.Digest) bool { return c.marked[d] && !c.store.mayHave(d) }

// mayHave says whether there is a file for the blob d, or that cannot be told.
func (s *Store) mayHave(d digest.Digest) bool {
	path, err := s.blobPath(d)
	if err != nil {
		return false
	}
	_, err = os.Stat(path)
	return !isNotExist(err)
}

// sweepPartial removes one transfer. Its lock goes last.
func (c *collector) sweepPartial(d digest.Digest) error {
	path := filepath.Join(c.store.path(partialDir), fileName(d))
	lock, err := filelock.TryAcquire(path+lockSuffix, filelock.Exclusive)
	if errors.Is(err, filelock.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range disk.PartialFiles(path) {
		errs = append(errs, c.removeLeftover(file))
	}
	return errors.Join(append(errs, lock.Remove())...)
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
