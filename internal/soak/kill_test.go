package soak

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"
	"time"
)

const (
	buildsPerPass = 12
	keptRef       = "localhost/soak/kept:v1"
	movingRef     = "localhost/soak/moving:latest"
)

// killPass kills builds that would move a tag, at random points. The tag must
// lead to the old model or to the new one, and to all of it.
func killPass(t *testing.T, seed uint64) {
	k := &killer{machine: newMachine(t), seed: seed, random: rand.New(rand.NewPCG(seed, 0))}
	k.begin(t)
	kills := 0
	for i := range buildsPerPass {
		k.next = weights(seed, uint64(i+1))
		must(t, k.write("moving", k.next))
		args := append([]string{"build", "-t", movingRef, "moving"}, layout(k.random)...)
		delay := time.Duration(k.random.Int64N(int64(k.took) * 5 / 4))
		killed, err := killAfter(k.command(args...), delay)
		must(t, err)
		if killed {
			kills++
		}
		k.check(t)
		k.goOn(t, args)
		if t.Failed() {
			t.Fatalf("killed %v into: tare %q", delay, args)
		}
	}
	k.checkEmpty(t)
	t.Logf("%d of %d builds were killed before they had ended", kills, buildsPerPass)
}

// killer is a pass of killing.
type killer struct {
	*machine
	seed     uint64
	random   *rand.Rand
	took     time.Duration // a build that nobody killed
	verifies bool          // this tare has a command for it

	kept      model // never changes
	old, next model // what the moving tag led to, and may lead to
}

// begin fills the store.
func (k *killer) begin(t *testing.T) {
	t.Helper()
	k.verifies = k.knows(t, "verify")
	k.kept = weights(k.seed, 0)
	k.old = k.kept
	must(t, k.write("kept", k.kept))
	start := time.Now()
	k.must(t, "build", "-t", keptRef, "kept")
	k.took = time.Since(start)
	k.must(t, "tag", keptRef, movingRef)
}

// check looks at a store after a build was killed.
func (k *killer) check(t *testing.T) {
	t.Helper()
	want := []string{keptRef, movingRef}
	if got := k.tags(t); !slices.Equal(got, want) {
		t.Errorf("tags %q, want %q", got, want)
	}
	if !equal(k.extract(t, keptRef), k.kept) {
		t.Error("an artifact that was there before is not what it was")
	}
	moving := k.extract(t, movingRef)
	if !equal(moving, k.old) && !equal(moving, k.next) {
		t.Error("a tag leads neither to the old content nor to the new")
	}
	k.old = moving
	if k.verifies {
		k.must(t, "verify")
	}
}

// goOn does some of what may follow on a killed build, or nothing, so that the
// next one meets leftovers too.
func (k *killer) goOn(t *testing.T, args []string) {
	t.Helper()
	if k.random.IntN(2) == 0 {
		k.must(t, "prune")
		k.checkStrays(t)
	}
	if k.random.IntN(3) == 0 {
		k.must(t, args...)
		if k.old = k.extract(t, movingRef); !equal(k.old, k.next) {
			t.Error("a build after a killed one has other content")
		}
	}
	if k.random.IntN(3) == 0 {
		// What is remembered of these files is of blobs that are gone.
		k.must(t, "rm", keptRef)
		k.must(t, "prune")
		k.must(t, "build", "-t", keptRef, "kept")
	}
}

// killAfter starts a command and kills it, if it is still there after a while.
func killAfter(cmd *exec.Cmd, delay time.Duration) (killed bool, err error) {
	if err := cmd.Start(); err != nil {
		return false, err
	}
	timer := time.AfterFunc(delay, func() { cmd.Process.Kill() })
	err = cmd.Wait()
	switch fired := !timer.Stop(); {
	case err == nil:
		return false, nil
	case fired:
		return true, nil
	}
	return false, fmt.Errorf("%q: %w", cmd.Args, err)
}

// weights is a model that takes a moment to build. Generations share a file.
func weights(seed, generation uint64) model {
	files := model{
		"config.json":        fmt.Appendf(nil, `{"generation":%d}`, generation),
		"shared.safetensors": noise(1<<20, seed),
	}
	for i := range uint64(3) {
		files[fmt.Sprintf("model-%d.safetensors", i)] = noise(2<<20, seed, generation, i)
	}
	for i := range uint64(40) {
		files[fmt.Sprintf("data/%d.txt", i)] = noise(1000, seed, generation, 100+i)
	}
	return files
}

// layout picks one of the ways to package a model.
func layout(random *rand.Rand) []string {
	all := [][]string{
		nil,
		{"--raw"},
		{"--bundle", "dataset"},
		{"--layer-format", "tar+gzip", "--bundle", "dataset"},
		{"--layer-format", "model=tar+zstd", "--concurrency", "1"},
		{"--no-cache"},
	}
	return all[random.IntN(len(all))]
}
