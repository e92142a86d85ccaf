package storage

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/filelock"
)

// TestBeginWaitsForGC must not show a session's file before it is locked.
func TestBeginWaitsForGC(t *testing.T) {
	s := newSession(t).store
	before, err := s.names(sessionsDir)
	check(t, err)
	gc, err := s.lock(never, filelock.Exclusive)
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
	gc.Release()
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
	gc, err := s.lock(never, filelock.Exclusive)
	check(t, err)
	defer gc.Release()
	cancel()
	if err := session.Rely(digest.FromString("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if info, err := session.file.File().Stat(); err != nil || info.Size() != 0 {
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
