package faultregistry

import (
	"errors"
	"io"
)

// effect is what a request does if nothing goes wrong.
type effect struct {
	into   io.Writer     // takes the body
	cut    func()        // it came in part; may be nil
	commit func() *reply // it came whole, if there is one
}

// act has the request take effect, as far as the faults let it, and says whether
// somebody waits for the answer.
func (x *exchange) act() bool {
	if x.effect == nil || !x.proceeds() {
		return x.pause()
	}
	if err := x.takeBody(x.effect.into); err != nil {
		return x.breakOff(err)
	}
	if !x.pause() {
		return false
	}
	x.reply.turn(x.effect.commit())
	if x.reply.ok() {
		for _, h := range x.late {
			x.happen(h)
		}
	}
	return x.pause()
}

// proceeds says that no fault comes before the request.
func (x *exchange) proceeds() bool {
	return x.reply.ok() && x.reply.ending == nil && x.reply.handler == nil
}

// breakOff is for a body that did not come whole.
func (x *exchange) breakOff(err error) bool {
	if x.effect.cut != nil {
		x.effect.cut()
	}
	x.abrupt = true
	switch {
	case errors.Is(err, errStopped):
		for _, h := range x.within {
			if h.at == x.body.read {
				x.happen(h)
			}
		}
		return x.pause()
	case errors.Is(err, errTooLarge):
		x.refuse(x.tooLarge)
		return true
	default:
		x.hangUp(false)
		return false
	}
}

// refuse answers something else, and lets nothing come of the request.
func (x *exchange) refuse(other *reply) {
	x.reply.turn(other)
	x.effect = nil
}

// pause waits for what the faults want waited for, and says whether the registry
// is still there. It does not matter whether the client is: a registry finishes
// what it was asked for.
func (x *exchange) pause() bool {
	for _, ready := range x.pauses {
		select {
		case <-ready:
		case <-x.reg.ends:
			return false
		}
	}
	x.pauses = nil
	return true
}
