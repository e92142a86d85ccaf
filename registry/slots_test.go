package registry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots()
		for range maxConnections {
			if err := s.acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if s.tryAcquire() {
			t.Error("one slot too many")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want to wait for a slot", err)
		}
		got := make(chan error, 1)
		go func() { got <- s.acquire(t.Context()) }()
		synctest.Wait()
		s.release()
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
}

func TestSlotsShrinkAndGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		s := newSlots()
		s.shrink() // somebody else's complaint: nothing is being downloaded
		if s.most != maxConnections {
			t.Errorf("%d slots", s.most)
		}
		for range 8 {
			s.tryAcquire()
		}
		for range 5 {
			s.shrink() // of the same moment: one complaint
		}
		if s.most != 4 || !s.over() || s.tryAcquire() {
			t.Errorf("%d slots, want half of the 8 that were in use", s.most)
		}
		for range 4 {
			s.release()
		}
		if s.over() || s.tryAcquire() {
			t.Error("4 of 4 slots are in use")
		}
		for range 10 {
			time.Sleep(shrinkEvery + 1)
			s.shrink()
		}
		if s.most != 1 {
			t.Errorf("%d slots after many complaints, want 1", s.most)
		}
		s.used = 0
		for want := 2; want <= maxConnections; want++ {
			time.Sleep(growEvery + 1)
			s.tryAcquire()
			if s.most != want {
				t.Errorf("%d slots after a while, want %d", s.most, want)
			}
		}
	})
}
