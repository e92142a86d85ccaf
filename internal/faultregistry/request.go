package faultregistry

import (
	"cmp"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Kind is what a request is for.
type Kind string

// The kinds of requests.
const (
	Ping     Kind = "ping"     // GET /v2/
	Manifest Kind = "manifest" // by tag or by digest
	Blob     Kind = "blob"     // at the registry
	Upload   Kind = "upload"   // POST that begins an upload, or mounts a blob
	Session  Kind = "session"  // at the Location of an upload: PATCH, PUT, GET, DELETE
	Token    Kind = "token"    // at the token endpoint
	Target   Kind = "target"   // at the bucket, where a redirect or a Location led
	Unknown  Kind = "unknown"  // anything else
)

// Request is what was asked and what was answered.
type Request struct {
	Kind   Kind
	Method string
	Path   string

	// Host is where it was asked: the registry, or the bucket.
	Host string

	// Name is the repository, Reference the tag or digest that was asked for,
	// and Digest what it is if it is a digest; at the bucket only Digest is set.
	Name      string
	Reference string
	Digest    digest.Digest

	// Session is an upload's. Of the PUT that ends one, Digest is what it is to
	// be. Mount is what is to be taken from the repository From, and the Digest
	// too.
	Session string
	Mount   digest.Digest
	From    string

	// Size is how long the body is, negative if that is not told, and
	// ContentRange where it says that it belongs.
	Size         int64
	ContentRange string

	Range  string // the header, "" for all
	NS     string // the query that tells a mirror which registry is meant
	Auth   string // scheme of the Authorization: "Basic", "Bearer", "" for none
	Remote string // the client's end of the connection
	Header http.Header

	// Status is 0 if nothing was answered, and Bytes is how much of a body was
	// written.
	Status int
	Bytes  int64

	// Received is how much of the request's body was read, and Discarded what
	// still came of it after an answer that did not wait for the end, TLS and all.
	Received  int64
	Discarded int64
}

// ok says that the answer is what was asked for.
func (r *Request) ok() bool { return r.Status >= 200 && r.Status < 300 }

// parse reads what stands in a request for the registry at prefix.
func parse(req *http.Request, prefix string) *Request {
	r := describeRequest(req)
	rest, ok := strings.CutPrefix(req.URL.Path, prefix)
	switch {
	case req.URL.Path == tokenPath:
		r.Kind = Token
	case ok && (rest == "" || rest == "/"):
		r.Kind = Ping
	case ok:
		r.parseContent(strings.TrimPrefix(rest, "/"), req)
	}
	return r
}

// parseContent reads NAME/manifests/REFERENCE, NAME/blobs/DIGEST,
// NAME/blobs/uploads/ and NAME/blobs/uploads/ID.
func (r *Request) parseContent(rest string, req *http.Request) {
	if name, id, ok := cutUpload(rest); ok {
		r.parseUpload(name, id, req)
		return
	}
	dir, reference := path.Split(rest)
	name, collection := path.Split(strings.TrimSuffix(dir, "/"))
	kind, ok := map[string]Kind{"manifests": Manifest, "blobs": Blob}[collection]
	if !ok {
		return
	}
	r.Kind, r.Name, r.Reference = kind, strings.TrimSuffix(name, "/"), reference
	if d, err := digest.Parse(reference); err == nil {
		r.Digest = d
	}
}

// cutUpload takes apart NAME/blobs/uploads/ID, where ID and the slash before it
// may be missing.
func cutUpload(rest string) (name, id string, ok bool) {
	if name, ok = strings.CutSuffix(strings.TrimSuffix(rest, "/"), "/blobs/uploads"); ok {
		return name, "", true
	}
	dir, id := path.Split(rest)
	name, ok = strings.CutSuffix(dir, "/blobs/uploads/")
	return name, id, ok
}

func (r *Request) parseUpload(name, id string, req *http.Request) {
	r.Name, r.Digest = name, asked(req, "digest")
	if id != "" {
		r.Kind, r.Session = Session, id
		return
	}
	r.Kind, r.Mount, r.From = Upload, asked(req, "mount"), req.URL.Query().Get("from")
	r.Digest = cmp.Or(r.Mount, r.Digest)
}

// asked is a digest in the query, "" for what is none.
func asked(req *http.Request, name string) digest.Digest {
	d, err := digest.Parse(req.URL.Query().Get(name))
	if err != nil {
		return ""
	}
	return d
}

func describeRequest(req *http.Request) *Request {
	scheme, _, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	return &Request{
		Kind:   Unknown,
		Method: req.Method,
		Path:   req.URL.Path,
		Host:   req.Host,
		Range:  req.Header.Get("Range"),
		NS:     req.URL.Query().Get("ns"),
		Auth:   scheme,
		Remote: req.RemoteAddr,
		Header: req.Header.Clone(),

		Size:         req.ContentLength,
		ContentRange: req.Header.Get("Content-Range"),
	}
}

// Requests returns what was asked so far, in the order of arrival.
func (r *Registry) Requests() []Request { return r.journal.all() }

// RequestsOf returns what was asked of one kind.
func (r *Registry) RequestsOf(kind Kind) []Request {
	return slices.DeleteFunc(r.journal.all(), func(req Request) bool { return req.Kind != kind })
}

// Sent is how many bytes of blobs were written, at the registry and at the
// bucket. What stands in the body of an error is none.
func (r *Registry) Sent() int64 {
	var sent int64
	for _, req := range r.journal.all() {
		if (req.Kind == Blob || req.Kind == Target) && req.ok() {
			sent += req.Bytes
		}
	}
	return sent
}

// Peak is the largest number of requests of a kind that were being answered at
// one time, those that were refused aside.
func (r *Registry) Peak(kind Kind) int { return r.journal.highest(kind) }

// Idle waits until no request is being answered. It is for the time after the
// client is done, since a request that hangs ends only with its client; one that
// hangs in the middle of its body does not learn of that, and is let go.
func (r *Registry) Idle() {
	r.idle.raise()
	defer r.idle.lower()
	r.journal.wait()
}

// Forget makes Requests, Sent, Received and Peak start again.
func (r *Registry) Forget() { r.journal.forget() }

// journal is what was seen.
type journal struct {
	mu      sync.Mutex
	idle    *sync.Cond
	entries []*Request
	active  int          // requests that are being answered
	busy    map[Kind]int // those of them that are not being refused
	peak    map[Kind]int
}

func newJournal() *journal {
	j := &journal{busy: map[Kind]int{}, peak: map[Kind]int{}}
	j.idle = sync.NewCond(&j.mu)
	return j
}

func (j *journal) begin(entry *Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry)
	j.active++
}

// admit says that entry is not being refused.
func (j *journal) admit(entry *Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.busy[entry.Kind]++
	j.peak[entry.Kind] = max(j.peak[entry.Kind], j.busy[entry.Kind])
}

func (j *journal) end(entry *Request, admitted bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if admitted {
		j.busy[entry.Kind]--
	}
	if j.active--; j.active == 0 {
		j.idle.Broadcast()
	}
}

func (j *journal) answer(entry *Request, status int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entry.Status = status
}

func (j *journal) count(entry *Request, bytes int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entry.Bytes += int64(bytes)
}

func (j *journal) receive(entry *Request, bytes int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entry.Received += int64(bytes)
}

func (j *journal) discard(entry *Request, bytes int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entry.Discarded += int64(bytes)
}

func (j *journal) busyWith(kind Kind) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.busy[kind]
}

func (j *journal) highest(kind Kind) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.peak[kind]
}

func (j *journal) all() []Request {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]Request, len(j.entries))
	for i, entry := range j.entries {
		all[i] = *entry
	}
	return all
}

func (j *journal) wait() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.active > 0 {
		j.idle.Wait()
	}
}

func (j *journal) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = nil
	clear(j.peak)
}
