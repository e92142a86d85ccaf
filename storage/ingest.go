package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
)

// maxEmptyReads is how many reads without bytes or error in a row are one too
// many.
const maxEmptyReads = 100

// Ingest writes what r has to say and returns its digest, a sha256, and its
// size. The blob is there when Ingest returns. If r fails, with anything but
// io.EOF, or ctx is done, nothing is left.
func (ss *Session) Ingest(ctx context.Context, r io.Reader) (digest.Digest, int64, error) {
	f, err := ss.createTemp()
	if err != nil {
		return "", 0, fmt.Errorf("ingesting: %w", err)
	}
	defer os.Remove(f.Name()) // no longer there if all went well
	var w io.Writer = f
	if cloneInto(f, r) {
		w = io.Discard
	}
	d, n, err := ss.store.copyHashed(ctx, w, r)
	if err = errors.Join(err, f.Close()); err == nil {
		err = ss.publish(f.Name(), d, n)
	}
	if err != nil {
		return "", 0, fmt.Errorf("ingesting: %w", err)
	}
	return d, n, nil
}

// copyHashed copies r to w and hashes the bytes while they are in the cache.
func (s *Store) copyHashed(ctx context.Context, w io.Writer, r io.Reader) (digest.Digest, int64, error) {
	buf := s.buffers.Get().(*[copyBuffer]byte)
	defer s.buffers.Put(buf)
	hash := digest.SHA256.Hash()
	var size int64
	for empty := 0; empty < maxEmptyReads; empty++ {
		if err := ctx.Err(); err != nil {
			return "", 0, err
		}
		// Not io.ReadFull: it would hide an io.ErrUnexpectedEOF of r.
		n, err := r.Read(buf[:])
		if n > 0 {
			empty = 0
			size += int64(n)
			hash.Write(buf[:n])
			if _, err := w.Write(buf[:n]); err != nil {
				return "", 0, err
			}
		}
		if err == io.EOF {
			return digest.NewDigest(digest.SHA256, hash), size, nil
		}
		if err != nil {
			return "", 0, err
		}
	}
	return "", 0, io.ErrNoProgress
}

// publish gives a verified file its name, and makes sure first that it can keep
// it.
func (ss *Session) publish(temp string, d digest.Digest, size int64) error {
	if err := ss.Rely(d); err != nil {
		return err
	}
	path, err := ss.store.blobPath(d)
	if err != nil {
		return err
	}
	return publish(temp, path, size)
}
