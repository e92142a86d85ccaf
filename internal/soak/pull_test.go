package soak

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tareml/tare/internal/netproxy"
	"github.com/tareml/tare/internal/testregistry"
)

const (
	nearShards = 2
	nearShard  = 24 << 20
	nearSize   = nearShards * nearShard

	// nearRate is slow enough for a pull to last some tenths of a second.
	nearRate = 40_000_000

	nearName = "/soak/near:v1"

	// unsaved is what a connection brings between two saves of the state, which a
	// kill takes away.
	unsaved = 4 << 20

	// onItsWay is what a connection that ends early may have carried that nobody
	// will read: the chunk that the proxy is at, and what lies in the buffers of
	// two sockets. There is little in them as long as the proxy is the slow one.
	onItsWay = 2 << 20

	// overhead is the manifest, the config and the headers of all answers.
	overhead = 64 << 10
)

// TestSoakPulls has pulls that do not come to their end, each time and then again
// and again, until its time is up.
func TestSoakPulls(t *testing.T) {
	seconds, err := strconv.Atoi(cmp.Or(os.Getenv("TARE_SOAK_SECONDS"), "0"))
	must(t, err)
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	seed := passSeed(t)
	shelves := []*shelf{
		newShelf(t, "distribution", testregistry.Distribution(t), seed),
		newShelf(t, "debian", testregistry.Debian(t), seed),
	}
	t.Logf("seed %d", seed)
	for pass := 0; pass == 0 || time.Now().Before(end) && !t.Failed(); pass++ {
		for i, s := range shelves {
			t.Run(s.name, func(t *testing.T) { s.pass(t, pass%len(shelves) == i) })
		}
	}
}

// pass does some of it, or all.
func (s *shelf) pass(t *testing.T, all bool) {
	t.Run("killed", s.killedOnce)
	t.Run("interrupted", s.interrupted)
	t.Run("taken over", s.takenOver)
	if !all {
		return
	}
	t.Run("killed again and again", s.killedOften)
	t.Run("state damaged", s.damaged)
	t.Run("two at once", func(t *testing.T) { s.together(t, 2) })
	t.Run("eight at once", func(t *testing.T) { s.together(t, 8) })
}

// shelf is a registry that has a model.
type shelf struct {
	name   string
	reg    *testregistry.Registry
	digest string
	random *rand.Rand
}

func newShelf(t *testing.T, name string, reg *testregistry.Registry, seed uint64) *shelf {
	t.Helper()
	s := &shelf{name: name, reg: reg, random: rand.New(rand.NewPCG(seed, 2))}
	m := newMachine(t)
	must(t, os.MkdirAll(m.path("model"), 0o755))
	for i := range nearShards {
		must(t, writeNoise(m.path("model", fmt.Sprintf("model-%d.safetensors", i)), nearShard, seed, uint64(i)))
	}
	must(t, os.WriteFile(m.path("model", "Modelfile"), []byte("NAME soak\nMODEL *.safetensors\n"), 0o644))
	m.must(t, "build", "--raw", "-t", reg.Host+nearName, "model")
	s.digest = string(bytes.TrimSpace(m.must(t, "push", "--format", "{{.Digest}}", reg.Host+nearName)))
	return s
}

// open is a way to the shelf that counts anew.
func (s *shelf) open(t *testing.T) *netproxy.Proxy {
	t.Helper()
	p, err := netproxy.Start(t.Context(), s.reg.Host, netproxy.Options{Rate: nearRate})
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

// pulled is what a pull printed.
type pulled struct {
	Digest                  string
	Moved, Resumed, Skipped int64
}

func pullArgs(p *netproxy.Proxy) []string {
	return []string{"pull", "--plain-http", "--format", "json", p.Addr() + nearName}
}

// finish pulls to the end, and checks what is there then.
func (s *shelf) finish(t *testing.T, m *machine, p *netproxy.Proxy) pulled {
	t.Helper()
	got := s.read(t, m.must(t, pullArgs(p)...))
	must(t, p.WaitIdle(t.Context()))
	s.check(t, m)
	return got
}

func (s *shelf) read(t *testing.T, out []byte) (got pulled) {
	t.Helper()
	must(t, json.Unmarshal(out, &got))
	if got.Digest != s.digest {
		t.Errorf("pulled %s, want %s", got.Digest, s.digest)
	}
	if sum := got.Moved + got.Resumed + got.Skipped; sum < nearSize || sum > nearSize+overhead {
		t.Errorf("%+v: that is %d bytes, want those of the model", got, sum)
	}
	return got
}

// check reads all that was pulled, and looks for what nobody needs any more.
func (s *shelf) check(t *testing.T, m *machine) {
	t.Helper()
	m.must(t, "verify")
	m.must(t, "prune")
	m.checkStrays(t)
	for _, name := range list(t, m.path("store", ".tare", "partial")) {
		t.Errorf("left behind: .tare/partial/%s", name)
	}
}

// checkSent bounds what went through p. Of so many connections the end may be
// lost, and it is what costs.
func checkSent(t *testing.T, p *netproxy.Proxy, cut int, each int64) {
	t.Helper()
	passed, most := p.Passed(), int64(nearSize+overhead)+int64(cut)*each
	t.Logf("%d bytes sent again after %d connections were cut, at most %d", passed-nearSize, cut, most-nearSize)
	if passed < nearSize || passed > most {
		t.Errorf("%d bytes were sent for %d, want at most %d", passed, nearSize, most)
	}
}

// killedOnce kills a pull at one of several places, and runs it again.
func (s *shelf) killedOnce(t *testing.T) {
	const places = 4
	for i := range int64(places) {
		at := i*nearSize/places + s.random.Int64N(nearSize/places)
		t.Run(fmt.Sprintf("at=%d", at), func(t *testing.T) {
			m, p := newMachine(t), s.open(t)
			cut := s.kill(t, m, p, at)
			before := len(s.reg.AccessLog())
			kept := m.transfers(t)
			got := s.finish(t, m, p)
			s.checkRanges(t, before, kept)
			if least := at - int64(cut)*(unsaved+onItsWay) - overhead; got.Resumed+got.Skipped < least {
				t.Errorf("%+v: killed at byte %d, want at least %d to be there", got, at, least)
			}
			checkSent(t, p, cut, unsaved+onItsWay)
		})
	}
}

// killedOften kills one pull at several places.
func (s *shelf) killedOften(t *testing.T) {
	const kills = 5
	m, p := newMachine(t), s.open(t)
	cut := 0
	for range kills {
		cut += s.kill(t, m, p, p.Passed()+s.random.Int64N(nearSize/kills))
	}
	s.finish(t, m, p)
	checkSent(t, p, cut, unsaved+onItsWay)
}

// kill kills a pull once so many bytes have passed, and says how many connections
// it had.
func (s *shelf) kill(t *testing.T, m *machine, p *netproxy.Proxy, at int64) (cut int) {
	t.Helper()
	before := p.Accepted()
	killed, err := killWhenPassed(t.Context(), m.command(pullArgs(p)...), p, at)
	must(t, err)
	must(t, p.WaitIdle(t.Context()))
	if !killed {
		return 0
	}
	return p.Accepted() - before
}

// transfers are the digests of blobs of which some is there, as the state says.
func (m *machine) transfers(t *testing.T) (digests []string) {
	t.Helper()
	for _, name := range list(t, m.path("store", ".tare", "partial")) {
		if base, ok := strings.CutSuffix(name, ".state"); ok {
			digests = append(digests, strings.Replace(base, "-", ":", 1))
		}
	}
	return digests
}

// checkRanges says that of blobs that were begun only the rest was asked for.
func (s *shelf) checkRanges(t *testing.T, since int, begun []string) {
	t.Helper()
	for _, a := range s.reg.AccessLog()[since:] {
		for _, digest := range begun {
			if a.Method == "GET" && strings.HasSuffix(a.Path, "/blobs/"+digest) && a.Status != 206 {
				t.Errorf("%+v: the whole of a blob of which some was there", a)
			}
		}
	}
}

// interrupted ends a pull as a person does. What it had it saved: nothing is sent
// again but what was on its way.
func (s *shelf) interrupted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no signal to send")
	}
	m, p := newMachine(t), s.open(t)
	cmd := m.command(pullArgs(p)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	at := nearSize/4 + s.random.Int64N(nearSize/2)
	signalled, err := endWhenPassed(t.Context(), cmd, p, at, os.Interrupt)
	if code := cmd.ProcessState.ExitCode(); !signalled || code != 130 {
		t.Fatalf("exit code %d after a signal at byte %d, want 130: %v\n%s", code, at, err, &stderr)
	}
	if !strings.Contains(stderr.String(), "error: interrupted\nhint: what came so far is kept") {
		t.Errorf("it said %q", &stderr)
	}
	must(t, p.WaitIdle(t.Context()))
	cut := p.Accepted()
	if got := s.finish(t, m, p); got.Resumed+got.Skipped == 0 {
		t.Errorf("%+v: nothing was there", got)
	}
	checkSent(t, p, cut, onItsWay)
}

// damaged kills a pull and does something to what it remembers.
func (s *shelf) damaged(t *testing.T) {
	for name, damage := range damages() {
		t.Run(name, func(t *testing.T) {
			m, p := newMachine(t), s.open(t)
			cut := s.kill(t, m, p, nearSize/2)
			m.damageStates(t, damage)
			begun := p.Passed()
			s.finish(t, m, p)
			// What was there is not believed, or found out at the end: then all is
			// fetched once more.
			most := begun + 2*nearSize + int64(cut+p.Accepted())*onItsWay + overhead
			if passed := p.Passed(); passed > most {
				t.Errorf("%d bytes were sent for %d, want at most %d", passed, nearSize, most)
			}
			t.Logf("%.2f of the model sent", float64(p.Passed())/nearSize)
		})
	}
}

// damages turn states, in the order of their digests, into others.
func damages() map[string]func([][]byte) {
	each := func(change func([]byte) []byte) func([][]byte) {
		return func(states [][]byte) {
			for i := range states {
				states[i] = change(states[i])
			}
		}
	}
	return map[string]func([][]byte){
		"empty":     each(func([]byte) []byte { return nil }),
		"truncated": each(func(b []byte) []byte { return b[:len(b)/2] }),
		"garbage":   each(func(b []byte) []byte { return noise(len(b), 1) }),
		"exchanged": func(states [][]byte) {
			first := states[0]
			copy(states, states[1:])
			states[len(states)-1] = first
		},
		"claims all": each(claimAll),
	}
}

// claimAll makes a state say that all was written.
func claimAll(saved []byte) []byte {
	outer, inner := map[string]any{}, map[string]any{}
	state := struct{ State []byte }{}
	if errors.Join(json.Unmarshal(saved, &outer), json.Unmarshal(saved, &state), json.Unmarshal(state.State, &inner)) != nil {
		return saved
	}
	inner["written"] = []map[string]int64{{"Start": 0, "End": nearShard}}
	var err error
	if outer["state"], err = json.Marshal(inner); err != nil {
		return saved
	}
	saved, _ = json.Marshal(outer)
	return saved
}

func (m *machine) damageStates(t *testing.T, damage func([][]byte)) {
	t.Helper()
	var paths []string
	var states [][]byte
	for _, name := range list(t, m.path("store", ".tare", "partial")) {
		if strings.HasSuffix(name, ".state") {
			path := m.path("store", ".tare", "partial", name)
			data, err := os.ReadFile(path)
			must(t, err)
			paths, states = append(paths, path), append(states, data)
		}
	}
	if len(states) == 0 {
		t.Fatal("there is no state to damage")
	}
	damage(states)
	for i, path := range paths {
		must(t, os.WriteFile(path, states[i], 0o644))
	}
}

// together has so many pulls of one tag into one store at once.
func (s *shelf) together(t *testing.T, n int) {
	m, p := newMachine(t), s.open(t)
	outs := make(chan []byte, n)
	for range n {
		go func() {
			out, err := m.run(pullArgs(p)...)
			if err != nil {
				t.Error(err)
			}
			outs <- out
		}()
	}
	var moved int64
	for range n {
		if out := <-outs; len(out) > 0 {
			moved += s.read(t, out).Moved
		}
	}
	must(t, p.WaitIdle(t.Context()))
	s.check(t, m)
	if moved < nearSize || moved > nearSize+overhead {
		t.Errorf("%d pulls moved %d bytes together, want %d once", n, moved, nearSize)
	}
	t.Logf("%d bytes sent beyond the model", p.Passed()-nearSize)
	if passed, most := p.Passed(), int64(nearSize+n*overhead+p.Accepted()*onItsWay); passed > most {
		t.Errorf("%d bytes were sent for %d, want at most %d", passed, nearSize, most)
	}
}

// takenOver kills the pull that another one waits for.
func (s *shelf) takenOver(t *testing.T) {
	m, first, second := newMachine(t), s.open(t), s.open(t)
	at := nearSize/4 + s.random.Int64N(nearSize/2)
	var out []byte
	ended := make(chan error, 1)
	go func() {
		err := first.WaitPassed(t.Context(), 1<<20) // it has begun
		if err == nil {
			out, err = m.run(pullArgs(second)...)
		}
		ended <- err
	}()
	cut := s.kill(t, m, first, at)
	must(t, <-ended)
	must(t, second.WaitIdle(t.Context()))
	if cut == 0 {
		t.Fatal("the first ended before it was killed")
	}
	got := s.read(t, out)
	s.check(t, m)
	sent, most := first.Passed()+second.Passed(), int64(nearSize+2*overhead)+int64(cut)*(unsaved+onItsWay)
	t.Logf("killed at %d: %d bytes sent again after %d connections were cut; %+v", at, sent-nearSize, cut, got)
	if sent > most {
		t.Errorf("%d bytes were sent for %d, want at most %d", sent, nearSize, most)
	}
}

// killWhenPassed kills a pull when so many bytes went over the link, if it did
// not end before.
func killWhenPassed(ctx context.Context, cmd *exec.Cmd, p *netproxy.Proxy, n int64) (killed bool, err error) {
	return endWhenPassed(ctx, cmd, p, n, os.Kill)
}

// endWhenPassed is killWhenPassed with another signal.
func endWhenPassed(ctx context.Context, cmd *exec.Cmd, p *netproxy.Proxy, n int64, signal os.Signal) (fired bool, err error) {
	if err := cmd.Start(); err != nil {
		return false, err
	}
	waiting, ended := context.WithCancel(ctx)
	done := make(chan bool)
	go func() {
		err := p.WaitPassed(waiting, n)
		cmd.Process.Signal(signal)
		done <- err == nil
	}()
	err = cmd.Wait()
	ended()
	switch fired := <-done; {
	case err == nil:
		return false, nil
	case fired:
		return true, nil
	}
	return false, fmt.Errorf("%q: %w", cmd.Args, err)
}
