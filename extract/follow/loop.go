package follow

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// firstRetry is how long to wait after the first failure.
	firstRetry = 5 * time.Second

	// checkLimit is how long a check may take, attempts within it included.
	checkLimit = 5 * time.Minute
)

// Run keeps target at what source says until ctx ends, and then returns nil,
// unless that cut off a change or what follows it. The first check is made at
// once.
func Run(ctx context.Context, source Source, target Target, o Options) error {
	f := &follower{Options: o.withDefaults(), source: source, target: target}
	f.start()
	for {
		r := f.round(ctx)
		if ctx.Err() != nil {
			return errors.Join(r.Apply, r.OnChange)
		}
		if err := errors.Join(r.Check, r.Apply); err != nil && !f.settled && f.Hopeless(err) {
			return err
		}
		r.Wait = f.wait(r.Failed())
		f.Observer.Done(r)
		if !sleep(ctx, r.Wait) {
			return nil
		}
	}
}

func (o Options) withDefaults() Options {
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	o.Interval = max(o.Interval, MinInterval)
	if o.Hopeless == nil {
		o.Hopeless = func(error) bool { return false }
	}
	if o.Ready == nil {
		o.Ready = func(Version) error { return nil }
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	return o
}

// follower is a loop on its way.
type follower struct {
	Options
	source Source
	target Target

	held      Version // by the target, as far as is known
	intact    bool
	seen      bool    // it could be looked at
	settled   bool    // the target held a version at some time
	announced Version // what Ready knows
	told      Version // what OnChange knows
	due       bool    // OnChange has yet to be told
	failures  int     // rounds in a row
}

// start finds out what an earlier run left, and says so. What is wrong with the
// target is left to the first round.
func (f *follower) start() {
	f.look()
	f.told = f.held
	if f.Told != nil {
		f.told = f.Told.Load()
	}
	f.due = len(f.held) > 0 && !f.told.Equal(f.held)
	if f.intact {
		f.announce() // before a registry is asked that may be silent; the first round does it again
	}
}

// look asks the target what it holds.
func (f *follower) look() error {
	held, intact, err := f.target.Installed()
	f.seen = err == nil
	if err != nil {
		f.intact = false
		return err
	}
	f.holds(held, intact)
	return nil
}

func (f *follower) holds(v Version, intact bool) {
	some := len(v) > 0
	f.held, f.intact, f.settled = v, intact && some, f.settled || some
}

func (f *follower) round(ctx context.Context) Round {
	r := Round{Time: time.Now()}
	var want Version
	want, r.Check = f.check(ctx)
	if ctx.Err() != nil {
		return r
	}
	r.Apply = f.bring(ctx, want)
	if f.intact {
		f.due = f.due || !f.told.Equal(f.held) // somebody else may have brought it
		r.Apply = errors.Join(r.Apply, f.announce())
		r.OnChange = f.tell(ctx)
	} else if f.seen && len(f.announced) > 0 { // what was ready is damaged, and could not be restored
		r.Apply = errors.Join(r.Apply, f.withdraw())
	}
	r.Version, r.Due = f.held, f.due
	return r
}

// check asks the source, which may be silent for long.
func (f *follower) check(ctx context.Context) (Version, error) {
	limited, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	v, err := f.source.Check(limited)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s: %w", checkLimit, err)
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// bring sees to it that the target holds want, if it is known what is wanted.
func (f *follower) bring(ctx context.Context, want Version) error {
	err := f.look()
	if len(want) == 0 || f.intact && f.held.Equal(want) {
		return err
	}
	err = f.change(ctx, want)
	if err != nil {
		f.look() // nobody knows how far that came; its error is less telling
	}
	return err
}

func (f *follower) change(ctx context.Context, want Version) error {
	begin := time.Now()
	result, err := f.target.Apply(ctx, want)
	if err != nil {
		return err
	}
	now := time.Now()
	c := Change{Time: now, From: f.held, To: want, Took: now.Sub(begin), Result: result}
	f.holds(want, true)
	if c.Changed == 0 && c.From.Equal(c.To) {
		return nil // it was only looked at closely
	}
	f.due, f.announced = true, nil
	f.Observer.Changed(c)
	return nil
}

// announce has Ready know what the target holds.
func (f *follower) announce() error {
	if f.announced.Equal(f.held) {
		return nil
	}
	if err := f.Ready(f.held); err != nil {
		return err
	}
	f.announced = f.held
	return nil
}

// withdraw has Ready know that the target holds nothing of any use.
func (f *follower) withdraw() error {
	f.announced = nil
	return f.Ready(nil)
}

// tell has OnChange know what the target holds.
func (f *follower) tell(ctx context.Context) error {
	if !f.due || f.OnChange == nil {
		return nil
	}
	if err := f.OnChange(ctx, f.told, f.held); err != nil {
		return err
	}
	f.told, f.due = f.held, false
	if f.Told == nil {
		return nil
	}
	return f.Told.Save(f.told)
}

// wait is the time to the next round. After failures the spread is wider: they
// began for many at the same moment.
func (f *follower) wait(failed bool) time.Duration {
	if !failed {
		f.failures = 0
		return scale(f.Interval, 0.9+0.2*f.Rand())
	}
	d := min(firstRetry<<min(f.failures, 20), f.Interval)
	f.failures++
	return scale(d, 0.75+0.25*f.Rand())
}

func scale(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }

// sleep is false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// nobody observes nothing.
type nobody struct{}

func (nobody) Changed(Change) {}
func (nobody) Done(Round)     {}
