package soak

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := withBinary(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// withBinary runs the tests with TARE naming a binary.
func withBinary(run func() int) (int, error) {
	if os.Getenv("TARE") != "" {
		return run(), nil
	}
	dir, err := os.MkdirTemp("", "tare-soak-*")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "tare")
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	build := exec.Command("go", "build", "-o", name, "github.com/tareml/tare")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building tare: %w\n%s", err, out)
	}
	os.Setenv("TARE", name)
	return run(), nil
}

// TestSoak runs pass after pass until its time is up, and each kind at least
// once.
func TestSoak(t *testing.T) {
	seconds, err := strconv.Atoi(cmp.Or(os.Getenv("TARE_SOAK_SECONDS"), "0"))
	must(t, err)
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	for pass := 0; pass == 0 || time.Now().Before(end) && !t.Failed(); pass++ {
		seed := passSeed(t)
		t.Run(fmt.Sprintf("kill/seed=%d", seed), func(t *testing.T) { killPass(t, seed) })
		t.Run(fmt.Sprintf("crowd/seed=%d", seed), func(t *testing.T) { crowdPass(t, seed) })
	}
}

// passSeed is what the content of a pass and the order of things come from.
func passSeed(t *testing.T) uint64 {
	s := os.Getenv("TARE_SOAK_SEED")
	if s == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(s, 10, 64)
	must(t, err)
	return seed
}

// patience is how long one command may take.
const patience = 5 * time.Minute

var errHangs = fmt.Errorf("not done after %v", patience)

// machine is a store, a home and a binary that uses them.
type machine struct {
	dir  string
	tare string
	env  []string // besides what all have
}

func newMachine(t *testing.T) *machine {
	tare, err := filepath.Abs(os.Getenv("TARE"))
	must(t, err)
	return &machine{dir: t.TempDir(), tare: tare}
}

func (m *machine) path(elem ...string) string {
	return filepath.Join(append([]string{m.dir}, elem...)...)
}

// command is a command line of tare.
func (m *machine) command(args ...string) *exec.Cmd {
	return m.commandContext(context.Background(), args...)
}

// commandContext is a command that is killed when ctx ends.
func (m *machine) commandContext(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, m.tare, append([]string{"--progress=none"}, args...)...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(),
		"HOME="+m.path("home"), "USERPROFILE="+m.path("home"), "LOCALAPPDATA="+m.path("cache"),
		"XDG_CACHE_HOME="+m.path("cache"), "DOCKER_CONFIG="+m.path("docker"), "TARE_STORE="+m.path("store"))
	cmd.Env = append(cmd.Env, m.env...)
	return cmd
}

// run runs tare to its end and returns what it printed. What takes longer than
// anything can is killed.
func (m *machine) run(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errHangs)
	defer cancel()
	cmd := m.commandContext(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("tare %s: %w\n%s", strings.Join(args, " "), errors.Join(err, context.Cause(ctx)), stderr.Bytes())
	}
	return out, err
}

// must runs what has to work.
func (m *machine) must(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := m.run(args...)
	must(t, err)
	return out
}

// knows says whether this tare has a command.
func (m *machine) knows(t *testing.T, command string) bool {
	for line := range strings.Lines(string(m.must(t, "--help"))) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == command {
			return true
		}
	}
	return false
}

// tags are the names in the store, in order.
func (m *machine) tags(t *testing.T) []string {
	t.Helper()
	out := m.must(t, "ls", "--format", "json")
	var entries []struct{ Repository, Tag string }
	must(t, json.Unmarshal(out, &entries))
	var refs []string
	for _, e := range entries {
		refs = append(refs, e.Repository+":"+e.Tag)
	}
	slices.Sort(refs)
	return refs
}

// model is the content of a model directory by path.
type model map[string][]byte

// write makes a directory of the model and of nothing else.
func (m *machine) write(dir string, files model) error {
	if err := os.RemoveAll(m.path(dir)); err != nil {
		return err
	}
	for name, data := range files {
		path := m.path(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	lines := "NAME soak\nCONFIG *.json\nMODEL *.safetensors\nDATASET data/**\n"
	return os.WriteFile(m.path(dir, "Modelfile"), []byte(lines), 0o644)
}

// extract returns the files of an artifact in the store.
func (m *machine) extract(t *testing.T, ref string) model {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	m.must(t, "extract", "--pull", "never", "--no-sync", ref, out)
	files := make(model)
	for _, name := range list(t, out) {
		data, err := os.ReadFile(filepath.Join(out, filepath.FromSlash(name)))
		must(t, err)
		files[name] = data
	}
	return files
}

func equal(a, b model) bool { return maps.EqualFunc(a, b, bytes.Equal) }

// checkStrays finds files of commands that are no more.
func (m *machine) checkStrays(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"tmp", "sessions"} {
		for _, name := range list(t, m.path("store", ".tare", dir)) {
			t.Errorf("left behind: .tare/%s/%s", dir, name)
		}
	}
}

// checkEmpty removes all names, and then nothing may be left.
func (m *machine) checkEmpty(t *testing.T) {
	t.Helper()
	if refs := m.tags(t); len(refs) > 0 {
		m.must(t, append([]string{"rm"}, refs...)...)
	}
	m.must(t, "prune")
	m.checkStrays(t)
	for _, name := range list(t, m.path("store", "blobs")) {
		t.Errorf("a blob that no name needs: %s", name)
	}
}

// list returns the files below a directory, by slash-separated path; none if it
// is not there. What tare keeps for itself in an extracted model does not count.
func list(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) && path == dir {
			return nil
		}
		if err != nil || d.IsDir() {
			if err == nil && d.Name() == ".tare" {
				return filepath.SkipDir
			}
			return err
		}
		rel, err := filepath.Rel(dir, path)
		names = append(names, filepath.ToSlash(rel))
		return err
	})
	must(t, err)
	return names
}

// noise is random content that up to four numbers name.
func noise(size int, seed ...uint64) []byte {
	var key [32]byte
	for i, s := range seed {
		binary.LittleEndian.PutUint64(key[8*i:], s)
	}
	data := make([]byte, size)
	rand.NewChaCha8(key).Read(data)
	return data
}

// writeNoise writes a file that need not fit into memory.
func writeNoise(path string, size int64, seed ...uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte(noise(32, seed...))), size)
	return errors.Join(err, f.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
