package storage_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/tareml/tare/storage"
)

func TestJournalKeepsEntries(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "journal")
	first := storage.OpenJournal(dir).Claim("abcdef")
	if first == nil || first.Load() != nil {
		t.Fatal("a new entry is not there, or not empty")
	}
	first.Save([]byte("a longer value"))
	first.Save([]byte("short"))
	first.Release(false)

	second := storage.OpenJournal(dir).Claim("abcdef")
	if second == nil || string(second.Load()) != "short" {
		t.Fatalf("%q was kept", second.Load())
	}
	second.Release(true)
	if third := storage.OpenJournal(dir).Claim("abcdef"); third == nil || third.Load() != nil {
		t.Error("a forgotten entry is there")
	} else {
		third.Release(false)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "abc*")); len(left) > 0 {
		t.Errorf("%v is left of an entry that is empty", left)
	}
}

// closedDir is a directory for its owner alone.
func closedDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestJournalHasOneHolder(t *testing.T) {
	dir := closedDir(t)
	entry := storage.OpenJournal(dir).Claim("abcdef")
	entry.Save([]byte("x"))
	if storage.OpenJournal(dir).Claim("abcdef") != nil {
		t.Error("an entry has two holders")
	}
	if other := storage.OpenJournal(dir).Claim("fedcba"); other == nil {
		t.Error("one entry keeps another one away")
	} else {
		other.Release(true)
	}
	entry.Release(false)
	if again := storage.OpenJournal(dir).Claim("abcdef"); again == nil {
		t.Error("an entry that was given back cannot be had")
	} else {
		again.Release(true)
	}
}

func TestJournalIsForItsOwnerAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such modes")
	}
	dir := filepath.Join(t.TempDir(), "journal")
	entry := storage.OpenJournal(dir).Claim("abcdef")
	entry.Save([]byte("secret"))
	entry.Release(false)
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "abcdef"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v (%v), want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func TestJournalOfOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such modes")
	}
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	closed := t.TempDir()
	if err := errors.Join(os.Chmod(closed, 0o700), os.Symlink(closed, link)); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"a directory that others may write to": open, "a link to one": link} {
		if storage.OpenJournal(dir).Claim("abcdef") != nil {
			t.Errorf("an entry in %s", name)
		}
	}

	victim := filepath.Join(t.TempDir(), "victim")
	if err := errors.Join(os.WriteFile(victim, []byte("mine"), 0o644), os.Symlink(victim, filepath.Join(closed, "abcdef"))); err != nil {
		t.Fatal(err)
	}
	if storage.OpenJournal(closed).Claim("abcdef") != nil {
		t.Error("an entry that is a link")
	}
	if info, err := os.Stat(victim); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("what the link leads to has mode %v (%v)", info.Mode(), err)
	}
}

func TestJournalForgets(t *testing.T) {
	dir := closedDir(t)
	write := func(name string, age time.Duration) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old, recent := write("aaaaaa", 8*24*time.Hour), write("bbbbbb", 6*24*time.Hour)
	storage.OpenJournal(dir).Claim("cccccc").Release(true)
	if _, err := os.Stat(old); err == nil {
		t.Error("an entry of last week is there")
	}
	if _, err := os.Stat(recent); err != nil {
		t.Errorf("a recent entry is gone: %v", err)
	}
}

func TestJournalWithoutAPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if storage.OpenJournal(filepath.Join(file, "journal")).Claim("abcdef") != nil {
		t.Error("an entry below a file")
	}
	for _, key := range []string{"", "ab", "../abc", "ABC", "abc.d"} {
		if storage.OpenJournal(closedDir(t)).Claim(key) != nil {
			t.Errorf("an entry named %q", key)
		}
	}
}
