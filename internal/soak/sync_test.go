package soak

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	fault "github.com/tareml/tare/internal/faultregistry"
)

const killsPerSync = 6

// TestSoakSync kills syncs while a tag moves and its registry comes and goes.
func TestSoakSync(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no signal to send")
	}
	t.Parallel()
	seed := passSeed(t)
	t.Logf("seed %d", seed)
	forAsLongAsAsked(t, func(t *testing.T, pass uint64) { syncPass(t, seed+pass) })
}

func syncPass(t *testing.T, seed uint64) {
	k := newKeeper(t, seed)
	k.move(t)
	for range killsPerSync {
		if k.random.IntN(3) == 0 {
			k.reg.Script(fault.Manifest, fault.Busy(503, 0).Always(), fault.Busy(503, 0).Head().Always())
		}
		cmd := k.start(t)
		time.Sleep(time.Duration(k.random.IntN(200)) * time.Millisecond)
		k.move(t)
		time.Sleep(time.Duration(k.random.IntN(200)) * time.Millisecond)
		must(t, cmd.Process.Kill())
		cmd.Wait()
		k.reg.Heal()
		checkFiles(t, k.dir(), k.versions...)
	}

	cmd := k.start(t)
	k.await(t, "log", "changed to "+k.last)
	k.checkReady(t)
	checkFiles(t, k.dir(), k.versions[len(k.versions)-1])
	k.end(t, cmd)

	// The directory is good, whether or not there is a registry.
	k.reg.Close()
	must(t, os.WriteFile(k.m.path("ready"), []byte("h.io/x:v1 sha256:"+strings.Repeat("0", 64)+"\n"), 0o644))
	cmd = k.start(t)
	k.await(t, "ready", k.last)
	k.end(t, cmd)
	k.checkLog(t)
}

// TestSyncIsReadyAtOnce where the directory is as an earlier run left it and the
// registry is silent: a server that starts again does not wait for it.
func TestSyncIsReadyAtOnce(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no signal to send")
	}
	t.Parallel()
	k := newKeeper(t, 1)
	k.move(t)
	cmd := k.start(t)
	k.await(t, "log", k.last)
	k.end(t, cmd)
	silent := fault.Hang(fault.BeforeHeader).Always()
	k.reg.Script(fault.Manifest, silent, silent.Head())
	cmd = k.start(t)
	k.await(t, "ready", k.last)
	k.end(t, cmd)
}

// keeper keeps a directory at what a tag points to.
type keeper struct {
	m        *machine
	reg      *fault.Registry
	random   *rand.Rand
	seed     uint64
	ref      string
	last     string // digest that the tag points to
	versions []model
}

func newKeeper(t *testing.T, seed uint64) *keeper {
	t.Helper()
	return &keeper{m: newMachine(t), reg: fault.New(t), random: rand.New(rand.NewPCG(seed, 7)), seed: seed}
}

func (k *keeper) dir() string { return k.m.path("out") }

// move makes a new version and has the tag point to it.
func (k *keeper) move(t *testing.T) {
	t.Helper()
	n := uint64(len(k.versions))
	v := model{"weights-1.bin": noise(6<<20, k.seed, n), "weights-2.bin": noise(1<<20, k.seed), "weights-3.bin": noise(1000, k.seed, n)}
	art := k.reg.Add("soak/moving", v["weights-1.bin"], v["weights-2.bin"], v["weights-3.bin"])
	k.ref, k.last = k.reg.Ref(art), art.Descriptor.Digest.String()
	k.versions = append(k.versions, v)
}

// start starts a sync that writes to the file log what it was told of.
func (k *keeper) start(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := k.m.command("sync", "--plain-http", "--no-sync", "--interval", "1s", "--ready-file", k.m.path("ready"),
		"--on-change", "echo changed to $TARE_DIGEST >>"+k.m.path("log"), k.ref, k.dir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() // nobody writes to stderr any more
		if t.Failed() {
			t.Logf("%s", &stderr)
		}
	})
	return cmd
}

// await waits for a file to hold something.
func (k *keeper) await(t *testing.T, name, what string) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		data, err := os.ReadFile(k.m.path(name))
		if err == nil && strings.Contains(string(data), what) {
			return
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) || time.Now().After(end) {
			t.Fatalf("%s does not say %q: %q, %v", name, what, data, err)
		}
	}
}

// checkReady says that the ready file names the last version.
func (k *keeper) checkReady(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(k.m.path("ready"))
	if want := k.ref + " " + k.last + "\n"; err != nil || string(data) != want {
		t.Errorf("the ready file says %q, %v, want %q", data, err, want)
	}
}

// end ends a sync as Kubernetes does.
func (k *keeper) end(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	if err := cmd.Wait(); err != nil || !late.Stop() {
		t.Errorf("%v after SIGTERM, want exit code 0, and soon", err)
	}
	if exists(k.m.path("ready")) {
		t.Error("the ready file is there, and no sync runs")
	}
}

// checkLog says that the command was told of the last version once: it ended
// well, and the next run had nothing new.
func (k *keeper) checkLog(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(k.m.path("log"))
	must(t, err)
	if n := strings.Count(string(data), k.last); n != 1 {
		t.Errorf("the command was told %d times of the last version:\n%s", n, data)
	}
}
