package extract

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/modelpack"
)

// resumableSize is from what size on, in bytes, a layer is worth being gone on
// from. Smaller ones are read in one go.
const resumableSize = 4 << 20

// resumable says whether the job's layer goes straight into its file.
func (j *job) resumable() bool {
	switch {
	case !j.single() || j.layer.Size < resumableSize:
		return false
	case j.layer.Format == modelpack.Raw:
		return true
	}
	return j.layer.Format == modelpack.Tar && headerLength(j.layer, j.size) >= 0
}

// partial is the name of the file that it goes into. It is the same in the next
// run, unless that would lay the bytes out otherwise.
func (j *job) partial() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %q %s %d", j.layer.Digest, j.path, j.layer.Format, j.size))
	return partialPrefix + hex.EncodeToString(sum[:])[:32]
}

// stage brings what a job is about into the staging directory, verified.
func (x *extraction) stage(ctx context.Context, i int, j *job) error {
	prefix := fmt.Sprintf("%s/%d", stagingName, i)
	switch {
	case j.layers != nil:
		return x.stageImage(ctx, prefix, j)
	case j.resumable():
		return x.stageFile(ctx, prefix, j)
	}
	return x.stageStream(ctx, prefix, j)
}

// stageFile fills the file of a job where it is to be.
func (x *extraction) stageFile(ctx context.Context, prefix string, j *job) (err error) {
	if err := x.claim(j.path, false); err != nil {
		return hostile(j.layer, err)
	}
	x.root.Chmod(j.partial(), 0o600) // an earlier run may have made it one that is only read
	p, err := disk.OpenPartial(x.root, j.partial(), j.layer.Size, x.host)
	if err != nil {
		return extracting(j.layer, err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	p.Lazy = x.o.NoSync
	sink := &fileSink{Partial: p, head: headerLength(j.layer, j.size), size: j.size, all: j.layer.Size}
	proof, err := j.model.Source.Fill(ctx, j.layer.Descriptor, sink, func(safe, resumed int64) {
		observe(x.o.Observer, PhaseData, j.name(), safe, 0, resumed)
	})
	if err == nil {
		err = proof.Covers(j.layer.Descriptor)
	}
	if err != nil {
		return extracting(j.layer, err)
	}
	executable, when, ok := sink.header(j.layer)
	if !ok {
		return x.stageAgain(ctx, prefix, j, sink)
	}
	if !x.o.NoSync {
		if err := p.Sync(); err != nil {
			return extracting(j.layer, err)
		}
	}
	x.add(j, &staged{name: j.partial(), path: j.path, size: j.size, exec: executable, when: when, cut: true})
	return nil
}

// extracting says what err got in the way of.
func extracting(l modelpack.Layer, err error) error {
	if err == nil || l.Path == "" || l.Path == "." {
		return err
	}
	return fmt.Errorf("extracting %s: %w", l.Path, err)
}

// stageAgain reads a layer that is not laid out as was guessed once more, from
// the sink, in order.
func (x *extraction) stageAgain(ctx context.Context, prefix string, j *job, sink *fileSink) error {
	x.unclaim(j.path)
	s := &stager{x: x, job: j, layer: j.layer, prefix: prefix}
	r := &observedReader{ctx: ctx, r: io.NewSectionReader(sink, 0, sink.all), path: j.name()}
	if err := s.readAll(r); err != nil {
		return s.explain(err, r)
	}
	x.addAll(j, s)
	return disk.RemovePartial(x.root, j.partial())
}

// stageStream reads a layer in order.
func (x *extraction) stageStream(ctx context.Context, prefix string, j *job) error {
	s, err := x.readLayer(ctx, prefix, j, j.layer, nil)
	if err != nil {
		return err
	}
	x.addAll(j, s)
	return nil
}

// readLayer reads one layer into the staging directory. It reads it to its end,
// so that the digest of all of it was checked when it returns, and once more if
// its bytes were wrong: they may have come from a mirror. It leaves nothing behind
// if it fails.
func (x *extraction) readLayer(ctx context.Context, prefix string, j *job, l modelpack.Layer, over *overlay) (*stager, error) {
	s, err := x.tryLayer(ctx, prefix, j, l, over)
	if !errors.Is(err, blob.ErrMismatch) {
		return s, err
	}
	over.restart()
	again, errAgain := x.tryLayer(ctx, prefix+"-again", j, l, over)
	if errors.Is(errAgain, blob.ErrNotFound) { // whoever has nothing else is right about the first one
		return s, err
	}
	return again, errAgain
}

// tryLayer is readLayer without a second try. What turns out to be linked to is
// only known at the end of the layer.
func (x *extraction) tryLayer(ctx context.Context, prefix string, j *job, l modelpack.Layer, over *overlay) (*stager, error) {
	s := &stager{x: x, job: j, layer: l, prefix: prefix, overlay: over}
	err := s.fetch(ctx)
	if errors.Is(err, errMissing) {
		over.restart()
		s = &stager{x: x, job: j, layer: l, prefix: prefix + "-linked", overlay: over, extra: s.missing}
		err = s.fetch(ctx)
	}
	return s, err
}

// fetch reads the layer from where it comes from.
func (s *stager) fetch(ctx context.Context) error {
	stream, err := s.job.model.Source.Fetch(ctx, s.layer.Descriptor)
	if err != nil {
		return extracting(s.layer, err)
	}
	defer stream.Close()
	r := &observedReader{ctx: ctx, r: stream, path: s.job.name(), o: s.x.o.Observer}
	if err := s.readAll(r); err != nil {
		if !errors.Is(err, errMissing) {
			err = s.explain(err, r)
		}
		s.discard()
		r.takeBack()
		return err
	}
	return nil
}

// stageImage reads the layers of a plain image, the uppermost first, so that
// what a lower one has and is not seen is never written.
func (x *extraction) stageImage(ctx context.Context, prefix string, j *job) error {
	over := newOverlay()
	for n, l := range j.layers {
		s, err := x.readLayer(ctx, fmt.Sprintf("%s-%d", prefix, n), j, l, over)
		if err != nil {
			return err
		}
		x.addAll(j, s)
		over.nextLayer()
	}
	return nil
}

// add notes what was staged of a job.
func (x *extraction) add(j *job, files ...*staged) {
	for _, f := range files {
		f.job = j
	}
	j.staged = append(j.staged, files...)
}

// addAll notes what a stager that is done has staged.
func (x *extraction) addAll(j *job, s *stager) {
	x.add(j, s.files...)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dirs = append(x.dirs, s.dirs...)
}

// write makes the file name of what r has, and says how much that was.
func (x *extraction) write(name string, r io.Reader, executable bool, when time.Time) (n int64, err error) {
	f, err := x.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buf := x.buffers.Get().(*[copyBuffer]byte)
	defer x.buffers.Put(buf)
	if n, err = io.CopyBuffer(onlyWriter{&disk.Writer{File: f, Lazy: x.o.NoSync}}, onlyReader{r}, buf[:]); err != nil {
		return n, err
	}
	return n, x.dress(f, name, executable, when)
}

// onlyWriter and onlyReader hide what would use a small buffer of its own.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// observedReader reports progress and stops when its context is done.
type observedReader struct {
	ctx  context.Context
	r    io.Reader
	path string
	o    Observer
	n    int64
	err  error // of the stream, other than io.EOF
}

func (r *observedReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.err = r.ctx.Err(); r.err != nil {
		return 0, r.err
	}
	n, err := r.r.Read(p)
	if err != io.EOF {
		r.err = err
	}
	r.n += int64(n)
	if n > 0 {
		observe(r.o, PhaseData, r.path, int64(n), 0, 0)
	}
	return n, err
}

// takeBack takes back what was reported.
func (r *observedReader) takeBack() {
	observe(r.o, PhaseData, r.path, -r.n, 0, 0)
	r.n = 0
}

// maxEntries and maxNames bound what an artifact makes us remember: paths, and
// bytes in them.
const (
	maxEntries = 250_000
	maxNames   = 32 << 20
)

// claim gives a path to one layer: nothing else may be there, and no file may be
// where another path needs a directory.
func (x *extraction) claim(name string, dir bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.names += len(name); len(x.kinds) >= maxEntries || x.names > maxNames {
		return fmt.Errorf("more than %d files and directories, or %d bytes of names", maxEntries, maxNames)
	}
	if n := x.kinds[x.key(name)]; n == isTaken || n > 0 && !dir {
		return fmt.Errorf("the path %q is there twice", name)
	}
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if x.kinds[x.key(parent)] == isTaken {
			return fmt.Errorf("%q is a file and a directory", parent)
		}
	}
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		x.kinds[x.key(parent)]++
	}
	if dir {
		x.kinds[x.key(name)]++
	} else {
		x.kinds[x.key(name)] = isTaken
	}
	return nil
}

// isTaken marks the path of what is no directory.
const isTaken = -1

// key is the same for names that the file system takes for one.
func (x *extraction) key(name string) string {
	if x.fold {
		return foldCase(name)
	}
	return name
}

// unclaim takes back the claims of a layer that has to be read again.
func (x *extraction) unclaim(names ...string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, name := range names {
		x.names -= len(name)
		for ; name != "."; name = path.Dir(name) {
			if key := x.key(name); x.kinds[key] > 1 {
				x.kinds[key]--
			} else {
				delete(x.kinds, key)
			}
		}
	}
}

// isLocal knows the errors of files on this machine.
func isLocal(err error) bool {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	return errors.As(err, &pathErr) || errors.As(err, &linkErr)
}
