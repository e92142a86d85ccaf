package extract_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/modelpack"
)

// counted is a Source that knows how often it was asked.
type counted struct {
	memory
	calls atomic.Int64
}

func (c *counted) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	c.calls.Add(1)
	return c.memory.Fetch(ctx, desc)
}

func (c *counted) Fill(ctx context.Context, desc ocispec.Descriptor, sink blob.Sink, report func(safe, resumed int64)) (blob.Proof, error) {
	c.calls.Add(1)
	return c.memory.Fill(ctx, desc, sink, report)
}

var errOffline = errors.New("offline")

// offline is a Source that has nothing to give.
type offline struct{}

func (offline) Fetch(context.Context, ocispec.Descriptor) (io.ReadCloser, error) {
	return nil, errOffline
}

func (offline) Fill(context.Context, ocispec.Descriptor, blob.Sink, func(safe, resumed int64)) (blob.Proof, error) {
	return blob.Proof{}, errOffline
}

// offline is the artifact from a source that has nothing to give.
func (a *artifact) offline() []extract.Model { return models(&a.Artifact, offline{}) }

// named is the artifact as a version of another model.
func named(m []extract.Model, repository string) []extract.Model {
	m[0].Repository = repository
	return m
}

// run extracts and expects it to succeed.
func run(t *testing.T, m []extract.Model, dir string, o extract.Options) *extract.Result {
	t.Helper()
	r, err := extract.Extract(t.Context(), m, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func stat(t *testing.T, name string) fs.FileInfo {
	t.Helper()
	info, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func gone(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there: %v", name, err)
	}
}

// object is a part of a state file.
type object = map[string]any

func statePath(dir string) string { return filepath.Join(dir, ".tare", "state.json") }

func readState(t *testing.T, dir string) object {
	t.Helper()
	f, err := os.Open(statePath(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	decoder := json.NewDecoder(f)
	decoder.UseNumber()
	var state object
	if err := decoder.Decode(&state); err != nil {
		t.Fatal(err)
	}
	return state
}

func writeState(t *testing.T, dir string, state any) {
	t.Helper()
	data, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	write(t, statePath(dir), string(data))
}

// at goes down into a state by names and numbers.
func at(v any, path ...any) any {
	for _, key := range path {
		switch key := key.(type) {
		case string:
			v = v.(object)[key]
		case int:
			v = v.([]any)[key]
		}
	}
	return v
}

// reboot has the files of a directory look as if they had been written before
// the machine was started again.
func reboot(t *testing.T, dir string) {
	t.Helper()
	state := readState(t, dir)
	for _, r := range state["releases"].([]any) {
		for _, m := range at(r, "models").([]any) {
			if m.(object)["host"] == nil {
				t.Fatal("the records do not say that the files were not synced")
			}
			m.(object)["host"] = "before"
		}
	}
	writeState(t, dir, state)
}

// bundle adds a layer of several files.
func (a *artifact) bundle(kind modelpack.Kind, entries ...entry) {
	a.add(modelpack.Tar, "", archive(entries...)).Kind = kind
}

func (a *artifact) ofKind(kind modelpack.Kind, path, content string) {
	a.file(path, content).Kind = kind
}

func (a *artifact) raw(path, content string) *modelpack.Layer {
	return a.add(modelpack.Raw, path, []byte(content))
}

// version is an artifact of raw files, given as path and content in turns.
func version(files ...string) *artifact {
	a := newArtifact()
	for i := 0; i < len(files); i += 2 {
		a.raw(files[i], files[i+1])
	}
	return a
}

func with(change func(o *extract.Options)) extract.Options {
	o := options
	change(&o)
	return o
}
