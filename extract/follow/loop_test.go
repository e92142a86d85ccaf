package follow

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// start runs the loop in a bubble until stop, which returns what came of it.
func (w *world) start(t *testing.T, o Options) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, w, w, o) }()
	synctest.Wait()
	return func() error {
		cancel()
		return <-done
	}
}

func (w *world) mustStop(t *testing.T, stop func() error) {
	t.Helper()
	if err := stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestTheTargetFollowsTheTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{tag: version(1)}
		stop := w.start(t, w.options())
		w.check(t, "at once", "changed →1", "ready 1", "command →1")
		w.pass(DefaultInterval)
		w.check(t, "no change")
		w.tag = version(2)
		w.pass(DefaultInterval)
		w.check(t, "moved", "changed 1→2", "ready 2", "command 1→2")
		w.torn = true
		w.pass(DefaultInterval)
		w.check(t, "edited locally", "changed 2→2", "ready 2", "command 2→2")
		w.mustStop(t, stop)
		if w.checks != 4 || w.applies != 3 || len(w.rounds) != 4 {
			t.Errorf("%d checks, %d applies, %d rounds", w.checks, w.applies, len(w.rounds))
		}
		if c := w.changes[0]; c.Result != (Result{Files: 2, Changed: 1, Size: 100, Moved: 50}) {
			t.Errorf("%+v", c)
		}
	})
}

func TestNothingIsDoneWhereAllIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{tag: version(1), held: version(1)}
		stop := w.start(t, w.options())
		w.pass(10 * DefaultInterval)
		w.check(t, "an hour", "ready 1")
		w.mustStop(t, stop)
	})
}

// TestATargetThatCannotTell whether it is intact is applied to in each round, and
// only what that changes is a change.
func TestATargetThatCannotTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{tag: version(1), held: version(1), torn: true, vague: true}
		stop := w.start(t, w.options())
		w.check(t, "at once", "ready 1")
		w.pass(DefaultInterval)
		w.check(t, "no change")
		w.tag = version(2)
		w.pass(DefaultInterval)
		w.check(t, "moved", "changed 1→2", "ready 2", "command 1→2")
		w.mustStop(t, stop)
		if w.applies != 3 {
			t.Errorf("%d applies", w.applies)
		}
	})
}

func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{sourceErr: errOutage}
		o := w.options()
		o.Interval = time.Minute
		o.Rand = func() float64 { return 1 }
		stop := w.start(t, o)
		w.pass(5 * time.Minute)
		w.sourceErr, w.tag = nil, version(1)
		w.pass(2 * time.Minute)
		w.sourceErr = errOutage
		w.pass(2 * time.Minute)
		w.mustStop(t, stop)
		var got []time.Duration
		for _, r := range w.rounds {
			got = append(got, r.Wait.Round(time.Second))
		}
		// 5 s, doubled up to the interval; once it is well, a tenth over the interval
		const want = "[5s 10s 20s 40s 1m0s 1m0s 1m0s 1m0s 1m6s 1m6s 5s 10s 20s 40s 1m0s]"
		if fmt.Sprint(got) != want {
			t.Errorf("%v, want %s", got, want)
		}
	})
}

func TestWaitsAreSpread(t *testing.T) {
	for _, test := range []struct {
		interval time.Duration
		failed   bool
		from, to time.Duration
	}{
		{0, false, 270 * time.Second, 330 * time.Second},
		{0, true, 3750 * time.Millisecond, 5 * time.Second},
		{time.Nanosecond, false, 900 * time.Millisecond, 1100 * time.Millisecond},
		{2 * time.Second, true, 1500 * time.Millisecond, 2 * time.Second},
	} {
		seen := map[time.Duration]bool{}
		for range 1000 {
			f := &follower{Options: Options{Interval: test.interval}.withDefaults()}
			d := f.wait(test.failed)
			seen[d] = true
			if d < test.from || d > test.to {
				t.Fatalf("%+v: %s", test, d)
			}
		}
		if len(seen) < 500 {
			t.Errorf("%+v: %d different waits of 1000", test, len(seen))
		}
	}
}

// TestHopelessErrors end the loop as long as nothing was ever there.
func TestHopelessErrors(t *testing.T) {
	for name, test := range map[string]struct {
		world *world
		want  error
	}{
		"no such tag":                  {&world{sourceErr: errHopeless}, errHopeless},
		"hostile content":              {&world{tag: version(1), applyErr: errHopeless}, errHopeless},
		"an outage":                    {&world{sourceErr: errOutage}, nil},
		"no space":                     {&world{tag: version(1), applyErr: errLocal}, nil},
		"no such tag, but a version":   {&world{held: version(1), sourceErr: errHopeless}, nil},
		"hostile, but a version":       {&world{tag: version(2), held: version(1), applyErr: errHopeless}, nil},
		"hostile, and nothing is left": {&world{tag: version(2), held: version(1), applyErr: errHopeless, tears: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := test.world
				stop := w.start(t, w.options())
				w.pass(time.Hour)
				if err := stop(); !errors.Is(err, test.want) || test.want == nil && err != nil {
					t.Errorf("%v, want %v", err, test.want)
				}
			})
		})
	}
}

// TestHopelessErrorsAfterAChange do not end the loop.
func TestHopelessErrorsAfterAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{tag: version(1)}
		stop := w.start(t, w.options())
		w.sourceErr, w.installedErr = errHopeless, errLocal
		w.pass(time.Hour)
		w.sourceErr, w.installedErr, w.tag = nil, nil, version(2)
		w.pass(2 * DefaultInterval)
		w.mustStop(t, stop)
		if !w.held.Equal(version(2)) {
			t.Errorf("holds %s", name(w.held))
		}
	})
}

// TestReadyInAnOutage with what an earlier run left, if that is intact.
func TestReadyInAnOutage(t *testing.T) {
	for torn, want := range map[bool]Version{false: version(1), true: nil} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{held: version(1), torn: torn, sourceErr: errOutage}
			stop := w.start(t, w.options())
			if !w.ready.Equal(want) {
				t.Errorf("torn %t: ready with %q", torn, name(w.ready))
			}
			w.mustStop(t, stop)
			if r := w.rounds[0]; !errors.Is(r.Check, errOutage) || r.Apply != nil || !r.Version.Equal(version(1)) || !r.Failed() {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestReadyWithTheOldVersion when the new one cannot be had.
func TestReadyWithTheOldVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{tag: version(2), held: version(1), applyErr: errLocal}
		stop := w.start(t, w.options())
		w.check(t, "no space", "ready 1")
		w.applyErr = nil
		w.pass(DefaultInterval)
		w.check(t, "space", "changed 1→2", "ready 2", "command 1→2")
		w.mustStop(t, stop)
		if r := w.rounds[0]; !errors.Is(r.Apply, errLocal) || r.Check != nil || !r.Version.Equal(version(1)) {
			t.Errorf("%+v", r)
		}
	})
}

// TestReadinessIsWithdrawn when the target is damaged and cannot be restored.
func TestReadinessIsWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{tag: version(1), held: version(1)}
		stop := w.start(t, w.options())
		w.torn, w.sourceErr = true, errOutage
		w.pass(2 * DefaultInterval)
		if len(w.ready) > 0 {
			t.Errorf("still ready with %s", name(w.ready))
		}
		w.torn, w.sourceErr = false, nil
		w.pass(2 * DefaultInterval)
		if !w.ready.Equal(version(1)) {
			t.Errorf("ready with %s after it was restored", name(w.ready))
		}
		w.mustStop(t, stop)
	})
}

// TestATornTargetIsNotTold of, and repaired.
func TestATornTargetIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{tag: version(2), held: version(1), applyErr: errLocal, tears: true}
		stop := w.start(t, w.options())
		w.check(t, "torn", "ready 1", "ready ")
		w.applyErr = nil
		w.pass(DefaultInterval)
		w.check(t, "repaired", "changed 1→2", "ready 2", "command 1→2")
		w.mustStop(t, stop)
	})
}

// TestAStateThatCannotBeRead is for Apply to mend.
func TestAStateThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{tag: version(1), sourceErr: errOutage, installedErr: errLocal}
		stop := w.start(t, w.options())
		if r := w.rounds[0]; !errors.Is(r.Apply, errLocal) {
			t.Errorf("%+v", r)
		}
		w.sourceErr = nil
		w.pass(time.Minute)
		w.mustStop(t, stop)
		if w.applies == 0 {
			t.Error("not applied")
		}
	})
}

// TestACommandThatFails is run again, until it succeeds, told of what it knows.
func TestACommandThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{tag: version(1), held: version(1)}
		stop := w.start(t, w.options())
		w.tag, w.commandErr = version(2), errCommand
		w.pass(DefaultInterval)
		w.check(t, "failed", "ready 1", "changed 1→2", "ready 2", "command 1→2")
		if r := w.rounds[len(w.rounds)-1]; !r.Due {
			t.Errorf("%+v: nothing is due", r)
		}
		w.sourceErr = errOutage
		w.pass(firstRetry)
		w.check(t, "failed again, in an outage", "command 1→2")
		w.sourceErr, w.tag = nil, version(3)
		w.pass(2 * firstRetry)
		w.check(t, "another change", "changed 2→3", "ready 3", "command 1→3")
		w.commandErr = nil
		w.pass(DefaultInterval)
		w.check(t, "well again", "command 1→3")
		w.pass(DefaultInterval)
		w.check(t, "done")
		w.mustStop(t, stop)
		if r := w.rounds[len(w.rounds)-1]; r.Due {
			t.Errorf("%+v: still due", r)
		}
		if r := w.rounds[1]; !errors.Is(r.OnChange, errCommand) || r.Apply != nil {
			t.Errorf("%+v", r)
		}
	})
}

func TestReadyThatFailsIsCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{tag: version(1), readyErr: errLocal}
		stop := w.start(t, w.options())
		w.check(t, "failed", "changed →1", "ready 1", "command →1")
		w.readyErr = nil
		w.pass(firstRetry)
		w.check(t, "again", "ready 1")
		w.pass(DefaultInterval)
		w.check(t, "done")
		w.mustStop(t, stop)
	})
}

// TestTheCommandIsToldAcrossRuns: whoever is killed after a change, before the
// command, runs it when started again.
func TestTheCommandIsToldAcrossRuns(t *testing.T) {
	record := Record(filepath.Join(t.TempDir(), "told"))
	for _, run := range []struct {
		tag, held Version
		fails     error
		want      []string
	}{
		{version(1), nil, errCommand, []string{"changed →1", "ready 1", "command →1"}},
		{version(1), version(1), nil, []string{"ready 1", "command →1"}},
		{version(1), version(1), nil, []string{"ready 1"}},
		{version(2), version(1), errCommand, []string{"ready 1", "changed 1→2", "ready 2", "command 1→2"}},
		{version(2), version(2), nil, []string{"ready 2", "command 1→2"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{tag: run.tag, held: run.held, commandErr: run.fails}
			o := w.options()
			o.Told = record
			stop := w.start(t, o)
			w.check(t, "run", run.want...)
			w.mustStop(t, stop)
		})
	}
}

// TestTheEnd is clean, unless something was cut off.
func TestTheEnd(t *testing.T) {
	for name, test := range map[string]struct {
		world *world
		want  bool
	}{
		"while waiting":    {&world{tag: version(1)}, false},
		"while checking":   {&world{}, false},
		"while applying":   {&world{tag: version(1)}, true},
		"in the command":   {&world{tag: version(1)}, true},
		"without success":  {&world{sourceErr: errOutage}, false},
		"after a failure":  {&world{tag: version(1), applyErr: errLocal}, false},
		"with the command": {&world{tag: version(1), commandErr: errCommand}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &hanging{world: test.world, at: name}
			o := test.world.options()
			o.OnChange = h.OnChange
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- Run(ctx, h, h, o) }()
			synctest.Wait()
			rounds := len(test.world.rounds)
			cancel()
			if err := <-done; errors.Is(err, context.Canceled) != test.want || !test.want && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if len(test.world.rounds) != rounds {
				t.Errorf("%s: what was interrupted was reported", name)
			}
		})
	}
}

// hanging is a world that does not come back from one place.
type hanging struct {
	*world
	at string
}

func (h *hanging) hang(ctx context.Context, at string) error {
	h.mu.Lock()
	here := h.at == at
	h.mu.Unlock()
	if !here {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (h *hanging) Check(ctx context.Context) (Version, error) {
	if err := h.hang(ctx, "while checking"); err != nil {
		return nil, err
	}
	return h.world.Check(ctx)
}

func (h *hanging) Apply(ctx context.Context, v Version) (Result, error) {
	if err := h.hang(ctx, "while applying"); err != nil {
		return Result{}, err
	}
	return h.world.Apply(ctx, v)
}

func (h *hanging) OnChange(ctx context.Context, from, to Version) error {
	if err := h.hang(ctx, "in the command"); err != nil {
		return err
	}
	return h.world.OnChange(ctx, from, to)
}

// TestACheckThatHangs is given up, and the loop goes on.
func TestACheckThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{tag: version(1)}
		h := &hanging{world: w, at: "while checking"}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- Run(ctx, h, h, h.options()) }()
		w.pass(checkLimit)
		if len(h.rounds) != 1 || !errors.Is(h.rounds[0].Check, context.DeadlineExceeded) {
			t.Fatalf("%+v", h.rounds)
		}
		h.at = ""
		w.pass(firstRetry)
		if !h.held.Equal(version(1)) {
			t.Errorf("holds %q", name(h.held))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestWhateverHappens the target ends up at the last tag, and all know of it.
func TestWhateverHappens(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			w := &world{tag: version(0), held: version(1 + random.IntN(2))}
			o := w.options()
			o.Rand = nil
			stop := w.start(t, o)
			for step := range 40 {
				w.disturb(random, 2+step)
				w.pass(time.Duration(random.Int64N(int64(2 * DefaultInterval))))
			}
			w.sourceErr, w.installedErr, w.applyErr, w.readyErr, w.commandErr = nil, nil, nil, nil, nil
			w.pass(2 * DefaultInterval)
			w.mustStop(t, stop)
			for what, v := range map[string]Version{"held": w.held, "ready": w.ready, "told": w.told} {
				if !v.Equal(w.tag) || w.torn {
					t.Errorf("seed %d: %s %s, torn %t, want %s", seed, what, name(v), w.torn, name(w.tag))
				}
			}
		})
	}
}

// disturb changes one thing of the world.
func (w *world) disturb(random *rand.Rand, next int) {
	some := func(err error) error {
		if random.IntN(2) == 0 {
			return nil
		}
		return err
	}
	switch random.IntN(7) {
	case 0:
		w.sourceErr = some(errOutage)
	case 1:
		w.applyErr, w.tears = some(errLocal), random.IntN(2) == 0
	case 2:
		w.commandErr = some(errCommand)
	case 3:
		w.readyErr = some(errLocal)
	case 4:
		w.torn = true
	case 5:
		w.installedErr = some(errLocal)
	default:
		w.tag = version(next)
	}
}
