package netproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipe is a proxy without a network, in the bubble of a test: time passes when
// all wait for it, and only then.
func pipe(o Options) *Proxy {
	p := &Proxy{options: o}
	p.changed.L = &p.mu
	return p
}

func TestRate(t *testing.T) {
	const size, rate = 100 << 20, 10 << 20
	synctest.Test(t, func(t *testing.T) {
		client, far := net.Pipe()
		var reading sync.WaitGroup
		reading.Go(func() { io.Copy(io.Discard, far) })
		start := time.Now()
		pipe(Options{Rate: rate}).carry(t.Context(), client, client, io.LimitReader(zeros{}, size), true)
		client.Close()
		reading.Wait()
		if took, want := time.Since(start), 10*time.Second-burst; took != want {
			t.Errorf("%d bytes at %d a second took %v, want %v", size, rate, took, want)
		}
	})
}

// TestNoCreditForIdling has a connection that did nothing for an hour.
func TestNoCreditForIdling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pacer{rate: 1000}
		time.Sleep(time.Hour)
		start := time.Now()
		if err := p.wait(t.Context(), 1000); err != nil {
			t.Fatal(err)
		}
		if took, want := time.Since(start), time.Second-burst; took != want {
			t.Errorf("took %v, want %v", took, want)
		}
	})
}

func TestPacerEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		p := pacer{rate: 1}
		if err := p.wait(ctx, 1000); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
}

// TestDelay sends two pieces a second apart: each is late by the delay, and the
// second did not wait for the first.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipe(Options{Delay: time.Minute})
		r, w := io.Pipe()
		start := time.Now()
		p.running.Go(func() {
			for range 2 {
				w.Write([]byte("x"))
				time.Sleep(time.Second)
			}
			w.Close()
		})
		far := p.delayed(t.Context(), r)
		for i := range 2 {
			if _, err := io.ReadFull(far, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			if got, want := time.Since(start), time.Minute+time.Duration(i)*time.Second; got != want {
				t.Errorf("piece %d came after %v, want %v", i, got, want)
			}
		}
		if n, err := far.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("got %d, %v at the end", n, err)
		}
		p.running.Wait()
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
