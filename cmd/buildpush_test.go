package cmd

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/build"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/registry"
)

func TestPlannedLayers(t *testing.T) {
	files := []build.File{{Path: "w.bin", Size: 1 << 40}}
	both := []build.File{{Path: "a.bin", Size: 1}, {Path: "w.bin", Size: 1 << 40}}
	single := func(f modelpack.Format) build.Layer { return build.Layer{Format: f, Path: "w.bin", Files: files} }
	bundle := build.Layer{Kind: modelpack.Model, Format: modelpack.Tar, Path: ".", Files: both, Bundle: true}
	for want, l := range map[registry.Planned]build.Layer{
		{Name: "w.bin", Size: 1 << 40}:                     single(modelpack.Raw),
		{Name: "w.bin", Size: 1<<40 + 2560}:                single(modelpack.Tar),
		{Name: "w.bin", Size: 1<<40 + 2560, Packing: true}: single(modelpack.TarGzip),
		{Name: "the bundle of model files, of which w.bin is the largest,", Size: 1<<40 + 3584, Bundle: true}: bundle,
	} {
		if got := planned([]build.Layer{l}); got[0] != want {
			t.Errorf("%+v, want %+v", got[0], want)
		}
	}
}

// TestBundleThatIsTooLarge says so before it looks for the registry, and what to do.
func TestBundleThatIsTooLarge(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files are not sparse")
	}
	dir := t.TempDir()
	for name, size := range map[string]int64{"a.bin": 4e9, "b.bin": 7e9} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("weights"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Skip(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "Modelfile"), []byte("MODEL *.bin\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := run(t, "build", "--push", "--bundle", "model", "-t", "ghcr.io/team/x:v1", dir)
	want := "error: the bundle of model files, of which b.bin is the largest, is a layer of 10.2 GiB, and GHCR takes no more than 9.3 GiB\n" +
		"hint: leave --bundle out and build again: each file is a layer then\n"
	if code != exitFailed || !strings.HasSuffix(stderr, want) {
		t.Errorf("exit code %d:\n%s", code, stderr)
	}
}

// TestStoredBundles: of a bundle that was built before only the kind is known.
func TestStoredBundles(t *testing.T) {
	metadata, err := json.Marshal(modelpack.NewDirMetadata(".", 20e9))
	if err != nil {
		t.Fatal(err)
	}
	layer := func(file string, metadata string) ocispec.Descriptor {
		annotations := map[string]string{modelpack.AnnotationFilepath: file}
		if metadata != "" {
			annotations[modelpack.AnnotationFileMetadata] = metadata
		}
		return ocispec.Descriptor{MediaType: modelpack.MediaType(modelpack.Code, modelpack.Tar), Digest: digest.FromString(file), Size: 20e9, Annotations: annotations}
	}
	descs := []ocispec.Descriptor{layer("run.py", ""), layer(".", string(metadata))}
	manifest, err := modelpack.NewManifest(ocispec.DescriptorEmptyJSON, descs, nil)
	if err != nil {
		t.Fatal(err)
	}
	art, err := modelpack.ParseManifest(manifest)
	if err != nil {
		t.Fatal(err)
	}
	got := stored(&artifact{Artifact: art}, registry.TransferOptions{NameKeys: []string{modelpack.AnnotationFilepath}})
	want := []registry.Planned{{Name: "run.py", Size: 20e9}, {Name: "the bundle of code files", Size: 20e9, Bundle: true}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestLayersAreJudgedOnceCompressed: what was let through before, since nobody could
// know, is refused with the same words.
func TestLayersAreJudgedOnceCompressed(t *testing.T) {
	ref, err := registry.ParseReference("ghcr.io/team/x:v1")
	if err != nil {
		t.Fatal(err)
	}
	o := buildOptions{}
	tags, err := o.tags([]registry.Reference{ref})
	if err != nil {
		t.Fatal(err)
	}
	l := build.Layer{Format: modelpack.TarZstd, Path: "w.bin", Files: []build.File{{Path: "w.bin", Size: 20e9}}}
	if _, err := tags[0].Preflight(planned([]build.Layer{l}), 4); err != nil {
		t.Error(err)
	}
	var to build.Accepter = end{tags[0], ""}
	if err := to.Accepts(l, 10e9); err != nil {
		t.Error(err)
	}
	l.Format = modelpack.Raw
	_, want := tags[0].Preflight(planned([]build.Layer{l}), 4)
	l.Format = modelpack.TarZstd
	if err := to.Accepts(l, 20e9); err == nil || want == nil || err.Error() != want.Error() {
		t.Errorf("%v, want %v", err, want)
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
