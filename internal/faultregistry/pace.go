package faultregistry

import (
	"sync"
	"time"
)

// catchUp is how much time a limiter lets a sender make up for that slept too
// long.
const catchUp = 10 * time.Millisecond

// limiter holds what passes down to a rate.
type limiter struct {
	rate int64 // bytes a second

	mu   sync.Mutex
	next time.Time // when all that was let pass may have passed
}

// pass returns how long n bytes have to wait.
func (l *limiter) pass(n int64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if earliest := now.Add(-catchUp); l.next.Before(earliest) {
		l.next = earliest
	}
	l.next = l.next.Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
	return l.next.Sub(now)
}

// rest waits for d, or until nobody waits for the answer any more.
func (x *exchange) rest(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.overtaken:
	case <-x.req.Context().Done():
	case <-x.reg.ends:
	}
	return false
}

// await waits for ready, or until nobody waits for the answer any more.
func (x *exchange) await(ready <-chan struct{}) bool {
	select {
	case <-ready:
		return true
	case <-x.overtaken:
	case <-x.unread():
	case <-x.req.Context().Done():
	case <-x.reg.ends:
	}
	return false
}

// unread is closed when all are to be done. Only a request whose body was not
// read to its end has to be told: it does not see its client go away.
func (x *exchange) unread() <-chan struct{} {
	if x.body == nil || x.body.ended {
		return nil
	}
	return x.reg.idle.raised()
}

// signal is a state that can be waited for.
type signal struct {
	mu sync.Mutex
	c  chan struct{}
}

func newSignal() *signal { return &signal{c: make(chan struct{})} }

func (s *signal) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.c:
	default:
		close(s.c)
	}
}

func (s *signal) lower() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.c = make(chan struct{})
}

func (s *signal) raised() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c
}
