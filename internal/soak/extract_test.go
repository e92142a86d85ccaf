package soak

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	fault "github.com/tareml/tare/internal/faultregistry"
	"github.com/tareml/tare/internal/netproxy"
	"github.com/tareml/tare/internal/testregistry"
)

const (
	// largeFile is the size of a file whose layer is gone on from, of which an
	// assortment has two, and smallFiles is more than that of all others together:
	// what is read in one go, and once more in each run.
	largeFile  = 20 << 20
	smallFiles = 1 << 20

	// mostKills is how often an extract is killed until it should have ended.
	mostKills = 12

	killsPerUpdate = 8
)

// TestSoakExtract kills extracts from registries, which are paced such that it
// hits them in the middle, and those that replace one version by another.
func TestSoakExtract(t *testing.T) {
	seed := passSeed(t)
	t.Logf("seed %d", seed)
	stalls := []*stall{newFaultyStall(t, seed)}
	if seed%2 == 0 || isLong() {
		stalls = append(stalls, newStall(t, "debian", testregistry.Debian(t).Host, seed))
	}
	if seed%2 == 1 || isLong() {
		stalls = append(stalls, newStall(t, "distribution", testregistry.Distribution(t).Host, seed))
	}
	forAsLongAsAsked(t, func(t *testing.T, pass uint64) {
		for _, s := range stalls {
			t.Run(s.name, s.killedOften)
		}
		t.Run("update", func(t *testing.T) { updatePass(t, seed+pass) })
	})
	t.Run("obstructed", stalls[len(stalls)-1].obstructed)
}

// isLong says that there is time for everything.
func isLong() bool { return os.Getenv("TARE_SOAK_SECONDS") != "" }

// forAsLongAsAsked runs pass after pass until the time of TARE_SOAK_SECONDS is
// up, and one at least.
func forAsLongAsAsked(t *testing.T, run func(t *testing.T, pass uint64)) {
	t.Helper()
	seconds, err := strconv.Atoi(cmp.Or(os.Getenv("TARE_SOAK_SECONDS"), "0"))
	must(t, err)
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	for pass := uint64(0); pass == 0 || time.Now().Before(end) && !t.Failed(); pass++ {
		run(t, pass)
	}
}

// stall is a registry that has a model to extract.
type stall struct {
	name   string
	host   string
	ref    string // behind the host
	files  model
	random *rand.Rand
}

// newStall has layers of every kind: large ones that are the file, or a tar
// archive around it, and small ones of one file and of many.
func newStall(t *testing.T, name, host string, seed uint64) *stall {
	t.Helper()
	s := &stall{name: name, host: host, ref: "/soak/assortment:v1", random: rand.New(rand.NewPCG(seed, 3))}
	s.files = model{
		"model.safetensors": noise(largeFile, seed, 1),
		"code/library.so":   noise(largeFile+12345, seed, 2),
		"doc/README.md":     bytes.Repeat([]byte("words "), 50_000),
		"config.json":       noise(1000, seed, 3),
	}
	for i := range uint64(30) {
		s.files[fmt.Sprintf("data/%d.txt", i)] = noise(1000, seed, 100+i)
	}
	m := newMachine(t)
	must(t, m.write("model", s.files))
	lines := "NAME soak\nCONFIG *.json\nMODEL *.safetensors\nCODE code/**\nDATASET data/**\nDOC doc/**\n"
	must(t, os.WriteFile(m.path("model", "Modelfile"), []byte(lines), 0o644))
	m.must(t, "build", "--layer-format", "model=raw,doc=tar+zstd", "--bundle", "dataset", "-t", host+s.ref, "model")
	m.must(t, "push", host+s.ref)
	return s
}

// newFaultyStall is one that cuts answers off, every other one.
func newFaultyStall(t *testing.T, seed uint64) *stall {
	t.Helper()
	reg := fault.New(t)
	s := &stall{name: "faulty", host: reg.Host, random: rand.New(rand.NewPCG(seed, 4)), files: model{
		"weights-1.bin": noise(largeFile, seed, 1),
		"weights-2.bin": noise(largeFile, seed, 2),
		"weights-3.bin": noise(smallFiles/2, seed, 3),
	}}
	art := reg.Add("soak/faulty", s.files["weights-1.bin"], s.files["weights-2.bin"], s.files["weights-3.bin"])
	s.ref = strings.TrimPrefix(reg.Ref(art), reg.Host)
	reg.Script(fault.Blob, fault.Cut(3<<20).Every(2).Always())
	return s
}

func (s *stall) open(t *testing.T) *netproxy.Proxy {
	t.Helper()
	p, err := netproxy.Start(t.Context(), s.host, netproxy.Options{Rate: nearRate})
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

// killedOften kills an extract when it has moved a quarter of the model or more,
// again and again until one comes to its end before: none of them would, if it
// began anew. Each time it looks at what is there.
func (s *stall) killedOften(t *testing.T) {
	m, p := newMachine(t), s.open(t)
	dir := m.path("out")
	args := []string{"extract", "--plain-http", "--no-sync", p.Addr() + s.ref, dir}
	size, kills, cut := s.size(), 0, 0
	for killed := true; killed; {
		before := p.Accepted()
		var err error
		killed, err = killWhenPassed(t.Context(), m.command(args...), p, p.Passed()+size/4+s.random.Int64N(size/4))
		must(t, err)
		must(t, p.WaitIdle(t.Context()))
		checkFiles(t, dir, s.files)
		if killed {
			kills, cut = kills+1, cut+p.Accepted()-before
		}
		if kills == mostKills {
			t.Fatalf("%d extracts were killed, and %d bytes sent for %d", kills, p.Passed(), size)
		}
	}
	checkDestination(t, dir, s.files)
	most := size + int64(cut)*(unsaved+onItsWay) + int64(kills)*smallFiles + int64(p.Accepted())*overhead
	t.Logf("%d kills, %d of %d connections cut, %.2f of the model sent, at most %.2f", kills, cut, p.Accepted(),
		float64(p.Passed())/float64(size), float64(most)/float64(size))
	if passed := p.Passed(); passed > most {
		t.Errorf("%d bytes were sent for %d, want at most %d", passed, size, most)
	}
	if kills == 0 {
		t.Error("no extract was killed")
	}
}

// obstructed finds a directory where a file is to go, before anything is fetched.
func (s *stall) obstructed(t *testing.T) {
	m, p := newMachine(t), s.open(t)
	dir := m.path("out")
	args := []string{"extract", "--plain-http", "--no-sync", p.Addr() + s.ref, dir}
	obstacle := filepath.Join(dir, "config.json")
	must(t, os.MkdirAll(filepath.Join(obstacle, "sub"), 0o755))
	_, err := m.run(args...)
	if err == nil || !strings.Contains(err.Error(), "config.json is a directory there") {
		t.Fatal(err)
	}
	must(t, os.RemoveAll(obstacle))
	must(t, p.WaitIdle(t.Context()))
	if passed := p.Passed(); passed > smallFiles+overhead {
		t.Errorf("%d bytes were sent for nothing", passed)
	}
	m.must(t, args...)
	checkDestination(t, dir, s.files)
}

func (s *stall) size() (n int64) {
	for _, data := range s.files {
		n += int64(len(data))
	}
	return n
}

// editions are versions of a model that have some files in common, some of the
// same name, and some each for itself: smalls small ones of each kind.
func editions(seed uint64, smalls int) []model {
	all := make([]model, 3)
	for i := range all {
		n := uint64(i + 1)
		all[i] = model{
			"shared.safetensors":                  noise(5<<20, seed),
			"model.safetensors":                   noise(5<<20, seed, n),
			"config.json":                         fmt.Appendf(nil, `{"edition":%d}`, n),
			fmt.Sprintf("only-%d.safetensors", n): noise(1<<20, seed, n, 1),
			fmt.Sprintf("only-%d.json", n):        noise(1000, seed, n, 2),
		}
		for k := range uint64(smalls) {
			all[i][fmt.Sprintf("data/%d.txt", k)] = noise(1000, seed, n, 100+k)
			all[i][fmt.Sprintf("data/%d/%d.txt", n, k)] = noise(1000, seed, n, 200+k)
		}
	}
	return all
}

func editionRef(i int) string { return fmt.Sprintf("localhost/soak/editions:v%d", i+1) }

// newEditions is a machine with all editions in its store.
func newEditions(t *testing.T, seed uint64, smalls int, args ...string) (*machine, []model) {
	t.Helper()
	m, all := newMachine(t), editions(seed, smalls)
	for i, files := range all {
		must(t, m.write("model", files))
		m.must(t, append([]string{"build", "-t", editionRef(i), "model"}, args...)...)
	}
	return m, all
}

// updatePass kills extracts of one edition over another.
func updatePass(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 5))
	m, all := newEditions(t, seed, 20, layout(random)...)
	dir := m.path("out")
	mine := writeMine(t, dir)
	extract := func(i int) []string {
		return []string{"extract", "--pull", "never", "--no-sync", editionRef(i), dir}
	}
	start := time.Now()
	m.must(t, extract(0)...)
	took, kills, next := time.Since(start), 0, 0
	for range killsPerUpdate {
		next = (next + 1 + random.IntN(len(all)-1)) % len(all)
		killed, err := killAfter(m.command(extract(next)...), time.Duration(random.Int64N(int64(took))))
		must(t, err)
		if killed {
			kills++
		}
		checkFiles(t, dir, append(slices.Clone(all), mine)...)
	}
	last := random.IntN(len(all))
	m.must(t, extract(last)...)
	checkDestination(t, dir, all[last], mine)
	t.Logf("%d of %d were killed", kills, killsPerUpdate)
}

// writeMine puts files of somebody else where a model is to go.
func writeMine(t *testing.T, dir string) model {
	t.Helper()
	mine := model{"data/mine.txt": []byte("mine"), "notes.json": []byte("{}")}
	for name, data := range mine {
		must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	return mine
}

// checkFiles says that all files that are there are those of one of the models.
func checkFiles(t *testing.T, dir string, models ...model) {
	t.Helper()
	for _, name := range list(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		if !slices.ContainsFunc(models, func(m model) bool { return m[name] != nil && bytes.Equal(m[name], data) }) {
			t.Errorf("%s has %d bytes, and not those of any version", name, len(data))
		}
	}
}

// checkDestination says that just the files of these models are there, and
// nothing of ours but what belongs there.
func checkDestination(t *testing.T, dir string, models ...model) {
	t.Helper()
	there := list(t, dir)
	var want []string
	for _, m := range models {
		for name := range m {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	slices.Sort(there)
	if !slices.Equal(there, want) {
		t.Errorf("files that should not be there: %q; missing: %q", without(there, want), without(want, there))
	} else {
		checkFiles(t, dir, models...)
	}
	checkTidy(t, dir)
}

func checkTidy(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, ".tare"))
	must(t, err)
	for _, e := range entries {
		if e.Name() != "lock" && e.Name() != "state.json" {
			t.Errorf("left behind: .tare/%s", e.Name())
		}
	}
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

// TestExtractTogether has many extracts at work on one directory.
func TestExtractTogether(t *testing.T) {
	t.Run("same artifact", sixteenAtOnce)
	t.Run("two versions", twoVersionsAtOnce)
	t.Run("two models", twoModelsAtOnce)
	t.Run("one fails", oneFailsAtOnce)
}

// sixteenAtOnce fetch a model once.
func sixteenAtOnce(t *testing.T) {
	const n = 16
	reg := fault.New(t)
	files := model{"weights-1.bin": noise(8<<20, 1), "weights-2.bin": noise(4<<20, 2)}
	art := reg.Add("soak/once", files["weights-1.bin"], files["weights-2.bin"])
	m := newMachine(t)
	dir := m.path("out")
	outs := m.together(t, slices.Repeat([][]string{{"extract", "--plain-http", "--no-sync", "--format", "json", reg.Ref(art), dir}}, n)...)
	var moved int64
	for _, o := range outs {
		must(t, o.err)
		var r struct{ Moved int64 }
		must(t, json.Unmarshal(o.out, &r))
		moved += r.Moved
	}
	reg.Idle()
	if want := art.Layers[0].Size + art.Layers[1].Size; moved != want {
		t.Errorf("%d bytes moved, want %d", moved, want)
	}
	if most := art.Size() + n*art.Config.Size + art.Size()/20; reg.Sent() > most {
		t.Errorf("%d bytes sent, want at most %d", reg.Sent(), most)
	}
	checkDestination(t, dir, files)
}

// twoVersionsAtOnce come one after the other.
func twoVersionsAtOnce(t *testing.T) {
	m, all := newEditions(t, 1, 20, "--raw")
	dir := m.path("out")
	var lines [][]string
	for i := range all {
		lines = append(lines, []string{"extract", "--pull", "never", "--no-sync", editionRef(i), dir})
	}
	for _, o := range m.together(t, lines...) {
		must(t, o.err)
	}
	i := slices.IndexFunc(all, func(e model) bool { return len(without(list(t, dir), keys(e))) == 0 })
	checkDestination(t, dir, all[max(i, 0)])
}

// twoModelsAtOnce want the same path for different content: one is told so, and
// nothing of it is there.
func twoModelsAtOnce(t *testing.T) {
	m := newMachine(t)
	models := []model{
		{"config.json": noise(500, 1), "a.safetensors": noise(3<<20, 1), "data/a.txt": noise(10, 1)},
		{"config.json": noise(500, 2), "b.safetensors": noise(3<<20, 2), "data/b.txt": noise(10, 2)},
	}
	var lines [][]string
	dir := m.path("out")
	for i, files := range models {
		ref := fmt.Sprintf("localhost/soak/model-%d:v1", i)
		must(t, m.write("model", files))
		m.must(t, "build", "-t", ref, "model")
		lines = append(lines, []string{"extract", "--pull", "never", "--no-sync", ref, dir})
	}
	for range 5 {
		must(t, os.RemoveAll(dir))
		outs := m.together(t, lines...)
		if (outs[0].err == nil) == (outs[1].err == nil) {
			t.Fatalf("%v, %v: want one to win", outs[0].err, outs[1].err)
		}
		winner, loser := 0, 1
		if outs[0].err != nil {
			winner, loser = 1, 0
		}
		if err := outs[loser].err.Error(); !strings.Contains(err, "holds other content already: config.json") || !strings.Contains(err, "hint: ") {
			t.Error(err)
		}
		checkDestination(t, dir, models[winner])
	}
}

// oneFailsAtOnce takes a directory away that it has made, for which another
// extract waits.
func oneFailsAtOnce(t *testing.T) {
	reg := fault.New(t)
	good, bad := model{"weights-1.bin": noise(1000, 1)}, noise(2<<20, 2)
	goodRef, badArt := reg.Ref(reg.Add("soak/good", good["weights-1.bin"])), reg.Add("soak/bad", bad)
	begun := make(chan struct{}, 100)
	reg.Script(fault.Blob, fault.Corrupt(2<<20-1).And(fault.Rate(8<<20)).Of(badArt.Layers[0].Digest).Always().Do(func() { begun <- struct{}{} }))
	m := newMachine(t)
	dir := m.path("out")
	failed := make(chan error, 1)
	go func() {
		_, err := m.run("extract", "--plain-http", "--no-sync", reg.Ref(badArt), dir)
		failed <- err
	}()
	<-begun
	m.must(t, "extract", "--plain-http", "--no-sync", goodRef, dir)
	if err := <-failed; exitCode(err) != 5 {
		t.Errorf("%v, want exit code 5", err)
	}
	checkDestination(t, dir, good)
}

func keys(m model) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}

// outcome is what became of a command.
type outcome struct {
	out []byte
	err error
}

// together runs commands at once.
func (m *machine) together(t *testing.T, lines ...[]string) []outcome {
	t.Helper()
	outs, ended := make([]outcome, len(lines)), make(chan int)
	for i, line := range lines {
		go func() {
			outs[i].out, outs[i].err = m.run(line...)
			ended <- i
		}()
	}
	for range lines {
		<-ended
	}
	return outs
}

// exitCode is -1 if err is not of a command that ended.
func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
