package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tareml/tare/blob"
	fault "github.com/tareml/tare/internal/faultregistry"
)

// bounded fails the test if f does not return.
func bounded(t *testing.T, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("it hangs")
		return nil
	}
}

// TestDownloadWithoutTheBytesOfItsState finds that what an earlier attempt wrote,
// and did not hash, is gone.
func TestDownloadWithoutTheBytesOfItsState(t *testing.T) {
	data := randomBytes(faultSize, 1)
	repo, _ := faultyServer(t, blobServer(data))
	hashed := stateOf(t, data, data[:1000])
	sink := &memorySink{state: []byte(strings.Replace(hashed, `"End":1000`, `"End":2000`, 1))}
	err := bounded(t, func() error {
		_, err := repo.Download(t.Context(), describe("", data), sink, nil)
		return err
	})
	if err != nil || !bytes.Equal(sink.data, data) || sink.written > 2*faultSize {
		t.Errorf("%v, %d bytes written", err, sink.written)
	}
}

// TestLoneWorkerInTrouble has one connection find out that ranges do not work and
// then fail, while the other one is waiting after a failure of its own.
func TestLoneWorkerInTrouble(t *testing.T) {
	content := fault.Random(engineSize, 1)
	data := make([]byte, engineSize)
	if _, err := content.ReadAt(data, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	second, third, cutOff, failed := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	var requests, sleeps atomic.Int64
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch requests.Add(1) {
		case 1: // some bytes, so that there is a second connection
			w.Write(data[:64<<10])
			http.NewResponseController(w).Flush()
			<-second
			hangUp(w)
		case 2: // is cut when the first one is back
			close(second)
			var first, last int
			fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-%d", &first, &last)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, engineSize))
			w.Header().Set("Content-Length", fmt.Sprint(last-first+1))
			w.WriteHeader(http.StatusPartialContent)
			http.NewResponseController(w).Flush()
			<-third
			hangUp(w)
		case 3: // the first one gets no range, and is cut again
			close(third)
			<-cutOff
			w.Header().Set("Content-Length", fmt.Sprint(engineSize))
			w.Write(data[:10])
			http.NewResponseController(w).Flush()
			hangUp(w)
		default:
			blobServer(data).ServeHTTP(w, req)
		}
	})
	reg := fault.New(t)
	art := reg.AddContent("models/x", content)
	reg.Script(fault.Blob, fault.Handle(handler).Always())
	client := engineClient(t, reg, 2, Options{})
	client.sleep = func(ctx context.Context, _ time.Duration) error {
		switch sleeps.Add(1) {
		case 2: // the second connection, until the first one is over its trouble
			close(cutOff)
			select {
			case <-failed:
			case <-time.After(2 * time.Second): // it was sent away
			}
		case 3:
			close(failed)
		}
		return ctx.Err()
	}
	repo := newTestRepository(t, client, reg.Ref(art))
	err := bounded(t, func() error {
		_, err := repo.Download(t.Context(), art.Layers[0], &memorySink{}, nil)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestUnreliableMirrors are those that answer, and with whom one comes to no end.
func TestUnreliableMirrors(t *testing.T) {
	data := make([]byte, engineSize)
	if _, err := fault.Random(engineSize, 21).ReadAt(data, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"a range that nobody asked for": func(w http.ResponseWriter, _ *http.Request) {
			serveFrom(w, data, 0, 9, fmt.Sprintf("bytes 0-9/%d", engineSize))
		},
		"no ranges, and always cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(engineSize))
			w.Write(data[:1<<20])
			http.NewResponseController(w).Flush()
			hangUp(w)
		},
		"always cut before the first byte": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(engineSize))
			http.NewResponseController(w).Flush()
			hangUp(w)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirrored(t, nil)
			always(m.mirrors[0], fault.Blob, fault.Handle(answer))
			if _, err := m.repository(t).Download(t.Context(), m.art.Layers[0], &memorySink{}, nil); err != nil {
				t.Errorf("download: %v", err)
			}
			stream, err := m.repository(t).Fetch(t.Context(), m.art.Layers[0])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := readAll(t, stream); err != nil {
				t.Errorf("fetch: %v", err)
			}
		})
	}
}

// TestMirrorDoesNotSpeakForRanges has a mirror whose ranges are wrong: those of the
// registry are still used.
func TestMirrorDoesNotSpeakForRanges(t *testing.T) {
	m := newMirrored(t, nil)
	m.mirrors[0].Script(fault.Blob, fault.Cut(100<<10), fault.RangeSays("rubbish").Always())
	repo := m.repository(t)
	if _, err := repo.Download(t.Context(), m.art.Layers[0], &memorySink{}, nil); err != nil {
		t.Fatal(err)
	}
	if repo.client.onlyWhole(repo.ref.Registry) {
		t.Error("the registry counts as one without ranges")
	}
}

// TestDownloadBehindALoginPage keeps what is there when something in between
// answers in the place of the registry.
func TestDownloadBehindALoginPage(t *testing.T) {
	data := randomBytes(faultSize, 1)
	var page atomic.Bool
	repo, _ := faultyServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if page.Swap(true) {
			io.WriteString(w, "<html>please log in</html>")
			return
		}
		cutAfter(4<<20, 1, blobServer(data)).ServeHTTP(w, req)
	}))
	_, err := repo.Download(t.Context(), describe("", data), &memorySink{}, nil)
	if !errors.Is(err, blob.ErrHostile) || errors.Is(err, blob.ErrMismatch) {
		t.Errorf("%v: a mismatch has the store drop all bytes", err)
	}
}

// TestDownloadDoesNotWaitForTheEndOfAResponse has all bytes of a blob, and a
// connection that does not close.
func TestDownloadDoesNotWaitForTheEndOfAResponse(t *testing.T) {
	data := randomBytes(faultSize, 1)
	var open atomic.Bool
	repo, _ := faultyServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Range") == "" {
			cutAfter(1<<20, 1, blobServer(data)).ServeHTTP(w, req)
			return
		}
		first := rangeStart(req)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, faultSize-1, faultSize))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(data[first:])
		http.NewResponseController(w).Flush()
		open.Store(true)
		<-req.Context().Done()
	}))
	err := bounded(t, func() error {
		_, err := repo.Download(t.Context(), describe("", data), &memorySink{}, nil)
		return err
	})
	if err != nil || !open.Load() {
		t.Errorf("%v", err)
	}
}

// TestHeaderIsBounded keeps a server from filling the memory.
func TestHeaderIsBounded(t *testing.T) {
	repo, _ := faultyServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Much", strings.Repeat("x", 2*maxHeader))
		w.WriteHeader(http.StatusNotFound)
	}))
	if _, _, err := repo.Manifest(t.Context(), repo.ref); err == nil || errors.Is(err, blob.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// TestNobodyIsHiredForNothing lets the last part come in many small pieces: there
// is nothing left for other connections.
func TestNobodyIsHiredForNothing(t *testing.T) {
	d := &download{grain: fine(4), client: &Client{slots: newSlots()}, workers: 1, scaler: newScaler(4, 4)}
	d.desc.Size, d.taken = engineSize, extents{{0, engineSize}}
	d.scale(&claim{engineSize - 1000, engineSize}, 100, func() { t.Error("hired") })
	if d.workers != 1 {
		t.Errorf("%d workers", d.workers)
	}
}

// TestFullDiskIsToldOnce though the state cannot be saved either.
func TestFullDiskIsToldOnce(t *testing.T) {
	data := randomBytes(faultSize, 1)
	repo, _ := faultyServer(t, blobServer(data))
	_, err := repo.Download(t.Context(), describe("", data), &fullSink{&memorySink{}}, nil)
	if !errors.Is(err, errKilled) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "writing") {
		t.Errorf("%q", err)
	}
}

type fullSink struct{ *memorySink }

func (*fullSink) WriteAt([]byte, int64) (int, error) { return 0, errKilled }
func (*fullSink) SaveState([]byte) error             { return errKilled }

// TestErrorsKeepTheSecretsOfServers: an address that cannot be read may be signed.
func TestErrorsKeepTheSecretsOfServers(t *testing.T) {
	for name, header := range map[string][2]string{
		"location": {"Location", "https://bucket.example:x/?X-Signature=s3cret"},
		"scheme":   {"Location", "gopher://bucket.example/?X-Signature=s3cret"},
	} {
		var debug strings.Builder
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(header[0], header[1])
			w.WriteHeader(http.StatusTemporaryRedirect)
		}))
		defer server.Close()
		repo := newTestRepository(t, newTestClient(t, Options{PlainHTTP: true, Debug: &debug}), server.Listener.Addr().String()+"/x")
		_, err := repo.Download(t.Context(), describe("", []byte("x")), &memorySink{}, nil)
		if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(debug.String(), "s3cret") {
			t.Errorf("%s: %v\n%s", name, err, debug.String())
		}
	}
}

// TestComeBackTomorrow is not waited for, nor asked again and again.
func TestComeBackTomorrow(t *testing.T) {
	reg := fault.New(t)
	art := reg.AddContent("models/x", fault.Random(engineSize, 1))
	reg.Script(fault.Blob, fault.Cut(1<<20), fault.Busy(503, 86400).After(1).Always())
	repo := newTestRepository(t, engineClient(t, reg, 1, Options{}), reg.Ref(art))
	_, err := repo.Download(t.Context(), art.Layers[0], &memorySink{}, nil)
	if !errors.Is(err, ErrUnavailable) || hintOf(err) == "" {
		t.Errorf("%v, hint %q", err, hintOf(err))
	}
	if n := len(reg.RequestsOf(fault.Blob)); n != 2 {
		t.Errorf("asked %d times", n)
	}
}
