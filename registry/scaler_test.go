package registry

import (
	"testing"
	"time"
)

// network is a simulated link: what so many connections bring together, in bytes
// a second.
type network func(connections int) float64

// simulate runs a scaler on a link for so long and returns what it wanted at
// each step, and the bytes it moved.
func simulate(link network, trip, d time.Duration, most int) (wanted []int, moved float64) {
	s := newScaler(1, most)
	now := time.Unix(1e9, 0)
	end := now.Add(d)
	s.joined(now, trip)
	const step = 10 * time.Millisecond
	for connections, last := 1, 1; now.Before(end); now = now.Add(step) {
		n := link(connections) * step.Seconds()
		moved += n
		s.observe(now, int64(n))
		if connections = s.wanted; connections > last {
			s.joined(now, trip)
		}
		if connections != last || wanted == nil {
			wanted = append(wanted, connections)
		}
		last = connections
	}
	return wanted, moved
}

// each connection is capped.
func capped(rate float64) network {
	return func(connections int) float64 { return rate * float64(connections) }
}

// shared is one line for all.
func shared(rate float64) network {
	return func(int) float64 { return rate }
}

// upTo is capped connections on a shared line.
func upTo(each, all float64) network {
	return func(connections int) float64 { return min(each*float64(connections), all) }
}

func TestScalerFollowsTheThroughput(t *testing.T) {
	const mb = 1e6
	for name, test := range map[string]struct {
		link network
		most int
		ends int // connections
		peak int
	}{
		"each connection capped":           {capped(100 * mb), 8, 8, 8},
		"slow, each capped":                {capped(mb), 8, 8, 8},
		"one line for all":                 {shared(100 * mb), 8, 1, 2},
		"capped, and a line for four":      {upTo(100*mb, 400*mb), 8, 4, 8},
		"capped, a line for three":         {upTo(100*mb, 300*mb), 8, 4, 8},
		"a small blob":                     {capped(100 * mb), 3, 3, 3},
		"a blob for one connection":        {capped(100 * mb), 1, 1, 1},
		"more connections bring even less": {func(n int) float64 { return 100 * mb / float64(n) }, 8, 1, 2},
	} {
		wanted, _ := simulate(test.link, time.Millisecond, 10*time.Second, test.most)
		if last := wanted[len(wanted)-1]; last != test.ends {
			t.Errorf("%s: ends with %d connections, want %d: %v", name, last, test.ends, wanted)
		}
		for _, n := range wanted {
			if n > test.peak {
				t.Errorf("%s: %d connections, want at most %d: %v", name, n, test.peak, wanted)
			}
		}
	}
}

// TestScalerIsQuick compares with what eight connections from the start bring.
func TestScalerIsQuick(t *testing.T) {
	for trip, least := range map[time.Duration]float64{time.Millisecond: 0.85, 50 * time.Millisecond: 0.85, 200 * time.Millisecond: 0.6} {
		_, moved := simulate(capped(100e6), trip, 10*time.Second, 8)
		if share := moved / (8 * 100e6 * 10); share < least {
			t.Errorf("a trip of %s: %.0f%% of what could be, want %.0f%%", trip, 100*share, 100*least)
		}
	}
}

// TestScalerChangesItsMind is about networks that change: what was right is
// doubted, ever more rarely while that is in vain.
func TestScalerChangesItsMind(t *testing.T) {
	s := newScaler(1, 8)
	now := time.Unix(1e9, 0)
	s.joined(now, time.Millisecond)
	link := shared(100e6)
	run := func(d time.Duration) (probes int) {
		for end, last := now.Add(d), s.wanted; now.Before(end); now = now.Add(10 * time.Millisecond) {
			s.observe(now, int64(link(s.wanted)/100))
			if s.wanted > last {
				probes++
			}
			last = s.wanted
		}
		return probes
	}
	if n := run(time.Minute); n < 2 || n > 4 {
		t.Errorf("probed %d times in the first minute", n)
	}
	run(10 * time.Minute)
	if n := run(10 * time.Minute); n > 4 {
		t.Errorf("probed %d times in ten minutes of the same", n)
	}
	link = capped(100e6)
	run(10 * time.Minute)
	if s.wanted != 8 {
		t.Errorf("%d connections, ten minutes after each became capped", s.wanted)
	}
}

// TestScalerKnowsWhoIsSlow adds nothing when it is not the network that others
// wait for.
func TestScalerKnowsWhoIsSlow(t *testing.T) {
	s := newScaler(1, 8)
	now := time.Unix(1e9, 0)
	s.joined(now, time.Millisecond)
	for range 1000 {
		now = now.Add(10 * time.Millisecond)
		s.hold()
		s.observe(now, 1e6)
		if s.wanted != 1 {
			t.Fatalf("%d connections", s.wanted)
		}
	}
}

func TestScalerLimit(t *testing.T) {
	s := newScaler(1, 8)
	now := time.Unix(1e9, 0)
	s.wanted, s.good = 8, 8
	s.limit(now, 3)
	if s.wanted != 3 {
		t.Errorf("%d connections, want 3", s.wanted)
	}
	s.observe(now.Add(time.Second), 1e9)
	if s.wanted != 3 {
		t.Errorf("%d connections a second after it was limited to 3", s.wanted)
	}
}
