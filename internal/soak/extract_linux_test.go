package soak

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	fault "github.com/tareml/tare/internal/faultregistry"
)

func requireRoot(t *testing.T, why string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("SKIPPED: %s needs root; nothing was tested", why)
	}
}

// TestExtractShares puts files beside a store on a file system that can share
// content: the layers that are files are not written again.
func TestExtractShares(t *testing.T) {
	requireRoot(t, "mounting a file system")
	for _, mkfs := range [][]string{{"mkfs.xfs", "-q", "-f", "-m", "reflink=1"}, {"mkfs.btrfs", "-q", "-f"}} {
		t.Run(mkfs[0], func(t *testing.T) {
			dir := mountImage(t, mkfs...)
			m := newMachine(t)
			m.env = []string{"TARE_STORE=" + filepath.Join(dir, "store")}
			files := model{"model.safetensors": noise(24<<20+12345, 1), "config.json": noise(1000, 2)}
			must(t, m.write("model", files))
			m.must(t, "build", "--raw", "-t", "localhost/soak/shared:v1", "model")
			before := used(t, dir)
			m.must(t, "extract", "--pull", "never", "localhost/soak/shared:v1", filepath.Join(dir, "out"))
			checkDestination(t, filepath.Join(dir, "out"), files)
			if written := used(t, dir) - before; written > 4<<20 {
				t.Errorf("%d bytes were written for files that the store has", written)
			}
			// Elsewhere there is nothing to share.
			m.must(t, "extract", "--pull", "never", "localhost/soak/shared:v1", m.path("out"))
			checkDestination(t, m.path("out"), files)
			m.must(t, "verify")
		})
	}
}

// mountImage makes a file system in a file and mounts it for the time of the
// test.
func mountImage(t *testing.T, mkfs ...string) string {
	t.Helper()
	if _, err := exec.LookPath(mkfs[0]); err != nil {
		t.Skipf("SKIPPED: %v; nothing was tested", err)
	}
	image, dir := filepath.Join(memory(t), "image"), t.TempDir()
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 512<<20))
	must(t, system(mkfs[0], append(mkfs[1:], image)...))
	if err := system("mount", "-o", "loop", image, dir); err != nil {
		t.Skipf("SKIPPED: nothing was tested: %v", err)
	}
	t.Cleanup(func() {
		if err := system("umount", dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// memory is a temporary directory that needs no disk, where there is one: a disk
// that others are busy with takes seconds to sync.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "tare-soak-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// used is the number of bytes in use on the file system of dir, when all is on
// the disk.
func used(t *testing.T, dir string) int64 {
	t.Helper()
	f, err := os.Open(dir)
	must(t, err)
	defer f.Close()
	must(t, unix.Syncfs(int(f.Fd())))
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	return int64(st.Blocks-st.Bfree) * st.Bsize
}

const nobody = 1000

// TestExtractAsNobody runs as a user of a container: without a home, without a
// place to write to but the destination, under a umask that lets nobody else
// read.
func TestExtractAsNobody(t *testing.T) {
	requireRoot(t, "running as another user")
	reg := fault.New(t)
	files := model{"weights-1.bin": noise(5<<20, 1), "weights-2.bin": noise(1000, 2)}
	art := reg.Add("soak/nobody", files["weights-1.bin"], files["weights-2.bin"])
	volume := openTemp(t)
	tare := filepath.Join(volume, "tare")
	must(t, system("cp", newMachine(t).tare, tare))
	run := func(t *testing.T, dir string, args ...string) (string, error) {
		t.Helper()
		line := append([]string{"extract", "--progress", "none", "--plain-http", reg.Ref(art), dir}, args...)
		cmd := exec.Command("sh", append([]string{"-c", `umask 077; exec "$0" "$@"`, tare}, line...)...)
		cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/bin:/bin"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	t.Run("own directory", func(t *testing.T) {
		dir := filepath.Join(volume, "own")
		must(t, os.Mkdir(dir, 0o755))
		must(t, os.Chown(dir, nobody, nobody))
		if out, err := run(t, dir); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		checkDestination(t, dir, files)
		for name := range files {
			info, err := os.Lstat(filepath.Join(dir, name))
			must(t, err)
			if stat := info.Sys().(*syscall.Stat_t); info.Mode() != 0o644 || stat.Uid != nobody {
				t.Errorf("%s: %v of user %d", name, info.Mode(), stat.Uid)
			}
		}
		if out, err := run(t, dir); err != nil || !strings.Contains(out, "2 unchanged") {
			t.Errorf("again: %v\n%s", err, out)
		}
	})
	t.Run("directory of root", func(t *testing.T) {
		dir := filepath.Join(volume, "root")
		must(t, os.Mkdir(dir, 0o755))
		out, err := run(t, dir)
		if exitCode(err) != 1 || !strings.Contains(out, dir) || !strings.Contains(out, "permission denied") {
			t.Errorf("%v\n%s", err, out)
		}
		out, err = run(t, filepath.Join(dir, "below"))
		if exitCode(err) != 1 || !strings.Contains(out, dir) || !strings.Contains(out, "permission denied") {
			t.Errorf("%v\n%s", err, out)
		}
		if entries, err := os.ReadDir(dir); len(entries) > 0 || err != nil {
			t.Errorf("%v, %v", entries, err)
		}
	})
	t.Run("chown", func(t *testing.T) {
		dir := filepath.Join(volume, "given")
		must(t, os.Mkdir(dir, 0o755))
		must(t, os.Chown(dir, nobody, nobody))
		reg.Idle()
		reg.Forget()
		out, err := run(t, dir, "--chown", "1001:1001")
		if err == nil || !strings.Contains(out, "--chown") {
			t.Errorf("%v, want one that names --chown\n%s", err, out)
		}
		reg.Idle()
		if sent := reg.Sent(); sent > art.Config.Size {
			t.Errorf("%d bytes were fetched before it was found out", sent)
		}
		if entries, err := os.ReadDir(dir); len(entries) > 0 || err != nil {
			t.Errorf("left behind: %v, %v", entries, err)
		}
	})
}

// openTemp is a temporary directory that every user may enter, and so are those
// above it.
func openTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "tare-soak-*")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// TestSoakExtractSteps kills extracts at each of the calls by which names change,
// which strace finds; a run by the clock seldom hits those. It runs only for as
// long as TARE_SOAK_SECONDS says.
func TestSoakExtractSteps(t *testing.T) {
	if !isLong() {
		t.Skip("TARE_SOAK_SECONDS is not set")
	}
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("SKIPPED: strace is not installed; nothing was tested")
	}
	seed := passSeed(t)
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 8))
	m, all := newEditions(t, seed, 3)
	forAsLongAsAsked(t, func(t *testing.T, pass uint64) {
		dir := m.path(fmt.Sprintf("out-%d", pass))
		m.diesAtSteps(t, random, all, dir, pass%2 == 1)
	})
}

// diesAtSteps kills some extracts into a directory and lets a last one end.
func (m *machine) diesAtSteps(t *testing.T, random *rand.Rand, all []model, dir string, atomic bool) {
	t.Helper()
	args := func(i int) []string {
		line := []string{"extract", "--pull", "never", "--no-sync", editionRef(i), dir}
		if atomic {
			line = append(line, "--atomic", "--keep", "1")
		}
		return line
	}
	var story []string
	for range 4 {
		next, step := random.IntN(len(all)), 1+random.IntN(50)
		story = append(story, fmt.Sprintf("v%d to step %d", next+1, step))
		m.dieAt(step, args(next)...)
		if !atomic {
			checkFiles(t, dir, all...)
		}
	}
	last := random.IntN(len(all))
	m.must(t, args(last)...)
	if atomic {
		r := &reader{dir: dir, versions: all}
		r.checkEnd(t, all[last])
	} else {
		checkDestination(t, dir, all[last])
	}
	if t.Failed() {
		t.Fatalf("%s, then v%d; atomic: %v", strings.Join(story, ", "), last+1, atomic)
	}
	must(t, os.RemoveAll(dir))
}

// dieAt kills a command when it is about to change the step-th name. Each thread
// counts for itself: the same step need not be the same call again.
func (m *machine) dieAt(step int, args ...string) {
	const calls = "renameat,unlinkat,mkdirat,symlinkat,ftruncate"
	cmd := m.command(args...)
	traced := exec.Command("strace", append([]string{"-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls,
		"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", calls, step)}, cmd.Args...)...)
	traced.Dir, traced.Env = cmd.Dir, append(cmd.Env, "GOMAXPROCS=1")
	traced.Run() // which may come to its end
}

// TestExtractFindsTheDiskFull when it is half way, because nothing says how large
// the files of a compressed layer are.
func TestExtractFindsTheDiskFull(t *testing.T) {
	requireRoot(t, "mounting a tmpfs")
	small := t.TempDir()
	if err := system("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small); err != nil {
		t.Skipf("SKIPPED: nothing was tested: %v", err)
	}
	t.Cleanup(func() { must(t, system("umount", small)) })
	m := newMachine(t)
	versions := []model{
		{"config.json": noise(100, 1), "data/a.txt": noise(1000, 1)},
		{"config.json": noise(100, 2), "data/a.txt": bytes.Repeat([]byte("a"), 4<<20), "data/b.txt": bytes.Repeat([]byte("b"), 2<<20)},
	}
	for i, files := range versions {
		must(t, m.write("model", files))
		m.must(t, "build", "-t", editionRef(i), "--layer-format", "dataset=tar+gzip", "--bundle", "dataset", "model")
	}
	dir, hog := filepath.Join(small, "out"), filepath.Join(small, "hog")
	m.must(t, "extract", "--pull", "never", editionRef(0), dir)
	must(t, os.WriteFile(hog, noise(3<<20, 3), 0o644))
	_, err := m.run("extract", "--pull", "never", editionRef(1), dir)
	if exitCode(err) == -1 || err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("%v, want a disk that is full", err)
	}
	checkDestination(t, dir, versions[0])
	must(t, os.Remove(hog))
	m.must(t, "extract", "--pull", "never", editionRef(1), dir)
	checkDestination(t, dir, versions[1])
}
