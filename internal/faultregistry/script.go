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
	when    []func(*exchange) bool
	edits   []func(*exchange)
	hooks   []func()
	methods []string // empty for those that the kind is about
	point   point
	at      int64 // for inBody
	skip    int
	every   int
	times   int
}

// point is when in the course of a request a fault happens. Those that only
// read have but one.
type point int

const (
	atStart point = iota // before anything is done
	inBody               // after some of the request's body
	atEnd                // when the request took effect
)

// fault makes one that happens if fits says that it can.
func fault(fits func(*exchange) bool, edit func(*exchange)) Fault {
	return Fault{
		when:  []func(*exchange) bool{fits},
		edits: []func(*exchange){edit},
		every: 1,
		times: 1,
	}
}

// usual is the methods that a fault is for which names none.
func usual(kind Kind) []string {
	switch kind {
	case Upload:
		return []string{http.MethodPost}
	case Session:
		return []string{http.MethodPatch, http.MethodPut}
	default:
		return []string{http.MethodGet}
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

// Method is for requests by these methods alone. Faults that do not say are for
// GET; of a [Session] for PATCH and PUT, of an [Upload] for POST.
func (f Fault) Method(methods ...string) Fault { f.methods = methods; return f }

// Head is for HEAD, and not for GET.
func (f Fault) Head() Fault { return f.Method(http.MethodHead) }

// Patch is for the chunks of an upload.
func (f Fault) Patch() Fault { return f.Method(http.MethodPatch) }

// Put is for the end of an upload, and for manifests that are pushed.
func (f Fault) Put() Fault { return f.Method(http.MethodPut) }

// Mounts is for the POST that wants a blob from another repository.
func (f Fault) Mounts() Fault { return f.If(func(r Request) bool { return r.Mount != "" }) }

// Within makes it happen once n bytes of the request's body were read, or all
// but so many if n is negative. What was read counts as a body that was cut;
// the answer is the last on its connection.
func (f Fault) Within(n int64) Fault {
	f.point, f.at = inBody, n
	return f.on(func(x *exchange) bool { return x.effect != nil && x.body != nil && x.reply.ok() && x.body.reaches(n) })
}

// Late makes it happen once the request took effect, of which the client is told
// what the fault says.
func (f Fault) Late() Fault {
	f.point = atEnd
	return f.on(func(x *exchange) bool { return x.reply.ok() })
}

// Ranged is for requests with a Range alone.
func (f Fault) Ranged() Fault { return f.If(func(r Request) bool { return r.Range != "" }) }

// Plain is for requests without a Range alone.
func (f Fault) Plain() Fault { return f.If(func(r Request) bool { return r.Range == "" }) }

// Of is for requests for one digest alone.
func (f Fault) Of(d digest.Digest) Fault { return f.If(func(r Request) bool { return r.Digest == d }) }

// If is for requests of which keep says yes alone. Nothing was answered yet.
func (f Fault) If(keep func(Request) bool) Fault {
	return f.on(func(x *exchange) bool { return keep(*x.Request) })
}

func (f Fault) on(fits func(*exchange) bool) Fault {
	f.when = slices.Concat(f.when, []func(*exchange) bool{fits})
	return f
}

// Do calls hook each time that it happens, before anything comes of it: to
// revoke tokens, to count, to tell a test.
func (f Fault) Do(hook func()) Fault {
	f.hooks = slices.Concat(f.hooks, []func(){hook})
	return f
}

// And makes another fault happen to the same answers; to which, how often and
// when is for f to say.
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

// happening is a fault that is due in the course of a request.
type happening struct {
	*rule
	at int64
}

// play makes happen to a reply what is due, or puts it off to its point, and
// returns the hooks to call. Faults see one request at a time, and with it how
// many others are being answered.
func (s *script) play(x *exchange) []func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hooks []func()
	for _, rule := range s.rules {
		if rule.due(x) && !x.putOff(rule) {
			x.edit(rule)
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
	methods := r.methods
	if len(methods) == 0 {
		methods = usual(r.kind)
	}
	if r.kind != x.Kind || !slices.Contains(methods, x.Method) || x.turnedAway && x.Kind != Ping {
		return false
	}
	for _, fits := range r.when {
		if !fits(x) {
			return false
		}
	}
	return true
}

// putOff says whether a fault is for later.
func (x *exchange) putOff(r *rule) bool {
	switch {
	case x.effect == nil || r.point == atStart || r.point == inBody && x.body == nil:
		return false
	case r.point == atEnd:
		x.late = append(x.late, happening{r, 0})
	default:
		x.within = append(x.within, happening{r, x.body.resolve(r.at)})
	}
	return true
}

func (x *exchange) edit(r *rule) {
	for _, edit := range r.edits {
		edit(x)
	}
}

// happen is for a fault that was put off.
func (x *exchange) happen(h happening) {
	x.edit(h.rule)
	for _, hook := range h.hooks {
		hook()
	}
}
