package soak

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/testregistry"
)

const (
	// The registry takes no more than sentChunk at once, so that a shard of some
	// MiB is sent as one of some hundred is elsewhere.
	sentChunk  = 4 << 20
	sentShard  = 9 << 20
	sentShards = 2
	sentSize   = sentShards * sentShard

	// wholeChunk is what is sent at once where nothing else was learnt.
	wholeChunk = 64 << 20

	// killsPerPush is how often one push is killed at random.
	killsPerPush = 3

	sentName = "/soak/sent"
)

// TestSoakPushes kills pushes at many points, each time and then again until its
// time is up, and has pushes meet.
func TestSoakPushes(t *testing.T) {
	seed := passSeed(t)
	t.Logf("seed %d", seed)
	distribution, debian := testregistry.Distribution(t), testregistry.Debian(t)
	t.Run("distribution/whole chunks", func(t *testing.T) { newDispatch(t, distribution, seed, true).killedAfterChunk(t) })
	dispatches := map[string]*dispatch{
		"distribution": newDispatch(t, distribution, seed, false),
		"debian":       newDispatch(t, debian, seed, false),
	}
	dispatches["distribution"].keeps = true
	for name, d := range dispatches {
		d.learn(t)
		forAsLongAsAsked(t, func(t *testing.T, pass uint64) {
			t.Run(name, func(t *testing.T) { d.pass(t, pass) })
		})
	}
}

// dispatch is a model that is sent to a registry.
type dispatch struct {
	*machine
	*front
	random *rand.Rand
	files  model
	size   int64
	keeps  bool // the registry keeps sessions, and in them what a chunk brought that was cut

	entries int // in the journal, before the push
}

// newDispatch has shards of some chunks, or one shard of a whole chunk and a bit.
func newDispatch(t *testing.T, reg *testregistry.Registry, seed uint64, whole bool) *dispatch {
	t.Helper()
	d := &dispatch{machine: newMachine(t), random: rand.New(rand.NewPCG(seed, 6)), files: make(model)}
	shards, size, most := sentShards, sentShard, int64(sentChunk)
	if whole {
		shards, size, most = 1, wholeChunk+1<<20, 0
	}
	d.front = newFront(t, reg.Host, most)
	for i := range shards {
		d.files[fmt.Sprintf("model-%d.safetensors", i)] = noise(size, seed, uint64(i))
	}
	d.size = int64(shards * size)
	must(t, d.write("model", d.files))
	d.must(t, "build", "--raw", "-t", "localhost/soak/sent:v1", "model")
	return d
}

// learn has the machine find out how much the registry takes at once.
func (d *dispatch) learn(t *testing.T) {
	t.Helper()
	ref := d.host + sentName + "-learning:v1"
	d.must(t, "tag", "localhost/soak/sent:v1", ref)
	d.must(t, "push", "--plain-http", ref)
	d.must(t, "rm", ref) // what is here would be mounted
}

func (d *dispatch) pass(t *testing.T, pass uint64) {
	for name, due := range d.points() {
		t.Run("killed "+name, func(t *testing.T) {
			ref := d.name(t, "killed-"+strings.ReplaceAll(name, " ", "-"), pass)
			d.mustKill(t, ref, due)
			d.goOn(t, ref, d.storedSinceTrap())
		})
	}
	t.Run("killed again and again", func(t *testing.T) { d.killedOften(t, pass) })
	t.Run("together", func(t *testing.T) { d.together(t, pass) })
}

// points are those of the course of a push, from its begin to its end. Where a cut
// loses a session there are fewer to be told apart.
func (d *dispatch) points() map[string]func(moment) bool {
	const bit = 1 << 20
	all := map[string]func(moment) bool{
		"at the first session":          func(m moment) bool { return m.is(begins, http.MethodPost) },
		"when a session was opened":     func(m moment) bool { return m.is(ends, http.MethodPost) },
		"in the first chunk":            func(m moment) bool { return m.is(within, http.MethodPatch) && m.read >= bit },
		"when the first chunk came":     func(m moment) bool { return m.is(ends, http.MethodPatch) },
		"between chunks":                func(m moment) bool { return m.is(begins, http.MethodPatch) && m.stored >= sentChunk },
		"in a later chunk":              func(m moment) bool { return m.is(within, http.MethodPatch) && m.read >= bit && m.stored >= sentChunk },
		"at the end of a blob":          func(m moment) bool { return m.is(begins, http.MethodPut) && m.stored >= sentShard },
		"when a blob was made":          func(m moment) bool { return m.is(ends, http.MethodPut) && !m.ofManifest() && m.stored >= sentShard },
		"at the manifest":               func(m moment) bool { return m.is(begins, http.MethodPut) && m.ofManifest() },
		"when there was a manifest too": func(m moment) bool { return m.is(ends, http.MethodPut) && m.ofManifest() },
	}
	if !d.keeps {
		few := []string{"in the first chunk", "between chunks", "at the end of a blob", "at the manifest"}
		maps.DeleteFunc(all, func(name string, _ func(moment) bool) bool { return !slices.Contains(few, name) })
	}
	return all
}

// name gives the model a name at the registry that is new to it.
func (d *dispatch) name(t *testing.T, what string, pass uint64) string {
	t.Helper()
	// Names of one repository alone: what another one has would be mounted.
	ref := fmt.Sprintf("%s%s-%s-%d:v1", d.host, sentName, what, pass)
	d.must(t, "tag", "localhost/soak/sent:v1", ref)
	t.Cleanup(func() { d.must(t, "rm", ref) })
	d.entries = d.journal(t)
	return ref
}

// sent is what a push printed.
type sent struct{ Moved, Resumed, Skipped int64 }

// push pushes to the end.
func (d *dispatch) push(t *testing.T, ref string) (s sent) {
	t.Helper()
	must(t, json.Unmarshal(d.must(t, "push", "--plain-http", "--format", "json", ref), &s))
	if sum := s.Moved + s.Resumed + s.Skipped; sum < d.size || sum > d.size+overhead {
		t.Errorf("%+v: that is %d bytes, want those of the model", s, sum)
	}
	return s
}

// kill kills a push at a point, and says whether it came there. There must be no
// tag before there is all that it leads to.
func (d *dispatch) kill(t *testing.T, ref string, due func(moment) bool) bool {
	t.Helper()
	tagged := false
	killed, err := d.front.kill(d.command("push", "--plain-http", ref), func(m moment) bool {
		sprung := due(m)
		tagged = sprung && m.is(ends, http.MethodPut) && m.ofManifest()
		return sprung
	})
	must(t, err)
	if !killed {
		return false
	}
	if out, err := d.run("inspect", "--remote", "--plain-http", ref); (err == nil) != tagged {
		t.Fatalf("a tag is there: %v, want %v: %s", err == nil, tagged, out)
	}
	return true
}

// mustKill kills a push at a point that it has to come to.
func (d *dispatch) mustKill(t *testing.T, ref string, due func(moment) bool) {
	t.Helper()
	if !d.kill(t, ref, due) {
		t.Fatal("it was not killed: it did not come there")
	}
}

// goOn lets a push that was killed come to its end. What was stored must not be
// sent again.
func (d *dispatch) goOn(t *testing.T, ref string, stored int64) (got sent) {
	t.Helper()
	got = d.push(t, ref)
	t.Logf("%d bytes were stored, then %+v", stored, got)
	if d.keeps && got.Resumed+got.Skipped < stored {
		t.Errorf("%+v: %d bytes had been stored", got, stored)
	}
	d.check(t, ref, d.files)
	if again := d.push(t, ref); again.Moved != 0 {
		t.Errorf("%d bytes were sent again", again.Moved)
	}
	// The entry of a blob stays for a while that was complete when the push was
	// killed: nobody sends it again.
	if left, most := d.journal(t), d.entries+int(stored/sentShard); left > most {
		t.Errorf("%d entries are in the journal, want at most %d", left, most)
	}
	return got
}

// journal is how many entries the journal has.
func (d *dispatch) journal(t *testing.T) int {
	t.Helper()
	return len(list(t, d.path("cache", "tare", "uploads")))
}

// killedAfterChunk kills a push when it was told that a chunk is safe.
func (d *dispatch) killedAfterChunk(t *testing.T) {
	d.keeps = true
	ref := d.name(t, "whole", 0)
	d.mustKill(t, ref, func(m moment) bool { return m.is(begins, http.MethodPatch) && m.stored >= wholeChunk })
	if got := d.goOn(t, ref, d.storedSinceTrap()); got.Resumed < wholeChunk {
		t.Errorf("%+v: want at least %d resumed, which a registry has that keeps sessions", got, wholeChunk)
	}
}

// killedOften kills one push at several places.
func (d *dispatch) killedOften(t *testing.T, pass uint64) {
	ref := d.name(t, "often", pass)
	var stored int64
	kills := 0
	for range killsPerPush {
		at := d.random.Int64N(d.size / killsPerPush)
		if !d.kill(t, ref, func(m moment) bool { return m.stage == within && m.passed > at }) {
			break // what is on its way when it is killed may have been the rest
		}
		kills++
		stored += d.storedSinceTrap()
	}
	if kills == 0 {
		t.Error("it was never killed")
	}
	d.goOn(t, ref, stored)
}

// check extracts the model elsewhere, and compares.
func (d *dispatch) check(t *testing.T, ref string, want model) {
	t.Helper()
	other := newMachine(t)
	other.must(t, "extract", "--plain-http", "--no-sync", ref, "out")
	got := make(model)
	for _, name := range list(t, other.path("out")) {
		data, err := os.ReadFile(other.path("out", name))
		must(t, err)
		got[name] = data
	}
	if !equal(got, want) {
		t.Errorf("what was extracted is not what was sent: %d files", len(got))
	}
}

// together has two pushes of one model, and of two that share a shard, be on their
// way at once.
func (d *dispatch) together(t *testing.T, pass uint64) {
	ref := d.name(t, "together", pass)
	line := []string{"push", "--plain-http", ref}
	other := model{"model-0.safetensors": d.files["model-0.safetensors"], "model-9.safetensors": noise(1<<20, pass, 9)}
	must(t, d.write("other", other))
	sharing := strings.TrimSuffix(ref, ":v1") + ":sharing"
	d.must(t, "build", "--raw", "-t", sharing, "other")
	t.Cleanup(func() { d.must(t, "rm", sharing) })
	for _, o := range d.machine.together(t, line, line, []string{"push", "--plain-http", sharing}) {
		must(t, o.err)
	}
	d.check(t, ref, d.files)
	d.check(t, sharing, other)
}
