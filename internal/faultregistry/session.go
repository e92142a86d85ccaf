package faultregistry

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	hashes "hash"
	"io"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
)

// errOvertaken says that a later request came to the session.
var errOvertaken = errors.New("a later request came to the session")

// uploads is what is being uploaded.
type uploads struct {
	key []byte // signs locations

	mu       sync.Mutex
	opened   int
	sessions map[string]*session // by id
}

func newUploads() *uploads {
	u := &uploads{key: make([]byte, sha256.Size), sessions: map[string]*session{}}
	rand.Read(u.key) // never fails
	return u
}

// open begins an upload.
func (u *uploads) open(name string) *session {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.opened++
	s := &session{name: name, id: fmt.Sprintf("upload-%d", u.opened), key: u.key, hash: sha256.New(), fence: make(chan struct{})}
	u.sessions[s.id] = s
	return s
}

// find is nil if there is none.
func (u *uploads) find(name, id string) *session {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s := u.sessions[id]; s != nil && s.name == name {
		return s
	}
	return nil
}

// drop says whether the session was still there.
func (u *uploads) drop(s *session) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, ok := u.sessions[s.id]
	delete(u.sessions, s.id)
	return ok
}

func (u *uploads) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.sessions)
}

// session is one upload: the bytes so far, and the Location that it goes on at.
type session struct {
	name, id string
	key      []byte

	mu        sync.Mutex
	content   buffer
	hash      hashes.Hash // of content
	told      int         // how many locations were told; only the last is for writing
	query     string      // what else each has, and has to bring back
	elsewhere bool        // at the bucket
	short     bool        // a chunk was smaller than chunks may be
	turn      int         // requests that came
	reading   bool        // the last of them is sending a body
	fence     chan struct{}
}

// enter makes all earlier requests late: none of their bytes is appended any
// more, so that what this one is told stays true. It says whether one of them
// was still sending.
func (s *session) enter(x *exchange) (interrupted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.fence)
	s.fence = make(chan struct{})
	s.turn++
	x.session, x.overtaken, x.turn = s, s.fence, s.turn
	interrupted, s.reading = s.reading, false
	return interrupted
}

// size is how many bytes came.
func (s *session) size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.content.size
}

// truncate keeps the first n bytes.
func (s *session) truncate(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.content
	s.content, s.hash = buffer{}, sha256.New()
	io.Copy(io.MultiWriter(&s.content, s.hash), io.NewSectionReader(&all, 0, n))
}

// appender appends to a session until a later request comes.
type appender struct {
	s    *session
	turn int
}

// Write appends p.
func (a *appender) Write(p []byte) (int, error) {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn != a.turn {
		return 0, errOvertaken
	}
	s.reading = true
	s.hash.Write(p)
	return s.content.Write(p)
}

// done is for a request that sends no more, and says whether it was the last
// one.
func (a *appender) done() bool {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if a.s.turn != a.turn {
		return false
	}
	a.s.reading = false
	return true
}

// verify returns the content if it has this digest. Nothing is appended after
// that.
func (s *session) verify(d digest.Digest) (Content, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn++
	content := s.content
	if d.Algorithm() == digest.SHA256 {
		return &content, digest.NewDigest(digest.SHA256, s.hash) == d
	}
	other := d.Algorithm().Hash()
	io.Copy(other, io.NewSectionReader(&content, 0, content.size))
	return &content, digest.NewDigest(d.Algorithm(), other) == d
}

// locate tells a new Location, below base.
func (s *session) locate(base string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told++
	location := fmt.Sprintf("%s?_state=%s", base, s.sign(s.told))
	if s.query != "" {
		location += "&" + s.query
	}
	return location
}

func (s *session) sign(n int) string {
	mac := hmac.New(sha256.New, s.key)
	fmt.Fprintf(mac, "%s %d", s.id, n)
	return fmt.Sprintf("%d.%x", n, mac.Sum(nil)[:8])
}

// recognises says whether a location is one that was told, with all its query,
// and whether it is the last one.
func (s *session) recognises(location *url.URL) (known, newest bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := location.Query().Get("_state")
	number, _, _ := strings.Cut(state, ".")
	n, err := strconv.Atoi(number)
	known = err == nil && n > 0 && state == s.sign(n) && strings.Contains(location.RawQuery, s.query)
	return known, known && n == s.told
}

// carry has each Location bring this back from now on.
func (s *session) carry(query string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.query = query
}

// move has the session go on at the bucket.
func (s *session) move() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.elsewhere = true
}

func (s *session) moved() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.elsewhere
}

// shorten notes a chunk of n bytes, and says whether an earlier one was smaller
// than least.
func (s *session) shorten(n, least int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	already := s.short
	s.short = s.short || n >= 0 && n < least
	return already
}
