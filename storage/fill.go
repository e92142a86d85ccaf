package storage

import (
	"context"
	"io"
	"os"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

// cloner is a sink that may be able to take in a file without copying it: then
// the bytes are in the sink when Clone is true.
type cloner interface {
	Clone(from *os.File) bool
}

// Fill copies the content of desc into sink and proves it, as a transfer from
// elsewhere would. A state of an earlier transfer in the sink is dropped. Report
// may be nil; it is told how many more bytes are in the sink.
//
// A sink that has a method Clone(from *os.File) bool is given the file first;
// what it made of it is hashed like any other bytes.
//
// Content that is not right is [blob.ErrMismatch] and set aside.
func (s *Store) Fill(ctx context.Context, desc ocispec.Descriptor, sink blob.Sink, report func(bytes int64)) (blob.Proof, error) {
	f, err := s.open(ctx.Err, desc)
	if err != nil {
		return blob.Proof{}, err
	}
	defer f.Close()
	if err := sink.SaveState(nil); err != nil {
		return blob.Proof{}, err
	}
	var from io.ReaderAt = f
	to := io.Writer(io.NewOffsetWriter(sink, 0))
	if c, ok := sink.(cloner); ok && c.Clone(f) {
		from, to = sink, io.Discard
	}
	proof, err := s.verify(ctx.Err, desc, from, &countingWriter{to, report})
	switch {
	case err == nil:
		s.trust(f, desc.Digest)
	case isMismatch(err):
		err = s.damaged(ctx.Err, f, desc.Digest, err)
	}
	return proof, err
}

// verify copies the content of desc and hashes it on its way.
func (s *Store) verify(stop func() error, desc ocispec.Descriptor, from io.ReaderAt, to io.Writer) (blob.Proof, error) {
	verifier, err := blob.NewVerifier(desc)
	if err != nil {
		return blob.Proof{}, err
	}
	h := s.newHasher(verifier)
	_, err = copyPieces(stop, to, io.NewSectionReader(from, 0, desc.Size), h)
	h.close()
	if err != nil {
		return blob.Proof{}, err
	}
	return verifier.Proof()
}

// countingWriter reports what went through it.
type countingWriter struct {
	w      io.Writer
	report func(bytes int64)
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if c.report != nil {
		c.report(int64(n))
	}
	return n, err
}
