//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestChangedModelSharesShards makes a next version of which one shard is new, and
// changes nothing of the first.
func TestChangedModelSharesShards(t *testing.T) {
	b := newBench(t)
	b.shards = 3
	if err := os.Mkdir(b.path("weights"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range b.shards {
		if err := b.writeShard(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	before := shards(t, b, "weights")
	if err := b.makeChanged(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, changed := shards(t, b, "weights"), shards(t, b, "changed")
	for i := range b.shards {
		if !slices.Equal(before[i], after[i]) {
			t.Errorf("shard %d of the first version changed", i)
		}
		if same := slices.Equal(before[i], changed[i]); same != (i > 0) || len(before[i]) != len(changed[i]) {
			t.Errorf("shard %d: same content %v", i, same)
		}
	}
}

func shards(t *testing.T, b *bench, dir string) [][]byte {
	t.Helper()
	var all [][]byte
	for i := range b.shards {
		data, err := os.ReadFile(b.path(dir, filepath.Base(b.shard(i))))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
	return all
}

// TestCheck has extracts that did not do what they should.
func TestCheck(t *testing.T) {
	b := newBench(t)
	b.shards = 1
	for _, dir := range []string{"weights", "out"} {
		if err := os.Mkdir(b.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Base(b.shard(0))
	write := func(dir, content string) {
		t.Helper()
		if err := os.WriteFile(b.path(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	check := b.check("weights", b.path("out"))
	write("weights", "content")
	if err := check(t.Context()); err == nil {
		t.Error("nothing was extracted: got no error")
	}
	for content, ok := range map[string]bool{"content": true, "c0ntent": false, "": false, "content and more": false} {
		write("out", content)
		if err := check(t.Context()); (err == nil) != ok {
			t.Errorf("%q: got %v", content, err)
		}
	}
}

// TestAfter is told of a run that went well alone, and can fail it.
func TestAfter(t *testing.T) {
	b := newBench(t)
	wrong := errors.New("wrong content")
	after := []action{func(context.Context) error { return wrong }}
	if _, err := b.timed(t.Context(), side{commands: [][]string{shell("true")}, after: after}); err != wrong {
		t.Errorf("got %v, want %v", err, wrong)
	}
	if _, err := b.timed(t.Context(), side{commands: [][]string{shell("false")}, after: after}); err == nil || errors.Is(err, wrong) {
		t.Errorf("got %v, want the failure of the command", err)
	}
}

func TestExtractsAreSkippedWithoutARegistry(t *testing.T) {
	b := newBench(t)
	b.registry = filepath.Join(b.dir, "missing")
	for _, s := range b.extractRemoteSteps() {
		s.needs = "" // the fake has no extract
		if r, err := b.measure(t.Context(), s); err != nil || r.skipped == "" {
			t.Errorf("%s: got %+v, %v, want a reason to skip it", s.name, r, err)
		}
	}
}
