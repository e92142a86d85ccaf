package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tareml/tare/blob"
	f "github.com/tareml/tare/internal/faultregistry"
)

// TestUploadEndsInAnError is about what does not pass: it ends, and with words
// that are of use.
func TestUploadEndsInAnError(t *testing.T) {
	denied := f.Status(403).Always()
	elsewhere := func(location string) []mishap {
		return only(f.Upload, f.LocationSays(func(string) string { return location }).Always())
	}
	for name, test := range map[string]struct {
		options []f.Option
		faults  []mishap
		kind    error
		says    string
		most    int64 // bytes that arrive
	}{
		"looking is forbidden":        {faults: only(f.Blob, denied.Head()), kind: ErrDenied},
		"nobody can look":             {faults: only(f.Blob, f.Status(500).Head().Always()), kind: ErrUnavailable},
		"beginning is forbidden":      {faults: only(f.Upload, denied), kind: ErrDenied},
		"no repository":               {options: []f.Option{f.WithoutCreation()}, kind: blob.ErrNotFound, says: "created first"},
		"busy for hours":              {faults: only(f.Upload, f.Busy(503, 7200).Always()), kind: ErrUnavailable, says: "come back in 2h"},
		"busy for hours, chunk":       {faults: inSession(f.Busy(429, 7200).Patch().After(1)), kind: ErrUnavailable, says: "come back in 2h", most: 2 * testChunk},
		"always busy":                 {faults: only(f.Upload, f.Busy(503, 1).Always()), kind: ErrUnavailable, says: "gave up after 12"},
		"chunks are forbidden":        {faults: inSession(denied.Patch()), kind: ErrDenied, most: testChunk},
		"the end is forbidden":        {faults: inSession(denied.Put()), kind: ErrDenied, most: testSize},
		"credentials are never right": {options: []f.Option{f.WithTokens(time.Hour)}, faults: inSession(f.Unauthorized().Patch().Always()), kind: ErrDenied, says: "refused", most: 4 * testChunk},
		"password is never right":     {options: []f.Option{f.WithBasic()}, faults: inSession(f.Unauthorized().Patch().Always()), kind: ErrDenied, says: "refused", most: 4 * testChunk},
		"cut for ever":                {faults: inSession(f.Cut(0).Always()), kind: ErrUnreachable, says: "gave up after 12"},
		"always cut soon":             {faults: inSession(f.Cut(1000).Always()), kind: ErrUnreachable, most: 12000},
		"forgets for ever":            {options: []f.Option{f.WithVanishingSessions()}, faults: inSession(f.Cut(1000).Patch().Every(4).After(3).Always()), kind: ErrUnreachable, most: 13 * 4 * testChunk},
		"takes no end":                {faults: inSession(f.Status(500).Put().Always()), kind: ErrUnavailable, says: "gave up after 12", most: testSize},
		"no end, no answer":           {faults: inSession(f.Cut(f.BeforeHeader).Put().Always()), kind: ErrUnreachable, most: testSize},
		"takes nothing":               {faults: inSession(f.Status(416).Always()), says: "416", most: 3 * testSize},
		"knows nothing":               {faults: inSession(f.Vanish().Always()), kind: blob.ErrNotFound, most: 3 * testSize},
		"refuses what it is":          {faults: inSession(f.Status(400).Put().Always()), says: "400", most: testSize},
		"stores something else":       {faults: inSession(f.Rewrite().Always()), kind: blob.ErrMismatch, says: "stored", most: 2 * testSize},
		"too large":                   {options: []f.Option{f.WithBodyLimit(100 << 10)}, says: "limits the size"},
		"no address":                  {faults: only(f.Upload, f.NoLocation().Always()), says: "no usable address"},
		"nonsense for an address":     {faults: elsewhere("://"), says: "no usable address"},
		"a file for an address":       {faults: elsewhere("file:///etc/passwd"), says: "no usable address"},
		"in the clear elsewhere":      {options: []f.Option{f.WithTLS()}, faults: elsewhere("http://registry.example/upload"), kind: blob.ErrHostile, says: "without TLS"},
		"later in the clear":          {options: []f.Option{f.WithTLS()}, faults: inSession(f.LocationSays(func(string) string { return "http://registry.example/upload" }).Patch()), kind: blob.ErrHostile, most: testChunk},
		"forbidden elsewhere":         {options: []f.Option{f.WithBasic()}, faults: append(only(f.Upload, f.CrossHost()), on(f.Target, denied.Patch())), kind: ErrDenied, most: testChunk},
		"takes it, but has it not":    {faults: inSession(f.Status(202).Patch().Always()), says: "lost them again, 3 times", most: 3 * testSize},
	} {
		t.Run(name, func(t *testing.T) {
			f.Check(t)
			reg := f.New(t, test.options...)
			for _, mishap := range test.faults {
				mishap(reg)
			}
			p := newPush(t, reg, newPushClient(t, reg, Options{}), randomBytes(testSize, 1))
			p.run(t.Context())
			reg.Idle()
			p.failed(t, reg, test.kind, test.says)
			if reg.Received() > test.most {
				t.Errorf("%d bytes arrived, want at most %d: %s", reg.Received(), test.most, asked(reg))
			}
			if n := len(reg.Requests()); n > 200 {
				t.Errorf("%d requests", n)
			}
			if leaked := reg.Leaked(); len(leaked) > 0 {
				t.Errorf("leaked: %q", leaked)
			}
			if p.safe > testSize || p.safe < 0 || p.resumed != 0 {
				t.Errorf("reported %d and %d", p.safe, p.resumed)
			}
		})
	}
}

// TestUploadToRegistryThatEnds is about a registry that is shut down meanwhile.
func TestUploadToRegistryThatEnds(t *testing.T) {
	f.Check(t)
	reg := f.New(t)
	var once sync.Once
	reg.Script(f.Session, f.Cut(1000).Patch().After(1).Do(func() { once.Do(func() { go reg.Close() }) }).Always())
	p := newPush(t, reg, newPushClient(t, reg, Options{}), randomBytes(testSize, 1))
	p.run(t.Context())
	p.failed(t, reg, ErrUnreachable, "")
}

// TestUploadReportsWhatWasNotRead is about a registry that takes a chunk on trust:
// the numbers are right although the body was never asked for.
func TestUploadReportsWhatWasNotRead(t *testing.T) {
	f.Check(t)
	reg := f.New(t)
	reg.Script(f.Session, f.Status(202).Patch().After(1))
	data := make([]byte, 24<<20)
	data[1] = 1
	client := newPushClient(t, reg, Options{})
	client.chunk = 10 << 20
	p := newPush(t, reg, client, data)
	p.run(t.Context())
	p.arrived(t, reg, data)
}

// TestUploadOfDamagedSources is about what is wrong at this end.
func TestUploadOfDamagedSources(t *testing.T) {
	data := randomBytes(testSize, 1)
	other := randomBytes(testSize, 2)
	for name, test := range map[string]struct {
		src  blob.Source
		kind error
		says string
		most int64
	}{
		"other content":      {blob.Bytes(other), blob.ErrMismatch, "damaged", testSize},
		"smaller":            {blob.Bytes(data[:testSize-1]), blob.ErrMismatch, "says " + fmt.Sprint(testSize), 0},
		"larger":             {blob.Bytes(append(data[:testSize:testSize], 0)), blob.ErrMismatch, "says " + fmt.Sprint(testSize), 0},
		"shrinks":            {shortSource{blob.Bytes(data), 3*testChunk + 7}, io.ErrUnexpectedEOF, "reading the source", 3*testChunk + 7},
		"shrinks at an edge": {shortSource{blob.Bytes(data), 3 * testChunk}, io.ErrUnexpectedEOF, "reading the source", 3 * testChunk},
		"shrinks to nothing": {shortSource{blob.Bytes(data), 0}, io.ErrUnexpectedEOF, "reading the source", 0},
		"cannot be read":     {brokenSource{blob.Bytes(data), os.ErrPermission}, os.ErrPermission, "reading the source", testSize},
	} {
		t.Run(name, func(t *testing.T) {
			f.Check(t)
			reg := f.New(t)
			p := newPush(t, reg, newPushClient(t, reg, Options{}), data)
			p.src = test.src
			p.run(t.Context())
			reg.Idle()
			p.failed(t, reg, test.kind, test.says)
			if passing(p.err) {
				t.Errorf("%v is for the network", p.err)
			}
			if reg.Received() > test.most {
				t.Errorf("%d bytes arrived, want at most %d", reg.Received(), test.most)
			}
		})
	}
}

// shortSource ends before its size.
type shortSource struct {
	blob.Source
	end int64
}

func (s shortSource) ReadAt(p []byte, off int64) (int, error) {
	n := max(0, min(int64(len(p)), s.end-off))
	if n == int64(len(p)) {
		return s.Source.ReadAt(p, off)
	}
	n64, _ := s.Source.ReadAt(p[:n], min(off, s.end))
	return n64, io.EOF
}

// TestUploadHangs is about connections that are open and silent.
func TestUploadHangs(t *testing.T) {
	const patience = 100 * time.Millisecond
	ready := make(chan struct{})
	defer close(ready)
	for name, fault := range map[string]f.Fault{
		"before a chunk":            f.Hang(f.BeforeHeader).Patch().After(1),
		"at its first byte":         f.Hang(0).Patch().After(1),
		"within it":                 f.Hang(1000).Patch().After(1),
		"after it":                  f.Hang(f.BeforeHeader).Patch().After(1).Late(),
		"before the end":            f.Hang(f.BeforeHeader).Put(),
		"after the end":             f.Hang(f.BeforeHeader).Put().Late(),
		"when asked":                f.Cut(1000).Patch().And(f.Hang(f.BeforeHeader).Method(http.MethodGet)),
		"while the end is made":     f.Wait(ready).Put(),
		"while the answer is made":  f.Wait(ready).Put().Late(),
		"while the chunk is stored": f.Wait(ready).Patch().After(2).Late(),
	} {
		t.Run(name, func(t *testing.T) {
			f.Check(t)
			reg := f.New(t)
			reg.Script(f.Session, fault)
			client := newPushClient(t, reg, Options{})
			impatient(t, client, patience)
			data := randomBytes(testSize, 1)
			p := newPush(t, reg, client, data)
			p.run(t.Context())
			p.arrived(t, reg, data)
			if beyond := reg.Received() - testSize; beyond > testChunk {
				t.Errorf("%d bytes arrived beyond those of the blob: %s", beyond, asked(reg))
			}
		})
	}
}

// TestUploadOfLargeBodyHangs is about a body that does not fit into the kernel's
// buffers: the silence shows while it is sent.
func TestUploadOfLargeBodyHangs(t *testing.T) {
	f.Check(t)
	reg := f.New(t)
	reg.Script(f.Session, f.Hang(1000).Patch())
	client := newPushClient(t, reg, Options{Stall: 50 * time.Millisecond})
	client.chunk = 16 << 20
	data := make([]byte, 20<<20)
	data[100] = 1
	p := newPush(t, reg, client, data)
	p.run(t.Context())
	p.arrived(t, reg, data)
	if reg.Received() != int64(len(data)) {
		t.Errorf("%d bytes arrived: %s", reg.Received(), asked(reg))
	}
}

// TestUploadIsPatientWithTheEnd is about a closing PUT that takes much longer than
// silence is borne elsewhere.
func TestUploadIsPatientWithTheEnd(t *testing.T) {
	f.Check(t)
	reg := f.New(t)
	ready := make(chan struct{})
	reg.Script(f.Session, f.Wait(ready).Put().Do(func() { time.AfterFunc(300*time.Millisecond, func() { close(ready) }) }))
	data := randomBytes(testSize, 1)
	p := newPush(t, reg, newPushClient(t, reg, Options{Stall: 10 * time.Millisecond}), data)
	p.run(t.Context())
	p.arrived(t, reg, data)
	if got := asked(reg); got != inPieces {
		t.Errorf("asked %s", got)
	}
}

// TestUploadCancelled cancels at each request, before it, in its body and after
// it: the context's error comes at once, and no byte of the source is read when
// it is closed.
func TestUploadCancelled(t *testing.T) {
	for at := range 7 {
		for name, fault := range map[string]f.Fault{
			"before":  f.Hang(f.BeforeHeader),
			"within":  f.Hang(1000),
			"after":   f.Hang(f.BeforeHeader).Late(),
			"refused": f.Status(503),
		} {
			f.Check(t)
			reg := f.New(t)
			ctx, cancel := context.WithCancel(t.Context())
			fault = fault.After(at).Do(cancel).Method(http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodPut)
			for _, kind := range []f.Kind{f.Blob, f.Upload, f.Session} {
				reg.Script(kind, fault)
			}
			p := newPush(t, reg, newPushClient(t, reg, Options{}), randomBytes(testSize, 1))
			src := &closedSource{Source: p.src}
			p.src = src
			p.run(ctx)
			src.over.Store(true)
			switch {
			case ctx.Err() == nil && p.err != nil:
				t.Errorf("%s request %d: %v", name, at, p.err)
			case ctx.Err() != nil && (!errors.Is(p.err, context.Canceled) || !strings.HasSuffix(p.err.Error(), ": context canceled")):
				t.Errorf("%s request %d: %v", name, at, p.err)
			}
			cancel()
			reg.Close()
			if src.late.Load() {
				t.Errorf("%s request %d: the source was read when it was closed", name, at)
			}
		}
	}
}

// closedSource notices who reads when it is closed.
type closedSource struct {
	blob.Source
	over, late atomic.Bool
	reads      sync.WaitGroup
}

func (s *closedSource) ReadAt(p []byte, off int64) (int, error) {
	s.reads.Add(1)
	defer s.reads.Done()
	defer func() {
		if s.over.Load() {
			s.late.Store(true)
		}
	}()
	return s.Source.ReadAt(p, off)
}

// TestUploadClosesItsSourceLast has a registry that answers before it has read a
// chunk, while the source is being read: it is not closed until that is over.
func TestUploadClosesItsSourceLast(t *testing.T) {
	f.Check(t)
	reg := f.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := newPushClient(t, reg, Options{})
	client.chunk = 1 << 20
	data := randomBytes(2<<20, 1)
	p := newPush(t, reg, client, data)
	halting := &haltingSource{Source: p.src, proceed: make(chan struct{})}
	src := &closedSource{Source: halting}
	p.src = src
	reg.Script(f.Session, f.Status(202).Patch().Do(func() {
		time.AfterFunc(100*time.Millisecond, func() { close(halting.proceed) })
	}))
	reg.Script(f.Session, f.Status(403).Patch().After(1))
	p.run(ctx)
	src.over.Store(true)
	src.reads.Wait()
	if !errors.Is(p.err, ErrDenied) || src.late.Load() {
		t.Errorf("%v, read when it was closed: %v", p.err, src.late.Load())
	}
}

// haltingSource waits within the first chunk, once.
type haltingSource struct {
	blob.Source
	once    sync.Once
	proceed chan struct{}
}

func (s *haltingSource) ReadAt(p []byte, off int64) (int, error) {
	if off > 0 {
		s.once.Do(func() { <-s.proceed })
	}
	return s.Source.ReadAt(p, off)
}

// TestUploadOfTheSameBlobAtOnce is two of them in one process.
func TestUploadOfTheSameBlobAtOnce(t *testing.T) {
	f.Check(t)
	reg := f.New(t)
	reg.Script(f.Session, f.Cut(100<<10).Patch().Every(3).Always())
	dir := filepath.Join(t.TempDir(), "journal")
	client := newPushClient(t, reg, Options{Journal: openJournal(dir)})
	data := randomBytes(testSize, 1)
	pushes := make([]*push, 4)
	var wait sync.WaitGroup
	for i := range pushes {
		pushes[i] = newPush(t, reg, client, data)
		wait.Go(func() { pushes[i].run(t.Context()) })
	}
	wait.Wait()
	for _, p := range pushes {
		p.arrived(t, reg, data)
	}
	if left := entries(t, dir); len(left) > 0 {
		t.Errorf("left in the journal: %q", left)
	}
}
