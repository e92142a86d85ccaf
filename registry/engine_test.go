package registry

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/tareml/tare/blob"
	fault "github.com/tareml/tare/internal/faultregistry"
)

const (
	engineSize = 4 << 20

	// kernel is what a connection that is closed early may have had on its way.
	kernel = 6 << 20
)

// fine is a grain that makes a small blob a large one.
func fine(connections int) grain {
	return grain{buffer: 16 << 10, saveEvery: 64 << 10, window: 1 << 20, minPart: 128 << 10, maxPart: 256 << 10, start: connections, most: connections}
}

// engineClient is a client that trusts reg and has its credentials.
func engineClient(t *testing.T, reg *fault.Registry, connections int, o Options) *Client {
	t.Helper()
	o.PlainHTTP = true
	o.Credentials = StaticCredentials(reg.Host, fault.Username, fault.Password, credentials.NewMemoryStore())
	o.Sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.grain = fine(connections)
	return c
}

// engineCase is a way in which a registry misbehaves.
type engineCase struct {
	options []fault.Option
	script  func(*fault.Registry)
	want    error // of the download
	// wire is how many bytes may leave the registry, the blob's own aside, if a
	// single connection does it all.
	wire int64
	// twice says that the blob may be fetched, and so written, twice.
	twice bool
}

func on(kind fault.Kind, faults ...fault.Fault) func(*fault.Registry) {
	return func(r *fault.Registry) { r.Script(kind, faults...) }
}

// engineCases are what must end well, or in a clear error.
func engineCases() map[string]engineCase {
	const some = 512 << 10
	return map[string]engineCase{
		"nothing wrong":               {},
		"cut before the header":       {script: on(fault.Blob, fault.Cut(fault.BeforeHeader).Times(3))},
		"cut at the first byte":       {script: on(fault.Blob, fault.Cut(0).Times(3))},
		"cut after the first byte":    {script: on(fault.Blob, fault.Cut(1).Times(3))},
		"cut in the middle":           {script: on(fault.Blob, fault.CutAt(engineSize/2))},
		"cut before the last byte":    {script: on(fault.Blob, fault.CutAt(engineSize-1))},
		"cut eight times":             {script: on(fault.Blob, fault.Cut(100<<10).Times(8))},
		"cut more often than patient": {script: on(fault.Blob, fault.Cut(60<<10).Times(3*fetchAttempts))},
		"reset":                       {script: on(fault.Blob, fault.Reset(100<<10).Times(5)), wire: 5 * 100 << 10},
		"never a byte":                {script: on(fault.Blob, fault.Cut(0).Always()), want: ErrUnavailable},
		"busy":                        {script: on(fault.Blob, fault.Busy(429, 3).Times(3))},
		"busy now and then":           {script: on(fault.Blob, fault.Busy(503, 0).Every(2).Always(), fault.Cut(some).Times(3))},
		"busy for ever":               {script: on(fault.Blob, fault.Busy(503, 1).Always()), want: ErrUnavailable},
		"busy from the third on":      {script: on(fault.Blob, fault.AtMost(2, "Retry-After", "1").Always())},
		"broken":                      {script: on(fault.Blob, fault.Status(500).Always()), want: ErrUnavailable},
		"forbidden":                   {script: on(fault.Blob, fault.Status(403).Always()), want: ErrDenied},
		"gone":                        {script: on(fault.Blob, fault.Status(404).Always()), want: blob.ErrNotFound},
		"gone in the middle":          {script: on(fault.Blob, fault.Cut(some), fault.Status(404).After(1).Always()), want: blob.ErrNotFound},
		"no ranges":                   {script: on(fault.Blob, fault.NoRange().Always()), wire: kernel + engineSize},
		"no ranges, and cut":          {script: on(fault.Blob, fault.NoRange().Always(), fault.Cut(some).Times(3)), wire: 2*kernel + engineSize},
		"ranges now and then":         {script: on(fault.Blob, fault.NoRange().Ranged().Every(3).Always(), fault.Cut(some).Times(3)), wire: 2*kernel + engineSize},
		"range starts elsewhere":      {script: on(fault.Blob, fault.Cut(some), fault.OtherRange(-1, 0).Always()), wire: kernel + engineSize},
		"range is another one":        {script: on(fault.Blob, fault.Cut(some), fault.OtherRange(10, 10).Always()), wire: kernel + engineSize},
		"range of another total":      {script: on(fault.Blob, fault.Cut(some), fault.RangeSaysBy(0, 0, 1).Always()), wire: kernel + engineSize},
		"range off by one":            {script: on(fault.Blob, fault.Cut(some), fault.RangeSaysBy(1, 1, 0).Always()), wire: kernel + engineSize},
		"range says nothing":          {script: on(fault.Blob, fault.Cut(some), fault.RangeSays("").Always()), wire: kernel + engineSize},
		"range says rubbish":          {script: on(fault.Blob, fault.Cut(some), fault.RangeSays("bytes x-y/z").Always()), wire: kernel + engineSize},
		"range is multipart":          {script: on(fault.Blob, fault.Cut(some), fault.Multipart().Always()), wire: kernel + engineSize},
		"range not satisfiable":       {script: on(fault.Blob, fault.Cut(some), fault.Unsatisfiable().Ranged().Always()), wire: kernel + engineSize},
		"range in small pieces":       {script: on(fault.Blob, fault.Cut(some), fault.Piece(50<<10).Always())},
		"range holds other bytes":     {script: on(fault.Blob, fault.Cut(some), fault.Lie(7).Always()), wire: kernel + engineSize, twice: true},
		"truncated":                   {script: on(fault.Blob, fault.Truncate(some)), wire: kernel},
		"overlong":                    {script: on(fault.Blob, fault.NoRange().And(fault.Overlong(100)).Always()), wire: kernel + engineSize},
		"chunked":                     {script: on(fault.Blob, fault.Chunked().Always())},
		"said to be shorter":          {script: on(fault.Blob, fault.WrongLength(-100).Plain().Always()), want: blob.ErrHostile},
		"said to be longer":           {script: on(fault.Blob, fault.WrongLength(100).Plain().Always()), want: blob.ErrHostile},
		"corrupted once":              {script: on(fault.Blob, fault.Corrupt(engineSize/2)), wire: engineSize, twice: true},
		"corrupted":                   {script: on(fault.Blob, fault.Corrupt(engineSize/2).Always()), wire: engineSize, twice: true, want: blob.ErrMismatch},
		"compressed":                  {script: on(fault.Blob, fault.Gzip().Always()), want: blob.ErrHostile, wire: 2 * kernel, twice: true},
		"tokens":                      {options: []fault.Option{fault.WithTokens(time.Minute)}},
		"a token revoked in the middle": {
			options: []fault.Option{fault.WithTokens(time.Minute)},
			script:  func(r *fault.Registry) { r.Script(fault.Blob, fault.Cut(some).Times(3).Do(r.Revoke)) },
		},
		"redirected": {options: []fault.Option{fault.WithRedirect(0)}},
		"redirected, and cut": {
			options: []fault.Option{fault.WithRedirect(0), fault.WithTokens(time.Minute)},
			script:  on(fault.Target, fault.Cut(100<<10).Times(6)),
		},
		"redirects that expire": {
			options: []fault.Option{fault.WithRedirect(0), fault.WithTokens(time.Minute)},
			script:  func(r *fault.Registry) { r.Script(fault.Target, fault.Cut(100<<10).Times(5).Do(r.Expire)) },
		},
		"redirects that are good for two uses": {
			options: []fault.Option{fault.WithRedirect(2), fault.WithTokens(time.Minute)},
			script:  on(fault.Target, fault.Cut(100<<10).Times(6)),
		},
		"redirected to somebody who says no": {
			options: []fault.Option{fault.WithRedirect(0)},
			script:  on(fault.Target, fault.Status(403).Always()),
			want:    ErrDenied,
		},
	}
}

func TestEngine(t *testing.T) {
	content := fault.Random(engineSize, 1)
	for _, connections := range []int{1, 4} {
		for name, test := range engineCases() {
			t.Run(map[int]string{1: "one ", 4: "four "}[connections]+name, func(t *testing.T) {
				t.Parallel()
				test.run(t, content, connections)
			})
		}
	}
}

func (test engineCase) run(t *testing.T, content *fault.RandomContent, connections int) {
	reg := fault.New(t, test.options...)
	art := reg.AddContent("models/x", content)
	if test.script != nil {
		test.script(reg)
	}
	repo := newTestRepository(t, engineClient(t, reg, connections, Options{}), reg.Ref(art))
	sink := &memorySink{}
	var safe, resumed int64
	var mu sync.Mutex
	_, err := repo.download(t.Context(), art.Layers[0], sink, func(s, r int64) {
		mu.Lock()
		defer mu.Unlock()
		safe, resumed = safe+s, resumed+r
	})
	if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
		t.Fatalf("%v, want %v", err, test.want)
	}
	if err == nil && digest.FromBytes(sink.data) != content.Digest() {
		t.Error("the bytes are not the right ones")
	}
	if err == nil && (safe != engineSize || resumed != 0) {
		t.Errorf("%d bytes were reported, and %d resumed", safe, resumed)
	}
	if once := int64(engineSize); sink.written > once && !(test.twice && sink.written <= 2*once) {
		t.Errorf("%d bytes were written, want each once", sink.written)
	}
	most := engineSize + test.wire
	if connections > 1 {
		most += kernel
	}
	if got := reg.Sent(); got > most {
		t.Errorf("%d bytes on the wire, want at most %d", got, most)
	}
	if leaked := reg.Leaked(); len(leaked) > 0 {
		t.Errorf("leaked to where the registry redirected: %q", leaked)
	}
	if got := reg.Peak(fault.Blob); got > connections+1 {
		t.Errorf("%d requests at once", got)
	}
}

// TestEngineErrors are clear: they name the registry, the blob, and what is
// wrong.
func TestEngineErrors(t *testing.T) {
	for name, test := range engineCases() {
		if test.want == nil {
			continue
		}
		reg := fault.New(t, test.options...)
		art := reg.AddContent("models/x", fault.Random(engineSize, 1))
		test.script(reg)
		repo := newTestRepository(t, engineClient(t, reg, 1, Options{}), reg.Ref(art))
		_, err := repo.Download(t.Context(), art.Layers[0], &memorySink{}, nil)
		prefix := "pulling " + reg.Host + "/models/x@" + art.Layers[0].Digest.String() + ": "
		if err == nil || !strings.HasPrefix(err.Error(), prefix) || strings.Contains(err.Error(), "Signature") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEngineResumesAnything interrupts a download at every so many bytes, by
// errors of all sorts, with one connection or many, and lets the next attempt go
// on from a copy of what a kill would leave: the bytes and the last state.
func TestEngineResumesAnything(t *testing.T) {
	content := fault.Random(engineSize, 2)
	reg := fault.New(t)
	art := reg.AddContent("models/x", content)
	for _, connections := range []int{1, 4} {
		for at := int64(1); at < engineSize; at += 400_009 {
			repo := newTestRepository(t, engineClient(t, reg, connections, Options{}), reg.Ref(art))
			sink := &memorySink{}
			killed := &killedSink{memorySink: sink, at: at}
			if _, err := repo.Download(t.Context(), art.Layers[0], killed, nil); !errors.Is(err, errKilled) {
				t.Fatalf("at %d: %v", at, err)
			}
			left := &memorySink{data: slices.Clone(sink.data), state: sink.state}
			var resumed atomic.Int64
			repo = newTestRepository(t, engineClient(t, reg, 5-connections, Options{}), reg.Ref(art))
			_, err := repo.download(t.Context(), art.Layers[0], left, func(_, r int64) { resumed.Add(r) })
			if err != nil || digest.FromBytes(left.data) != content.Digest() {
				t.Fatalf("at %d: %v", at, err)
			}
			if again := left.written - (engineSize - sink.written); again > int64(connections)*fine(1).saveEvery+fine(1).buffer*4 {
				t.Errorf("killed at %d by %d connections: %d bytes were written again", at, connections, again)
			}
			if resumed.Load()+left.written != engineSize {
				t.Errorf("killed at %d: %d resumed and %d written", at, resumed.Load(), left.written)
			}
		}
	}
}

var errKilled = errors.New("killed")

// killedSink fails once it has so many bytes, and keeps the state that it had.
type killedSink struct {
	*memorySink
	at   int64
	dead bool
}

func (s *killedSink) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	dead := s.written >= s.at
	s.dead = s.dead || dead
	s.mu.Unlock()
	if dead {
		return 0, errKilled
	}
	return s.memorySink.WriteAt(p, off)
}

func (s *killedSink) SaveState(state []byte) error {
	s.mu.Lock()
	dead := s.dead
	s.mu.Unlock()
	if dead {
		return errKilled
	}
	return s.memorySink.SaveState(state)
}

// TestEngineStaysInItsWindow lets the first part hang: the others must not run
// away from it, and finish once it comes.
func TestEngineStaysInItsWindow(t *testing.T) {
	content := fault.Random(engineSize, 3)
	reg := fault.New(t)
	art := reg.AddContent("models/x", content)
	next := make(chan struct{}, 1)
	reg.Script(fault.Blob, fault.Trickle(16<<10, next))
	client := engineClient(t, reg, 4, Options{})
	client.grain.window = 512 << 10
	repo := newTestRepository(t, client, reg.Ref(art))
	sink := &farSink{memorySink: &memorySink{}, limit: 512 << 10}
	sink.reached = func() {
		sink.once.Do(func() { close(next) })
	}
	next <- struct{}{}
	if _, err := repo.Download(t.Context(), art.Layers[0], sink, nil); err != nil {
		t.Fatal(err)
	}
	if sink.far > 512<<10+fine(1).buffer {
		t.Errorf("written %d bytes ahead of the first gap", sink.far)
	}
}

// farSink tells how far ahead of its first gap it is written.
type farSink struct {
	*memorySink
	limit   int64
	reached func()
	once    sync.Once

	order sync.Mutex
	have  extents
	far   int64
}

func (s *farSink) WriteAt(p []byte, off int64) (int, error) {
	s.order.Lock()
	s.have = s.have.add(extent{off, off + int64(len(p))})
	ahead := off - s.have.reach(0)
	s.far = max(s.far, ahead)
	s.order.Unlock()
	if ahead >= s.limit-256<<10 {
		s.reached()
	}
	return s.memorySink.WriteAt(p, off)
}

// TestEngineAddsConnections meets a registry that caps each connection.
func TestEngineAddsConnections(t *testing.T) {
	content := fault.Random(24<<20, 4)
	reg := fault.New(t)
	art := reg.AddContent("models/x", content)
	reg.Script(fault.Blob, fault.Rate(8<<20).Always())
	client := engineClient(t, reg, 1, Options{})
	client.grain = newGrain()
	client.grain.minPart, client.grain.maxPart = 1<<20, 2<<20
	repo := newTestRepository(t, client, reg.Ref(art))
	sink := &memorySink{}
	if _, err := repo.Download(t.Context(), art.Layers[0], sink, nil); err != nil {
		t.Fatal(err)
	}
	if digest.FromBytes(sink.data) != content.Digest() {
		t.Error("the bytes are not the right ones")
	}
	if peak := reg.Peak(fault.Blob); peak < 3 {
		t.Errorf("%d connections at most", peak)
	}
}

// TestEngineFallsSilent is about connections that hang: the stall is noticed, and
// others go on.
func TestEngineFallsSilent(t *testing.T) {
	for name, hang := range map[string]fault.Fault{
		"before the header": fault.Hang(fault.BeforeHeader),
		"at once":           fault.Hang(0),
		"in the middle":     fault.Hang(300 << 10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := fault.Random(engineSize, 5)
			reg := fault.New(t)
			art := reg.AddContent("models/x", content)
			reg.Script(fault.Blob, hang)
			client := engineClient(t, reg, 1, Options{Stall: 200 * time.Millisecond})
			if name == "before the header" {
				setHeaderTimeout(client, 200*time.Millisecond)
			}
			sink := &memorySink{}
			repo := newTestRepository(t, client, reg.Ref(art))
			if _, err := repo.Download(t.Context(), art.Layers[0], sink, nil); err != nil {
				t.Fatal(err)
			}
			if digest.FromBytes(sink.data) != content.Digest() {
				t.Error("the bytes are not the right ones")
			}
		})
	}
}

// setHeaderTimeout shortens what a test cannot wait for.
func setHeaderTimeout(c *Client, d time.Duration) {
	guardOf(c).headers = d
}

// guardOf finds the guard among the transports of a client.
func guardOf(c *Client) *guard {
	return c.auth.Client.Transport.(*retrier).next.(*scrubber).next.(*guard)
}

// TestEngineStopsAtOnce cancels in the middle of hanging connections.
func TestEngineStopsAtOnce(t *testing.T) {
	for _, connections := range []int{1, 4} {
		reg := fault.New(t)
		art := reg.AddContent("models/x", fault.Random(engineSize, 6))
		ctx, cancel := context.WithCancel(t.Context())
		reg.Script(fault.Blob, fault.Hang(150<<10).Always())
		repo := newTestRepository(t, engineClient(t, reg, connections, Options{}), reg.Ref(art))
		sink := &interruptingSink{memorySink: &memorySink{}, at: 150 << 10, interrupt: cancel}
		if _, err := repo.Download(ctx, art.Layers[0], sink, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("%d connections: %v", connections, err)
		}
		if sink.state == nil {
			t.Error("no state was left for the next attempt")
		}
	}
}

// TestEngineAllocates tells the sink the size before the first byte, once it is
// confirmed.
func TestEngineAllocates(t *testing.T) {
	content := fault.Random(engineSize, 7)
	reg := fault.New(t)
	art := reg.AddContent("models/x", content)
	repo := newTestRepository(t, engineClient(t, reg, 4, Options{}), reg.Ref(art))
	sink := &allocatingSink{memorySink: &memorySink{}}
	if _, err := repo.Download(t.Context(), art.Layers[0], sink, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(sink.allocated, []int64{engineSize}) || sink.late {
		t.Errorf("allocated %v, late: %v", sink.allocated, sink.late)
	}
	reg.Forget()
	full := errors.New("disk full")
	sink = &allocatingSink{memorySink: &memorySink{}, err: full}
	if _, err := repo.Download(t.Context(), art.Layers[0], sink, nil); !errors.Is(err, full) || sink.written > 0 {
		t.Errorf("%v, and %d bytes were written", err, sink.written)
	}
}

type allocatingSink struct {
	*memorySink
	err       error
	allocated []int64
	late      bool
}

func (s *allocatingSink) Allocate(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allocated = append(s.allocated, size)
	s.late = s.late || s.written > 0
	return s.err
}

// TestEngineWithoutSizeDoesNotAllocate does not believe the manifest alone.
func TestEngineWithoutSizeDoesNotAllocate(t *testing.T) {
	reg := fault.New(t)
	art := reg.AddContent("models/x", fault.Random(engineSize, 7))
	reg.Script(fault.Blob, fault.NoRange().And(fault.Chunked()).Always())
	repo := newTestRepository(t, engineClient(t, reg, 1, Options{}), reg.Ref(art))
	sink := &allocatingSink{memorySink: &memorySink{}}
	if _, err := repo.Download(t.Context(), art.Layers[0], sink, nil); err != nil || len(sink.allocated) > 0 {
		t.Errorf("%v, allocated %v", err, sink.allocated)
	}
}

// TestEngineRemembersWhoServesNoRanges asks the second blob whole from the start.
func TestEngineRemembersWhoServesNoRanges(t *testing.T) {
	reg := fault.New(t)
	art := reg.AddContent("models/x", fault.Random(engineSize, 8), fault.Random(engineSize, 9))
	reg.Script(fault.Blob, fault.NoRange().Always())
	repo := newTestRepository(t, engineClient(t, reg, 4, Options{}), reg.Ref(art))
	for _, layer := range art.Layers {
		reg.Forget()
		if _, err := repo.Download(t.Context(), layer, &memorySink{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, req := range reg.RequestsOf(fault.Blob) {
		if req.Range != "" || req.Status != http.StatusOK {
			t.Errorf("asked for %q", req.Range)
		}
	}
}
