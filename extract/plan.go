package extract

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/modelpack"
)

// job is a layer to extract, or all layers of a plain image.
type job struct {
	model  *Model
	layer  modelpack.Layer   // the layer, or the uppermost one
	layers []modelpack.Layer // of an image, the uppermost first

	path string // below the release, of the one file that the layer declares; empty if it does not
	size int64  // of that file

	found  bool      // a file of that size stands there
	ours   bool      // and an earlier run put it there
	other  bool      // an earlier run put something else there
	kept   []record  // what is there already, and all that the layer brings
	staged []*staged // what was staged of it

	reused   bool // what was staged came from the destination itself
	unsynced bool // nobody waited for the disk for what is kept
}

// single says whether the manifest declares one file.
func (j *job) single() bool { return j.path != "" }

// done says whether nothing has to be moved.
func (j *job) done() bool { return j.kept != nil }

// hasFiles says whether the job has brought anything, or found it there.
func (j *job) hasFiles() bool { return len(j.kept)+len(j.staged) > 0 }

// bytes is how much there is to move.
func (j *job) bytes() int64 {
	n := j.layer.Size
	for _, l := range j.layers[min(1, len(j.layers)):] {
		n = add(n, l.Size)
	}
	return n
}

// name is what to call the job in front of people.
func (j *job) name() string {
	if j.layer.Path != "" {
		return j.layer.Path
	}
	return j.layer.Digest.String()
}

// staged is a file that waits for its name.
type staged struct {
	name   string // in the staging directory
	path   string // below the release
	size   int64
	link   string // what a symbolic link points to
	exec   bool
	when   time.Time // the time in the artifact
	cut    bool      // it is longer than size
	absent bool      // nothing stood in its place
	as     record    // what it is recorded as: pending, or as the same that stood in its place
	job    *job
}

// entry is a file that an earlier run wrote below the release.
type entry struct {
	*record
	model *installed
	layer *layerFiles
	older *entry // of the same model, from before a run that crashed
}

// index finds the records of a release by path, and those of all releases that
// this boot can vouch for by layer.
func (x *extraction) index() {
	x.byPath = make(map[string]entry)
	x.shared = make(map[string][]entry)
	x.byLayer = make(map[digest.Digest][]source)
	for i := range x.state.Releases {
		r := &x.state.Releases[i]
		for m := range r.Models {
			model := &r.Models[m]
			for l, f := range model.files {
				if r.Name == x.release.Name {
					x.note(entry{record: f, model: model, layer: l})
				}
				if x.vouches(model) && len(l.Files) == 1 && l.Whole {
					x.byLayer[l.Digest] = append(x.byLayer[l.Digest], source{path.Join(r.base(), f.Path), *f, l})
				}
			}
		}
	}
}

// note notes a record of the release. A later one of the same model counts.
func (x *extraction) note(e entry) {
	switch other, taken := x.byPath[e.Path]; {
	case taken && other.model != e.model:
		x.shared[e.Path] = append(x.shared[e.Path], other)
	case taken:
		e.older = &other
	}
	x.byPath[e.Path] = e
}

// known is the record of a file: that of an earlier version of m, else that of
// another model.
func (x *extraction) known(m *Model, name string) (entry, bool) {
	e, ok := x.byPath[name]
	for _, other := range slices.Backward(x.shared[name]) {
		if !e.model.is(m) {
			e = other
		}
	}
	return e, ok
}

// vouches says whether the content of an earlier run's files did not get lost
// in a crash.
func (x *extraction) vouches(m *installed) bool { return m.safe(x.host) }

// plan makes the jobs, and says what each file would need. It changes nothing.
func (x *extraction) plan(models []Model) error {
	x.index()
	for i := range models {
		m := &models[i]
		if m.Image {
			x.planImage(m)
			continue
		}
		for _, l := range m.Layers {
			if err := x.planLayer(m, l); err != nil {
				return err
			}
		}
	}
	if len(x.jobs) == 0 && !x.o.Filter.All() {
		return errNothing
	}
	return nil
}

// nothingError says that a filter left nothing.
type nothingError struct{}

func (nothingError) Error() string { return "no file passes the filter" }

// Hint says what to do about it.
func (nothingError) Hint() string { return "to see the files of an artifact: tare inspect REF" }

var errNothing error = nothingError{}

func (x *extraction) planLayer(m *Model, l modelpack.Layer) error {
	j := &job{model: m, layer: l}
	size, single := declared(l)
	if !x.o.Filter.TakesKind(l.Kind) || single && !x.o.Filter.Takes(l.Kind, l.Path, l.Name) {
		return nil
	}
	x.jobs = append(x.jobs, j)
	if !single {
		j.kept, j.unsynced = x.wholeLayer(m, l)
		return nil
	}
	j.path, j.size = path.Join(m.Subdir, l.Path), size
	return x.planFile(j)
}

// planImage looks at an image as a whole: what of a layer is seen depends on the
// others.
func (x *extraction) planImage(m *Model) {
	if !x.o.Filter.TakesKind(m.Layers[0].Kind) {
		return
	}
	layers := slices.Clone(m.Layers)
	slices.Reverse(layers)
	j := &job{model: m, layer: layers[0], layers: layers}
	x.jobs = append(x.jobs, j)
	old := x.earlier(m)
	if old != nil && old.Digest == m.Digest && old.Filter == x.o.Filter.String() && x.vouches(old) && old.intact(x.root, x.release.base()) {
		j.kept, j.unsynced = []record{}, old.Host != ""
		for l, f := range old.files {
			if !l.Rest {
				j.kept = append(j.kept, *f)
			}
		}
	}
}

// earlier is the version of m that is there, nil if there is none.
func (x *extraction) earlier(m *Model) *installed {
	for i := range x.release.Models {
		if old := &x.release.Models[i]; old.is(m) {
			return old
		}
	}
	return nil
}

// wholeLayer is what is there of a layer of several files, nil if anything may
// be missing.
func (x *extraction) wholeLayer(m *Model, l modelpack.Layer) (kept []record, unsynced bool) {
	old := x.earlier(m)
	if old == nil || !x.vouches(old) {
		return nil, false
	}
	for i := range old.Layers {
		layer := &old.Layers[i]
		if !layer.is(l) || !layer.Whole && (layer.Rest || old.Filter != x.o.Filter.String()) {
			continue
		}
		kept = []record{}
		for _, f := range layer.Files {
			info, err := x.lstat(f.Path)
			if err != nil || !f.intact(info) {
				return nil, false
			}
			if x.o.Filter.Takes(l.Kind, within(m, f.Path), l.Name) {
				kept = append(kept, f)
			}
		}
		return kept, old.Host != ""
	}
	return nil, false
}

// within is a path below the release as the artifact has it.
func within(m *Model, name string) string {
	if m.Subdir == "" {
		return name
	}
	return name[len(m.Subdir)+1:]
}

// lstat looks at a file below the release. What is behind a link is not there.
func (x *extraction) lstat(name string) (fs.FileInfo, error) {
	if x.root == nil {
		return nil, fs.ErrNotExist
	}
	if err := x.goThrough(path.Dir(name)); err != nil {
		return nil, err
	}
	return x.root.Lstat(x.at(name))
}

// goThrough makes sure that a directory is one, and is not behind a link.
func (x *extraction) goThrough(dir string) error {
	if dir == "." || x.passed[dir] {
		return nil
	}
	if err := x.goThrough(path.Dir(dir)); err != nil {
		return err
	}
	info, err := x.root.Lstat(x.at(dir))
	if err == nil && !info.IsDir() {
		err = errNotDir
	}
	x.passed[dir] = err == nil
	return err
}

// at is where a file of the release is.
func (x *extraction) at(name string) string {
	if x.base == "." {
		return name
	}
	return path.Join(x.base, name)
}

// planFile looks at what stands where the file is to go.
func (x *extraction) planFile(j *job) error {
	info, err := x.lstat(j.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir) {
		return nil
	}
	if err != nil {
		return err
	}
	old, known := x.known(j.model, j.path)
	j.ours = x.isOurs(old, j.model, info)
	if known && old.layer.is(j.layer) && old.Size == j.size && x.vouches(old.model) && old.intact(info) {
		r := *old.record
		r.Executable, r.Found = j.executable(r.Executable), !x.mine && (r.Found || !old.model.is(j.model))
		j.kept, j.unsynced = []record{r}, old.model.Host != ""
		return nil
	}
	j.other = known && j.ours && x.vouches(old.model) && old.intact(info)
	j.found = !j.other && info.Mode().IsRegular() && info.Size() == j.size
	if info.IsDir() && !x.isRecorded(j.path) {
		return fmt.Errorf("destination %s: %s is a directory there and a file in the artifact", x.dir, j.path)
	}
	if !j.found && !j.ours && !info.IsDir() && !x.o.Overwrite {
		x.conflicts = append(x.conflicts, j.path)
	}
	return nil
}

// isRecorded says whether an earlier run wrote files into a directory: they may
// be gone, and it with them.
func (x *extraction) isRecorded(dir string) bool {
	for name := range x.byPath {
		if strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}

// isOurs says whether an earlier version of m put the file there, and no other
// model counts on it. Nobody else has any business in a release of ours.
func (x *extraction) isOurs(e entry, m *Model, info fs.FileInfo) bool {
	if x.mine || e.record == nil || !e.model.is(m) || len(x.shared[e.Path]) > 0 {
		return x.mine
	}
	if e.Pending && !e.isPending(info) {
		return e.older != nil && x.isOurs(*e.older, m, info)
	}
	return !e.Found
}

// executable says whether the file of a layer is. Of a raw one, the manifest
// says it and may change its mind; within the archive of others is what it was.
func (j *job) executable(within bool) bool {
	if m := j.layer.Metadata; j.layer.Format == modelpack.Raw {
		return m != nil && m.Mode&0o111 != 0
	}
	return within
}

// examine reads the files that may be the right ones already, where a digest can
// tell.
func (x *extraction) examine(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(x.o.Concurrency, 1))
	for _, j := range x.jobs {
		if j.done() || !j.found {
			continue
		}
		group.Go(func() error {
			r, proved, err := x.prove(ctx, j)
			switch {
			case err != nil:
				return fmt.Errorf("destination %s: %w", x.dir, err)
			case r != nil:
				r.Found = !j.ours
				j.kept, j.unsynced = []record{*r}, true
			case proved && !j.ours && !x.o.Overwrite:
				x.mu.Lock()
				x.conflicts = append(x.conflicts, j.path)
				x.mu.Unlock()
			}
			return nil
		})
	}
	return group.Wait()
}

// conflict is an error if something is in the way.
func (x *extraction) conflict() error {
	if len(x.conflicts) == 0 {
		return nil
	}
	slices.Sort(x.conflicts)
	return &ConflictError{Dir: x.dir, Paths: x.conflicts}
}

// reserve is an error if there is no room for what has to be moved.
func (x *extraction) reserve() error {
	var need, most int64
	largest := ""
	for _, j := range x.jobs {
		if j.done() || len(j.staged) > 0 {
			continue
		}
		bytes := max(0, j.needs()-x.received(j))
		if need = add(need, bytes); bytes > most {
			most, largest = bytes, j.name()
		}
	}
	free, err := disk.Free(x.dir)
	if need == 0 || err != nil || free >= need {
		return nil // what cannot be told will show
	}
	return &fullError{x.dir, need, most, free, largest}
}

// needs is how much of the disk the files of a job take, as far as the manifest
// says.
func (j *job) needs() int64 {
	if m := j.layer.Metadata; j.layers == nil && m != nil && m.Size > 0 {
		return max(m.Size, j.size)
	}
	return j.bytes()
}

// received is what an earlier run that was interrupted has staged.
func (x *extraction) received(j *job) int64 {
	info, err := x.root.Stat(j.partial())
	if !j.resumable() || err != nil {
		return 0
	}
	return disk.Allocated(info)
}

// fullError says that a disk is too small.
type fullError struct {
	dir              string
	need, most, free int64
	largest          string // of what is needed, most bytes
}

// Error implements error.
func (e *fullError) Error() string {
	where := "the largest is "
	if e.most > e.need/2 {
		where = "most of it for "
	}
	return fmt.Sprintf("%s: %s needed, %s%s, %s free: %s", e.dir, size(e.need), where, e.largest, size(e.free), disk.ErrFull)
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// Unwrap is [disk.ErrFull].
func (e *fullError) Unwrap() error { return disk.ErrFull }

// Hint says what to do about it.
func (e *fullError) Hint() string {
	return "nothing was changed; free some space, or extract to another disk"
}

// add adds sizes, which somebody else declared.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// errNotDir says that what should be a directory on the way to a file is none.
var errNotDir error = syscall.ENOTDIR
