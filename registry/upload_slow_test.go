package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

// TestUploadToSlowReader is about registries that take what is sent slower than
// the network brings it. Time is that of the bubble, and there is no buffer
// between the two ends, so that each of them waits for the other.
func TestUploadToSlowReader(t *testing.T) {
	for name, test := range map[string]struct {
		read  func(*slowReader, io.Reader) // the second chunk
		slow  bool                         // it takes longer than silence is borne
		asked string
	}{
		"slow but moving": {(*slowReader).crawl, true, inPieces},
		"stops reading": {(*slowReader).stop, false,
			"HEAD POST PATCH PATCH HEAD GET PATCH PATCH PATCH PATCH PUT"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, limit := newSlowClient(t)
				reg := &slowReader{second: test.read, pause: limit / 20, going: make(chan struct{})}
				listener := serveOnPipes(t, reg)
				client.directory.pools.common.DialContext = listener.dial
				data := randomBytes(testSize, 1)
				repo := newTestRepository(t, client, "slow.example/models/x:v1")
				var reported int64
				desc := ocispec.Descriptor{Digest: describe("", data).Digest, Size: testSize}
				if _, err := repo.Upload(t.Context(), desc, blob.Bytes(data), func(safe, _ int64) { reported += safe }); err != nil {
					t.Fatal(err)
				}
				client.Close()
				if !bytes.Equal(reg.content, data) || reported != testSize {
					t.Errorf("%d bytes arrived and %d were reported, of %d", len(reg.content), reported, testSize)
				}
				if got := strings.Join(reg.asked, " "); got != test.asked {
					t.Errorf("asked %s\nwant  %s", got, test.asked)
				}
				if test.slow && reg.crawled <= limit {
					t.Errorf("it took %v to read a chunk, which proves nothing: silence is borne for %v", reg.crawled, limit)
				}
			})
		})
	}
}

// newSlowClient is one that is as patient as all are, and the time after which it
// counts a connection as dead that takes nothing.
func newSlowClient(t *testing.T) (*Client, time.Duration) {
	t.Helper()
	client, err := NewClient(Options{PlainHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	client.chunk = testChunk
	return client, guardOf(client).send
}

// slowReader is a registry for one blob. It keeps what came of a chunk.
type slowReader struct {
	second func(*slowReader, io.Reader) // reads the second chunk
	pause  time.Duration                // before each read of one that crawls
	going  chan struct{}                // closed when the client has gone on

	mu      sync.Mutex
	content []byte
	chunks  int
	crawled time.Duration // through the second chunk
	asked   []string
}

// crawl reads a little at a time.
func (s *slowReader) crawl(body io.Reader) {
	begin, buf := time.Now(), make([]byte, 4<<10)
	for {
		time.Sleep(s.pause)
		n, err := body.Read(buf)
		s.add(buf[:n])
		if err != nil {
			s.crawled = time.Since(begin)
			return
		}
	}
}

// stop reads a little, and no more for as long as the client stays.
func (s *slowReader) stop(body io.Reader) {
	s.take(io.LimitReader(body, 1000))
	<-s.going
}

func (s *slowReader) take(body io.Reader) {
	data, _ := io.ReadAll(body)
	s.add(data)
}

func (s *slowReader) add(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.content = append(s.content, data...)
}

// ServeHTTP implements [http.Handler].
func (s *slowReader) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.note(r.Method)
	w.Header().Set("Location", "/v2/models/x/blobs/uploads/1")
	switch r.Method {
	case http.MethodHead:
		w.WriteHeader(http.StatusNotFound)
	case http.MethodPost:
		w.WriteHeader(http.StatusAccepted)
	case http.MethodGet:
		close(s.going)
		s.tell(w, http.StatusNoContent)
	case http.MethodPatch:
		s.chunk()(s, r.Body)
		s.tell(w, http.StatusAccepted)
	case http.MethodPut:
		s.take(r.Body)
		w.Header().Set("Docker-Content-Digest", r.URL.Query().Get("digest"))
		w.WriteHeader(http.StatusCreated)
	}
}

func (s *slowReader) note(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, method)
}

// chunk is how the next chunk is read.
func (s *slowReader) chunk() func(*slowReader, io.Reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chunks++; s.chunks == 2 {
		return s.second
	}
	return (*slowReader).take
}

// tell answers with what came so far.
func (s *slowReader) tell(w http.ResponseWriter, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Range", fmt.Sprintf("0-%d", len(s.content)-1))
	w.WriteHeader(status)
}

// pipes is a network without sockets and without buffers.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

// serveOnPipes serves until the test ends.
func serveOnPipes(t *testing.T, handler http.Handler) *pipes {
	t.Helper()
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: handler}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(p)
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return p
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements [net.Listener].
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (p *pipes) Close() error {
	close(p.done)
	return nil
}

// Addr implements [net.Listener].
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }
