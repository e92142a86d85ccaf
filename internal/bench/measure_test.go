//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fake is a tare that knows help, and notes what it is run with.
const fake = `#!/bin/sh
case "$*" in
--help) printf 'Usage: it does not verify\n\n  build  Package\n' ;;
"build --help") printf 'Flags:\n  -c, --concurrency int\n      --raw\n      --flat   not --durable\n' ;;
*) echo "$* $HOME" >> "$0.log" ;;
esac
`

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{dir: dir, progress: io.Discard, config: config{tare: filepath.Join(dir, "tare"), size: 1 << 20, shards: 2, runs: 3}}
	if err := os.WriteFile(b.tare, []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHas(t *testing.T) {
	b := newBench(t)
	for needs, want := range map[string]bool{
		"":                    true,
		"build":               true,
		"verify":              false,
		"build --raw":         true,
		"build --concurrency": true,
		"build --durable":     false,
	} {
		if got, err := b.has(t.Context(), needs); got != want || err != nil {
			t.Errorf("%q: got %v, %v, want %v", needs, got, err, want)
		}
	}
}

func TestMeasureTakesTurns(t *testing.T) {
	b := newBench(t)
	log := filepath.Join(b.dir, "tare.log")
	note := func(what string) action {
		return func(context.Context) error {
			f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
			if err != nil {
				return err
			}
			_, err = io.WriteString(f, what+"\n")
			return errors.Join(err, f.Close())
		}
	}
	r, err := b.measure(t.Context(), step{
		name:    "x",
		prepare: []action{note("prepare")},
		tare:    side{home: "a", setup: []action{note("setup")}, commands: [][]string{{b.tare, "build"}}},
		floor:   side{home: "b", commands: [][]string{{b.tare, "floor"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	turn := "setup\nbuild a\nfloor b\n"
	if want := "prepare\n" + strings.Repeat(turn, 3); string(data) != want {
		t.Errorf("got %q, want %q", data, want)
	}
	if len(r.tare) != 3 || len(r.floor) != 3 || most(r.tare, usage.peakBytes) <= 0 {
		t.Errorf("got %+v", r)
	}
}

func TestMeasureSkips(t *testing.T) {
	b := newBench(t)
	broken := func(context.Context) error { return errors.New("prepared") }
	r, err := b.measure(t.Context(), step{name: "x", needs: "verify", prepare: []action{broken}})
	if err != nil || r.skipped == "" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestFailureIsToldWithOutput(t *testing.T) {
	b := newBench(t)
	commands := [][]string{shell("echo no room >&2; exit 3"), shell("true"), {filepath.Join(b.dir, "missing")}}
	_, err := b.timed(t.Context(), side{commands: commands})
	if err == nil || !strings.Contains(err.Error(), "no room") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestInterruptEndsAll interrupts a shell that waits for a program of its own.
func TestInterruptEndsAll(t *testing.T) {
	b := newBench(t)
	fifo := filepath.Join(b.dir, "fifo")
	if err := b.command("", []string{"mkfifo", fifo})(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := b.timed(ctx, side{commands: [][]string{shell(`(sleep 1000; true) > "$1"; true`, fifo)}})
		done <- err
	}()
	f, err := os.Open(fifo) // returns when the other end is open
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cancel()
	if err := <-done; err == nil {
		t.Error("got no error")
	}
	if _, err := io.ReadAll(f); err != nil { // returns when nobody has the other end
		t.Error(err)
	}
}

func TestMakeWeights(t *testing.T) {
	b := newBench(t)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.makeWeights(done); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if err := b.writeShard(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(b.shard(0))
	if err != nil || len(before) != 1<<19 {
		t.Fatalf("%d bytes, %v", len(before), err)
	}
	if err := b.rewriteShard(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(b.shard(0)); slices.Equal(before, after) || len(after) != len(before) {
		t.Errorf("the shard did not change: %v", err)
	}
}

func TestSelected(t *testing.T) {
	b := newBench(t)
	b.big, b.peers = true, []peer{{"kit", "/bin/kit"}}
	b.only = []string{"kit-build", "build", "sparse-10x"}
	steps, err := b.selected()
	var names []string
	for _, s := range steps {
		names = append(names, s.name)
	}
	if !slices.Equal(names, []string{"build", "kit-build", "sparse-10x"}) || err != nil {
		t.Errorf("got %q, %v", names, err)
	}
	b.only = []string{"biuld"}
	if _, err := b.selected(); err == nil || !strings.Contains(err.Error(), "rebuild-unchanged") {
		t.Errorf("got %v, want the steps that there are", err)
	}
}
