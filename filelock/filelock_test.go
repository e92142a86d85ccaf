package filelock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for _, tt := range []struct {
		first, second Mode
		want          error
	}{
		{Shared, Shared, nil},
		{Shared, Exclusive, ErrLocked},
		{Exclusive, Shared, ErrLocked},
		{Exclusive, Exclusive, ErrLocked},
	} {
		first, err := TryAcquire(path, tt.first)
		check(t, err)
		second, err := TryAcquire(path, tt.second)
		if !errors.Is(err, tt.want) {
			t.Errorf("exclusive %v, then %v: got %v, want %v", tt.first, tt.second, err, tt.want)
		}
		if err == nil {
			second.Release()
		}
		first.Release()
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWaitCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := TryAcquire(path, Exclusive)
	check(t, err)
	defer held.Release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Acquire(ctx.Err, path, Shared); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// TestRemoved has many who lock a file and remove it: never two at once.
func TestRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var inside, most, total atomic.Int32
	visit := func() {
		lock, err := Acquire(t.Context().Err, path, Exclusive)
		if err != nil {
			t.Error(err)
			return
		}
		most.Store(max(most.Load(), inside.Add(1)))
		for range 20 {
			os.Stat(path) // gives others the time to open the file
		}
		total.Add(inside.Load())
		inside.Add(-1)
		if err := lock.Remove(); err != nil {
			t.Error(err)
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				visit()
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 || total.Load() != 8*50 {
		t.Errorf("up to %d had the lock at once", most.Load())
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

// TestRemovedLockIsNone locks a file that somebody removed after it was opened.
func TestRemovedLockIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := open(path)
	check(t, err)
	defer f.Close()
	if !sameFile(f, path) {
		t.Error("the file is not taken for itself")
	}
	check(t, os.Remove(path))
	if sameFile(f, path) {
		t.Error("a file that is gone is taken for the lock")
	}
	other, err := TryAcquire(path, Exclusive)
	check(t, err)
	defer other.Release()
	if sameFile(f, path) {
		t.Error("a file that is gone is taken for the new one")
	}
}

// TestFileKeepsItsContent has a file that says something to those who come after
// its lock.
func TestFileKeepsItsContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := TryAcquire(path, Exclusive)
	check(t, err)
	_, err = lock.File().WriteString("said")
	check(t, err)
	lock.Release()
	lock, err = TryAcquire(path, Shared)
	check(t, err)
	defer lock.Release()
	if data, err := os.ReadFile(path); string(data) != "said" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestMissingDirectory(t *testing.T) {
	if _, err := TryAcquire(filepath.Join(t.TempDir(), "missing", "lock"), Exclusive); !os.IsNotExist(err) {
		t.Errorf("got %v, want that the directory is missing", err)
	}
}
