package storage_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReserve(t *testing.T) {
	s := open(t, t.TempDir())
	session := begin(t, s)
	for _, bytes := range []int64{-1, 0, 1} {
		if err := session.Reserve(bytes); err != nil {
			t.Errorf("%d bytes: %v", bytes, err)
		}
	}
	err := session.Reserve(math.MaxInt64)
	if err == nil || !strings.Contains(err.Error(), s.Dir()) || !strings.Contains(err.Error(), "8589934592.0 GiB needed") || hint(err) == "" {
		t.Errorf("got %v, want an error with a hint, the directory and the size", err)
	}
	if os.PathSeparator == '/' && !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want %v", err, syscall.ENOSPC)
	}
}

// TestCanCloneLeavesNothing looks without a trace.
func TestCanCloneLeavesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	session := begin(t, s)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	defer file.Close()
	session.CanClone(file)
	for _, name := range files(t, s.Dir()) {
		if strings.HasPrefix(name, ".tare/tmp/") {
			t.Errorf("left behind: %s", name)
		}
	}
	must(t, session.Close())
	if session.CanClone(file) {
		t.Error("a closed session can clone")
	}
}
