package storage

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/filelock"
)

// What to do about a damaged blob.
const (
	hintAside = "the damaged blob was set aside: tare pull or tare build brings it back"
	hintStays = "the damaged blob is still in its place: run tare verify where the store can be written to"
)

// damaged sets aside the file f, which is not the blob d that it is named after,
// and adds to err what to do about it.
func (s *Store) damaged(stop func() error, f *os.File, d digest.Digest, err error) error {
	hint := hintAside
	if _, asideErr := s.setAside(stop, f, d); asideErr != nil {
		hint = hintStays
	}
	return &hintError{err: err, hint: hint}
}

// setAside moves the damaged file of a blob out of the way, so that the blob is
// missing rather than wrong, and says where it is now. If f has lost its place
// to another file since it was opened, that one stays and aside is empty.
func (s *Store) setAside(stop func() error, f *os.File, d digest.Digest) (aside string, err error) {
	path, err := s.blobPath(d)
	if err != nil {
		return "", err
	}
	// Blobs get their names under the shared lock.
	lock, err := s.lock(stop, filelock.Exclusive)
	if err != nil {
		return "", err
	}
	defer lock.Release()
	if !sameFile(f, path) {
		return "", nil
	}
	if err := os.MkdirAll(s.path(badDir), 0o755); err != nil {
		return "", err
	}
	aside = s.asidePath(d)
	closeToMove(f)
	if err := rename(path, aside); err != nil {
		return "", err
	}
	s.forget(d)
	return aside, nil
}

// asidePath is where the damaged file of the blob d goes.
func (s *Store) asidePath(d digest.Digest) string { return filepath.Join(s.path(badDir), fileName(d)) }

// isAside says whether a damaged file of the blob d was set aside.
func (s *Store) isAside(d digest.Digest) bool {
	_, err := os.Lstat(s.asidePath(d))
	return err == nil
}

// sameFile says whether path still names f.
func sameFile(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(opened, named)
}

// rehash reads all of r, a file that is said to be the blob d. It is
// [blob.ErrMismatch] if it is not.
func (s *Store) rehash(stop func() error, r io.Reader, d digest.Digest) error {
	got, n, err := s.copyHashed(stop, io.Discard, r, d.Algorithm())
	if err == nil && got != d {
		err = fmt.Errorf("%s: the %d bytes in the store are %s: %w", d, n, got, blob.ErrMismatch)
	}
	return err
}

// fromStart reads all of f and leaves it as if it had not been read.
func fromStart(f *os.File) io.Reader { return io.NewSectionReader(f, 0, math.MaxInt64) }

// isMismatch says whether err is about content, rather than about reading it.
func isMismatch(err error) bool { return errors.Is(err, blob.ErrMismatch) }
