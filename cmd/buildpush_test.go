package cmd

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/tareml/tare/build"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/registry"
)

func TestPlannedSizesAreOfLayersThatAreNotCompressed(t *testing.T) {
	files := []build.File{{Path: "w.bin", Size: 1 << 40}}
	var layers []build.Layer
	for _, f := range []modelpack.Format{modelpack.Raw, modelpack.Tar, modelpack.TarGzip, modelpack.TarZstd} {
		layers = append(layers, build.Layer{Format: f, Path: "w.bin", Files: files})
	}
	want := []registry.Planned{{Name: "w.bin", Size: 1 << 40}, {Name: "w.bin", Size: layers[1].Size()}, {Name: "w.bin"}, {Name: "w.bin"}}
	if got := planned(layers); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestSpoolDir(t *testing.T) {
	t.Setenv("TMPDIR", "")
	if info, err := os.Stat("/var/tmp"); runtime.GOOS != "windows" && err == nil && info.IsDir() && spoolDir() != "/var/tmp" {
		t.Errorf("%s, which may be in memory", spoolDir())
	}
	if runtime.GOOS == "windows" {
		return
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	if spoolDir() != dir {
		t.Errorf("%s, TMPDIR is %s", spoolDir(), dir)
	}
}

// TestBuildPushToTagsOfOneRepository: blobs go to a repository once, however many
// tags it gets, and to a registry once, however many repositories.
func TestBuildPushToTagsOfOneRepository(t *testing.T) {
	refs := make([]registry.Reference, 4)
	for i, name := range []string{"localhost:5000/a:v1", "localhost:5000/a:v2", "localhost:5000/b:v1", "localhost:5001/a:v1"} {
		var err error
		if refs[i], err = registry.ParseReference(name); err != nil {
			t.Fatal(err)
		}
	}
	o := buildOptions{}
	tags, err := o.tags(refs)
	if err != nil {
		t.Fatal(err)
	}
	want := []end{{tags[0], ""}, {tags[2], "a"}, {tags[3], ""}}
	if ends := distinct(refs, tags); !slices.Equal(ends, want) {
		t.Errorf("%v, want %v", ends, want)
	}
}

// TestBuildPushToRegistryThatRefuses ends with the code for it and stores nothing.
func TestBuildPushToRegistryThatRefuses(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	dir, store := t.TempDir(), filepath.Join(t.TempDir(), "store")
	if err := os.WriteFile(filepath.Join(dir, "w.bin"), []byte("weights"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := run(t, "build", "--push", "--store", store, "-t", server.Listener.Addr().String()+"/models/x:v1", dir)
	if code != exitDenied {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if _, err := os.Stat(store); !os.IsNotExist(err) {
		t.Errorf("a store was made: %v", err)
	}
}
