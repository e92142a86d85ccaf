package faultregistry

import (
	"bytes"
	"io"
	"strconv"
)

// Cut closes the connection after n bytes of a body. With 0 there is a header
// and no body, with -1 all but the last byte comes, and with [BeforeHeader]
// there is no answer at all.
//
// Where a client sends a body it is after n bytes of that, and without an
// answer: they are read, and are kept as the registry keeps a part. With
// [BeforeHeader] none is read. [Fault.Late] and [BeforeHeader] are for an answer
// that is lost.
func Cut(n int64) Fault { return interrupt(n, func(x *exchange) { x.hangUp(false) }) }

// CutAt closes the connection before the byte that stands at this offset of the
// blob, in an answer that would have it.
func CutAt(offset int64) Fault {
	fits := func(x *exchange) bool { return x.reply.ok() && x.reply.covers(offset) }
	return fault(fits, func(x *exchange) {
		x.reply.ending = &ending{offset - x.reply.first, func(x *exchange) { x.hangUp(false) }}
	})
}

// Reset is [Cut] with a TCP reset, which may overtake bytes that were written.
func Reset(n int64) Fault { return interrupt(n, func(x *exchange) { x.hangUp(true) }) }

// Hang sends n bytes of a body, as [Cut] counts them, and then nothing until the
// client goes away or the test ends. In the middle of a body that the client
// sends it does not learn that it is gone: it is let go when another request
// comes to the session, and by [Registry.Idle].
func Hang(n int64) Fault { return interrupt(n, (*exchange).hang) }

func interrupt(n int64, do func(*exchange)) Fault {
	fits := func(x *exchange) bool {
		if n == BeforeHeader {
			return true
		}
		if x.effect != nil && x.body != nil {
			return x.reply.ok() && x.body.reaches(n) && x.body.resolve(n) != x.body.declared
		}
		at := x.reply.resolve(n)
		return x.reply.ok() && at >= 0 && at < x.reply.length
	}
	f := fault(fits, func(x *exchange) {
		at := n
		if x.body != nil {
			at = BeforeHeader
		}
		x.reply.ending = &ending{at, do}
	})
	if n != BeforeHeader {
		f.point, f.at = inBody, n
	}
	return f
}

// Trickle sends a body k bytes at a time and waits after each for something to
// come from next; once that is closed the rest comes at once. It reads one that
// the client sends in the same way.
func Trickle(k int64, next <-chan struct{}) Fault {
	return onBody(func(x *exchange) { x.reply.step, x.reply.wait = k, next })
}

// Rate sends each body at so many bytes a second, or reads it, which is a limit
// for each connection.
func Rate(perSecond int64) Fault {
	return onBody(func(x *exchange) { x.reply.limits = append(x.reply.limits, &limiter{rate: perSecond}) })
}

// SharedRate sends all bodies together at so many bytes a second, or reads them.
func SharedRate(perSecond int64) Fault {
	shared := &limiter{rate: perSecond}
	return onBody(func(x *exchange) { x.reply.limits = append(x.reply.limits, shared) })
}

// Truncate leaves n bytes out at the end of a body, whose length is not told and
// which ends as if it were whole.
func Truncate(n int64) Fault {
	fits := func(x *exchange) bool { return x.reply.ok() && x.reply.length >= n }
	return fault(fits, func(x *exchange) {
		x.reply.length -= n
		x.reply.chunked = true
	})
}

// Overlong adds n zeros to a body, whose length is not told.
func Overlong(n int64) Fault {
	return onBody(func(x *exchange) {
		r := x.reply
		r.source = padded(r.source, r.first+r.length)
		r.length += n
		r.chunked = true
	})
}

// Chunked does not tell the length of a body.
func Chunked() Fault { return onBody(func(x *exchange) { x.reply.chunked = true }) }

// WrongLength tells a Content-Length that is off by so much. All of the body is
// sent, and then the connection is closed.
func WrongLength(delta int64) Fault {
	fits := func(x *exchange) bool { return x.reply.ok() && x.reply.length+delta >= 0 }
	return fault(fits, func(x *exchange) { x.reply.misstate = delta })
}

// Corrupt turns over one bit of the byte that stands at this offset of the blob,
// in an answer that has it.
func Corrupt(at int64) Fault {
	fits := func(x *exchange) bool { return x.reply.ok() && x.reply.covers(at) }
	return fault(fits, func(x *exchange) { x.reply.source = flipped(x.reply.source, at) })
}

// Instead serves other content than the blob's, with ranges and all.
func Instead(content Content) Fault {
	return onBlob(func(x *exchange) {
		x.reply.source, x.reply.whole = content, content
		x.reply.widen()
		x.reply.narrow(x.req.Header)
	})
}

// replace makes data the whole body.
func (r *reply) replace(data []byte) {
	r.source, r.first, r.length = bytes.NewReader(data), 0, int64(len(data))
}

// read returns the body. It is for ranges and small blobs.
func (r *reply) read() []byte {
	data := make([]byte, r.length)
	if n, err := r.source.ReadAt(data, r.first); n < len(data) && err != io.EOF {
		panic("reading content of a test at " + strconv.FormatInt(r.first+int64(n), 10) + ": " + err.Error())
	}
	return data
}

// onBody can happen to any answer that has what was asked for.
func onBody(edit func(*exchange)) Fault {
	return fault(func(x *exchange) bool { return x.reply.ok() }, edit)
}

// onBlob can happen to a blob, or to a part of one.
func onBlob(edit func(*exchange)) Fault {
	return fault(func(x *exchange) bool { return x.reply.whole != nil }, edit)
}
