package storage

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/filelock"
)

// machine is a machine that can be restarted, with a disk that counts how often
// somebody waits for it.
type machine struct {
	id    string
	boot  string
	syncs int
	err   error // of the disk
}

// open opens the store in dir on m, in a process of its own as it were.
func (m *machine) open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	check(t, err)
	s.host = host{id: disk.JoinID(m.id, m.boot), sync: func(string, []string) error {
		m.syncs++
		return m.err
	}}
	return s
}

func (m *machine) begin(t *testing.T, dir string) *Session {
	t.Helper()
	session, err := m.open(t, dir).Begin(t.Context())
	check(t, err)
	t.Cleanup(func() { session.Close() })
	return session
}

// bring brings data in through Ingest or Receive.
func bring(t *testing.T, session *Session, data string, receive bool) ocispec.Descriptor {
	t.Helper()
	desc := ocispec.Descriptor{Digest: digest.FromString(data), Size: int64(len(data))}
	if receive {
		_, err := session.Receive(t.Context(), desc, fillWith(desc, data))
		check(t, err)
		return desc
	}
	_, _, err := session.Ingest(t.Context(), strings.NewReader(data))
	check(t, err)
	return desc
}

// entries lists the records and their entries, with slashes, the names of
// sessions left out.
func entries(t *testing.T, s *Store) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.path(unsyncedDir), "*", "*"))
	check(t, err)
	for i, path := range found {
		dir, name := filepath.Split(path)
		found[i] = strings.TrimPrefix(filepath.Ext(filepath.Clean(dir)), ".") + "/" + name
	}
	return found
}

// age makes all records look as if nothing was added for a while.
func age(t *testing.T, s *Store) {
	t.Helper()
	records, err := filepath.Glob(filepath.Join(s.path(unsyncedDir), "*"))
	check(t, err)
	for _, record := range records {
		old := time.Now().Add(-2 * settled)
		check(t, os.Chtimes(record, old, old))
	}
}

// writeBlob gives a blob other content, behind the store's back.
func writeBlob(t *testing.T, s *Store, d digest.Digest, content []byte) {
	t.Helper()
	path, err := s.blobPath(d)
	check(t, err)
	check(t, os.WriteFile(path, content, 0o644))
}

// TestBootRule has a blob that was published before the machine went down, and
// what it may find on disk when it is up again.
func TestBootRule(t *testing.T) {
	const data = "what was written"
	before := machine{id: "m", boot: "1"}
	for name, tt := range map[string]struct {
		now     machine
		found   string
		present bool
		hashed  bool // if not, damage goes unnoticed
	}{
		"same boot":              {before, data, true, false},
		"same boot, zeroed":      {before, strings.Repeat("\x00", len(data)), true, false},
		"rebooted, intact":       {machine{id: "m", boot: "2"}, data, true, true},
		"rebooted, zeroed":       {machine{id: "m", boot: "2"}, strings.Repeat("\x00", len(data)), false, true},
		"rebooted, truncated":    {machine{id: "m", boot: "2"}, data[:4], false, true},
		"rebooted, empty":        {machine{id: "m", boot: "2"}, "", false, true},
		"other machine, intact":  {machine{id: "n", boot: "1"}, data, true, true},
		"other machine, zeroed":  {machine{id: "n", boot: "1"}, strings.Repeat("\x00", len(data)), false, true},
		"unknown boot, zeroed":   {machine{id: "m"}, strings.Repeat("\x00", len(data)), false, true},
		"unknown boot, the same": {machine{id: "m"}, data, true, true},
	} {
		for way, receive := range map[string]bool{"ingest": false, "receive": true} {
			t.Run(name+", "+way, func(t *testing.T) {
				dir := t.TempDir()
				session := before.begin(t, dir)
				desc := bring(t, session, data, receive)
				check(t, session.Close())
				writeBlob(t, session.store, desc.Digest, []byte(tt.found))

				now := tt.now.begin(t, dir)
				if present, err := now.Has(desc); present != tt.present || err != nil {
					t.Errorf("Has: got %v, %v, want %v", present, err, tt.present)
				}
				if left := entries(t, now.store); tt.hashed && tt.present && len(left) != 0 {
					t.Errorf("still on record: %q", left)
				}
				bring(t, now, data, true)
				if tt.hashed {
					checkReadable(t, now.store, desc)
				}
			})
		}
	}
}

func checkReadable(t *testing.T, s *Store, desc ocispec.Descriptor) {
	t.Helper()
	if _, err := s.ReadAll(desc); err != nil {
		t.Error(err)
	}
	src, err := s.Open(desc)
	check(t, err)
	check(t, src.Close())
}

// TestBootRuleHashesOnce damages a blob after it was hashed: nobody looks again.
func TestBootRuleHashesOnce(t *testing.T) {
	for name, look := range map[string]func(t *testing.T, s *Store, desc ocispec.Descriptor){
		"open": func(t *testing.T, s *Store, desc ocispec.Descriptor) {
			src, err := s.Open(desc)
			check(t, err)
			defer src.Close()
			var read bytes.Buffer
			if _, err := read.ReadFrom(src.(*source)); err != nil || int64(read.Len()) != desc.Size {
				t.Errorf("as a stream: %d bytes, %v, want all %d", read.Len(), err, desc.Size)
			}
		},
		"read all": func(t *testing.T, s *Store, desc ocispec.Descriptor) {
			_, err := s.ReadAll(desc)
			check(t, err)
		},
		"verify": func(t *testing.T, s *Store, desc ocispec.Descriptor) {
			_, err := s.Verify(t.Context(), nil, VerifyOptions{})
			check(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			m := machine{id: "m", boot: "1"}
			session := m.begin(t, dir)
			desc := bring(t, session, "data", false)
			other := bring(t, session, "other", false)
			check(t, session.Close())
			m.boot = "2"
			s := m.open(t, dir)
			look(t, s, desc)
			writeBlob(t, s, desc.Digest, []byte("dada"))
			src, err := s.Open(desc)
			check(t, err)
			check(t, src.Close())
			checkReadable(t, s, other)
			if left := entries(t, s); len(left) != 0 {
				t.Errorf("still on record: %q", left)
			}
		})
	}
}

// TestOpenHashesUntrusted is what a push relies on.
func TestOpenHashesUntrusted(t *testing.T) {
	dir := t.TempDir()
	m := machine{id: "m", boot: "1"}
	desc := bring(t, m.begin(t, dir), "data", false)
	m.boot = "2"
	s := m.open(t, dir)
	writeBlob(t, s, desc.Digest, []byte("dada"))
	_, err := s.Open(desc)
	var hinted *hintError
	if !errors.Is(err, blob.ErrMismatch) || !errors.As(err, &hinted) {
		t.Errorf("got %v, want %v with a hint", err, blob.ErrMismatch)
	}
	if _, err := s.Open(desc); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("again: got %v, want %v", err, blob.ErrNotFound)
	}
}

// TestRecordComesFirst cannot give a blob its name, and has it on record already.
func TestRecordComesFirst(t *testing.T) {
	session := newSession(t)
	s := session.store
	desc := ocispec.Descriptor{Digest: digest.FromString("data"), Size: 4}
	temp, err := session.createTemp()
	check(t, err)
	check(t, temp.Close())
	path, err := s.blobPath(desc.Digest)
	check(t, err)
	check(t, os.Mkdir(path, 0o755)) // keeps the blob from getting its name
	if err := session.publish(temp.Name(), desc.Digest, 0); err == nil {
		t.Fatal("published in the place of a directory")
	}
	if got := entries(t, s); len(got) != 1 || got[0] != s.host.id+"/"+fileName(desc.Digest) {
		t.Errorf("on record: %q", got)
	}
}

func TestSettle(t *testing.T) {
	dir := t.TempDir()
	m := &machine{id: "m", boot: "1"}
	m.begin(t, dir)
	if m.syncs != 0 {
		t.Error("waited for the disk without need")
	}
	dead := m.begin(t, dir)
	desc := bring(t, dead, "dead", false)
	live := m.begin(t, dir)
	bring(t, live, "live", false)
	killed := m.begin(t, dir)
	bring(t, killed, "killed", false)
	killed.file.Release() // as the end of a process does
	killed.file = nil
	check(t, dead.Close())

	m.begin(t, dir)
	if m.syncs != 0 || len(entries(t, dead.store)) != 3 {
		t.Errorf("%d syncs, on record: %q: what was just written can wait", m.syncs, entries(t, dead.store))
	}
	age(t, dead.store)
	m.begin(t, dir)
	if got := entries(t, dead.store); m.syncs != 1 || len(got) != 1 || !strings.HasSuffix(got[0], digest.FromString("live").Encoded()) {
		t.Errorf("%d syncs, on record: %q, want 1 and the live session's", m.syncs, got)
	}
	names, err := dead.store.names(unsyncedDir)
	if len(names) != 1 || err != nil {
		t.Errorf("records: %q, %v, want 1", names, err)
	}
	m.boot = "2"
	s := m.open(t, dir)
	writeBlob(t, s, desc.Digest, []byte("DEAD"))
	if src, err := s.Open(desc); err != nil { // it was settled, so it is trusted
		t.Error(err)
	} else {
		src.Close()
	}
	m.begin(t, dir)
	if m.syncs != 1 {
		t.Error("waited for the disk because of another boot")
	}
}

// TestSettleFails has a disk that could not write all of it.
func TestSettleFails(t *testing.T) {
	dir := t.TempDir()
	m := &machine{id: "m", boot: "1"}
	session := m.begin(t, dir)
	desc := bring(t, session, "data", false)
	check(t, session.Close())
	writeBlob(t, session.store, desc.Digest, []byte("\x00\x00\x00\x00"))
	age(t, session.store)
	m.err = errors.New("input/output error")
	session = m.begin(t, dir)
	if present, err := session.Has(desc); present || err != nil {
		t.Errorf("Has: got %v, %v, want that it was noticed", present, err)
	}
}

func TestSync(t *testing.T) {
	dir := t.TempDir()
	m := &machine{id: "m", boot: "1"}
	session := m.begin(t, dir)
	bring(t, session, "one", false)
	check(t, session.Sync(t.Context()))
	if got := entries(t, session.store); m.syncs != 1 || len(got) != 0 {
		t.Errorf("%d syncs, on record: %q, want 1 and nothing", m.syncs, got)
	}
	desc := bring(t, session, "two", true)
	if got := entries(t, session.store); len(got) != 1 {
		t.Errorf("on record: %q, want what came after", got)
	}
	m.err = errors.New("input/output error")
	if err := session.Sync(t.Context()); !errors.Is(err, m.err) {
		t.Errorf("got %v, want %v", err, m.err)
	}
	if got := entries(t, session.store); len(got) != 1 || !strings.HasPrefix(got[0], lostHost+"/") {
		t.Errorf("on record: %q, want that it is not trusted", got)
	}
	if present, err := session.Has(desc); !present || err != nil { // hashed, and good
		t.Errorf("Has: got %v, %v", present, err)
	}
	check(t, session.Close())
	if err := session.Sync(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("closed: got %v, want %v", err, errClosed)
	}
}

// TestSyncFiles goes to the real disk.
func TestSyncFiles(t *testing.T) {
	session := newSession(t)
	bring(t, session, "data", false)
	check(t, session.Rely(digest.FromString("not there")))
	check(t, session.Sync(t.Context()))
	if got := entries(t, session.store); len(got) != 0 {
		t.Errorf("on record: %q", got)
	}
	if err := syncFiles(filepath.Join(t.TempDir(), "missing"), nil); err != nil && !isNotExist(err) {
		t.Error(err)
	}
}

// TestUnknownHostSyncsFirst has no boot ID, and so no records.
func TestUnknownHostSyncsFirst(t *testing.T) {
	m := &machine{id: "m"}
	session := m.begin(t, t.TempDir())
	desc := bring(t, session, "data", false)
	if got := entries(t, session.store); len(got) != 0 {
		t.Errorf("on record: %q", got)
	}
	checkReadable(t, session.store, desc)
}

// TestGCRespectsRecords keeps what is on record of blobs that stay, and drops
// what is of blobs that go.
func TestGCRespectsRecords(t *testing.T) {
	dir := t.TempDir()
	m := machine{id: "m", boot: "1"}
	session := m.begin(t, dir)
	kept := bring(t, session, `{"kept":1}`, false)
	check(t, session.Tag("kept", kept))
	bring(t, session, "lost", false)
	check(t, session.Close())
	m.boot = "2"
	s := m.open(t, dir)
	_, err := s.GC(t.Context(), true)
	check(t, err)
	if got := entries(t, s); len(got) != 2 {
		t.Errorf("after a dry run: %q", got)
	}
	freed, err := s.GC(t.Context(), false)
	check(t, err)
	if got := entries(t, s); freed.Blobs != 1 || freed.Leftovers != 0 || len(got) != 1 || !strings.HasSuffix(got[0], kept.Digest.Encoded()) {
		t.Errorf("freed %v, on record: %q", freed, got)
	}
	check(t, s.Untag("kept"))
	_, err = s.GC(t.Context(), false)
	check(t, err)
	if names, err := s.names(unsyncedDir); len(names) != 0 || err != nil {
		t.Errorf("records: %q, %v", names, err)
	}
}

// TestPublishWaitsForSetAside must not give a blob its name while somebody
// decides whether the file of that name is a bad one.
func TestPublishWaitsForSetAside(t *testing.T) {
	session := newSession(t)
	check(t, session.Rely(digest.FromString("data")))
	lock, err := session.store.lock(never, filelock.Exclusive)
	check(t, err)
	done := make(chan ocispec.Descriptor)
	waiting := &watched{Context: t.Context(), looked: make(chan struct{})}
	session.stop = waiting.Err
	go func() { done <- bring(t, session, "data", false) }()
	<-waiting.looked
	if session.store.mayHave(digest.FromString("data")) {
		t.Error("it did not wait")
	}
	lock.Release()
	checkReadable(t, session.store, <-done)
}
