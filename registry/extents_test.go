package registry

import (
	"math/rand/v2"
	"testing"
)

// naive is a set of bytes as an array.
type naive [64]bool

func (n *naive) set(e extent, in bool) {
	for i := e.Start; i < e.End; i++ {
		n[i] = in
	}
}

func (n *naive) extents() (s extents) {
	for i := 0; i < len(n); i++ {
		if !n[i] {
			continue
		}
		start := i
		for i < len(n) && n[i] {
			i++
		}
		s = append(s, extent{int64(start), int64(i)})
	}
	return s
}

// TestExtentsAreASet compares with a set that cannot be wrong.
func TestExtentsAreASet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var want naive
		var got extents
		for range 12 {
			start := random.Int64N(int64(len(want)))
			e := extent{start, start + random.Int64N(int64(len(want))-start+1)}
			in := random.IntN(3) > 0
			want.set(e, in)
			if in {
				got = got.add(e)
			} else {
				got = got.remove(e)
			}
			compareExtents(t, got, &want)
			if t.Failed() {
				t.Fatalf("after %v %v", e, in)
			}
		}
	}
}

func compareExtents(t *testing.T, got extents, want *naive) {
	t.Helper()
	list := want.extents()
	if len(got) != len(list) || got.size() != list.size() || !got.valid(int64(len(want))) {
		t.Fatalf("%v, want %v", got, list)
	}
	for at := range int64(len(want)) {
		reach := at
		for reach < int64(len(want)) && want[reach] {
			reach++
		}
		if got.reach(at) != reach {
			t.Errorf("%v reaches %d from %d, want %d", got, got.reach(at), at, reach)
		}
		end := reach
		for end < int64(len(want)) && !want[end] {
			end++
		}
		if gap := got.gap(at, int64(len(want))); gap != (extent{reach, end}) {
			t.Errorf("gap of %v from %d is %v, want %v", got, at, gap, extent{reach, end})
		}
	}
}

func TestExtentsOfStrangers(t *testing.T) {
	for _, s := range []extents{{{-1, 3}}, {{3, 3}}, {{5, 4}}, {{0, 101}}, {{0, 4}, {4, 8}}, {{5, 9}, {0, 3}}, {{0, 5}, {3, 9}}} {
		if s.valid(100) {
			t.Errorf("%v is taken for a set", s)
		}
	}
}
