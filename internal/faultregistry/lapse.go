package faultregistry

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
)

// LocationSays has edit change the Location that an upload goes on at; what
// becomes empty is left out.
func LocationSays(edit func(location string) string) Fault {
	return onLocation(func(x *exchange) { x.reply.say("Location", edit(x.reply.header.Get("Location"))) })
}

// NoLocation leaves the Location out.
func NoLocation() Fault { return LocationSays(func(string) string { return "" }) }

// RelativeLocation leaves scheme and host out of the Location.
func RelativeLocation() Fault {
	return LocationSays(func(location string) string {
		u, err := url.Parse(location)
		if err != nil {
			panic("parsing a location: " + err.Error())
		}
		return u.RequestURI()
	})
}

// InsecureLocation says http for https, as registries behind a careless proxy
// do. [Registry.Leaked] tells who went there.
func InsecureLocation() Fault {
	return LocationSays(func(location string) string { return strings.Replace(location, "https://", "http://", 1) }).
		on(func(x *exchange) bool { return x.reg.tls })
}

// StaleLocation tells a client of the session the Location that it came by,
// which is no longer good for sending: that would be 416.
func StaleLocation() Fault {
	return onLocation(func(x *exchange) { x.reply.say("Location", x.reg.hostURL(x.Kind)+x.req.URL.RequestURI()) }).
		on(func(x *exchange) bool { return x.session != nil })
}

// LocationQuery adds to the query of each Location of an upload from now on, as
// it stands here. A client that does not bring it back finds no upload.
func LocationQuery(query string) Fault {
	return onLocation(func(x *exchange) {
		x.session.carry(query)
		x.reply.say("Location", x.reg.locate(x.session))
	})
}

// CrossHost has the upload go on at the bucket, where it is a [Target] and wants
// no credentials; see [Registry.Leaked].
func CrossHost() Fault {
	return onLocation(func(x *exchange) {
		x.session.move()
		x.reply.say("Location", x.reg.locate(x.session))
		x.reply.say("Set-Cookie", "session=faultregistry; Path=/")
	})
}

// OffsetSays has any text for the Range by which a session tells how far it is,
// or none at all if it is empty: when it is asked, unless [Fault.Patch] says
// that it is after a chunk.
func OffsetSays(text string) Fault {
	return onOffset(func(x *exchange) { x.reply.say("Range", text) })
}

// OffsetSaysBy has a session tell that it is so many bytes further than it is.
func OffsetSaysBy(delta int64) Fault {
	return onOffset(func(x *exchange) { x.reply.say("Range", told(x.session.size()+delta)) })
}

// StaleRange tells after a chunk the Range that was true before it.
func StaleRange() Fault {
	return onLocation(func(x *exchange) { x.reply.say("Range", told(x.before)) }).Patch()
}

// Code answers with this status, and else as it would have.
func Code(code int) Fault { return later(func(x *exchange) { x.reply.status = code }) }

// DigestSays has any text for Docker-Content-Digest, or none at all if it is
// empty.
func DigestSays(text string) Fault {
	return later(func(x *exchange) { x.reply.say("Docker-Content-Digest", text) })
}

// WrongDigest says that what came is something else.
func WrongDigest() Fault { return DigestSays(digest.FromString("something else").String()) }

// Vanish loses the session before the request, for which it is unknown, as it is
// for all later ones.
func Vanish() Fault {
	return fault(func(x *exchange) bool { return x.session != nil }, func(x *exchange) {
		x.reg.uploads.drop(x.session)
		x.refuse(unknownUpload())
	})
}

// Lose has the session lose what it took beyond its first n bytes, before the
// request, as if that had never come. Whether it says so is for another fault.
func Lose(n int64) Fault {
	return fault(func(x *exchange) bool { return x.session != nil && x.session.size() > n }, func(x *exchange) {
		x.session.truncate(n)
	})
}

// NoMount answers to a mount with a session, as if the blob were not there.
func NoMount() Fault {
	return fault(func(x *exchange) bool { return x.Mount != "" && !x.locates && x.effect != nil }, func(x *exchange) {
		x.reply.turn(x.reg.planBegin(x))
	})
}

// Wait keeps a client waiting for something to come from ready, after its body
// and before anything comes of it; [Fault.Late] is when that is done. It goes on
// though the client may have left.
func Wait(ready <-chan struct{}) Fault {
	return fault(always, func(x *exchange) { x.pauses = append(x.pauses, ready) })
}

// Rewrite stores one byte more than was sent, a blob or a manifest, and tells
// the digest of that.
func Rewrite() Fault {
	return fault(stores, func(x *exchange) { x.rewrites = true }).Put()
}

// KeepTag stores a manifest and says so, and leaves the tag where it was.
func KeepTag() Fault {
	return fault(stores, func(x *exchange) { x.keepsTag = true }).Put().If(func(r Request) bool { return r.Kind == Manifest && r.Digest == "" })
}

// stores says that the request ends in a blob or a manifest.
func stores(x *exchange) bool { return x.Method == http.MethodPut && x.effect != nil }

// later can happen to the answer of any request that is good.
func later(edit func(*exchange)) Fault { return fault(always, edit).Late() }

// onLocation can happen to an answer that says where an upload goes on.
func onLocation(edit func(*exchange)) Fault {
	return later(edit).on(func(x *exchange) bool { return x.locates && x.effect != nil })
}

// onOffset can happen to what a session answers when it is asked, and to the
// answer that opens it.
func onOffset(edit func(*exchange)) Fault {
	return onLocation(edit).Method(http.MethodGet, http.MethodPost)
}

// hostURL is the registry's, or the bucket's.
func (r *Registry) hostURL(kind Kind) string {
	if kind == Target {
		return r.bucket.url
	}
	return r.URL
}
