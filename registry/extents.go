package registry

import (
	"cmp"
	"slices"
)

// extent is the bytes from Start up to, and without, End.
type extent struct{ Start, End int64 }

func (e extent) size() int64 { return e.End - e.Start }

// extents is a set of bytes: extents in order that neither overlap nor touch.
// Its methods return the changed set, as append does.
type extents []extent

// add puts the bytes of e into the set.
func (s extents) add(e extent) extents {
	if e.size() <= 0 {
		return s
	}
	first := s.search(e.Start) // the first that may touch e
	last := first
	for last < len(s) && s[last].Start <= e.End {
		e.Start, e.End = min(e.Start, s[last].Start), max(e.End, s[last].End)
		last++
	}
	return slices.Replace(s, first, last, e)
}

// remove takes the bytes of e out of the set.
func (s extents) remove(e extent) extents {
	if e.size() <= 0 {
		return s
	}
	var rest extents
	for _, have := range s {
		if left := (extent{have.Start, min(have.End, e.Start)}); left.size() > 0 {
			rest = append(rest, left)
		}
		if right := (extent{max(have.Start, e.End), have.End}); right.size() > 0 {
			rest = append(rest, right)
		}
	}
	return rest
}

// reach is how far one can go from at without leaving the set: at itself if it
// is not in there.
func (s extents) reach(at int64) int64 {
	if i := s.search(at); i < len(s) && s[i].Start <= at {
		return s[i].End
	}
	return at
}

// gap is the first run of bytes from at on, and below end, that are not in the
// set; empty if there is none.
func (s extents) gap(at, end int64) extent {
	at = s.reach(at)
	if i := s.search(at + 1); i < len(s) { // one that ends at at is behind us
		end = min(end, s[i].Start)
	}
	return extent{at, max(at, end)}
}

// size is the number of bytes in the set.
func (s extents) size() (n int64) {
	for _, e := range s {
		n += e.size()
	}
	return n
}

// valid says whether s is a set of bytes below end.
func (s extents) valid(end int64) bool {
	last := int64(-1)
	for _, e := range s {
		if e.Start <= last || e.size() <= 0 || e.End > end {
			return false
		}
		last = e.End
	}
	return true
}

// search finds the first extent that ends at or behind at.
func (s extents) search(at int64) int {
	i, _ := slices.BinarySearchFunc(s, at, func(e extent, at int64) int { return cmp.Compare(e.End, at) })
	return i
}
