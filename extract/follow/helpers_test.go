package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errOutage   = errors.New("nobody answers")
	errHopeless = errors.New("no such tag")
	errLocal    = errors.New("no space left")
	errCommand  = errors.New("the command failed")
)

// version is the n-th one of a reference.
func version(n int) Version {
	return Version{{"h.io/r:v1", digest.FromString(fmt.Sprint(n))}}
}

// world is a source, a target, all that is called after a change, and a log of it.
//
// A test changes it between two calls of pass.
type world struct {
	mu    sync.Mutex
	tag   Version
	held  Version
	torn  bool // what is held is not intact
	vague bool // nobody can tell whether it is
	told  Version
	ready Version

	sourceErr, installedErr, applyErr, readyErr, commandErr error
	tears                                                   bool // an Apply that fails leaves a mixture

	checks, applies int
	log             []string
	rounds          []Round
	changes         []Change
}

func (w *world) note(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

func (w *world) Check(_ context.Context) (Version, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checks++
	return w.tag, w.sourceErr
}

func (w *world) Installed() (Version, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held, !w.torn, w.installedErr
}

func (w *world) Apply(_ context.Context, v Version) (Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.applies++
	if w.applyErr != nil {
		w.torn = w.torn || w.tears
		return Result{}, w.applyErr
	}
	r := Result{Files: 2, Changed: 1, Size: 100, Moved: 50}
	if w.vague && w.held.Equal(v) {
		r.Changed = 0
	}
	w.held, w.torn = v, w.vague
	return r, nil
}

func (w *world) Ready(v Version) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.readyErr == nil {
		w.ready = v
	}
	w.note("ready %s", name(v))
	return w.readyErr
}

func (w *world) OnChange(_ context.Context, from, to Version) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("command %s→%s", name(from), name(to))
	if w.commandErr == nil {
		w.told = to
	}
	return w.commandErr
}

func (w *world) Changed(c Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes = append(w.changes, c)
	w.note("changed %s→%s", name(c.From), name(c.To))
}

func (w *world) Done(r Round) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rounds = append(w.rounds, r)
}

func (w *world) Hopeless(err error) bool { return errors.Is(err, errHopeless) }

// pass lets time pass, and the loop see what the test has changed.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	//lint:ignore SA2001 what a test wrote happens before what the loop reads
	w.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
}

// options have all of w called, and no jitter.
func (w *world) options() Options {
	return Options{
		Hopeless: w.Hopeless,
		Ready:    w.Ready,
		OnChange: w.OnChange,
		Observer: w,
		Rand:     func() float64 { return 0.5 },
	}
}

// take empties the log.
func (w *world) take() []string {
	log := w.log
	w.log = nil
	return log
}

func (w *world) check(t *testing.T, when string, want ...string) {
	t.Helper()
	if got := w.take(); !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", when, got, want)
	}
}

// name is the number of a version, or nothing.
func name(v Version) string {
	for n := range 100 {
		if v.Equal(version(n)) {
			return fmt.Sprint(n)
		}
	}
	return v.Digests()
}
