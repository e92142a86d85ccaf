package extract

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/tareml/tare/modelpack"
)

// maxWindow bounds the memory that a zstd stream may ask for, in bytes. Decoders
// need not take more, and encoders stay below it unless told otherwise.
const maxWindow = 8 << 20

// A compressed layer whose manifest does not say how large its file is may grow
// by maxRatio, the best that deflate can do, and by maxSlack bytes.
const (
	maxRatio = 1032
	maxSlack = 16 << 20
)

// maxTrailing is how many bytes may follow the end of an archive: some tools
// fill up to blocks of 10 KiB and more.
const maxTrailing = 1 << 20

// maxDiagnosis is how many bytes are read on to tell why a layer is bad.
const maxDiagnosis = 256 << 20

// stage reads one layer into the staging directory. It reads it to its end, so
// that the digest of all of it was checked when stage returns.
func (x *extraction) stage(ctx context.Context, index int, l modelpack.Layer) error {
	stream, err := x.src.Fetch(ctx, l.Descriptor)
	if err != nil {
		return err
	}
	defer stream.Close()
	s := &stager{x: x, layer: l, prefix: fmt.Sprintf("%s/%d", x.staging, index)}
	r := &observedReader{ctx: ctx, r: stream, path: l.Path, o: x.o.Observer}
	if err := s.readAll(r); err != nil {
		return s.explain(err, r)
	}
	if x.o.Observer != nil {
		x.o.Observer.Observe("done", l.Path, 0, 0, 0)
	}
	return nil
}

// stager reads the files of one layer.
type stager struct {
	x      *extraction
	layer  modelpack.Layer
	prefix string
	count  int
	last   staged // the file that came last, without its staging name
	left   int64  // bytes that the layer's files may still have
}

// readAll stages the layer's files and reads what follows them: it counts for
// the digest too.
func (s *stager) readAll(r io.Reader) error {
	if err := s.read(r); err != nil {
		return err
	}
	if err := drain(r); err != nil {
		return err
	}
	return s.complete()
}

// complete makes sure that the layer held what the manifest says that it holds.
func (s *stager) complete() error {
	switch {
	case s.count == 0:
		return errors.New("holds no file")
	case s.layer.Format != modelpack.Raw && s.single() && s.last != (staged{path: s.layer.Path, size: s.layer.Metadata.Size}):
		return fmt.Errorf("holds %s of %d bytes, and the manifest declares %s of %d", s.last.path, s.last.size, s.layer.Path, s.layer.Metadata.Size)
	}
	return nil
}

// explain says what an error in a layer means: the destination's own errors and
// the stream's are what they are, everything else is the artifact's fault.
func (s *stager) explain(err error, r *observedReader) error {
	if !isLocal(err) {
		// Damaged content and hostile content look alike until the digest is known.
		io.CopyN(io.Discard, r, maxDiagnosis)
		if r.err != nil {
			err = r.err
		} else {
			err = hostile(s.layer, err)
		}
	}
	if s.layer.Path == "" {
		return err
	}
	return fmt.Errorf("extracting %s: %w", s.layer.Path, err)
}

// isLocal knows the errors of files on this machine.
func isLocal(err error) bool {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	return errors.As(err, &pathErr) || errors.As(err, &linkErr)
}

// drain reads what follows an archive, of which there must not be much.
func drain(r io.Reader) error {
	n, err := io.CopyN(io.Discard, r, maxTrailing+1)
	if n > maxTrailing {
		return fmt.Errorf("more than %d bytes behind the end of the archive", maxTrailing)
	}
	if err == io.EOF {
		err = nil
	}
	return err
}

// read stages the files that r holds.
func (s *stager) read(r io.Reader) error {
	switch s.layer.Format {
	case modelpack.Raw:
		s.left = s.layer.Size
		executable := s.layer.Metadata != nil && s.layer.Metadata.Mode&0o111 != 0
		return s.file(s.layer.Path, r, s.layer.Size, executable)
	case modelpack.TarGzip:
		z, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		return s.archive(z, inflated(s.layer.Size))
	case modelpack.TarZstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return err
		}
		defer z.Close()
		return s.archive(z, inflated(s.layer.Size))
	default:
		return s.archive(r, s.layer.Size)
	}
}

// inflated bounds what size compressed bytes may become.
func inflated(size int64) int64 {
	if size > (math.MaxInt64-maxSlack)/maxRatio {
		return math.MaxInt64
	}
	return size*maxRatio + maxSlack
}

// archive stages the entries of a tar stream whose files have at most limit
// bytes in all.
func (s *stager) archive(r io.Reader, limit int64) error {
	if s.left = limit; s.single() {
		s.left = min(limit, s.layer.Metadata.Size)
	}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return drain(r) // the end of a compressed stream holds its checksum
		}
		if err != nil {
			return err
		}
		if err := s.entry(h, tr); err != nil {
			return err
		}
	}
}

// single says whether the manifest declares one file, and how large it is.
func (s *stager) single() bool {
	m := s.layer.Metadata
	return m != nil && !modelpack.IsDir(m) && s.layer.Path != "" && path.Base(s.layer.Path) == path.Base(m.Name)
}

// entry stages one entry of an archive.
func (s *stager) entry(h *tar.Header, r io.Reader) error {
	name := path.Clean(strings.TrimPrefix(h.Name, "./"))
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeDir:
		return s.directory(name)
	case tar.TypeReg:
		if h.PAXRecords["GNU.sparse.major"] != "" || h.PAXRecords["GNU.sparse.map"] != "" {
			return fmt.Errorf("entry %q is sparse", h.Name)
		}
		if strings.HasPrefix(h.Name, "../") || strings.Contains(h.Name, "/../") {
			return fmt.Errorf("entry %q leaves the destination", h.Name)
		}
		return s.file(name, r, h.Size, h.Mode&0o111 != 0)
	default:
		return fmt.Errorf("entry %q is neither a file nor a directory (type %q)", h.Name, h.Typeflag)
	}
}

func (s *stager) directory(name string) error {
	if name == "." {
		return nil
	}
	if err := modelpack.CheckPath(name); err != nil {
		return err
	}
	return s.x.claim(name, true)
}

// file stages one file of size bytes.
func (s *stager) file(name string, r io.Reader, size int64, executable bool) (err error) {
	if err := modelpack.CheckPath(name); err != nil {
		return err
	}
	if size < 0 || size > s.left {
		return fmt.Errorf("%s has %d bytes, more than the layer declares", name, size)
	}
	s.left -= size
	if s.count > 0 && s.single() {
		return fmt.Errorf("%s is a second file where the manifest declares one", name)
	}
	if err := s.x.claim(name, false); err != nil {
		return err
	}
	temp := fmt.Sprintf("%s-%d", s.prefix, s.count)
	s.count++
	s.last = staged{path: name, size: size}
	if err := s.x.write(temp, r, size, fs.FileMode(modelpack.Mode(executable))); err != nil {
		return err
	}
	s.x.mu.Lock()
	defer s.x.mu.Unlock()
	s.x.files = append(s.x.files, staged{name: temp, path: name, size: size})
	return nil
}

// write makes the file name of size bytes from r.
func (x *extraction) write(name string, r io.Reader, size int64, mode fs.FileMode) (err error) {
	f, err := x.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// The umask is not the artifact's: a server that runs as another user has to
	// read these files.
	if err := f.Chmod(mode); err != nil {
		return err
	}
	buf := x.buffers.Get().(*[copyBuffer]byte)
	defer x.buffers.Put(buf)
	if _, err := io.CopyBuffer(onlyWriter{f}, io.LimitReader(r, size), buf[:]); err != nil {
		return err
	}
	if x.o.NoSync {
		return nil
	}
	return f.Sync()
}

// onlyWriter hides ReadFrom, which would use a small buffer of its own.
type onlyWriter struct{ io.Writer }

// observedReader reports progress and stops when its context is done.
type observedReader struct {
	ctx  context.Context
	r    io.Reader
	path string
	o    Observer
	err  error // of the stream, other than io.EOF
}

func (r *observedReader) Read(p []byte) (int, error) {
	if r.err = r.ctx.Err(); r.err != nil {
		return 0, r.err
	}
	n, err := r.r.Read(p)
	if err != io.EOF {
		r.err = err
	}
	if r.o != nil && n > 0 {
		r.o.Observe("data", r.path, int64(n), 0, 0)
	}
	return n, err
}

// sameContent compares two files of one size.
func sameContent(ctx context.Context, root *os.Root, a, b string) (bool, error) {
	fa, err := root.Open(a)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := root.Open(b)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	bufA, bufB := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, errA := io.ReadFull(fa, bufA)
		m, errB := io.ReadFull(fb, bufB)
		switch {
		case !bytes.Equal(bufA[:n], bufB[:m]):
			return false, nil
		case errA != nil || errB != nil:
			return isEnd(errA) && isEnd(errB), errors.Join(notEnd(errA), notEnd(errB))
		}
	}
}

func isEnd(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

func notEnd(err error) error {
	if isEnd(err) {
		return nil
	}
	return err
}
