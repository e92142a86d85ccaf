package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tareml/tare"

// mayImport is the house: which of our packages each package may import. Tests
// and what is below internal/ may import anything.
var mayImport = map[string][]string{
	"":                   {"cmd"},
	"cmd":                {"blob", "build", "cmd/template", "extract", "extract/follow", "modelfile", "modelfile/generate", "modelpack", "progress", "registry", "registry/ecr", "storage"},
	"cmd/template":       {},
	"build":              {"blob", "disk", "modelfile", "modelpack"},
	"extract":            {"blob", "disk", "filelock", "modelpack"},
	"disk":               {},
	"extract/follow":     {},
	"filelock":           {},
	"modelfile":          {"modelpack"},
	"modelfile/generate": {"modelfile", "modelpack", "weights"},
	"modelpack":          {"blob"},
	"weights":            {},
	"storage":            {"blob", "disk", "filelock"},
	"registry":           {"blob", "filelock"},
	"registry/ecr":       {"registry"},
	"blob":               {},
	"progress":           {},
}

// onlyIn lists libraries that one package alone may import.
var onlyIn = map[string]string{
	"github.com/spf13/cobra":            "cmd",
	"github.com/schollz/progressbar/v3": "progress",
	"oras.land/oras-go/v2":              "registry",
	"github.com/BurntSushi/toml":        "registry",
	"github.com/google/licensecheck":    "modelfile/generate",
	"go.yaml.in/yaml/v3":                "modelfile/generate",
	"github.com/aws":                    "registry/ecr",
	"github.com/awslabs":                "registry/ecr",
}

// inflating lists libraries that only tests import. They look up methods by name,
// so that the linker keeps every exported method of every type: the binary is
// 3 MB larger, most of it unused code of the AWS SDK.
var inflating = []string{"text/template", "html/template"}

type listedPackage struct {
	ImportPath string
	Imports    []string
}

func TestImportGraph(t *testing.T) {
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if strings.HasPrefix(name, "internal/") {
			continue
		}
		allowed, ok := mayImport[name]
		if !ok {
			t.Errorf("package %s has no place in the house: docs/design.md says where things go", name)
			continue
		}
		for _, imported := range p.Imports {
			if slices.Contains(inflating, imported) {
				t.Errorf("%s imports %s, which makes the binary 3 MB larger: cmd/template does without", name, imported)
			}
			if ours, ok := strings.CutPrefix(imported, module+"/"); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which it may not", name, ours)
			}
			for library, home := range onlyIn {
				if (imported == library || strings.HasPrefix(imported, library+"/")) && name != home {
					t.Errorf("%s imports %s, which belongs to %s", name, imported, home)
				}
			}
		}
	}
}

// TestNoMethodIsLookedUpByName is the same for what libraries do: cobra has
// text/template too, which is no matter as long as nothing of ours calls, say, its
// SetVersionTemplate. It builds as the Makefile does, to find its work done.
func TestNoMethodIsLookedUpByName(t *testing.T) {
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -dumpdep", "-o", filepath.Join(t.TempDir(), "tare"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out[max(0, len(out)-1000):])
	}
	dependencies := string(out) // lines such as "main.main -> os.Exit"
	if !strings.Contains(dependencies, "main.main -> ") {
		t.Fatal("the linker tells no dependencies")
	}
	for line := range strings.Lines(dependencies) {
		if strings.Contains(line, "<ReflectMethod>") {
			t.Fatalf("what looks up methods by name is linked and makes the binary 3 MB larger: %s", line)
		}
	}
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listedPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
