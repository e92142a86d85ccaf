package storage

import (
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/filelock"
)

const (
	// journalLife is how long an entry is kept that nobody changes. Registries
	// throw unfinished uploads away after about as long.
	journalLife = 7 * 24 * time.Hour

	// maxEntry bounds what is read of an entry.
	maxEntry = 64 << 10
)

// Journal keeps small entries that one process leaves for the next, in a
// directory of its own that only its owner can read. It is best effort: what
// cannot be written or read was never there, and what nobody changed in a week is
// forgotten. An entry has one holder at a time, among all processes.
type Journal struct{ dir string }

// OpenJournal returns the journal in dir, which is made when something is put
// there.
func OpenJournal(dir string) *Journal { return &Journal{dir: dir} }

// Claim gives the caller the entry named key, which is in hexadecimal. It is nil
// if somebody else holds it, or if there can be none.
func (j *Journal) Claim(key string) *JournalEntry {
	path := filepath.Join(j.dir, key)
	if !isKey(key) || os.MkdirAll(j.dir, 0o700) != nil || !isOurs(j.dir) || isElsewhere(path) {
		return nil
	}
	trim(j.dir, journalLife)
	lock, err := filelock.TryAcquire(path, filelock.Exclusive)
	if err != nil {
		return nil
	}
	if lock.File().Chmod(0o600) != nil {
		lock.Release()
		return nil
	}
	return &JournalEntry{lock}
}

// isOurs says whether nobody else can put something into dir: what lies there is
// followed to where it leads.
func isOurs(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	uid, _, known := disk.Owner(info)
	return !known || uid == os.Geteuid() && info.Mode().Perm()&0o077 == 0
}

// isElsewhere says whether path is a link, or something else that is no file.
func isElsewhere(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && !info.Mode().IsRegular()
}

// JournalEntry is an entry of a [Journal] that somebody holds.
type JournalEntry struct{ lock *filelock.Lock }

// Load returns what was saved last, nil if nothing was.
func (e *JournalEntry) Load() []byte {
	data, err := io.ReadAll(io.NewSectionReader(e.lock.File(), 0, maxEntry))
	if err != nil || len(data) == 0 {
		return nil
	}
	return data
}

// Save replaces the entry. A process that dies meanwhile may leave a mixture of
// old and new.
func (e *JournalEntry) Save(data []byte) {
	f := e.lock.File()
	if _, err := f.WriteAt(data, 0); err != nil || f.Truncate(int64(len(data))) != nil {
		f.Truncate(0)
	}
}

// Release lets others have the entry. With forget, nothing is left of it.
func (e *JournalEntry) Release(forget bool) {
	if forget || e.Load() == nil {
		e.lock.Remove()
		return
	}
	e.lock.Release()
}
