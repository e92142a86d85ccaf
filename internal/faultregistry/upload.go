package faultregistry

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
)

// planUpload is for the POST that begins an upload, or mounts a blob. All of a
// blob in a POST is taken for the beginning, as distribution does.
func (r *Registry) planUpload(x *exchange) *reply {
	switch {
	case x.Mount != "" && x.From != "" && !r.noMount && r.store.blob(x.From, x.Mount) != nil:
		x.effect = &effect{into: io.Discard, commit: func() *reply { return r.mount(x) }}
		return accepted(http.StatusCreated)
	default:
		return r.planBegin(x)
	}
}

func (r *Registry) planBegin(x *exchange) *reply {
	x.locates = true
	x.effect = &effect{into: io.Discard, commit: func() *reply { return r.begin(x) }}
	return accepted(http.StatusAccepted)
}

// begin answers with a new session.
func (r *Registry) begin(x *exchange) *reply {
	s := r.uploads.open(x.Name)
	s.enter(x)
	reply := r.progress(x, s, http.StatusAccepted)
	if r.minChunk > 0 {
		reply.header.Set("Oci-Chunk-Min-Length", fmt.Sprint(r.minChunk))
	}
	return reply
}

func (r *Registry) mount(x *exchange) *reply {
	r.store.addBlob(x.Name, x.Mount, r.store.blob(x.From, x.Mount))
	return r.created(x, "blobs", x.Mount)
}

// planSession is for what is asked at the Location of an upload.
func (r *Registry) planSession(x *exchange) *reply {
	s := r.uploads.find(x.Name, x.Session)
	if s == nil {
		return unknownUpload()
	}
	asks := x.Method == http.MethodGet || x.Method == http.MethodHead
	known, newest := s.recognises(x.req.URL)
	if !known {
		return refusal(http.StatusNotFound, "BLOB_UPLOAD_INVALID", "this is no location that was told")
	}
	if interrupted := s.enter(x); interrupted && r.vanishing {
		r.uploads.drop(s)
		return unknownUpload()
	}
	x.before = s.size()
	switch {
	case asks:
		x.locates = true
		x.effect = &effect{commit: func() *reply { return r.progress(x, s, http.StatusNoContent) }}
		return accepted(http.StatusNoContent)
	case x.Method == http.MethodDelete:
		x.effect = &effect{into: io.Discard, commit: func() *reply { return r.cancel(s) }}
		return accepted(http.StatusNoContent)
	case !newest:
		return r.outOfStep(x, s, "the location is an old one")
	case x.Method == http.MethodPatch:
		return r.planChunk(x, s)
	default:
		return r.planClosing(x, s)
	}
}

// planChunk is for a PATCH.
func (r *Registry) planChunk(x *exchange, s *session) *reply {
	if r.patchStatus != 0 {
		return refusal(r.patchStatus, "UNSUPPORTED", "uploads in chunks are not supported")
	}
	if !x.bound(r.maxPatch, tooLong()) {
		return tooLong()
	}
	if refused := r.misplaced(x, s); refused != nil {
		return refused
	}
	if s.shorten(x.Size, r.minChunk) {
		return r.outOfStep(x, s, "only the last chunk may be so small")
	}
	status := http.StatusAccepted
	if r.stale {
		status = http.StatusCreated
	}
	x.locates = true
	x.effect = r.appending(x, s, func() *reply {
		reply := r.progress(x, s, status)
		if r.stale {
			reply.header.Set("Range", told(x.before))
		}
		return reply
	})
	return accepted(status)
}

// planClosing is for the PUT, with what is left of the body or without.
func (r *Registry) planClosing(x *exchange, s *session) *reply {
	if x.Digest == "" {
		return refusal(http.StatusBadRequest, "DIGEST_INVALID", "there is no digest")
	}
	if refused := r.misplaced(x, s); refused != nil {
		return refused
	}
	x.effect = r.appending(x, s, func() *reply { return r.complete(x, s) })
	return accepted(http.StatusCreated)
}

// appending takes a body into a session.
func (r *Registry) appending(x *exchange, s *session, commit func() *reply) *effect {
	into := &appender{s, x.turn}
	return &effect{
		into: into,
		cut: func() {
			if into.done() && r.vanishing {
				r.uploads.drop(s)
			}
		},
		commit: func() *reply {
			into.done()
			return commit()
		},
	}
}

// misplaced refuses a body that does not begin where the session is, or that is
// of another length than its Content-Range says.
func (r *Registry) misplaced(x *exchange, s *session) *reply {
	if x.ContentRange == "" {
		return nil
	}
	first, last, err := parseChunk(x.ContentRange)
	switch {
	case err != nil:
		return refusal(http.StatusBadRequest, "BLOB_UPLOAD_INVALID", err.Error())
	case first != x.before:
		return r.outOfStep(x, s, fmt.Sprintf("the chunk begins at %d and the upload is at %d", first, x.before))
	case x.Size >= 0 && x.Size != last-first+1:
		return refusal(http.StatusBadRequest, "SIZE_INVALID", fmt.Sprintf("the chunk is said to be %s and has %d bytes", x.ContentRange, x.Size))
	}
	return nil
}

// complete makes a blob of a session, which is over in any case.
func (r *Registry) complete(x *exchange, s *session) *reply {
	content, ok := s.verify(x.Digest)
	if !r.uploads.drop(s) {
		return unknownUpload()
	}
	if !ok {
		return refusal(http.StatusBadRequest, "DIGEST_INVALID", "the content has another digest")
	}
	stored := x.Digest
	if x.rewrites {
		content = rewritten(content)
		stored = hash(content)
	}
	r.store.addBlob(x.Name, stored, content)
	return r.created(x, "blobs", stored)
}

func (r *Registry) cancel(s *session) *reply {
	if !r.uploads.drop(s) {
		return unknownUpload()
	}
	return accepted(http.StatusNoContent)
}

// progress tells how far a session is and where it goes on.
func (r *Registry) progress(x *exchange, s *session, status int) *reply {
	x.session = s
	reply := accepted(status)
	reply.header.Set("Location", r.locate(s))
	reply.header.Set("Range", told(s.size()))
	reply.header.Set("Docker-Upload-Uuid", s.id)
	return reply
}

// outOfStep is the answer to one who does not know how far the session is.
func (r *Registry) outOfStep(x *exchange, s *session, message string) *reply {
	reply := refusal(http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID", message)
	if !r.bare {
		for name, values := range r.progress(x, s, 0).header {
			reply.header[name] = values
		}
	}
	return reply
}

// created tells where a blob or a manifest is.
func (r *Registry) created(x *exchange, collection string, d digest.Digest) *reply {
	reply := accepted(http.StatusCreated)
	reply.header.Set("Location", fmt.Sprintf("%s%s/%s/%s/%s", r.URL, r.prefix, x.Name, collection, d))
	reply.header.Set("Docker-Content-Digest", d.String())
	return reply
}

// locate tells where a session goes on, in full.
func (r *Registry) locate(s *session) string {
	if s.moved() {
		return s.locate(fmt.Sprintf("%s/uploads/%s/%s", r.bucket.url, s.name, s.id))
	}
	return s.locate(fmt.Sprintf("%s%s/%s/blobs/uploads/%s", r.URL, r.prefix, s.name, s.id))
}

// accepted is a reply without a body.
func accepted(status int) *reply {
	reply := document(status, "", nil)
	reply.header.Del("Content-Type")
	return reply
}

func unknownUpload() *reply {
	return refusal(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
}

func tooLong() *reply {
	return refusal(http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID", "the chunk is larger than chunks may be")
}

// told is the Range of a session: one byte and none at all look alike.
func told(size int64) string { return fmt.Sprintf("0-%d", max(0, size-1)) }

// parseChunk reads the Content-Range of an upload, which has no unit.
func parseChunk(text string) (first, last int64, err error) {
	from, to, _ := strings.Cut(text, "-")
	if first, err = parseOffset(from); err == nil {
		last, err = parseOffset(to)
	}
	if err != nil || last < first {
		return 0, 0, fmt.Errorf("parsing Content-Range %q: not two offsets", text)
	}
	return first, last, nil
}

// rewritten is other content: one byte longer.
func rewritten(content Content) Content {
	data := make([]byte, content.Size(), content.Size()+1)
	content.ReadAt(data, 0) // all of it is there
	return Bytes(append(data, '\n'))
}

// Sessions is how many uploads are neither finished nor given up.
func (r *Registry) Sessions() int { return r.uploads.count() }

// Received is how many bytes of blobs were read off the sockets, at the registry
// and at the bucket, whatever came of them.
func (r *Registry) Received() int64 {
	var received int64
	for _, req := range r.journal.all() {
		if req.Kind == Upload || req.Kind == Session || req.Kind == Target {
			received += req.Received
		}
	}
	return received
}
