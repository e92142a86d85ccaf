package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/blob"
)

const faultSize = 5 << 20

// faultyServer serves data with a fault and counts what goes over the wire.
func faultyServer(t *testing.T, handler http.Handler) (*Repository, *meter) {
	t.Helper()
	m := &meter{}
	server := httptest.NewServer(m.wrap(handler))
	t.Cleanup(server.Close)
	repo := newTestRepository(t, newTestClient(t, Options{PlainHTTP: true}), server.Listener.Addr().String()+"/x")
	return repo, m
}

// serveFrom answers a request for a range by hand.
func serveFrom(w http.ResponseWriter, data []byte, first, last int, contentRange string) {
	w.Header().Set("Content-Range", contentRange)
	w.Header().Set("Content-Length", strconv.Itoa(last-first+1))
	w.WriteHeader(http.StatusPartialContent)
	w.Write(data[first : last+1])
}

// rangeStart is the first byte that req asks for.
func rangeStart(req *http.Request) int {
	var first int
	fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-", &first)
	return first
}

// cutAfter hangs up after n bytes of each of the first times bodies.
func cutAfter(n, times int, next http.Handler) http.Handler {
	var requests atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if requests.Add(1) > int64(times) {
			next.ServeHTTP(w, req)
			return
		}
		next.ServeHTTP(&cuttingWriter{ResponseWriter: w, left: n}, req)
	})
}

type cuttingWriter struct {
	http.ResponseWriter
	left int
}

func (w *cuttingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p[:min(len(p), w.left)])
	w.left -= n
	if w.left == 0 {
		http.NewResponseController(w.ResponseWriter).Flush()
		hangUp(w)
	}
	return n, err
}

func (w *cuttingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// TestDownloadGetsThrough is about faults that end well: the bytes are right,
// and not many more than the blob's went over the wire.
func TestDownloadGetsThrough(t *testing.T) {
	data := randomBytes(faultSize, 1)
	proper := blobServer(data)
	ignoresRange := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.Header.Del("Range")
		proper.ServeHTTP(w, req)
	})
	onRange := func(answer http.HandlerFunc) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Range") != "" {
				answer(w, req)
				return
			}
			proper.ServeHTTP(w, req)
		})
	}
	const once = faultSize + faultSize/10
	for name, test := range map[string]struct {
		handler http.Handler
		most    int64
	}{
		"nothing wrong":                  {proper, faultSize},
		"cut five times":                 {cutAfter(1<<20, 5, proper), once},
		"cut more often than the budget": {cutAfter(256<<10, 3*fetchAttempts, proper), once},
		"cut before the first byte":      {cutAfter(0, 1, proper), once},
		"range ignored":                  {cutAfter(1<<20, 3, ignoresRange), once + 3<<20},
		"range starts elsewhere": {cutAfter(1<<20, 1, onRange(func(w http.ResponseWriter, req *http.Request) {
			serveFrom(w, data, 0, 99, fmt.Sprintf("bytes 0-99/%d", faultSize))
		})), once + 1<<20},
		"range of another total": {cutAfter(1<<20, 1, onRange(func(w http.ResponseWriter, req *http.Request) {
			first := rangeStart(req)
			serveFrom(w, data, first, first+99, fmt.Sprintf("bytes %d-%d/%d", first, first+99, faultSize+1))
		})), once + 1<<20},
		"range without Content-Range": {cutAfter(1<<20, 1, onRange(func(w http.ResponseWriter, req *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
			w.Write(data[:100])
		})), once + 1<<20},
		"range longer than asked": {cutAfter(1<<20, 1, onRange(func(w http.ResponseWriter, req *http.Request) {
			first := rangeStart(req)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, faultSize-1, faultSize))
			w.Header().Set("Content-Length", strconv.Itoa(faultSize))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(data[:100])
			http.NewResponseController(w).Flush()
			hangUp(w)
		})), once + 1<<20},
		"range not satisfiable": {cutAfter(1<<20, 1, onRange(func(w http.ResponseWriter, req *http.Request) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		})), once + 1<<20},
		"range in small pieces": {cutAfter(1<<20, 1, onRange(func(w http.ResponseWriter, req *http.Request) {
			first := rangeStart(req)
			last := min(first+1<<20, faultSize) - 1
			serveFrom(w, data, first, last, fmt.Sprintf("bytes %d-%d/%d", first, last, faultSize))
		})), once},
		"busy now and then": {everyOther(503, cutAfter(1<<20, 3, proper)), once},
		"chunked and overlong": {http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			w.Write(data)
			w.Write(make([]byte, 100))
		}), once},
	} {
		t.Run(name, func(t *testing.T) {
			repo, m := faultyServer(t, test.handler)
			sink := &memorySink{}
			proof, err := repo.Download(t.Context(), describe("", data), sink, nil)
			if err != nil {
				t.Fatal(err)
			}
			if proof.Covers(describe("", data)) != nil || !bytes.Equal(sink.data, data) {
				t.Error("the bytes are not the right ones")
			}
			if sink.written != faultSize {
				t.Errorf("%d bytes were written, want each once", sink.written)
			}
			if got := m.bytes.Load(); got > test.most {
				t.Errorf("%d bytes on the wire, want at most %d", got, test.most)
			}
		})
	}
}

// everyOther answers every other request with a status.
func everyOther(status int, next http.Handler) http.Handler {
	var requests atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if requests.Add(1)%2 == 1 {
			w.WriteHeader(status)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// TestDownloadGivesUp is about faults that end in an error: which, and after
// how many bytes.
func TestDownloadGivesUp(t *testing.T) {
	data := randomBytes(faultSize, 1)
	wrong := slices.Clone(data)
	wrong[faultSize/2] ^= 1
	short := blobServer(data[:faultSize-1])
	for name, test := range map[string]struct {
		handler http.Handler
		want    error
		most    int64
	}{
		"corrupted":       {blobServer(wrong), blob.ErrMismatch, 2 * faultSize},
		"shorter":         {short, blob.ErrHostile, faultSize},
		"longer":          {blobServer(append(slices.Clone(data), 0)), blob.ErrHostile, faultSize},
		"shorter, unsaid": {chunked(data[:faultSize-1]), ErrUnavailable, faultSize * (fetchAttempts + 1)},
		"never a byte":    {cutAfter(0, 1000, blobServer(data)), ErrUnavailable, 0},
		"always busy":     {status(http.StatusServiceUnavailable), ErrUnavailable, 0},
		"broken":          {status(http.StatusInternalServerError), ErrUnavailable, 0},
		"forbidden":       {status(http.StatusForbidden), ErrDenied, 0},
		"gone":            {status(http.StatusNotFound), blob.ErrNotFound, 0},
		"no content":      {status(http.StatusNoContent), nil, 0},
		"redirects without end": {http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, req.URL.Path, http.StatusFound)
		}), nil, 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			repo, m := faultyServer(t, test.handler)
			desc := describe("", data)
			_, err := repo.Download(t.Context(), desc, &memorySink{}, nil)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Fatalf("%v, want %v", err, test.want)
			}
			if !strings.HasPrefix(err.Error(), "pulling "+repo.ref.Name()+"@"+desc.Digest.String()+": ") {
				t.Errorf("%q does not name the registry and the blob", err)
			}
			if got := m.bytes.Load(); got > test.most {
				t.Errorf("%d bytes on the wire, want at most %d", got, test.most)
			}
			if got := m.requests.Load(); got > 20 {
				t.Errorf("%d requests", got)
			}
		})
	}
}

func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

// chunked serves data without saying how long it is, whatever is asked for.
func chunked(data []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.NewResponseController(w).Flush()
		w.Write(data)
	})
}

func TestDownloadFetchesWrongContentOnceMore(t *testing.T) {
	data := randomBytes(faultSize, 1)
	wrong := slices.Clone(data)
	wrong[17] ^= 1
	var requests atomic.Int64
	repo, _ := faultyServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if requests.Add(1) == 1 {
			blobServer(wrong).ServeHTTP(w, req)
			return
		}
		blobServer(data).ServeHTTP(w, req)
	}))
	var safe, resumed int64
	sink := &memorySink{}
	_, err := repo.download(t.Context(), describe("", data), sink, func(s, r int64) { safe += s; resumed += r })
	if err != nil || !bytes.Equal(sink.data, data) {
		t.Errorf("%v", err)
	}
	if safe != faultSize || resumed != 0 {
		t.Errorf("reported %d safe and %d resumed", safe, resumed)
	}
}

func TestDownloadGoesOnWhereItWasInterrupted(t *testing.T) {
	data := randomBytes(faultSize, 1)
	repo, m := faultyServer(t, blobServer(data))
	sink := &memorySink{}
	ctx, cancel := context.WithCancel(t.Context())
	interrupted := &interruptingSink{memorySink: sink, at: 9 << 19, interrupt: cancel}
	if _, err := repo.Download(ctx, describe("", data), interrupted, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	first := sink.written
	if first < 9<<19 || first == faultSize {
		t.Fatalf("interrupted after %d bytes", first)
	}
	var safe, resumed int64
	m.bytes.Store(0)
	if _, err := repo.download(t.Context(), describe("", data), sink, func(s, r int64) { safe += s; resumed += r }); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sink.data, data) || sink.written != faultSize {
		t.Errorf("%d bytes written, want each once", sink.written)
	}
	if m.bytes.Load() != faultSize-first || safe != faultSize-first || resumed != first {
		t.Errorf("%d bytes on the wire, %d safe, %d resumed; %d were there", m.bytes.Load(), safe, resumed, first)
	}

	m.requests.Store(0)
	sink.state = []byte(stateOf(t, data, data))
	if _, err := repo.Download(t.Context(), describe("", data), sink, nil); err != nil || m.requests.Load() != 0 {
		t.Errorf("a finished transfer made %d requests (%v)", m.requests.Load(), err)
	}
}

// interruptingSink interrupts once it has so many bytes.
type interruptingSink struct {
	*memorySink
	at        int64
	interrupt func()
}

func (s *interruptingSink) WriteAt(p []byte, off int64) (int, error) {
	n, err := s.memorySink.WriteAt(p, off)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.written >= s.at {
		s.interrupt()
	}
	return n, err
}

func TestDownloadSavesOften(t *testing.T) {
	data := randomBytes(faultSize, 1)
	repo, _ := faultyServer(t, blobServer(data))
	sink := &memorySink{}
	if _, err := repo.Download(t.Context(), describe("", data), sink, nil); err != nil {
		t.Fatal(err)
	}
	if want := int(faultSize / newGrain().saveEvery); sink.saves != want {
		t.Errorf("%d saves, want %d", sink.saves, want)
	}
}

func TestDownloadDoesNotTrustStrangeState(t *testing.T) {
	data := randomBytes(1000, 1)
	repo, _ := faultyServer(t, blobServer(data))
	for name, state := range map[string]string{
		"rubbish":         "rubbish",
		"no hash":         state(digest.FromBytes(data), 10, "", extent{0, 10}),
		"not the hash's":  state(digest.FromBytes(data), 10, "AA==", extent{0, 10}),
		"nothing there":   state(digest.FromBytes(data), 10, "AA=="),
		"a hole":          state(digest.FromBytes(data), 10, "AA==", extent{0, 5}, extent{6, 20}),
		"beyond the end":  state(digest.FromBytes(data), 10, "AA==", extent{0, 1001}),
		"negative":        state(digest.FromBytes(data), -1, "AA==", extent{0, 10}),
		"of another blob": state(someDigest, 10, "AA==", extent{0, 10}),
		"a wrong hash":    stateOf(t, data, make([]byte, 10)),
	} {
		sink := &memorySink{state: []byte(state)}
		if _, err := repo.Download(t.Context(), describe("", data), sink, nil); err != nil || !bytes.Equal(sink.data, data) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func state(d digest.Digest, hashed int64, hash string, written ...extent) string {
	data, _ := json.Marshal(map[string]any{"digest": d, "hashed": hashed, "hash": hash, "written": written})
	return string(data)
}

// stateOf is the state of a transfer of data that began with these bytes.
func stateOf(t testing.TB, data, began []byte) string {
	t.Helper()
	v, err := blob.NewVerifier(describe("", data))
	if err != nil {
		t.Fatal(err)
	}
	v.Write(began)
	hash, _ := v.MarshalBinary()
	n := int64(len(began))
	state, _ := json.Marshal(downloadState{Digest: digest.FromBytes(data), Written: extents{{0, n}}, Hashed: n, Hash: hash})
	return string(state)
}

func TestDownloadOfDeclaredSizes(t *testing.T) {
	repo, m := faultyServer(t, blobServer([]byte("x")))
	desc := describe("", []byte("x"))
	for _, size := range []int64{-1, 0, 2, 1<<63 - 1} {
		desc.Size = size
		if _, err := repo.Download(t.Context(), desc, &memorySink{}, nil); err == nil {
			t.Errorf("size %d was accepted", size)
		}
	}
	if m.bytes.Load() > 10 {
		t.Errorf("%d bytes on the wire", m.bytes.Load())
	}
}

func TestFailingSink(t *testing.T) {
	data := randomBytes(faultSize, 1)
	repo, _ := faultyServer(t, blobServer(data))
	full := errors.New("disk full")
	sink := &memorySink{}
	if _, err := repo.Download(t.Context(), describe("", data), &failingSink{sink, 9 << 19, full}, nil); !errors.Is(err, full) {
		t.Fatalf("%v", err)
	}
	if _, err := repo.Download(t.Context(), describe("", data), sink, nil); err != nil || !bytes.Equal(sink.data, data) {
		t.Errorf("after the failure: %v", err)
	}
}

// failingSink fails from offset at on.
type failingSink struct {
	*memorySink
	at  int64
	err error
}

func (s *failingSink) WriteAt(p []byte, off int64) (int, error) {
	if off >= s.at {
		return 0, s.err
	}
	return s.memorySink.WriteAt(p, off)
}

func TestFetch(t *testing.T) {
	data := randomBytes(faultSize, 1)
	wrong := slices.Clone(data)
	wrong[17] ^= 1
	for name, test := range map[string]struct {
		handler http.Handler
		want    error
	}{
		"cut":       {cutAfter(1<<20, 5, blobServer(data)), nil},
		"corrupted": {blobServer(wrong), blob.ErrMismatch},
		"missing":   {status(http.StatusNotFound), blob.ErrNotFound},
	} {
		repo, _ := faultyServer(t, test.handler)
		var got []byte
		stream, err := repo.Fetch(t.Context(), describe("", data))
		if err == nil {
			got, err = readAll(t, stream)
		}
		if !errors.Is(err, test.want) || test.want == nil && !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestFetchCanBeAbandoned(t *testing.T) {
	repo, _ := faultyServer(t, blobServer(randomBytes(faultSize, 1)))
	stream, err := repo.Fetch(t.Context(), describe("", randomBytes(faultSize, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stream, make([]byte, 10)); err != nil {
		t.Error(err)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
}
