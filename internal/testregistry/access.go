package testregistry

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Access is a request that a registry answered, as its own log has it.
type Access struct {
	Method string
	Path   string // with the query, if there was one
	Status int

	// Bytes is what the registry wrote as the body of its answer. When the
	// other end hangs up, what was on its way counts too: some MB at most.
	Bytes int64
}

// patience is how long anything that must happen may take.
const patience = time.Minute

// AccessLog lists the requests that came to a program so far, in the order in
// which they ended. It waits for those that are being answered, so a client
// that neither reads nor hangs up makes the test fail.
func (r *Registry) AccessLog() []Access {
	r.t.Helper()
	if r.logs == nil {
		r.t.Fatal("a registry in memory keeps no log")
	}
	mark := r.mark()
	l := r.logs
	var before map[string]int
	l.await(r.t, "the end of all requests", func() bool {
		if before == nil && l.marks[mark] {
			before = l.snapshot()
		}
		return before != nil && l.done(before) || l.ended
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.answered)
}

// mark leaves a line in the log, behind those of requests that began before.
func (r *Registry) mark() string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	mark := "/?mark=" + strconv.Itoa(r.logs.nextMark())
	scheme := "http"
	if r.tls {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+r.Host+mark, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // a certificate for tests
	}}
	resp, err := client.Do(req)
	if err != nil {
		r.t.Fatalf("asking for the access log: %v", err)
	}
	resp.Body.Close()
	return mark
}

// logs is what a program says. Lines in JSON tell when a request begins, lines
// in Apache's format when it has been answered, whatever became of it.
type logs struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and replaced after each line
	host     string        // where the program listens
	last     string        // line
	ended    bool
	marked   int
	marks    map[string]bool
	begun    map[string]int // by method and path
	finished map[string]int
	answered []Access
}

func newLogs() *logs {
	return &logs{
		changed:  make(chan struct{}),
		marks:    map[string]bool{},
		begun:    map[string]int{},
		finished: map[string]int{},
	}
}

// read takes in everything, so that the program never blocks on it.
func (l *logs) read(from io.Reader) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		l.update(func() { l.line(lines.Text()) })
	}
	io.Copy(io.Discard, from)
	l.update(func() { l.ended = true })
}

func (l *logs) update(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	close(l.changed)
	l.changed = make(chan struct{})
}

// await calls ready, locked, after each line until it is true.
func (l *logs) await(t testing.TB, what string, ready func() bool) {
	t.Helper()
	limit := time.After(patience)
	for {
		l.mu.Lock()
		ok, changed := ready(), l.changed
		l.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (l *logs) nextMark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.marked++
	return l.marked
}

// snapshot is how many requests of each kind have begun.
func (l *logs) snapshot() map[string]int {
	counts := map[string]int{}
	for request, n := range l.begun {
		counts[request] = n
	}
	return counts
}

// done says whether as many have finished.
func (l *logs) done(counts map[string]int) bool {
	for request, n := range counts {
		if l.finished[request] < n {
			return false
		}
	}
	return true
}

var (
	listening = regexp.MustCompile(`^listening on (127\.0\.0\.1:[0-9]+)`)
	accessed  = regexp.MustCompile(`^\S+ \S+ \S+ \[[^]]*\] "([A-Z]+) (\S+) HTTP/[0-9.]+" ([0-9]{3}) ([0-9]+) `)
)

func (l *logs) line(text string) {
	l.last = text
	if strings.HasPrefix(text, "{") {
		l.event([]byte(text))
		return
	}
	m := accessed.FindStringSubmatch(text)
	if m == nil {
		return
	}
	status, _ := strconv.Atoi(m[3])
	written, _ := strconv.ParseInt(m[4], 10, 64)
	if strings.HasPrefix(m[2], "/?mark=") {
		l.marks[m[2]] = true
		return
	}
	if m[1] == http.MethodHead {
		written = 0 // handed over, but never sent
	}
	l.finished[m[1]+" "+m[2]]++
	l.answered = append(l.answered, Access{Method: m[1], Path: m[2], Status: status, Bytes: written})
}

func (l *logs) event(text []byte) {
	var event struct {
		Message string `json:"msg"`
		Method  string `json:"http.request.method"`
		URI     string `json:"http.request.uri"`
	}
	if json.Unmarshal(text, &event) != nil {
		return
	}
	if m := listening.FindStringSubmatch(event.Message); m != nil {
		l.host = cmp.Or(l.host, m[1])
	}
	if event.Message == "authorizing request" {
		l.begun[event.Method+" "+event.URI]++
	}
}
