package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	fault "github.com/tareml/tare/internal/faultregistry"
	"github.com/tareml/tare/internal/netproxy"
	"github.com/tareml/tare/internal/testregistry"
	"github.com/tareml/tare/progress"
)

// TestBuildPushToRepositoriesOfOneRegistry: bytes go to the first, and the others
// take them from there, if the registry does such things; of another registry each
// gets them. What is told of it is what happened.
func TestBuildPushToRepositoriesOfOneRegistry(t *testing.T) {
	mounts := func(f fault.Fault) func(*fault.Registry) {
		return func(r *fault.Registry) { r.Script(fault.Upload, f.Mounts()) }
	}
	for name, test := range map[string]struct {
		options []fault.Option
		script  func(*fault.Registry)
		refuses bool
	}{
		"mounted":                {},
		"mounted, with tokens":   {options: []fault.Option{fault.WithTokens(time.Hour)}},
		"mounted, in the end":    {script: mounts(fault.Busy(503, 0))},
		"a session instead":      {options: []fault.Option{fault.WithoutMount()}, refuses: true},
		"refused":                {script: mounts(fault.Status(403).Always()), refuses: true},
		"not known":              {script: mounts(fault.Status(405).Always()), refuses: true},
		"refused, with tokens":   {options: []fault.Option{fault.WithTokens(time.Hour)}, script: mounts(fault.Status(401).Always()), refuses: true},
		"a session, with tokens": {options: []fault.Option{fault.WithTokens(time.Hour), fault.WithoutMount()}, refuses: true},
	} {
		t.Run(name, func(t *testing.T) {
			freshHome(t)
			t.Setenv("TARE_USERNAME", fault.Username)
			t.Setenv("TARE_PASSWORD", fault.Password)
			reg := fault.New(t, test.options...)
			if test.script != nil {
				test.script(reg)
			}
			dir := twoFiles(t)
			result, last := buildPushJSON(t, dir, "-t", reg.Host+"/models/x:v1", "-t", reg.Host+"/models/x:v2", "-t", reg.Host+"/team/y:v1")
			first, second := reg.Artifact("models/x", "v1"), reg.Artifact("team/y", "v1")
			if first == nil || second == nil || first.Descriptor.Digest != second.Descriptor.Digest || reg.Artifact("models/x", "v2") == nil {
				t.Fatalf("%v and %v", first, second)
			}
			for _, l := range append(slices.Clone(second.Layers), second.Config) {
				if !reg.Has("team/y", l.Digest) {
					t.Errorf("%s is missing", l.Digest)
				}
			}
			want := first.Size()
			if test.refuses {
				want *= 2
			}
			if got := reg.Received(); got != want || result.Moved != want || result.Skipped != 2*first.Size()-want {
				t.Errorf("%d bytes arrived, want %d; it says that %d did, and %d were there", got, want, result.Moved, result.Skipped)
			}
			if last.Safe+last.Skipped != last.Total || last.Done != last.Layers || last.Layers != 2 {
				t.Errorf("progress ended at %+v", last)
			}
			if leaked := reg.Leaked(); len(leaked) > 0 {
				t.Errorf("leaked: %q", leaked)
			}
		})
	}
}

func TestBuildPushToTwoRegistries(t *testing.T) {
	freshHome(t)
	one, other := fault.New(t), fault.New(t)
	result, last := buildPushJSON(t, twoFiles(t), "-t", one.Host+"/models/x:v1", "-t", other.Host+"/models/x:v1", "-t", other.Host+"/team/y:v1")
	size := one.Artifact("models/x", "v1").Size()
	if one.Received() != size || other.Received() != size || result.Moved != 2*size || result.Skipped != size || last.Safe+last.Skipped != last.Total {
		t.Errorf("%d and %d bytes arrived of %d each; %+v", one.Received(), other.Received(), size, result)
	}
}

// TestBuildPushMountsInDistribution counts what goes over the network.
func TestBuildPushMountsInDistribution(t *testing.T) {
	freshHome(t)
	proxy, err := netproxy.Start(t.Context(), testregistry.Distribution(t).Host, netproxy.Options{Up: true})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	dir := twoFiles(t)
	result, _ := buildPushJSON(t, dir, "-t", proxy.Addr()+"/models/x:v1", "-t", proxy.Addr()+"/team/y:v1")
	if passed := proxy.Passed(); passed < largeLayer || passed > 3*largeLayer/2 {
		t.Errorf("%d bytes were sent of %d for each repository", passed, largeLayer)
	}
	if result.Moved < largeLayer || result.Moved > 3*largeLayer/2 || result.Skipped != result.Moved {
		t.Errorf("it says that it sent %d bytes, and %d were there", result.Moved, result.Skipped)
	}
	out := t.TempDir()
	if code, _, stderr := run(t, "extract", "--progress", "none", proxy.Addr()+"/team/y:v1", out); code != exitOK {
		t.Fatal(stderr)
	}
	wantFiles(t, out, "notes.txt", "weights.bin")
}

// freshHome keeps what the user has out of a test.
func freshHome(t *testing.T) {
	t.Helper()
	for _, name := range []string{"DOCKER_CONFIG", "HOME", "XDG_CACHE_HOME"} {
		t.Setenv(name, t.TempDir())
	}
}

// twoFiles is a model of a large and a small file.
func twoFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"weights.bin": content(t, fault.Random(largeLayer, 1)), "notes.txt": []byte("notes\n"), "Modelfile": []byte("MODEL *.bin\nDOC *.txt\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// buildPushJSON returns the result and the last progress.
func buildPushJSON(t *testing.T, dir string, args ...string) (result builtAndPushed, last progress.Status) {
	t.Helper()
	code, stdout, stderr := run(t, append([]string{"build", "--push", "--format", "json", "--progress", "json", dir}, args...)...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	return result, last
}
