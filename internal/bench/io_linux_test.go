package main

import (
	"io"
	"path/filepath"
	"testing"
)

// TestTrafficCounts has a shell that leaves the work to a child.
func TestTrafficCounts(t *testing.T) {
	const size, slack = 8 << 20, 1 << 20 // programs read themselves and their libraries
	b := newBench(t)
	shard := filepath.Join(b.dir, "shard")
	if err := b.writeFile(t.Context(), shard, io.LimitReader(random(), size)); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(b.dir, "out")
	for script, want := range map[string]traffic{
		`true`:                        {},
		`cat "$1" > /dev/null; true`:  {size, size},
		`wc "$1"; true`:               {size, 0},
		`wc -c "$1"; true`:            {},
		`head -c 1M "$1" > "$2"`:      {1 << 20, 1 << 20},
		`cat "$1" "$1" > "$2"; true`:  {2 * size, 2 * size},
		`cp "$1" "$2"; wc "$1"; true`: {2 * size, size},
	} {
		u, err := b.timed(t.Context(), side{commands: [][]string{shell(script, shard, out)}})
		if err != nil {
			t.Fatal(err)
		}
		if u.traffic == (traffic{}) {
			t.Skip("SKIPPED: this kernel does not count")
		}
		if got := u.traffic; got.read < want.read || got.read > want.read+slack || got.written < want.written || got.written > want.written+slack {
			t.Errorf("%s: got %+v, want %+v", script, got, want)
		}
	}
}

func TestParseTraffic(t *testing.T) {
	got := parseTraffic("rchar: 6976\nwchar: 12\nsyscr: 10\nsyscw: 0\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n")
	if want := (traffic{read: 6976, written: 12}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
