package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

// Open returns the content of desc as it is on disk. It is not verified beyond
// its size, unless a crash of the machine may have damaged it: then it is hashed
// first. What is not right is [blob.ErrMismatch] and set aside, what is not
// there [blob.ErrNotFound].
func (s *Store) Open(desc ocispec.Descriptor) (blob.Source, error) {
	f, err := s.open(never, desc)
	if err != nil {
		return nil, err
	}
	if err := s.checkTrust(never, f, desc.Digest); err != nil {
		f.Close()
		return nil, err
	}
	return &source{File: f, size: desc.Size}, nil
}

// open opens the file of desc, which has the right size. A file of another size
// is set aside, unless it is the descriptor that is wrong.
func (s *Store) open(stop func() error, desc ocispec.Descriptor) (*os.File, error) {
	path, err := s.blobPath(desc.Digest)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, notFound(desc.Digest, err)
	}
	err = checkBlob(f, desc)
	if isMismatch(err) && isMismatch(s.rehash(stop, fromStart(f), desc.Digest)) {
		err = s.damaged(stop, f, desc.Digest, err)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// checkBlob says whether f can be the content of desc, without reading it.
func checkBlob(f *os.File, desc ocispec.Descriptor) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file: %w", f.Name(), blob.ErrMismatch)
	case info.Size() != desc.Size:
		return fmt.Errorf("%s: %d bytes in the store, not %d: %w", desc.Digest, info.Size(), desc.Size, blob.ErrMismatch)
	}
	return nil
}

// source is a blob on disk. The file is embedded so that it can be read as a
// stream too.
type source struct {
	*os.File
	size int64
}

// Size implements [blob.Source].
func (s *source) Size() int64 { return s.size }

// Fetch returns the content of desc as a stream that verifies itself: it ends in
// io.EOF only if all of it was right. If it ends in [blob.ErrMismatch], the blob
// was set aside and is no longer present, as far as the store can be written to.
// Reading stops with ctx.
func (s *Store) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	return s.fetch(ctx.Err, desc)
}

func (s *Store) fetch(stop func() error, desc ocispec.Descriptor) (*stream, error) {
	f, err := s.open(stop, desc)
	if err != nil {
		return nil, err
	}
	r, err := blob.NewReader(io.NewSectionReader(f, 0, desc.Size), desc)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &stream{store: s, stop: stop, file: f, desc: desc, r: r}, nil
}

// stream is the verified content of a blob.
type stream struct {
	store *Store
	stop  func() error
	file  *os.File
	desc  ocispec.Descriptor
	r     io.Reader
	err   error // that ended it
}

// Read implements [io.Reader].
func (st *stream) Read(p []byte) (int, error) {
	if st.err != nil {
		return 0, st.err
	}
	if err := st.stop(); err != nil {
		return 0, err
	}
	n, err := st.r.Read(p)
	switch {
	case err == io.EOF:
		st.store.trust(st.file, st.desc.Digest)
	case isMismatch(err):
		err = st.store.damaged(st.stop, st.file, st.desc.Digest, err)
	}
	st.err = err
	return n, err
}

// Close implements [io.Closer].
func (st *stream) Close() error {
	if err := st.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// ReadAll returns the verified content of desc. It is for manifests and configs:
// more than 4 MiB is [blob.ErrHostile]. A blob that is [blob.ErrMismatch] is set
// aside as by Fetch.
func (s *Store) ReadAll(desc ocispec.Descriptor) ([]byte, error) {
	if desc.Size > maxSmall {
		return nil, fmt.Errorf("%s: %d bytes are too many to be read at once: %w", desc.Digest, desc.Size, blob.ErrHostile)
	}
	r, err := s.fetch(never, desc)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// has says whether the content of desc is there: of the right size, and not
// damaged by a crash of the machine.
func (s *Store) has(stop func() error, desc ocispec.Descriptor) (bool, error) {
	path, err := s.blobPath(desc.Digest)
	if err != nil {
		return false, err
	}
	f, err := os.Open(path)
	if err != nil {
		return false, ignoreNotExist(err)
	}
	defer f.Close()
	if err = checkBlob(f, desc); err == nil {
		err = s.checkTrust(stop, f, desc.Digest)
	}
	if isMismatch(err) {
		return false, nil
	}
	return err == nil, err
}
