package soak

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

const (
	workers = 16
	rounds  = 2
)

// crowdPass lets workers build, tag, remove and prune at once. In the end the
// names are there that were not removed, with all that belongs to them.
func crowdPass(t *testing.T, seed uint64) {
	m := newMachine(t)
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			for round := range rounds {
				if err := m.work(seed, n, round); err != nil {
					t.Errorf("worker %d, round %d: %v", n, round, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	m.must(t, "prune")
	m.checkStrays(t)
	m.checkSurvivors(t, seed)
	m.checkEmpty(t)
}

// work is one round of one worker. Rounds with an odd sum give up all that they
// made, others keep one of two names.
func (m *machine) work(seed uint64, n, round int) error {
	dir := fmt.Sprintf("model-%d", n)
	if err := m.write(dir, crowdModel(seed, n, round)); err != nil {
		return err
	}
	kept, gone := crowdRef("kept", n, round), crowdRef("gone", n, round)
	lines := [][]string{
		append([]string{"build", "-t", gone, dir}, crowdLayout(n)...),
		{"tag", gone, kept},
		{"rm", gone},
	}
	if isGone(n, round) {
		lines = append(lines, []string{"rm", kept})
	}
	if (n+round)%3 == 0 {
		lines = append(lines, []string{"prune"})
	}
	for _, line := range lines {
		if _, err := m.run(line...); err != nil {
			return err
		}
	}
	return nil
}

func (m *machine) checkSurvivors(t *testing.T, seed uint64) {
	t.Helper()
	var want []string
	for n := range workers {
		for round := range rounds {
			if isGone(n, round) {
				continue
			}
			ref := crowdRef("kept", n, round)
			want = append(want, ref)
			if !equal(m.extract(t, ref), crowdModel(seed, n, round)) {
				t.Errorf("%s is not what was built", ref)
			}
		}
	}
	slices.Sort(want)
	if got := m.tags(t); !slices.Equal(got, want) {
		t.Errorf("tags %q, want %q", got, want)
	}
}

func isGone(n, round int) bool { return (n+round)%2 == 1 }

func crowdRef(what string, n, round int) string {
	return fmt.Sprintf("localhost/soak/%s:%d-%d", what, n, round)
}

// crowdLayout lets neighbours need the same blob, and others need others.
func crowdLayout(n int) []string {
	if n%4 >= 2 {
		return []string{"--raw"}
	}
	return nil
}

// crowdModel has a file of the worker's own, one that every worker has, and one
// that all have in this round: blobs are wanted and given up at the same time.
func crowdModel(seed uint64, n, round int) model {
	return model{
		"config.json":          fmt.Appendf(nil, `{"worker":%d,"round":%d}`, n, round),
		"own.safetensors":      noise(100_000, seed, uint64(n), uint64(round)),
		"round.safetensors":    noise(100_000, seed, 1000, uint64(round)),
		"everyone.safetensors": noise(200_000, seed),
	}
}
