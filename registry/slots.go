package registry

import (
	"context"
	"sync"
	"time"
)

const (
	// maxConnections is how many connections the downloads of a client have
	// together, and maxPerBlob how many one of them may have.
	maxConnections = 16
	maxPerBlob     = 8

	// shrinkEvery is for how long several complaints count as one, and growEvery
	// how long there must be none before one connection more is tried.
	shrinkEvery = time.Second
	growEvery   = 5 * time.Second
)

// slots are the connections that may be busy at the same time. They become fewer
// when a registry says that it has too much to do, and more again after a while.
type slots struct {
	mu      sync.Mutex
	most    int
	used    int
	changed time.Time     // when most last did
	freed   chan struct{} // closed when a slot may be free, and replaced
}

func newSlots() *slots { return &slots{most: maxConnections, freed: make(chan struct{})} }

// acquire waits for a slot.
func (s *slots) acquire(ctx context.Context) error {
	for {
		s.mu.Lock()
		ok, freed := s.take(), s.freed
		s.mu.Unlock()
		if ok {
			return nil
		}
		timer := time.NewTimer(growEvery)
		select {
		case <-freed:
		case <-timer.C: // there may be one more
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// tryAcquire takes a slot if there is one to spare.
func (s *slots) tryAcquire() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take()
}

func (s *slots) take() bool {
	if s.most < maxConnections && time.Since(s.changed) > growEvery {
		s.most++
		s.changed = time.Now()
	}
	if s.used >= s.most {
		return false
	}
	s.used++
	return true
}

// release gives a slot back.
func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used--
	close(s.freed)
	s.freed = make(chan struct{})
}

// shrink leaves half of the slots that are in use. Those who have one too many find out by
// [slots.over].
func (s *slots) shrink() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used < 2 || time.Since(s.changed) < shrinkEvery {
		return
	}
	s.most = max(1, min(s.most, s.used)/2)
	s.changed = time.Now()
}

// over says whether more slots are taken than there should be.
func (s *slots) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used > s.most
}
