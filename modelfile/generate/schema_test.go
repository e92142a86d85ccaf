package generate_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modelpack/model-spec/schema"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tareml/tare/build"
	"github.com/tareml/tare/internal/memstore"
	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelpack"
)

// What the Modelfiles of testdata/models build has a config that the schema of the
// model spec takes.
func TestModelsFollowSchema(t *testing.T) {
	names, err := filepath.Glob("testdata/models/*.txtar")
	if err != nil || len(names) < 16 {
		t.Fatalf("%d models, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			text := wantedModelfile(t, name)
			f, err := modelfile.Parse(name, bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if found := f.Lint(name); len(found) > 0 {
				t.Errorf("%v", found)
			}
			config := configOf(t, f)
			if err := schema.ValidatorMediaTypeModelConfig.Validate(bytes.NewReader(config)); err != nil {
				t.Errorf("%v\n%s", err, config)
			}
		})
	}
}

func wantedModelfile(t *testing.T, name string) []byte {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		if f.Name == "want/Modelfile" {
			return f.Data
		}
	}
	t.Fatalf("%s has no Modelfile", name)
	return nil
}

// configOf builds f with a byte for each file, or for each glob, and reads the
// config.
func configOf(t *testing.T, f *modelfile.File) []byte {
	t.Helper()
	var names []string
	for _, p := range f.Patterns() {
		names = append(names, strings.ReplaceAll(p.Glob, "*", "1"))
	}
	plan, err := build.NewPlan(tree(t, "m", named(names...)), f, "Modelfile", false)
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	layers, err := plan.Layers(build.Layout{})
	if err != nil {
		t.Fatal(err)
	}
	store := memstore.New()
	session, err := store.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	built, err := plan.Build(t.Context(), session, layers, build.Options{})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := store.ReadAll(built.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	artifact, err := modelpack.ParseManifest(manifest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := store.ReadAll(artifact.Manifest.Config)
	if err != nil {
		t.Fatal(err)
	}
	return config
}
