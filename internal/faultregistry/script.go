package faultregistry

import (
	"math"
	"net/http"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Fault is something that goes wrong with an answer. It happens once, to the
// first request of its kind that it can happen to, unless its methods say
// otherwise; each of these returns another Fault.
type Fault struct {
	when   []func(*exchange) bool
	edits  []func(*exchange)
	hooks  []func()
	method string
	skip   int
	every  int
	times  int
}

// fault makes one that happens if fits says that it can.
func fault(fits func(*exchange) bool, edit func(*exchange)) Fault {
	return Fault{
		when:   []func(*exchange) bool{fits},
		edits:  []func(*exchange){edit},
		method: http.MethodGet,
		every:  1,
		times:  1,
	}
}

// Times makes it happen k times.
func (f Fault) Times(k int) Fault { f.times = k; return f }

// Always makes it happen whenever it can.
func (f Fault) Always() Fault { return f.Times(math.MaxInt) }

// After lets n requests pass that it could have happened to.
func (f Fault) After(n int) Fault { f.skip = n; return f }

// Every makes it happen to the first of each k that it could have happened to, as
// often as it happens.
func (f Fault) Every(k int) Fault { f.every = k; return f }

// Head is for HEAD, and not for GET.
func (f Fault) Head() Fault { f.method = http.MethodHead; return f }

// Ranged is for requests with a Range alone.
func (f Fault) Ranged() Fault { return f.If(func(r Request) bool { return r.Range != "" }) }

// Plain is for requests without a Range alone.
func (f Fault) Plain() Fault { return f.If(func(r Request) bool { return r.Range == "" }) }

// Of is for requests for one digest alone.
func (f Fault) Of(d digest.Digest) Fault { return f.If(func(r Request) bool { return r.Digest == d }) }

// If is for requests of which keep says yes alone. Nothing was answered yet.
func (f Fault) If(keep func(Request) bool) Fault {
	f.when = slices.Concat(f.when, []func(*exchange) bool{func(x *exchange) bool { return keep(*x.Request) }})
	return f
}

// Do calls hook each time that it happens, just before the answer is sent: to
// revoke tokens, to count, to tell a test.
func (f Fault) Do(hook func()) Fault {
	f.hooks = slices.Concat(f.hooks, []func(){hook})
	return f
}

// And makes another fault happen to the same answers; when and how often is for
// f to say.
func (f Fault) And(other Fault) Fault {
	f.when = slices.Concat(f.when, other.when)
	f.edits = slices.Concat(f.edits, other.edits)
	f.hooks = slices.Concat(f.hooks, other.hooks)
	return f
}

// Script adds faults for one kind of request to those that there are.
func (r *Registry) Script(kind Kind, faults ...Fault) {
	r.script.mu.Lock()
	defer r.script.mu.Unlock()
	for _, f := range faults {
		r.script.rules = append(r.script.rules, &rule{Fault: f, kind: kind})
	}
}

// Heal takes all faults away. What is being answered stays as it is.
func (r *Registry) Heal() {
	r.script.mu.Lock()
	defer r.script.mu.Unlock()
	r.script.rules = nil
}

// script is what will go wrong.
type script struct {
	mu    sync.Mutex
	rules []*rule
}

// rule is a fault, how often it could have happened, and how often it did.
type rule struct {
	Fault
	kind       Kind
	seen, done int
}

// play makes happen to a reply what is due, and returns the hooks to call.
// Faults see one request at a time, and with it how many others are being
// answered.
func (s *script) play(x *exchange) []func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hooks []func()
	for _, rule := range s.rules {
		if rule.due(x) {
			for _, edit := range rule.edits {
				edit(x)
			}
			hooks = append(hooks, rule.hooks...)
		}
	}
	if x.admitted = x.reply.ok(); x.admitted {
		x.reg.journal.admit(x.Request)
	}
	return hooks
}

// due counts the request if the fault can happen to it, and says whether it
// does.
func (r *rule) due(x *exchange) bool {
	if !r.fits(x) {
		return false
	}
	r.seen++
	nth := r.seen - r.skip - 1
	if nth < 0 || nth%r.every != 0 || r.done == r.times {
		return false
	}
	r.done++
	return true
}

// fits says that the fault can happen to the request, which is none that was
// turned away for its credentials, unless that is all a ping is for.
func (r *rule) fits(x *exchange) bool {
	if r.kind != x.Kind || r.method != x.Method || x.turnedAway && x.Kind != Ping {
		return false
	}
	for _, fits := range r.when {
		if !fits(x) {
			return false
		}
	}
	return true
}
