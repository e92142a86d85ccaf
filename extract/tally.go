package extract

import (
	"sync/atomic"

	"github.com/opencontainers/go-digest"
)

// tally is an observer that adds up what it passes on.
type tally struct {
	to                     Observer
	safe, skipped, resumed atomic.Int64
}

// Observe implements [Observer].
func (t *tally) Observe(phase, path string, safe, skipped, resumed int64) {
	t.safe.Add(safe)
	t.skipped.Add(skipped)
	t.resumed.Add(resumed)
	observe(t.to, phase, path, safe, skipped, resumed)
}

// into says in r what moved, and what did not.
func (t *tally) into(r *Result) {
	r.Moved, r.Skipped, r.Resumed = t.safe.Load(), t.skipped.Load(), t.resumed.Load()
}

// locator is a [Source] that knows which of the blobs it gave were on this
// machine already.
type locator interface {
	IsLocal(digest.Digest) bool
}

// local is how many bytes of a job that was staged were on this machine.
func (j *job) local() (n int64) {
	at, ok := j.model.Source.(locator)
	if !ok {
		return 0
	}
	layers := j.layers
	if layers == nil {
		layers = append(layers, j.layer)
	}
	for _, l := range layers {
		if at.IsLocal(l.Digest) {
			n = add(n, l.Size)
		}
	}
	return n
}
