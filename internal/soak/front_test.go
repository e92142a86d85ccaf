package soak

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// front stands before a registry, sees what a push does there, and can stop it at
// a point of its course. It may have a limit for bodies, as many have.
type front struct {
	host string
	most int64 // bytes of a body, 0 for any number

	mu     sync.Mutex
	passed int64 // bytes of bodies, in all
	stored int64 // bytes of blobs that the registry has taken
	trap   *trap // or nil
}

func newFront(t *testing.T, host string, most int64) *front {
	t.Helper()
	f := &front{most: most}
	quiet := log.New(io.Discard, "", 0) // of clients that are gone
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: host})
			r.Out.Host = r.In.Host // of which the registry makes addresses
		},
		ModifyResponse: f.answered,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:       quiet,
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, proxy) }))
	server.Config.ErrorLog = quiet
	server.Start()
	t.Cleanup(server.Close)
	f.host = server.Listener.Addr().String()
	return f
}

func (f *front) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if f.most > 0 && r.ContentLength > f.most {
		io.Copy(io.Discard, r.Body) // so that the answer is read
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if f.tell(moment{stage: begins, request: r}) {
		panic(http.ErrAbortHandler)
	}
	if r.ContentLength > 0 {
		r.Body = &seenBody{ReadCloser: r.Body, front: f, request: r}
	}
	next.ServeHTTP(w, r)
}

// answered is called when the registry has answered, and the client knows nothing
// of that.
func (f *front) answered(resp *http.Response) error {
	m := moment{stage: ends, request: resp.Request}
	if method := m.request.Method; method == http.MethodPatch && resp.StatusCode == http.StatusAccepted ||
		method == http.MethodPut && resp.StatusCode == http.StatusCreated && !m.ofManifest() {
		f.mu.Lock()
		f.stored += m.request.ContentLength
		f.mu.Unlock()
	}
	if f.tell(m) {
		return errors.New("the client is gone")
	}
	return nil
}

// seenBody counts what passes.
type seenBody struct {
	io.ReadCloser
	front   *front
	request *http.Request
	read    int64
}

func (b *seenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	b.front.mu.Lock()
	b.front.passed += int64(n)
	b.front.mu.Unlock()
	b.front.tell(moment{stage: within, request: b.request, read: b.read})
	return n, err
}

// stage is how far a request is.
type stage int

const (
	begins stage = iota // the registry does not know of it
	within              // a part of its body went by
	ends                // the registry has answered, the client does not know it
)

// moment is something that happens in the course of a push.
type moment struct {
	stage   stage
	request *http.Request
	read    int64 // bytes of the body of this request

	passed int64 // bytes of all bodies since the trap was set
	stored int64 // those among them that the registry has taken
}

func (m moment) is(s stage, method string) bool { return m.stage == s && m.request.Method == method }

func (m moment) ofManifest() bool { return strings.Contains(m.request.URL.Path, "/manifests/") }

// trap holds a request at a moment of its course until the client is dead.
type trap struct {
	due    func(moment) bool
	passed int64 // when it was set
	stored int64

	sprung bool
	caught chan struct{} // closed when it springs
	over   chan struct{} // closed when the client is dead
}

// set makes a trap of which at most one request gets hold.
func (f *front) set(due func(moment) bool) *trap {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trap = &trap{due: due, passed: f.passed, stored: f.stored, caught: make(chan struct{}), over: make(chan struct{})}
	return f.trap
}

// tell says that a request was held, and that there is nobody behind it any more.
func (f *front) tell(m moment) bool {
	f.mu.Lock()
	trap := f.trap
	if trap == nil || trap.sprung {
		f.mu.Unlock()
		return false
	}
	m.passed, m.stored = f.passed-trap.passed, f.stored-trap.stored
	sprung := trap.due(m)
	trap.sprung = sprung
	f.mu.Unlock()
	if !sprung {
		return false
	}
	close(trap.caught)
	<-trap.over
	return true
}

// kill runs a command, kills it when the trap springs, and says whether that came
// before its end.
func (f *front) kill(cmd *exec.Cmd, due func(moment) bool) (killed bool, err error) {
	trap := f.set(due)
	defer close(trap.over)
	if err := cmd.Start(); err != nil {
		return false, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return false, err
	case <-trap.caught:
		cmd.Process.Kill()
		<-ended
		return true, nil
	}
}

// storedSinceTrap is how many bytes the registry has said that it took.
func (f *front) storedSinceTrap() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stored - f.trap.stored
}
