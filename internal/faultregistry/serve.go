package faultregistry

import (
	"net/http"
	"slices"
)

// answer serves the registry.
func (r *Registry) answer(w http.ResponseWriter, req *http.Request) {
	r.exchange(w, req, parse(req, r.prefix), r.plan)
}

// answerTarget serves the bucket.
func (r *Registry) answerTarget(w http.ResponseWriter, req *http.Request) {
	r.exchange(w, req, r.bucket.parse(req), r.bucket.plan)
}

// exchange answers one request: as it should be, then as the script has it.
func (r *Registry) exchange(w http.ResponseWriter, req *http.Request, seen *Request, plan func(*exchange) *reply) {
	x := &exchange{Request: seen, reg: r, w: w, req: req}
	x.body = newIntake(x)
	r.journal.begin(seen)
	defer func() { r.journal.end(seen, x.admitted) }()
	x.reply = plan(x)
	then := r.script.play(x)
	for _, hook := range then {
		hook()
	}
	if x.act() {
		x.send()
	}
}

// plan is what a good registry answers, if the body is good too.
func (r *Registry) plan(x *exchange) *reply {
	if !x.bound(r.bodyLimit, tooLarge()) {
		return tooLarge()
	}
	if !r.serves(x.Kind, x.Method) {
		return refusal(http.StatusMethodNotAllowed, "UNSUPPORTED", "the operation is unsupported")
	}
	if x.Kind == Token {
		return r.guard.token(x.req, r.tokenLife)
	}
	if challenge := r.challenge(x); challenge != "" {
		x.turnedAway = true
		return challenged(challenge)
	}
	if r.noCreation && x.Name != "" && !r.store.exists(x.Name) {
		return refusal(http.StatusNotFound, "NAME_UNKNOWN", "the repository does not exist")
	}
	switch x.Kind {
	case Ping:
		return document(http.StatusOK, "application/json", []byte("{}"))
	case Manifest:
		if x.Method == http.MethodPut {
			return r.planPublish(x)
		}
		return r.planManifest(x)
	case Blob:
		return r.planBlob(x)
	case Upload:
		return r.planUpload(x)
	case Session:
		return r.planSession(x)
	default:
		return refusal(http.StatusNotFound, "NAME_UNKNOWN", "there is nothing here")
	}
}

// serves says that there is such a method for a kind of request.
func (r *Registry) serves(kind Kind, method string) bool {
	if kind != Upload && (method == http.MethodGet || method == http.MethodHead) {
		return true
	}
	writes := map[Kind][]string{
		Manifest: {http.MethodPut},
		Upload:   {http.MethodPost},
		Session:  {http.MethodPatch, http.MethodPut, http.MethodDelete},
	}
	return r.origin == nil && slices.Contains(writes[kind], method)
}

func (r *Registry) planManifest(x *exchange) *reply {
	art := r.store.manifest(x.Name, x.Reference)
	if art == nil {
		return refusal(http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
	}
	reply := serveContent(Bytes(art.Manifest), art.Descriptor.Digest)
	reply.header.Set("Content-Type", art.Descriptor.MediaType)
	reply.header.Del("Accept-Ranges")
	return reply
}

func (r *Registry) planBlob(x *exchange) *reply {
	content := r.store.blob(x.Name, x.Digest)
	if content == nil {
		return refusal(http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
	}
	if r.redirect {
		return r.bucket.redirect(x.Method, x.Digest, content)
	}
	reply := serveContent(content, x.Digest)
	reply.narrow(x.req.Header)
	return reply
}

// challenge is the WWW-Authenticate for a request that shows no credentials, or
// wrong ones, and empty for one that may pass.
func (r *Registry) challenge(x *exchange) string {
	switch {
	case r.tokens && !r.guard.admits(x.Request):
		return r.bearer(x.Request)
	case r.basic && !knows(x.req):
		return `Basic realm="faultregistry"`
	default:
		return ""
	}
}

// anyChallenge is the one that the registry would make if it had to.
func (r *Registry) anyChallenge(x *exchange) string {
	if r.tokens {
		return r.bearer(x.Request)
	}
	return `Basic realm="faultregistry"`
}

func challenged(challenge string) *reply {
	reply := refusal(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	reply.header.Set("Www-Authenticate", challenge)
	return reply
}
