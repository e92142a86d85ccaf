package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestLockModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for _, tt := range []struct {
		first, second lockMode
		want          error
	}{
		{shared, shared, nil},
		{shared, exclusive, errLocked},
		{exclusive, shared, errLocked},
		{exclusive, exclusive, errLocked},
	} {
		first, err := tryAcquire(path, tt.first)
		check(t, err)
		second, err := tryAcquire(path, tt.second)
		if !errors.Is(err, tt.want) {
			t.Errorf("exclusive %v, then %v: got %v, want %v", tt.first, tt.second, err, tt.want)
		}
		if err == nil {
			second.release()
		}
		first.release()
	}
}

func TestLockWaitCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := tryAcquire(path, exclusive)
	check(t, err)
	defer held.release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := acquire(ctx.Err, path, shared); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// TestLockRemoved has many who lock a file and remove it: never two at once.
func TestLockRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var inside, most, total atomic.Int32
	visit := func() {
		lock, err := acquire(never, path, exclusive)
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
		if err := lock.remove(); err != nil {
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
	if _, err := os.Stat(path); !isNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

// TestRemovedLockIsNone locks a file that somebody removed after it was opened.
func TestRemovedLockIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := openLock(path)
	check(t, err)
	defer f.Close()
	if !sameFile(f, path) {
		t.Error("the file is not taken for itself")
	}
	check(t, os.Remove(path))
	if sameFile(f, path) {
		t.Error("a file that is gone is taken for the lock")
	}
	other, err := tryAcquire(path, exclusive)
	check(t, err)
	defer other.release()
	if sameFile(f, path) {
		t.Error("a file that is gone is taken for the new one")
	}
}

// TestBeginWaitsForGC must not show a session's file before it is locked.
func TestBeginWaitsForGC(t *testing.T) {
	s := newSession(t).store
	before, err := s.names(sessionsDir)
	check(t, err)
	gc, err := s.lock(never, exclusive)
	check(t, err)
	ctx := &watched{Context: t.Context(), looked: make(chan struct{})}
	done := make(chan error)
	go func() {
		session, err := s.Begin(ctx)
		if err == nil {
			err = session.Close()
		}
		done <- err
	}()
	select {
	case <-ctx.looked:
	case err := <-done:
		t.Fatalf("Begin did not wait: %v", err)
	}
	if during, err := s.names(sessionsDir); len(during) != len(before) || err != nil {
		t.Errorf("sessions during GC: %q, %v, before it: %q", during, err, before)
	}
	gc.release()
	check(t, <-done)
}

// TestRelyWaitsForGC must not return before the digest is recorded, which it
// cannot be during GC.
func TestRelyWaitsForGC(t *testing.T) {
	s := newSession(t).store
	ctx, cancel := context.WithCancel(t.Context())
	session, err := s.Begin(ctx)
	check(t, err)
	defer session.Close()
	gc, err := s.lock(never, exclusive)
	check(t, err)
	defer gc.release()
	cancel()
	if err := session.Rely(digest.FromString("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if info, err := session.file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
}

// watched is a context that tells when somebody first asks whether it is done,
// as those do who wait.
type watched struct {
	context.Context
	once   sync.Once
	looked chan struct{}
}

func (w *watched) Err() error {
	w.once.Do(func() { close(w.looked) })
	return w.Context.Err()
}
