package interop_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modelpack/modctl/pkg/backend"
	"github.com/modelpack/modctl/pkg/config"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// newModctl is modctl with a store of its own.
func newModctl(t *testing.T) backend.Backend {
	t.Helper()
	b, err := backend.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// firstError ends a pull at its first error. By itself modctl would try again for
// more than two minutes.
type firstError struct{ cancel context.CancelCauseFunc }

func (firstError) BeforePullLayer(ocispec.Descriptor, ocispec.Manifest) (skip bool) { return false }

func (f firstError) AfterPullLayer(_ ocispec.Descriptor, _ bool, err error) {
	if err != nil {
		f.cancel(err)
	}
}

// modctlPull is `modctl pull`. With a directory it is `modctl pull
// --extract-from-remote`, which model-csi-driver runs too.
func modctlPull(t *testing.T, b backend.Backend, ref, dir string) error {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	c := config.NewPull()
	c.PlainHTTP = true
	c.ProgressWriter, c.DisableProgress = io.Discard, true
	c.Hooks = firstError{cancel}
	c.ExtractDir, c.ExtractFromRemote = dir, dir != ""
	if err := b.Pull(ctx, ref, c); err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	return nil
}

// modctlExtract is `modctl extract` of what was pulled.
func modctlExtract(t *testing.T, b backend.Backend, ref string) (files, error) {
	t.Helper()
	c := config.NewExtract()
	c.Output = t.TempDir()
	err := b.Extract(t.Context(), ref, c)
	return readTree(t, c.Output), err
}

// readModctl is `modctl pull` and `modctl extract`.
func readModctl(t *testing.T, a *artifact) (files, error) {
	b := newModctl(t)
	if err := modctlPull(t, b, a.ref, ""); err != nil {
		t.Fatal(err)
	}
	got, err := modctlExtract(t, b, a.ref)
	if err != nil && strings.Contains(err.Error(), "unsupported codec type") {
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	return got, err
}

func TestModctlRestoresModes(t *testing.T) {
	m, host := oddModel(t), newRegistry(t)
	for _, f := range []format{tarLayers, rawLayers, bundled} {
		dir := t.TempDir()
		if err := modctlPull(t, newModctl(t), newArtifact(t, m, f, host).ref, dir); err != nil {
			t.Fatal(err)
		}
		for p := range m.files {
			want := os.FileMode(0o644)
			if strings.HasPrefix(m.files[p], "#!") {
				want = 0o755
			}
			info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(p)))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != want {
				t.Errorf("%s: %s has mode %v, want %v", f, p, info.Mode(), want)
			}
		}
	}
}

// TestModctlPullsOverAnOlderVersion: modctl skips a file that it takes for up to
// date, going by its own notes of size and digest.
func TestModctlPullsOverAnOlderVersion(t *testing.T) {
	host := newRegistry(t)
	for _, f := range []format{tarLayers, rawLayers} {
		m, dir := plainModel(t), t.TempDir()
		if err := modctlPull(t, newModctl(t), newArtifact(t, m, f, host).ref, dir); err != nil {
			t.Fatal(err)
		}
		m.files["config.json"] = strings.ToUpper(m.files["config.json"])
		writeFile(t, filepath.Join(m.dir, "config.json"), m.files["config.json"])
		if err := modctlPull(t, newModctl(t), newArtifact(t, m, f, host).ref, dir); err != nil {
			t.Fatal(err)
		}
		compareFiles(t, readTree(t, dir), m.files)
	}
}

// TestTareReadsModctl is the other direction: the same directories, built and
// pushed by modctl.
func TestTareReadsModctl(t *testing.T) {
	host := newRegistry(t)
	for _, m := range []*model{plainModel(t), oddModel(t)} {
		for name, raw := range map[string]bool{"tar": false, "raw": true} {
			t.Run(m.name+"/"+name, func(t *testing.T) {
				ref := host + "/modctl/" + m.name + ":" + name
				modctlPush(t, m, ref, raw)
				store, dir := t.TempDir(), t.TempDir()
				tare(t, store, "pull", ref)
				tare(t, store, "extract", "--pull", "never", ref, dir)
				compareFiles(t, withoutState(readTree(t, dir)), m.files)
			})
		}
	}
}

// modctlPush is `modctl build` and `modctl push`.
func modctlPush(t *testing.T, m *model, ref string, raw bool) {
	t.Helper()
	b := newModctl(t)
	build := config.NewBuild()
	build.Target, build.Raw = ref, raw
	if err := b.Build(t.Context(), modctlModelfile(t, m), m.dir, ref, build); err != nil {
		t.Fatal(err)
	}
	push := config.NewPush()
	push.PlainHTTP = true
	if err := b.Push(t.Context(), ref, push); err != nil {
		t.Fatal(err)
	}
}

// modctlModelfile is a Modelfile that modctl makes all of m's files of. It names
// each file, since modctl knows no **, and calls datasets code, since modctl
// v0.2.2 parses DATASET and then packages no such file.
func modctlModelfile(t *testing.T, m *model) string {
	t.Helper()
	var text strings.Builder
	for p := range m.files {
		command := "CODE"
		switch {
		case strings.HasSuffix(p, ".safetensors"), strings.HasSuffix(p, ".bin"):
			command = "MODEL"
		case strings.HasSuffix(p, ".json"):
			command = "CONFIG"
		case p == "README.md", p == "LICENSE":
			command = "DOC"
		}
		text.WriteString(command + ` "` + p + "\"\n")
	}
	path := filepath.Join(t.TempDir(), "Modelfile")
	writeFile(t, path, text.String())
	return path
}

// TestModctlRefusesTwoDots: modctl takes two dots in a name for a way out, which
// they are not. tare packs and extracts such a file.
func TestModctlRefusesTwoDots(t *testing.T) {
	m, host := plainModel(t), newRegistry(t)
	m.files["part..2.json"] = "{}"
	writeFile(t, filepath.Join(m.dir, "part..2.json"), "{}")
	a := newArtifact(t, m, tarLayers, host)
	b := newModctl(t)
	if err := modctlPull(t, b, a.ref, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := modctlExtract(t, b, a.ref); err == nil || !strings.Contains(err.Error(), "invalid path") {
		t.Errorf("error %v: if modctl takes part..2.json now, README.md is to say so", err)
	}
	got, err := readTare(t, a)
	if err != nil {
		t.Fatal(err)
	}
	compareFiles(t, got, m.files)
}
