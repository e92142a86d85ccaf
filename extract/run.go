package extract

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/modelpack"
)

// extraction is one run.
type extraction struct {
	*destination
	o Options

	state   *state
	release release // that is written to, as it was
	base    string  // where it is, for now
	mine    bool    // all that is there is ours
	byPath  map[string]entry
	shared  map[string][]entry // of files that several models count on, those not in byPath
	byLayer map[digest.Digest][]source

	jobs []*job

	mu        sync.Mutex
	conflicts []string
	dirs      []string
	passed    map[string]bool // directories that were gone through
	kinds     map[string]int  // paths taken so far: isTaken, or by how many a directory is needed
	names     int             // bytes in paths

	undo     []undo          // if publishing fails half way
	lessened []string        // directories that something was removed from
	edited   []string        // files that somebody changed meanwhile
	returned []*record       // of files that are back then
	real     map[string]bool // directories that are no links
	removed  int
	moved    bool // something got or lost its name
	tally    *tally

	buffers sync.Pool // of *[copyBuffer]byte
}

// copyBuffer is the size of the pieces in which files are written.
const copyBuffer = 1 << 20

func newExtraction(d *destination, o Options) *extraction {
	count := &tally{to: o.Observer}
	o.Observer = count
	x := &extraction{destination: d, o: o, tally: count, base: ".", kinds: make(map[string]int), real: make(map[string]bool), passed: make(map[string]bool), state: &state{Version: stateVersion}}
	x.buffers.New = func() any { return new([copyBuffer]byte) }
	return x
}

func (x *extraction) run(ctx context.Context, models []Model) (r *Result, err error) {
	if x.state, err = loadState(x.root); err != nil {
		return nil, err
	}
	if x.o.Atomic {
		return x.runAtomic(ctx, models)
	}
	if err := x.checkPlain(); err != nil {
		return nil, err
	}
	if old := x.state.release(""); old != nil {
		x.release = *old
	}
	now, r, err := x.update(ctx, models)
	if err != nil {
		return nil, err
	}
	return r, errors.Join(x.record(x.release.with(now)), x.editedError())
}

// editedError says which files are not what was just made sure of.
func (x *extraction) editedError() error {
	if len(x.edited) == 0 {
		return nil
	}
	return &editedError{x.dir, x.edited}
}

// editedError lists files that somebody changed while they were being extracted.
type editedError struct {
	dir   string
	paths []string
}

// Error implements error.
func (e *editedError) Error() string {
	return fmt.Sprintf("destination %s: somebody changed files during the extraction: %s", e.dir, few(e.paths))
}

// Hint says what to do about it.
func (e *editedError) Hint() string { return "the same command restores them" }

// update brings the files of models below the base, and says what is there now.
func (x *extraction) update(ctx context.Context, models []Model) ([]installed, *Result, error) {
	if err := x.plan(models); err != nil {
		return nil, nil, err
	}
	if err := errors.Join(x.examine(ctx), ctx.Err()); err != nil {
		return nil, nil, err
	}
	if err := x.conflict(); err != nil {
		return nil, nil, err
	}
	if err := x.claimKept(); err != nil {
		return nil, nil, err
	}
	x.sweep(x.isWanted)
	if err := x.reuse(ctx, x.cloneOf); err != nil {
		return nil, nil, err
	}
	if err := x.reserve(); err != nil {
		return nil, nil, err
	}
	if err := x.reuse(ctx, x.copyOf); err != nil {
		return nil, nil, err
	}
	if err := x.stageAll(ctx); err != nil {
		return nil, nil, err
	}
	if !x.o.Filter.All() && !slices.ContainsFunc(x.jobs, (*job).hasFiles) {
		return nil, nil, errNothing
	}
	return x.publish(ctx, models)
}

// isWanted knows what an earlier run has staged for this one.
func (x *extraction) isWanted(name string) bool {
	return slices.ContainsFunc(x.jobs, func(j *job) bool {
		return !j.done() && j.resumable() && strings.HasPrefix(name, j.partial())
	})
}

// claimKept claims the paths of files that stay.
func (x *extraction) claimKept() error {
	for _, j := range x.jobs {
		for _, r := range j.kept {
			if err := x.claim(r.Path, false); err != nil {
				return hostile(j.layer, err)
			}
		}
		if j.done() {
			observe(x.o.Observer, PhaseData, j.name(), 0, j.bytes(), 0)
			observe(x.o.Observer, PhaseDone, j.name(), 0, 0, 0)
		}
	}
	return nil
}

// stageAll reads what is missing into the staging directory.
func (x *extraction) stageAll(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(x.o.Concurrency, 1))
	for i, j := range x.jobs {
		if j.done() || len(j.staged) > 0 {
			continue
		}
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := x.stage(ctx, i, j); err != nil {
				return err
			}
			observe(x.o.Observer, PhaseDone, j.name(), 0, 0, 0)
			return nil
		})
	}
	return group.Wait()
}

// record saves what the destination holds now.
func (x *extraction) record(r release) error {
	if n := len(x.state.Releases); !x.moved && n > 0 && reflect.DeepEqual(x.state.Releases[n-1], r) {
		return nil
	}
	x.state = x.state.with(r)
	return x.state.save(x.destination, !x.o.NoSync)
}

// Step is what [Extract] would do about a file.
type Step struct {
	// Action is add, replace, keep, remove, check (it may be right already, and
	// is read to find out) or unpack (a layer of several files).
	Action string
	Path   string
	Kind   modelpack.Kind
	Size   int64 // of the file; of a layer to unpack, as it comes
}

// Plan says what [Extract] would do, as far as manifests and the records of the
// destination tell. It reads no content and changes nothing.
func Plan(models []Model, dir string, o Options) ([]Step, error) {
	if err := check(models, o); err != nil {
		return nil, err
	}
	x := newExtraction(&destination{dir: dir, host: disk.HostID()}, o)
	if err := x.look(models); err != nil {
		return nil, err
	}
	if x.root != nil {
		defer x.root.Close()
	}
	if err := x.plan(models); err != nil {
		return nil, err
	}
	if err := x.conflict(); err != nil {
		return nil, err
	}
	return x.steps(models), nil
}

// look opens the destination to be read, if it is there.
func (x *extraction) look(models []Model) error {
	root, err := openToRead(x.dir)
	if root == nil || err != nil {
		return err
	}
	x.root = root
	if x.o.Atomic {
		if err := x.checkCurrent(); err != nil {
			return err
		}
	}
	if x.state, err = loadState(root); err != nil {
		return err
	}
	name := ""
	if x.o.Atomic {
		name = releaseName(models, x.o.Filter)
	} else if err := x.checkPlain(); err != nil {
		return err
	}
	x.release = release{Name: name}
	if old := x.state.release(name); old != nil {
		x.release = *old
	}
	x.base = x.release.base()
	return nil
}

func (x *extraction) steps(models []Model) []Step {
	var steps []Step
	taken := make(map[string]bool)
	known := true // what all layers bring
	for _, j := range x.jobs {
		for _, r := range j.kept {
			taken[r.Path] = true
			steps = append(steps, Step{"keep", r.Path, j.layer.Kind, r.Size})
		}
		if j.done() {
			continue
		}
		taken[j.path] = true
		known = known && j.single()
		steps = append(steps, j.step(x))
	}
	if !known {
		return steps
	}
	for _, e := range x.gone(models, taken) {
		kind, _ := modelpack.ParseKind(e.layer.Kind)
		steps = append(steps, Step{Action: "remove", Path: e.Path, Kind: kind, Size: e.Size})
	}
	return steps
}

func (j *job) step(x *extraction) Step {
	if !j.single() {
		return Step{"unpack", j.name(), j.layer.Kind, j.bytes()}
	}
	s := Step{"add", j.path, j.layer.Kind, j.size}
	if _, err := x.lstat(j.path); !errors.Is(err, fs.ErrNotExist) {
		s.Action = "replace"
	}
	if j.found {
		s.Action = "check"
	}
	return s
}
