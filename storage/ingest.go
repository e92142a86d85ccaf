package storage

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/filelock"
)

// Ingest writes what r has to say and returns its digest, a sha256, and its
// size. The blob is there when Ingest returns. If r fails, with anything but
// io.EOF, or ctx is done, nothing is left.
func (ss *Session) Ingest(ctx context.Context, r io.Reader) (digest.Digest, int64, error) {
	f, err := ss.createTemp()
	if err != nil {
		return "", 0, ss.store.notTaken(err)
	}
	defer os.Remove(f.Name()) // no longer there if all went well
	d, n, err := ss.store.take(ctx, f, r)
	if err = errors.Join(err, f.Close()); err == nil {
		err = ss.publish(f.Name(), d, n)
	}
	if err != nil {
		return "", 0, ss.store.notTaken(err)
	}
	return d, n, nil
}

// take fills f with what r has to say, or with a clone of the file that r reads.
func (s *Store) take(ctx context.Context, f *os.File, r io.Reader) (digest.Digest, int64, error) {
	if !cloneInto(f, r) {
		return s.copyHashed(ctx.Err, &disk.Writer{File: f}, r, digest.SHA256)
	}
	d, n, err := s.copyHashed(ctx.Err, io.Discard, r, digest.SHA256)
	if err != nil {
		return "", 0, err
	}
	return d, n, f.Truncate(n) // the file may have been longer than r
}

// publish gives a verified file its name, and makes sure first that it can keep
// it. What the disk has not yet taken goes on record before.
func (ss *Session) publish(temp string, d digest.Digest, size int64) error {
	if err := ss.Rely(d); err != nil {
		return err
	}
	path, err := ss.store.blobPath(d)
	if err != nil {
		return err
	}
	lock, err := ss.store.lock(ss.stop, filelock.Shared)
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := ss.store.note(ss.id, d, temp); err != nil {
		return err
	}
	if err := publish(temp, path, size); err != nil {
		return err
	}
	ss.store.forget(d)
	return nil
}
