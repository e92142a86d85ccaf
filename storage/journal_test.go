package storage_test

import (
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

func TestJournalHasOneHolder(t *testing.T) {
	dir := t.TempDir()
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

func TestJournalForgets(t *testing.T) {
	dir := t.TempDir()
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
		if storage.OpenJournal(t.TempDir()).Claim(key) != nil {
			t.Errorf("an entry named %q", key)
		}
	}
}
