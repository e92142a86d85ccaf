package soak

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tareml/tare/internal/testregistry"
)

const (
	// a shard is more than a chunk of 64 MiB, so that sessions matter
	sentShard  = 80 << 20
	sentShards = 2
	sentSize   = sentShards * sentShard

	// sentRate has a push last some seconds.
	sentRate = 80 << 20

	sentName = "/soak/sent"
)

// TestSoakPushes kills pushes at random points, each time and then again until its
// time is up, and has pushes meet.
func TestSoakPushes(t *testing.T) {
	for name, reg := range map[string]*testregistry.Registry{
		"distribution": testregistry.Distribution(t),
		"debian":       testregistry.Debian(t),
	} {
		d := newDispatch(t, reg)
		forAsLongAsAsked(t, func(t *testing.T, pass uint64) {
			t.Run(name, func(t *testing.T) {
				t.Run("killed", func(t *testing.T) { d.killed(t, pass) })
				t.Run("together", func(t *testing.T) { d.together(t, pass) })
			})
		})
	}
}

// dispatch is a model that is sent to a registry.
type dispatch struct {
	*machine
	reg    *testregistry.Registry
	random *rand.Rand
}

func newDispatch(t *testing.T, reg *testregistry.Registry) *dispatch {
	t.Helper()
	seed := passSeed(t)
	d := &dispatch{newMachine(t), reg, rand.New(rand.NewPCG(seed, 6))}
	must(t, os.MkdirAll(d.path("model"), 0o755))
	for i := range sentShards {
		must(t, writeNoise(d.path("model", fmt.Sprintf("model-%d.safetensors", i)), sentShard, seed, uint64(i)))
	}
	must(t, os.WriteFile(d.path("model", "Modelfile"), []byte("NAME soak\nMODEL *.safetensors\n"), 0o644))
	d.must(t, "build", "--raw", "-t", "localhost/soak/sent:v1", "model")
	return d
}

// name gives the model a name at the registry that is new to it.
func (d *dispatch) name(t *testing.T, what string, pass uint64) string {
	t.Helper()
	// Names of one repository alone: what another one has would be mounted.
	ref := fmt.Sprintf("%s%s-%s-%d:v1", d.reg.Host, sentName, what, pass)
	d.must(t, "tag", "localhost/soak/sent:v1", ref)
	t.Cleanup(func() { d.must(t, "rm", ref) })
	return ref
}

// sent is what a push printed.
type sent struct{ Moved, Resumed, Skipped int64 }

func (d *dispatch) read(t *testing.T, out []byte) (s sent) {
	t.Helper()
	must(t, json.Unmarshal(out, &s))
	if sum := s.Moved + s.Resumed + s.Skipped; sum < sentSize || sum > sentSize+overhead {
		t.Errorf("%+v: that is %d bytes, want those of the model", s, sum)
	}
	return s
}

// killed kills pushes, and then lets one come to its end.
func (d *dispatch) killed(t *testing.T, pass uint64) {
	ref := d.name(t, "killed", pass)
	whole := time.Duration(float64(sentSize) / sentRate * float64(time.Second))
	args := []string{"push", "--plain-http", "--limit-rate", fmt.Sprint(sentRate), ref}
	kills := 0
	for kills < 2 {
		killed, err := killAfter(d.command(args...), time.Duration(d.random.Int64N(int64(whole)*2/3)))
		must(t, err)
		if !killed {
			break
		}
		kills++
		if out, err := d.run("inspect", "--remote", "--plain-http", ref); err == nil {
			t.Fatalf("a tag leads to what is not all there: %s", out)
		}
	}
	got := d.read(t, d.must(t, "push", "--plain-http", "--format", "json", ref))
	t.Logf("%d kills, then %+v", kills, got)
	d.check(t, ref)
	if again := d.read(t, d.must(t, "push", "--plain-http", "--format", "json", ref)); again.Moved != 0 {
		t.Errorf("%d bytes were sent again", again.Moved)
	}
	if left := list(t, d.path("cache", "tare", "uploads")); len(left) > 2 {
		t.Errorf("left in the journal: %v", left)
	}
}

// check pulls the model to another machine.
func (d *dispatch) check(t *testing.T, ref string) {
	t.Helper()
	other := newMachine(t)
	other.must(t, "pull", "--plain-http", ref)
	other.must(t, "verify")
	if got, want := other.digestOf(t, ref), d.digestOf(t, ref); got != want {
		t.Errorf("pulled %s, want %s", got, want)
	}
}

func (m *machine) digestOf(t *testing.T, ref string) string {
	t.Helper()
	return string(m.must(t, "inspect", "--format", "{{.Digest}}", ref))
}

// together has two pushes of one model, and of two that share a shard, be on their
// way at once.
func (d *dispatch) together(t *testing.T, pass uint64) {
	ref := d.name(t, "together", pass)
	line := []string{"push", "--plain-http", ref}
	must(t, os.RemoveAll(d.path("other")))
	must(t, os.MkdirAll(d.path("other"), 0o755))
	must(t, os.Link(d.path("model", "model-0.safetensors"), d.path("other", "model-0.safetensors")))
	must(t, writeNoise(d.path("other", "model-9.safetensors"), 1<<20, pass, 9))
	sharing := strings.TrimSuffix(ref, ":v1") + ":sharing"
	d.must(t, "build", "--raw", "-t", sharing, "other")
	t.Cleanup(func() { d.must(t, "rm", sharing) })
	for _, o := range d.machine.together(t, line, line, []string{"push", "--plain-http", sharing}) {
		must(t, o.err)
	}
	d.check(t, ref)
	d.check(t, sharing)
}
