package registry

import "time"

const (
	// measureFor is how long a rate is measured, at the least: long enough for
	// the noise of a fast network.
	measureFor = 250 * time.Millisecond
	// measureTrips is the same in terms of the time that a connection takes to
	// bring its first byte: new ones have to find their speed.
	measureTrips = 5
	maxMeasure   = 3 * time.Second

	// worthwhile is by how much more connections have to be faster.
	worthwhile = 1.1

	// probeAgain is when a number of connections that was found to be the right
	// one is put in doubt for the first time.
	probeAgain = 15 * time.Second
)

// scaler finds out how many connections a transfer is worth. It starts with few,
// doubles their number, and looks whether that was any good: if it was it goes on,
// if not it goes back, and tries again later.
type scaler struct {
	wanted int // connections
	good   int // of which this many are known to help
	rate   float64

	first time.Duration // the longest that a first byte took
	since time.Time     // of the measurement; zero if there is none
	bytes int64
	quiet int       // how often in a row probing was in vain
	doubt time.Time // when to probe again, zero if we are at it
	held  bool      // something else than the network was too slow
	most  int       // connections, at most
}

func newScaler(start, most int) scaler {
	start = min(start, most)
	return scaler{wanted: start, good: start, most: most}
}

// joined says that a connection brought its first byte after some time, and that
// what is measured from now on is with it.
func (s *scaler) joined(now time.Time, after time.Duration) {
	s.first = max(s.first, after)
	s.restart(now)
}

// hold says that bytes had to wait for something else than the network.
func (s *scaler) hold() { s.held = true }

// observe counts n more bytes, and changes wanted when it is time to.
func (s *scaler) observe(now time.Time, n int64) {
	s.bytes += n
	elapsed := now.Sub(s.since)
	switch {
	case !s.doubt.IsZero():
		if now.After(s.doubt) {
			s.doubt = time.Time{}
			s.restart(now)
		}
	case elapsed >= s.period():
		s.decide(now, float64(s.bytes)/elapsed.Seconds())
	}
}

// period is how long to measure.
func (s *scaler) period() time.Duration {
	return min(max(measureFor, measureTrips*s.first), maxMeasure)
}

// decide compares what was measured with what was known.
func (s *scaler) decide(now time.Time, rate float64) {
	grown := s.wanted > s.good
	switch {
	case grown && rate < worthwhile*s.rate:
		s.wanted = s.good
		s.settle(now)
		return
	case grown:
		s.quiet = 0
	}
	s.good, s.rate = s.wanted, rate
	if s.held || s.wanted >= s.most {
		s.settle(now)
		return
	}
	s.wanted = min(2*s.wanted, s.most)
	s.restart(now)
}

// settle is content for now.
func (s *scaler) settle(now time.Time) {
	s.doubt = now.Add(probeAgain << min(s.quiet, 4))
	s.quiet++
}

// limit lowers the number of connections, for a reason of its own.
func (s *scaler) limit(now time.Time, most int) {
	if s.wanted > most {
		s.wanted, s.good = most, most
		s.settle(now)
	}
}

func (s *scaler) restart(now time.Time) { s.since, s.bytes, s.held = now, 0, false }
