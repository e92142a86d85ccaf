package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	f "github.com/tareml/tare/internal/faultregistry"
)

// interruption is where a first process ends, and what the second one finds.
type interruption struct {
	fault f.Fault
	found int64 // bytes; negative if the blob is there
}

// interruptions are all boundaries of the requests of an upload, and bodies that
// are cut.
func interruptions() (all []interruption) {
	never := f.Hang(f.BeforeHeader)
	for i := range int64(5) {
		size := min(testChunk, testSize-i*testChunk)
		nth := func(fault f.Fault) f.Fault { return fault.Patch().After(int(i)) }
		all = append(all,
			interruption{nth(never), i * testChunk},
			interruption{nth(f.Hang(1000)), i*testChunk + 1000},
			interruption{nth(f.Hang(-1)), i*testChunk + size - 1},
			interruption{nth(never.Late()), i*testChunk + size},
		)
	}
	return append(all, interruption{never.Put(), testSize}, interruption{never.Put().Late(), -1})
}

// interrupt ends an upload by a client of its own at a fault.
func interrupt(t *testing.T, reg *f.Registry, dir string, data []byte, fault f.Fault) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reg.Script(f.Session, fault.Do(cancel))
	first := newPush(t, reg, newPushClient(t, reg, Options{Journal: openJournal(dir)}), data)
	if err := first.run(ctx); err == nil {
		t.Fatal("it was not interrupted")
	}
}

// TestUploadResumed interrupts an upload anywhere: the next process sends what is
// missing, and nothing else.
func TestUploadResumed(t *testing.T) {
	data := randomBytes(testSize, 1)
	for i, at := range interruptions() {
		f.Check(t)
		reg := f.New(t)
		dir := filepath.Join(t.TempDir(), "journal")
		interrupt(t, reg, dir, data, at.fault)
		if at.found >= 0 && len(entries(t, dir)) != 1 {
			t.Fatalf("interruption %d: the journal has %q", i, entries(t, dir))
		}
		second := newPush(t, reg, newPushClient(t, reg, Options{Journal: openJournal(dir)}), data)
		second.run(t.Context())
		second.arrived(t, reg, data)
		if second.present != (at.found < 0) || second.resumed != max(0, at.found) {
			t.Errorf("interruption %d: %d bytes were resumed, want %d", i, second.resumed, at.found)
		}
		reg.Close()
		if reg.Received() != testSize {
			t.Errorf("interruption %d: %d bytes arrived: %s", i, reg.Received(), asked(reg))
		}
		if left := entries(t, dir); len(left) > 0 && !second.present {
			t.Errorf("interruption %d: %q is left in the journal", i, left)
		}
	}
}

// TestUploadResumedOften has each process get a little further.
func TestUploadResumedOften(t *testing.T) {
	f.Check(t)
	data := randomBytes(testSize, 1)
	reg := f.New(t)
	dir := filepath.Join(t.TempDir(), "journal")
	for range 5 {
		interrupt(t, reg, dir, data, f.Hang(90<<10).Patch())
	}
	last := newPush(t, reg, newPushClient(t, reg, Options{Journal: openJournal(dir)}), data)
	last.run(t.Context())
	last.arrived(t, reg, data)
	if last.resumed != 450<<10 || reg.Sessions() != 0 {
		t.Errorf("%d bytes were resumed, and %d sessions are left", last.resumed, reg.Sessions())
	}
	reg.Close()
	if reg.Received() != testSize {
		t.Errorf("%d bytes arrived: %s", reg.Received(), asked(reg))
	}
}

// TestUploadResumedWithFaults is about a second process that has its own troubles.
func TestUploadResumedWithFaults(t *testing.T) {
	data := randomBytes(testSize, 1)
	for name, test := range map[string]struct {
		options []f.Option
		faults  []mishap
		resumed int64 // 0 if all is sent again
	}{
		"nothing":               {resumed: 2*testChunk + 1000},
		"gone":                  {faults: inSession(f.Vanish().Method(http.MethodGet))},
		"nobody answers once":   {faults: inSession(f.Cut(f.BeforeHeader).Method(http.MethodGet)), resumed: 2*testChunk + 1000},
		"busy":                  {faults: inSession(f.Busy(503, 1).Method(http.MethodGet).Times(7)), resumed: 2*testChunk + 1000},
		"broken for ever":       {faults: inSession(f.Status(500).Method(http.MethodGet).Always())},
		"asking is forbidden":   {faults: inSession(f.Status(403).Method(http.MethodGet))},
		"asking is not allowed": {faults: inSession(f.Status(405).Method(http.MethodGet))},
		"cut at once":           {faults: inSession(f.Cut(0).Patch()), resumed: 2*testChunk + 1000},
		"it has more":           {faults: inSession(f.OffsetSaysBy(5).Method(http.MethodGet)), resumed: 2*testChunk + 1000},
		"it has less":           {faults: inSession(f.OffsetSaysBy(-5).Method(http.MethodGet)), resumed: 2*testChunk + 1000},
		"it has nothing":        {faults: inSession(f.OffsetSays("0-0").Method(http.MethodGet))},
		"it has all":            {faults: inSession(f.OffsetSays(told(testSize)).Method(http.MethodGet))},
		"it has too much":       {faults: inSession(f.OffsetSays(told(testSize + 1)).Method(http.MethodGet))},
		"gone after all":        {faults: inSession(f.Vanish().Patch())},
		"tokens":                {options: []f.Option{f.WithTokens(time.Hour)}, resumed: 2*testChunk + 1000},
		"elsewhere":             {faults: inSession(f.CrossHost().Method(http.MethodGet)), resumed: 2*testChunk + 1000},
	} {
		t.Run(name, func(t *testing.T) {
			f.Check(t)
			reg := f.New(t, test.options...)
			dir := filepath.Join(t.TempDir(), "journal")
			interrupt(t, reg, dir, data, f.Hang(1000).Patch().After(2))
			for _, mishap := range test.faults {
				mishap(reg)
			}
			p := newPush(t, reg, newPushClient(t, reg, Options{Journal: openJournal(dir)}), data)
			p.run(t.Context())
			p.arrived(t, reg, data)
			if p.resumed > test.resumed || p.resumed < test.resumed-5 {
				t.Errorf("%d bytes were resumed, want %d: %s", p.resumed, test.resumed, asked(reg))
			}
		})
	}
}

// TestUploadIgnoresBadEntries is about what a journal may hold: nothing of it does
// harm, and nobody is told anything who should not be.
func TestUploadIgnoresBadEntries(t *testing.T) {
	data := randomBytes(testSize, 1)
	for name, entry := range map[string]func(reg, other *f.Registry, was string) string{
		"nothing":          func(_, _ *f.Registry, _ string) string { return "" },
		"half of it":       func(_, _ *f.Registry, was string) string { return was[:len(was)/2] },
		"garbage":          func(_, _ *f.Registry, _ string) string { return "\x00\xff{{" },
		"null":             func(_, _ *f.Registry, _ string) string { return "null" },
		"no address":       func(_, _ *f.Registry, _ string) string { return `{"location":""}` },
		"a number":         func(_, _ *f.Registry, _ string) string { return `{"location":7}` },
		"no host":          func(_, _ *f.Registry, _ string) string { return `{"location":"https:///x"}` },
		"a file":           func(_, _ *f.Registry, _ string) string { return `{"location":"file:///etc/passwd"}` },
		"another registry": func(reg, other *f.Registry, was string) string { return strings.ReplaceAll(was, reg.URL, other.URL) },
		"nobody is there": func(reg, _ *f.Registry, was string) string {
			return strings.ReplaceAll(was, reg.URL, "https://127.0.0.1:1")
		},
		"in the clear": func(reg, _ *f.Registry, was string) string {
			return strings.ReplaceAll(was, reg.URL, "http://127.0.0.1:1")
		},
		"signed wrongly": func(_, _ *f.Registry, was string) string { return strings.ReplaceAll(was, "_state=", "_state=x") },
		"a large least": func(_, _ *f.Registry, was string) string {
			return strings.ReplaceAll(was, "}", `,"least":9223372036854775807}`)
		},
		"a negative least": func(_, _ *f.Registry, was string) string { return strings.ReplaceAll(was, "}", `,"least":-5}`) },
		"another path":     func(reg, _ *f.Registry, _ string) string { return `{"location":"` + reg.URL + `/v2/"}` },
		"the user's secret": func(reg, _ *f.Registry, was string) string {
			return strings.ReplaceAll(was, "https://", "https://user:secret@")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f.Check(t)
			reg := f.New(t, f.WithTLS(), f.WithBasic())
			other := f.New(t, f.WithTLS())
			dir := filepath.Join(t.TempDir(), "journal")
			interrupt(t, reg, dir, data, f.Hang(1000).Patch().After(2))
			names := entries(t, dir)
			if len(names) != 1 {
				t.Fatalf("the journal has %q", names)
			}
			path := filepath.Join(dir, names[0])
			was, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(entry(reg, other, string(was))), 0o600); err != nil {
				t.Fatal(err)
			}
			client := newPushClient(t, reg, Options{Journal: openJournal(dir), TLS: TLSFiles{CA: []string{other.CAFile}}})
			p := newPush(t, reg, client, data)
			p.run(t.Context())
			p.arrived(t, reg, data)
			if leaked := append(reg.Leaked(), other.Leaked()...); len(leaked) > 0 {
				t.Errorf("leaked: %q", leaked)
			}
			for _, req := range other.Requests() {
				if req.Auth != "" || req.Method != http.MethodGet {
					t.Errorf("the other registry saw %+v", req)
				}
			}
		})
	}
}

// TestUploadsDoNotShareASession is about two processes at once.
func TestUploadsDoNotShareASession(t *testing.T) {
	f.Check(t)
	data := randomBytes(testSize, 1)
	reg := f.New(t)
	dir := filepath.Join(t.TempDir(), "journal")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	there, done := make(chan struct{}), make(chan error, 1)
	reg.Script(f.Session, f.Hang(1000).Patch().After(2).Do(func() { close(there) }))
	first := newPush(t, reg, newPushClient(t, reg, Options{Journal: openJournal(dir)}), data)
	go func() { done <- first.run(ctx) }()
	<-there
	second := newPush(t, reg, newPushClient(t, reg, Options{Journal: openJournal(dir)}), data)
	second.run(t.Context())
	second.arrived(t, reg, data)
	if second.resumed != 0 || reg.Sessions() != 1 {
		t.Errorf("%d bytes were resumed, %d sessions are left", second.resumed, reg.Sessions())
	}
	cancel()
	<-done
}

// TestHabitsAreKept is about what the next process knows of a registry.
func TestHabitsAreKept(t *testing.T) {
	const mib = 1 << 20
	data, large := randomBytes(testSize, 1), randomBytes(9*mib, 1)
	for name, test := range map[string]struct {
		options []f.Option
		faults  []mishap
		data    []byte
		chunk   int64
		fails   bool
		next    string // what the next process asks for data like this
		note    bool
	}{
		"nothing learnt":                {data: data, next: inPieces},
		"one piece":                     {options: []f.Option{f.WithoutPatch(405)}, data: data, next: "HEAD POST PUT", note: true},
		"one piece, but that failed":    {options: []f.Option{f.WithoutPatch(405)}, faults: inSession(f.Status(403).Put()), data: data, fails: true, next: "HEAD POST PATCH POST PUT"},
		"smaller chunks":                {options: []f.Option{f.WithBodyLimit(5 * mib)}, data: large, chunk: 8 * mib, next: "HEAD POST PATCH PATCH PATCH PUT"},
		"smaller chunks, but it failed": {options: []f.Option{f.WithBodyLimit(5 * mib)}, faults: inSession(f.Status(403).Put()), data: large, chunk: 8 * mib, fails: true, next: "HEAD POST PATCH GET PATCH PATCH PATCH PUT"},
		"forgets":                       {options: []f.Option{f.WithVanishingSessions()}, faults: inSession(f.Cut(1000).Patch().After(1)), data: data, next: inPieces, note: true},
	} {
		t.Run(name, func(t *testing.T) {
			f.Check(t)
			reg := f.New(t, test.options...)
			for _, mishap := range test.faults {
				mishap(reg)
			}
			dir := filepath.Join(t.TempDir(), "journal")
			start := func(data []byte) *push {
				client := newPushClient(t, reg, Options{Journal: openJournal(dir)})
				if test.chunk > 0 {
					client.chunk = test.chunk
				}
				return newPush(t, reg, client, data)
			}
			if err := start(test.data).run(t.Context()); (err != nil) != test.fails {
				t.Fatal(err)
			}
			reg.Heal()
			reg.Forget()
			other := bytes.Clone(test.data)
			other[0]++
			p := start(other)
			note, err := p.repo.Preflight([]Planned{{Name: "weights", Size: 1 << 30}}, 4)
			if err != nil || strings.Contains(note, "up to 1.0 GiB") != test.note {
				t.Errorf("the note is %q, %v", note, err)
			}
			p.run(t.Context())
			p.arrived(t, reg, other)
			if got := asked(reg); got != test.next {
				t.Errorf("asked %s\nwant  %s", got, test.next)
			}
		})
	}
}

// TestHabitsAreNotKeptForSmallBlobs is about a config that arrives while a layer
// has been refused: that says nothing about how to send layers.
func TestHabitsAreNotKeptForSmallBlobs(t *testing.T) {
	reg := f.New(t, f.WithoutPatch(405))
	dir := filepath.Join(t.TempDir(), "journal")
	client := newPushClient(t, reg, Options{Journal: openJournal(dir)})
	ctx, cancel := context.WithCancel(t.Context())
	reg.Script(f.Session, f.Hang(1000).Put().Do(cancel))
	newPush(t, reg, client, randomBytes(testSize, 1)).run(ctx)
	if h := client.habitsOf(reg.Host); !h.Whole {
		t.Fatalf("learnt %+v", h)
	}
	if err := newPush(t, reg, client, []byte("{}")).run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := newPushClient(t, reg, Options{Journal: openJournal(dir)}).habitsOf(reg.Host); h != (habits{}) {
		t.Errorf("kept %+v", h)
	}
}

// TestBadHabits is about what a journal may say of a registry.
func TestBadHabits(t *testing.T) {
	for text, want := range map[string]habits{
		``:                      {},
		`null`:                  {},
		`{"whole":"x"}`:         {},
		`{"chunk":1}`:           {Chunk: minChunk},
		`{"chunk":-1}`:          {Chunk: minChunk},
		`{"chunk":99999999999}`: {Chunk: chunkSize},
		`{"Chunks":true}`:       {},
		`{"whole":true}`:        {Whole: true},
	} {
		journal := openJournal(filepath.Join(t.TempDir(), "journal"))
		claim := journal.Claim(journalKey("habits", "registry.example"))
		claim.Save([]byte(text))
		claim.Release(false)
		client := newTestClient(t, Options{Journal: journal})
		if got := client.habitsOf("registry.example"); got != want {
			t.Errorf("%s is %+v, want %+v", text, got, want)
		}
	}
}

// TestEntriesHaveNoCredentials is about what lies on disk.
func TestEntriesHaveNoCredentials(t *testing.T) {
	f.Check(t)
	reg := f.New(t, f.WithBasic())
	dir := filepath.Join(t.TempDir(), "journal")
	interrupt(t, reg, dir, randomBytes(testSize, 1), f.Hang(0).Patch().After(1))
	for _, name := range entries(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		var e map[string]any
		if err != nil || json.Unmarshal(data, &e) != nil || len(e) != 2 || e["location"] == nil || e["offset"] == nil || bytes.Contains(data, []byte(f.Password)) {
			t.Errorf("%s, %v", data, err)
		}
	}
}

// TestHabitsOfUploadsAtOnce is about several blobs, each of which finds out the
// same.
func TestHabitsOfUploadsAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		option f.Option
		size   int
		chunk  int64
	}{
		"no chunks":      {f.WithoutPatch(405), testSize, testChunk},
		"too large":      {f.WithMaxPatch(testChunk - 1), testSize, testChunk},
		"smaller chunks": {f.WithBodyLimit(4 << 20), 5<<20 + 1, 5 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			f.Check(t)
			reg := f.New(t, test.option)
			src := newMemory()
			layers := make([][]byte, 4)
			for i := range layers {
				layers[i] = randomBytes(test.size, byte(i+1))
			}
			desc, manifest := src.artifact(t, layers...)
			client := newPushClient(t, reg, Options{})
			client.chunk = test.chunk
			// All of them have a chunk on its way before one is refused.
			gate, arrived := make(chan struct{}), make(chan struct{}, 16)
			reg.Script(f.Upload, f.Wait(gate).Always().If(func(r f.Request) bool { arrived <- struct{}{}; return true }))
			go func() {
				for range layers {
					<-arrived
				}
				close(gate)
			}()
			repo := newTestRepository(t, client, reg.Host+"/models/x:v1")
			if err := repo.Push(t.Context(), desc, manifest, src, TransferOptions{}); err != nil {
				t.Fatal(err)
			}
			for _, layer := range layers {
				if !bytes.Equal(reg.Blob("models/x", describe("", layer).Digest), layer) {
					t.Error("a layer is wrong")
				}
			}
		})
	}
}

// TestUploadLearnsFromAnEarlierProcess is about a registry that has lost what was
// sent to it before.
func TestUploadLearnsFromAnEarlierProcess(t *testing.T) {
	f.Check(t)
	reg := f.New(t)
	dir := filepath.Join(t.TempDir(), "journal")
	data := randomBytes(testSize, 1)
	interrupt(t, reg, dir, data, f.Hang(1000).Patch().After(2))
	reg.Script(f.Session, f.Vanish().Method(http.MethodGet))
	client := newPushClient(t, reg, Options{Journal: openJournal(dir)})
	p := newPush(t, reg, client, data)
	p.run(t.Context())
	p.arrived(t, reg, data)
	if !client.habitsOf(reg.Host).Forgets {
		t.Error("what was lost is not remembered")
	}
}

// TestEntryOfAnotherTime has an entry that was written when the registry was spoken
// to without TLS, or that leads elsewhere.
func TestEntryOfAnotherTime(t *testing.T) {
	f.Check(t)
	other := f.New(t)
	data := randomBytes(testSize, 1)
	for name, origin := range map[string]func(*f.Registry) string{
		"another host": func(*f.Registry) string { return other.URL },
		"without TLS":  func(reg *f.Registry) string { return "http://" + reg.Host },
	} {
		reg := f.New(t, f.WithTLS(), f.WithBasic())
		dir := filepath.Join(t.TempDir(), "journal")
		claim := openJournal(dir).Claim(journalKey("upload", reg.Host+"/models/x", describe("", data).Digest.String()))
		claim.Save([]byte(`{"location":"` + origin(reg) + `/v2/models/x/blobs/uploads/1?_state=x","offset":5}`))
		claim.Release(false)
		p := newPush(t, reg, newPushClient(t, reg, Options{Journal: openJournal(dir)}), data)
		p.run(t.Context())
		p.arrived(t, reg, data)
		if leaked := reg.Leaked(); len(leaked) > 0 {
			t.Errorf("%s: leaked: %q", name, leaked)
		}
	}
	if n := len(other.Requests()); n > 0 {
		t.Errorf("%d requests to another host", n)
	}
}
