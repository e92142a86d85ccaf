package faultregistry

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"time"
)

// Status answers with this status instead, and with header fields given as
// pairs of a name and a value. What is no success has an error as its body.
func Status(code int, header ...string) Fault {
	return fault(always, func(x *exchange) {
		other := refusal(code, "FAULT", fmt.Sprintf("the test asked for %d %s", code, http.StatusText(code)))
		if other.ok() {
			other = document(code, "application/octet-stream", nil)
		}
		for i := 0; i+1 < len(header); i += 2 {
			other.header.Set(header[i], header[i+1])
		}
		x.refuse(other)
	})
}

// Busy is [Status] with a Retry-After in seconds.
func Busy(code, seconds int) Fault { return Status(code, "Retry-After", strconv.Itoa(seconds)) }

// BusyUntil is [Status] with a Retry-After that is a date.
func BusyUntil(code int, t time.Time) Fault {
	return Status(code, "Retry-After", t.UTC().Format(http.TimeFormat))
}

// AtMost answers 429 to a request while k others of its kind are being
// answered. The header is given as to [Status].
func AtMost(k int, header ...string) Fault {
	f := Status(http.StatusTooManyRequests, header...)
	f.when = append(f.when, func(x *exchange) bool { return x.reg.journal.busyWith(x.Kind) >= k })
	return f
}

// Unauthorized answers 401 with the registry's challenge, though the credentials
// are good.
func Unauthorized() Fault {
	return fault(always, func(x *exchange) { x.refuse(challenged(x.reg.anyChallenge(x))) })
}

// Unsatisfiable answers 416 to a range that is fine.
func Unsatisfiable() Fault {
	return onRange(func(x *exchange) { x.reply.turn(unsatisfiable(x.reply.whole.Size())) })
}

// Handle has a handler answer.
func Handle(handler http.Handler) Fault {
	return fault(always, func(x *exchange) { x.reply.handler = handler })
}

// Gzip compresses a body though nobody asked for it, in memory.
func Gzip() Fault {
	return onBody(func(x *exchange) {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write(x.reply.read())
		w.Close()
		x.reply.replace(b.Bytes())
		x.reply.header.Set("Content-Encoding", "gzip")
	})
}

// NoRange answers 200 with the whole blob, whatever is asked for, and does not
// announce ranges.
func NoRange() Fault {
	return onBlob(func(x *exchange) {
		x.reply.widen()
		x.reply.header.Del("Accept-Ranges")
	})
}

// Unannounced leaves out Accept-Ranges, but serves ranges.
func Unannounced() Fault { return onBlob(func(x *exchange) { x.reply.header.Del("Accept-Ranges") }) }

// RangeSays has any text for a Content-Range, or none at all if it is empty.
func RangeSays(text string) Fault {
	return onRange(func(x *exchange) {
		x.reply.say("Content-Range", text)
	})
}

// RangeSaysBy has a Content-Range whose first and last byte and whose total are
// off by so much, before the bytes that were asked for.
func RangeSaysBy(first, last, total int64) Fault {
	return onRange(func(x *exchange) {
		r := x.reply
		r.header.Set("Content-Range", contentRange(r.first+first, r.last()+last, r.whole.Size()+total))
	})
}

// OtherRange answers with a range whose first and last byte are off by so much,
// and says so. It stays within the blob.
func OtherRange(first, last int64) Fault {
	clamp := func(r *reply) (from, to int64) {
		end := r.whole.Size() - 1
		return min(max(0, r.first+first), end), min(max(0, r.last()+last), end)
	}
	f := onRange(func(x *exchange) { x.reply.take(clamp(x.reply)) })
	f.when = append(f.when, func(x *exchange) bool {
		from, to := clamp(x.reply)
		return from <= to && (from != x.reply.first || to != x.reply.last())
	})
	return f
}

// Piece answers with the first n bytes of a range, and says so.
func Piece(n int64) Fault {
	f := onRange(func(x *exchange) { x.reply.take(x.reply.first, x.reply.first+n-1) })
	f.when = append(f.when, func(x *exchange) bool { return x.reply.length > n })
	return f
}

// Lie answers with bytes that stand so much further on in the blob, and says that
// they are those that were asked for.
func Lie(by int64) Fault {
	return onRange(func(x *exchange) { x.reply.source = shifted(x.reply.source, x.reply.whole.Size(), by) })
}

// Multipart answers with a multipart/byteranges of the one range, in memory.
func Multipart() Fault {
	return onRange(func(x *exchange) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		part, _ := w.CreatePart(textproto.MIMEHeader{ // a buffer takes all
			"Content-Type":  {"application/octet-stream"},
			"Content-Range": {x.reply.header.Get("Content-Range")},
		})
		part.Write(x.reply.read())
		w.Close()
		x.reply.replace(b.Bytes())
		x.reply.header.Del("Content-Range")
		x.reply.header.Set("Content-Type", "multipart/byteranges; boundary="+w.Boundary())
	})
}

func always(*exchange) bool { return true }

// onRange can happen to an answer that is a part of a blob.
func onRange(edit func(*exchange)) Fault {
	return fault(func(x *exchange) bool { return x.reply.partial() && x.reply.whole != nil }, edit)
}
