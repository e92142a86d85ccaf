package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/filelock"
)

// Freed is what a garbage collection removed, or would remove.
type Freed struct {
	Blobs     int             // blobs that nothing refers to
	Leftovers int             // unfinished files of dead sessions and abandoned transfers
	Bytes     int64           // of blobs and leftovers together
	Digests   []digest.Digest // of the blobs, sorted
}

// GC removes blobs that neither a tag nor a live session leads to, what dead
// sessions left, and partial transfers that nobody works at or relies on. With
// dryRun it only says what it would remove. Nobody has to stop working for it.
//
// If it cannot tell for sure what is needed, since the index or a manifest is
// damaged, it is an error and nothing is removed. What was damaged and set aside
// is a leftover.
func (s *Store) GC(ctx context.Context, dryRun bool) (Freed, error) {
	if exists, err := s.checkLayout(); err != nil || !exists {
		return Freed{}, err
	}
	lock, err := s.lock(ctx.Err, filelock.Exclusive)
	if err != nil {
		return Freed{}, s.notWritable(err)
	}
	defer lock.Release()
	c := &collector{store: s, dryRun: dryRun, marked: make(map[digest.Digest]bool), parsed: make(map[reference]bool)}
	if err := c.mark(ctx); err != nil {
		return Freed{}, fmt.Errorf("collecting garbage: %w", err)
	}
	err = c.sweep(ctx)
	slices.Sort(c.freed.Digests)
	return c.freed, err
}

// collector is one run of GC, under the exclusive store lock.
type collector struct {
	store  *Store
	dryRun bool
	live   []string               // ids of live sessions
	marked map[digest.Digest]bool // what to keep
	parsed map[reference]bool     // manifests whose references are marked
	freed  Freed
}

// mark finds all that is needed.
func (c *collector) mark(ctx context.Context) error {
	idx, err := c.store.readIndex()
	if err != nil {
		return err
	}
	for _, e := range idx.entries {
		if err := c.markFrom(ctx, reference{MediaType: e.MediaType, Digest: e.Digest}); err != nil {
			return fmt.Errorf("%q: %w", e.Ref, err)
		}
	}
	return c.markSessions(ctx)
}

// markSessions marks what live sessions rely on.
func (c *collector) markSessions(ctx context.Context) error {
	names, err := c.store.names(sessionsDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		live, err := c.isLive(name)
		if err != nil {
			return err
		}
		if !live {
			continue
		}
		c.live = append(c.live, name)
		if err := c.markSession(ctx, name); err != nil {
			return fmt.Errorf("session %s: %w", name, err)
		}
	}
	return nil
}

// isLive says whether somebody holds the lock of a session's file.
func (c *collector) isLive(name string) (bool, error) {
	lock, err := filelock.TryAcquire(filepath.Join(c.store.path(sessionsDir), name), filelock.Exclusive)
	if errors.Is(err, filelock.ErrLocked) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	lock.Release()
	return false, nil
}

func (c *collector) markSession(ctx context.Context, name string) error {
	data, err := os.ReadFile(filepath.Join(c.store.path(sessionsDir), name))
	if err != nil {
		return ignoreNotExist(err) // closed meanwhile
	}
	for line := range bytes.Lines(data) {
		d := digest.Digest(bytes.TrimSuffix(line, []byte("\n")))
		if err := checkDigest(d); err != nil {
			return err
		}
		if err := c.markFrom(ctx, reference{Digest: d}); err != nil {
			return err
		}
	}
	return nil
}
