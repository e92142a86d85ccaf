// Package follow keeps something at what tags point to: a loop over time that
// asks, and acts when the answer changed.
//
//	err := follow.Run(ctx, source, target, follow.Options{Interval: 5 * time.Minute})
//
// Each round asks the [Source] for the [Version] that there should be, and the
// [Target] for the one that there is. If they differ, or if what is there is no
// longer as it was put there, the target is brought to that version: by digest, so
// that several tags make one version, and a tag that moves in the meantime is for
// the next round to find.
//
// # Failures
//
// A round that failed is followed by another after a few seconds, then after
// twice the time, up to the interval. Nothing ends the loop once the target holds
// a version. Before that, an error that waiting does not cure does: whoever named
// a tag that does not exist wants to know now.
//
// A target that holds an intact version from an earlier run is ready from the
// start, also when the source does not answer.
//
// # Commands
//
// What should happen after a change is tried in each round until it succeeds, and
// told which version it was last told of. With a [Memory] that holds across runs
// too: who is killed between the change and the command runs the command when
// started again.
package follow

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

const (
	// DefaultInterval is the time from one check to the next.
	DefaultInterval = 5 * time.Minute

	// MinInterval is the least that an interval may be.
	MinInterval = time.Second
)

// Pin is a reference and what it points to.
type Pin struct {
	Reference string
	Digest    digest.Digest
}

// Version is what several references point to, in their order. It is empty where
// there is none.
type Version []Pin

// Equal says whether v and other are the same.
func (v Version) Equal(other Version) bool { return slices.Equal(v, other) }

// References are those of v, with blanks between them.
func (v Version) References() string {
	return v.join(func(p Pin) string { return p.Reference })
}

// Digests are those of v, with blanks between them.
func (v Version) Digests() string {
	return v.join(func(p Pin) string { return p.Digest.String() })
}

func (v Version) join(field func(Pin) string) string {
	all := make([]string, len(v))
	for i, pin := range v {
		all[i] = field(pin)
	}
	return strings.Join(all, " ")
}

// Source knows what the references point to now.
type Source interface {
	Check(ctx context.Context) (Version, error)
}

// Target is what is kept up to date.
type Target interface {
	// Installed is the version that the target holds, empty if it holds none or
	// not all of it, and whether all is still as it was put there. Where that
	// cannot be told without reading everything it is not: Apply will see.
	Installed() (v Version, intact bool, err error)

	// Apply brings the target to v. After an error it may hold what it held
	// before, or nothing that is intact. With the version that the target holds
	// already, and no file that had to be changed, it is no change.
	Apply(ctx context.Context, v Version) (Result, error)
}

// Memory keeps across runs the version that a command was told of.
type Memory interface {
	Load() Version // empty if nothing is known
	Save(Version) error
}

// Observer is told what happens, by one goroutine.
type Observer interface {
	// Changed is called when the target holds another version, before anybody
	// else is told.
	Changed(Change)

	// Done is called at the end of each round, but not of one that was
	// interrupted.
	Done(Round)
}

// Options say how [Run] goes about it. The zero value is good.
type Options struct {
	// Interval is the time from one check to the next, [DefaultInterval] if zero
	// and never less than [MinInterval]. Each wait is up to a tenth shorter or
	// longer, so that a thousand machines that start together do not ask together.
	Interval time.Duration

	// Hopeless says which errors waiting does not cure. They end the loop as long
	// as the target holds no version. None do if it is nil.
	Hopeless func(error) bool

	// Ready is called when the target holds an intact version: once at the start
	// if it does already, and after each change; and with none when what it held is
	// damaged and could not be restored. It is called again in the next round if it
	// fails. It may be nil.
	Ready func(Version) error

	// OnChange is called after a change, after Ready, with the version that it was
	// last told of. It is called again in the next round if it fails, also when
	// there is no answer from the source. It may be nil.
	OnChange func(ctx context.Context, from, to Version) error

	// Told makes OnChange be called at the start if the target holds another
	// version than OnChange was told of in earlier runs. It may be nil.
	Told Memory

	// Observer may be nil.
	Observer Observer

	// Rand returns numbers from 0 up to 1; tests replace it.
	Rand func() float64
}

// Result says what [Target.Apply] did. Sizes are in bytes.
type Result struct {
	Files   int   // that the version has
	Changed int   // files that were written or removed
	Size    int64 // of all files
	Written int64 // what files were written from

	// Moved is what came in this run, Resumed in an earlier one that was cut off,
	// Skipped what was there already.
	Moved, Resumed, Skipped int64
}

// Change is a version that came into its place. From and To are the same where
// files were restored that somebody else had changed.
type Change struct {
	Time     time.Time
	From, To Version
	Took     time.Duration
	Result
}

// Round is one turn of the loop. Its errors are nil where things went well.
type Round struct {
	Time     time.Time // of its start
	Version  Version   // what the target holds
	Check    error     // the source did not answer
	Apply    error     // the target is not what it should be, or Ready failed
	OnChange error     // OnChange failed
	Due      bool      // OnChange has yet to be told of Version, or of one to come
	Wait     time.Duration
}

// Failed says whether anything went wrong.
func (r Round) Failed() bool { return r.Check != nil || r.Apply != nil || r.OnChange != nil }
