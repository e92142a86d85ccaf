package extract

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/modelpack"
)

// source is a file that an earlier run wrote, all that its layer holds.
type source struct {
	name string // below the destination
	record
	layer *layerFiles
}

// asLayer is the layer that file would be, if the header that a tar layer puts
// before it can be told.
func asLayer(l modelpack.Layer, file io.ReaderAt, size int64, executable bool) (blob.Source, bool) {
	if l.Format == modelpack.Raw {
		return blob.NewLayer(nil, file, size, nil), true
	}
	header, err := modelpack.TarHeader(l.Path, size, modelpack.Mode(executable))
	trailer := make([]byte, modelpack.TarPadding(size)+modelpack.TarEnd)
	layer := blob.NewLayer(header, file, size, trailer)
	return layer, l.Format == modelpack.Tar && err == nil && layer.Size() == l.Size
}

// prove reads the file that stands where the job's is to go, and returns its
// record if it is that. Proved is false if nobody can tell before the layer is read.
func (x *extraction) prove(ctx context.Context, j *job) (_ *record, proved bool, err error) {
	f, err := x.root.Open(x.at(j.path))
	if errors.Is(err, fs.ErrPermission) {
		return nil, false, nil // whoever took the permission away did not make it another file
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	exec := j.layer.Metadata != nil && j.layer.Metadata.Mode&0o111 != 0
	layer, ok := asLayer(j.layer, f, j.size, exec)
	if err = blob.ErrMismatch; ok {
		err = x.copyLayer(ctx, j.layer, layer, io.Discard)
	}
	if isOther(err) && j.layer.Format != modelpack.Raw {
		if layer, exec, ok = x.foreignLayer(ctx, j, f); !ok {
			return nil, false, ctx.Err()
		}
		err = x.copyLayer(ctx, j.layer, layer, io.Discard)
	}
	if err != nil {
		return nil, isOther(err), ignoreOther(err)
	}
	after, err := f.Stat()
	if err != nil || disk.Identify(before) != disk.Identify(after) {
		return nil, false, err
	}
	r := newRecord(record{Path: j.path, Executable: exec}, after)
	return &r, true, nil
}

// foreignLayer is the layer that file would be with the header that its layer
// has: other tools write other ones. Nothing says that it is the right one until
// all of the layer proves to be.
func (x *extraction) foreignLayer(ctx context.Context, j *job, file io.ReaderAt) (_ blob.Source, executable, ok bool) {
	length := headerLength(j.layer, j.size)
	if length < 0 || j.layer.Format != modelpack.Tar {
		return nil, false, false
	}
	stream, err := j.model.Source.Fetch(ctx, j.layer.Descriptor)
	if err != nil {
		return nil, false, false
	}
	defer stream.Close()
	header := make([]byte, length) // no more than maxHeader
	if _, err := io.ReadFull(stream, header); err != nil {
		return nil, false, false
	}
	h, err := tar.NewReader(bytes.NewReader(header)).Next()
	trailer := j.layer.Size - length - j.size
	if err != nil || !isName(h, j.layer.Path) || h.Size != j.size || trailer < 0 || trailer > maxTrailing {
		return nil, false, false
	}
	return blob.NewLayer(header, file, j.size, make([]byte, trailer)), h.Mode&0o111 != 0, true
}

// isOther says that a file is not what it was taken for.
func isOther(err error) bool {
	return errors.Is(err, blob.ErrMismatch) || errors.Is(err, io.ErrUnexpectedEOF)
}

func ignoreOther(err error) error {
	if isOther(err) {
		return nil
	}
	return err
}

// copyLayer copies a layer and hashes it. What it copied is not worth anything if
// it fails.
func (x *extraction) copyLayer(ctx context.Context, l modelpack.Layer, from blob.Source, to io.Writer) error {
	r, err := blob.NewReader(io.NewSectionReader(from, 0, from.Size()), l.Descriptor)
	if err != nil {
		return err
	}
	buf := x.buffers.Get().(*[copyBuffer]byte)
	defer x.buffers.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf[:])
		if _, werr := to.Write(buf[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// reuse stages what another file of the destination has already, as far as share
// can make another of it.
func (x *extraction) reuse(ctx context.Context, share sharing) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(x.o.Concurrency, 1))
	for i, j := range x.jobs {
		if j.done() || !j.single() || j.reused {
			continue
		}
		for _, s := range x.byLayer[j.layer.Digest] {
			if s.Size == j.size && s.layer.is(j.layer) {
				group.Go(func() error { return x.reuseFrom(ctx, i, j, s, share) })
				break
			}
		}
	}
	return group.Wait()
}

// sharing makes to what from is, a file of the job, and says whether it did.
type sharing func(ctx context.Context, j *job, from, to *os.File, executable bool) (bool, error)

// cloneOf shares the content: that of a file which was verified, and did not
// change since.
func (x *extraction) cloneOf(_ context.Context, _ *job, from, to *os.File, _ bool) (bool, error) {
	return disk.Clone(to, from) == nil, nil
}

// copyOf copies the content and verifies it on its way.
func (x *extraction) copyOf(ctx context.Context, j *job, from, to *os.File, executable bool) (bool, error) {
	layer, ok := asLayer(j.layer, from, j.size, executable)
	if !ok {
		return false, nil
	}
	err := x.copyLayer(ctx, j.layer, layer, &middle{to, layer.Size() - j.size - trailerSize(j), j.size})
	return err == nil, ignoreOther(err) // what the disk lost, the source has
}

func (x *extraction) reuseFrom(ctx context.Context, i int, j *job, s source, share sharing) error {
	f, err := x.root.Open(s.name)
	if err != nil {
		return nil // it is gone
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !s.intact(info) {
		return err
	}
	temp := fmt.Sprintf("%s/%d-same", stagingName, i)
	ok, err := x.another(ctx, j, f, s.Executable, temp, share)
	if after, serr := f.Stat(); ok && (serr != nil || !s.intact(after)) {
		ok = false
	}
	if err != nil || !ok {
		x.root.Remove(temp)
		return err
	}
	if err := x.claim(j.path, false); err != nil {
		return hostile(j.layer, err)
	}
	j.reused = true
	x.add(j, &staged{name: temp, path: j.path, size: j.size, exec: j.executable(s.Executable)})
	observe(x.o.Observer, PhaseData, j.name(), 0, j.bytes(), 0)
	observe(x.o.Observer, PhaseDone, j.name(), 0, 0, 0)
	return nil
}

// another makes temp what f is, if share can.
func (x *extraction) another(ctx context.Context, j *job, f *os.File, executable bool, temp string, share sharing) (bool, error) {
	to, err := x.root.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	defer to.Close()
	if ok, err := share(ctx, j, f, to, executable); err != nil || !ok {
		return false, err
	}
	return true, x.dress(to, temp, j.executable(executable), recordedTime(j.layer))
}

func trailerSize(j *job) int64 {
	if j.layer.Format == modelpack.Raw {
		return 0
	}
	return modelpack.TarPadding(j.size) + modelpack.TarEnd
}

// middle writes what comes after the first skip bytes, and no more than size of
// it.
type middle struct {
	w          io.Writer
	skip, size int64
}

func (m *middle) Write(p []byte) (int, error) {
	n := len(p)
	skipped := min(m.skip, int64(n))
	m.skip -= skipped
	p = p[skipped:]
	p = p[:min(int64(len(p)), m.size)]
	m.size -= int64(len(p))
	if _, err := m.w.Write(p); err != nil {
		return 0, err
	}
	return n, nil
}

// dress gives a staged file its mode, its owner and its time, and has it on the
// disk.
func (x *extraction) dress(f *os.File, name string, executable bool, when time.Time) error {
	// The umask is not the artifact's: a server that runs as another user has to
	// read these files.
	if err := f.Chmod(fileModeFor(x.o.Mode, executable)); err != nil {
		return err
	}
	if x.o.Owner != nil {
		if err := f.Chown(x.o.Owner.UID, x.o.Owner.GID); err != nil {
			return err
		}
	}
	if x.o.RecordedTime {
		if err := x.root.Chtimes(name, when, when); err != nil {
			return err
		}
	}
	if x.o.NoSync {
		return nil
	}
	return f.Sync()
}

// recordedTime is when the file of a layer was changed, by the manifest.
func recordedTime(l modelpack.Layer) time.Time {
	if l.Metadata == nil {
		return time.Unix(0, 0)
	}
	return l.Metadata.ModTime
}

// openToRead opens a directory, nil if it is not there.
func openToRead(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return root, err
}
