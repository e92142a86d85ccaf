package build_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/modelpack/model-spec/schema"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/build"
	"github.com/tareml/tare/internal/memstore"
	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/storage"
)

// write makes a directory of files for a test.
func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func plan(t *testing.T, dir, text string) (*build.Plan, error) {
	t.Helper()
	f, err := modelfile.Parse("Modelfile", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := build.NewPlan(dir, f, "Modelfile", false)
	if err == nil {
		t.Cleanup(func() { p.Close() })
	}
	return p, err
}

// built builds and reads the artifact back.
func built(t *testing.T, dir, text string, layout build.Layout, o build.Options) (*build.Result, *modelpack.Artifact, *memstore.Store) {
	t.Helper()
	p, err := plan(t, dir, text)
	if err != nil {
		t.Fatal(err)
	}
	store := memstore.New()
	session, err := store.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	layers, err := p.Layers(layout)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Build(t.Context(), session, layers, o)
	if err != nil {
		t.Fatal(err)
	}
	data, err := store.ReadAll(r.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	a, err := modelpack.ParseManifest(data)
	if err != nil {
		t.Fatal(err)
	}
	return r, a, store
}

// all is the layout in which all layers have one format.
func all(f modelpack.Format) build.Layout {
	l := build.Layout{Formats: map[modelpack.Kind]modelpack.Format{}}
	for _, k := range modelpack.Kinds() {
		l.Formats[k] = f
	}
	return l
}

const golden = `NAME tiny-llama
ARCH transformer
FAMILY llama
FORMAT safetensors
PRECISION bfloat16
LICENSE Apache-2.0
CONFIG *.json
MODEL *.safetensors
CODE *.py
DOC README.md
DOC LICENSE
`

// TestGoldenDigests pins what the testdata model becomes. A change here means
// that everybody's artifacts change: it has to be wanted. Compressed layers may
// change with a release of the compressor; then cacheVersion must, too.
func TestGoldenDigests(t *testing.T) {
	for _, format := range []modelpack.Format{modelpack.Tar, modelpack.Raw, modelpack.TarGzip, modelpack.TarZstd} {
		want := goldenDigest(t, string(format))
		r, _, _ := built(t, "../testdata/model", golden, all(format), build.Options{})
		if got := r.Manifest.Digest.String(); got != want {
			t.Errorf("%s: %s, want %s", format, got, want)
		}
	}
}

func goldenDigest(t *testing.T, format string) string {
	t.Helper()
	data, err := os.ReadFile("../testdata/golden/" + format + ".digest")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// TestSameInputSameDigest builds the same files in every circumstance that must
// not matter: another path, other times and permissions, another order of
// creation, another concurrency.
func TestSameInputSameDigest(t *testing.T) {
	files := map[string]string{"config.json": "{}", "run.sh": "#!/bin/sh\n", "empty": ""}
	for i := range 20 {
		files[fmt.Sprintf("shards/model-%02d.bin", i)] = strings.Repeat(fmt.Sprint(i), 1000*i)
	}
	const text = "NAME x\nCONFIG *.json\nMODEL shards/*.bin\nCODE *.sh\nDOC empty\n"
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, format := range []modelpack.Format{modelpack.Tar, modelpack.Raw} {
		var want digest.Digest
		for i := range 8 {
			dir := filepath.Join(t.TempDir(), fmt.Sprintf("place-%d", i))
			write(t, dir, files) // in the random order of a map
			for name := range files {
				path := filepath.Join(dir, name)
				mode := os.FileMode(0o400 | rnd.IntN(0o400))
				when := time.Unix(rnd.Int64N(2e9), rnd.Int64N(1e9))
				if err := errors.Join(os.Chmod(path, mode), os.Chtimes(path, when, when)); err != nil {
					t.Fatal(err)
				}
			}
			r, _, _ := built(t, dir, text, all(format), build.Options{Concurrency: 1 + rnd.IntN(16)})
			if want == "" {
				want = r.Manifest.Digest
			} else if r.Manifest.Digest != want {
				t.Fatalf("%s: %s the %dth time, %s before", format, r.Manifest.Digest, i+1, want)
			}
		}
	}
}

func TestCreatedIsTheOnlyTime(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"a": "a"})
	when := time.Date(2026, 1, 31, 13, 0, 0, 5, time.FixedZone("", 3600))
	_, a, store := built(t, dir, "MODEL a\n", build.Layout{}, build.Options{Created: &when})
	data, _ := store.ReadAll(a.Manifest.Config)
	if c, _ := modelpack.ParseConfig(data); c.Descriptor.CreatedAt == nil || c.Descriptor.CreatedAt.Format(time.RFC3339Nano) != "2026-01-31T12:00:00Z" {
		t.Errorf("createdAt in %s", data)
	}
	_, b, _ := built(t, dir, "MODEL a\n", build.Layout{}, build.Options{})
	if a.Layers[0].Digest != b.Layers[0].Digest {
		t.Error("the creation time got into a layer")
	}
	if len(b.Manifest.Annotations) != 0 {
		t.Errorf("annotations %v that nobody asked for", b.Manifest.Annotations)
	}
}

func TestLayers(t *testing.T) {
	long := strings.Repeat("directory/", 12) + "long.bin"
	dir := write(t, t.TempDir(), map[string]string{
		"b.json": "{}", "a.json": "{}", "w.bin": "weights", long: "long", "ünï 模.bin": "x",
		"run": "#!/bin/sh", "elf": "\x7fELF\x02", "macho": "\xcf\xfa\xed\xfe", "data.csv": "1,2", "README.md": "hi", "empty": "",
	})
	text := "DOC README.md\nDATASET *.csv\nCODE {run,elf,macho}\nMODEL **/*.bin\nMODEL empty\nCONFIG *.json\n"
	_, a, store := built(t, dir, text, build.Layout{}, build.Options{Concurrency: 3})
	var got []string
	for _, l := range a.Layers {
		got = append(got, l.Kind.String()+" "+l.Path)
		checkTarLayer(t, store, l)
	}
	want := []string{
		"config a.json", "config b.json",
		"model " + long, "model empty", "model w.bin", "model ünï 模.bin",
		"code elf", "code macho", "code run", "dataset data.csv", "doc README.md",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("layers\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	checkConfig(t, store, a)
}

// checkTarLayer asks for exactly one entry, normalised, with exactly two zero
// blocks behind it.
func checkTarLayer(t *testing.T, store *memstore.Store, l modelpack.Layer) {
	t.Helper()
	data, err := store.ReadAll(l.Descriptor)
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(bytes.NewReader(data))
	h, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	content, _ := io.ReadAll(r)
	if h.Name != l.Path || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || !h.ModTime.Equal(time.Unix(0, 0)) || h.Typeflag != tar.TypeReg {
		t.Errorf("%s: header %+v", l.Path, h)
	}
	wantMode := int64(0o644)
	if l.Kind == modelpack.Code {
		wantMode = 0o755
	}
	if h.Mode != wantMode || int64(l.Metadata.Mode) != wantMode {
		t.Errorf("%s: mode %o and %o, want %o", l.Path, h.Mode, l.Metadata.Mode, wantMode)
	}
	if h.Size != l.Metadata.Size || int(h.Size) != len(content) {
		t.Errorf("%s: sizes %d, %d, %d", l.Path, h.Size, l.Metadata.Size, len(content))
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("%s: a second entry", l.Path)
	}
	end := len(data) - 1024
	if !bytes.Equal(data[end:], make([]byte, 1024)) || len(data)%512 != 0 {
		t.Errorf("%s: does not end in two zero blocks", l.Path)
	}
	if padded := (h.Size + 511) / 512 * 512; h.Format == tar.FormatUSTAR && int64(end) != 512+padded {
		t.Errorf("%s: %d bytes before the end, want %d", l.Path, end, 512+padded)
	}
	if l.Annotations[ocispec.AnnotationTitle] != "" {
		t.Errorf("%s: a tar layer with a title", l.Path)
	}
}

func checkConfig(t *testing.T, store *memstore.Store, a *modelpack.Artifact) {
	t.Helper()
	data, err := store.ReadAll(a.Manifest.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.ValidatorMediaTypeModelConfig.Validate(bytes.NewReader(data)); err != nil {
		t.Errorf("model-spec's schema: %v\n%s", err, data)
	}
	c, err := modelpack.ParseConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.ModelFS.DiffIDs) != len(a.Layers) {
		t.Fatalf("%d diffIds for %d layers", len(c.ModelFS.DiffIDs), len(a.Layers))
	}
	for i, l := range a.Layers {
		if c.ModelFS.DiffIDs[i] != l.Digest {
			t.Errorf("diffId %d is %s, layer %s", i, c.ModelFS.DiffIDs[i], l.Digest)
		}
	}
}

func TestRawLayers(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"sub/a.bin": "same", "b.bin": "same", "run.sh": "#!/bin/sh"})
	_, a, store := built(t, dir, "MODEL **/*.bin\nCODE run.sh\n", all(modelpack.Raw), build.Options{})
	if len(a.Layers) != 3 || a.Layers[0].Digest != a.Layers[1].Digest {
		t.Fatalf("layers %v, want two of one digest and one more", a.Layers)
	}
	for _, l := range a.Layers {
		if l.Annotations[ocispec.AnnotationTitle] != l.Path || l.Format != modelpack.Raw {
			t.Errorf("layer %+v", l)
		}
	}
	if data, _ := store.ReadAll(a.Layers[0].Descriptor); string(data) != "same" {
		t.Errorf("content %q", data)
	}
	if a.Layers[2].Metadata.Mode != 0o755 {
		t.Errorf("mode of a script %o", a.Layers[2].Metadata.Mode)
	}
	checkConfig(t, store, a)
}

func TestEveryCommandGetsIntoTheArtifact(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"a": "a"})
	_, a, store := built(t, dir, `
NAME n
ARCH transformer
FAMILY f
FORMAT safetensors
PARAMSIZE 0.6B
PRECISION bfloat16
QUANTIZATION awq
VERSION 1.0
TITLE A Title
DESCRIPTION What it is
VENDOR V
DOCURL https://doc
SOURCEURL https://source
REVISION abc
AUTHOR one
AUTHOR two
LICENSE MIT
LICENSE Apache-2.0
LANGUAGE en
LANGUAGE de
DATASETURL https://data
INPUT text
OUTPUT text
OUTPUT image
REASONING true
TOOLUSAGE false
REWARD false
KNOWLEDGECUTOFF 2025-01-31
MODEL a
`, build.Layout{}, build.Options{})
	data, _ := store.ReadAll(a.Manifest.Config)
	const want = `{"descriptor":{"authors":["one","two"],"family":"f","name":"n","docURL":"https://doc","sourceURL":"https://source","version":"1.0","revision":"abc","vendor":"V","licenses":["MIT","Apache-2.0"],"title":"A Title","description":"What it is"},` +
		`"modelfs":{"type":"layers","diffIds":["DIFFID"]},` +
		`"config":{"architecture":"transformer","format":"safetensors","paramSize":"0.6B","precision":"bfloat16","quantization":"awq","capabilities":{"inputTypes":["text"],"outputTypes":["text","image"],"knowledgeCutoff":"2025-01-31T00:00:00Z","reasoning":true,"toolUsage":false,"reward":false}}}`
	if got := strings.Replace(string(data), a.Layers[0].Digest.String(), "DIFFID", 1); got != want {
		t.Errorf("config\n%s\nwant\n%s", got, want)
	}
	checkConfig(t, store, a)
	annotations, _ := json.Marshal(a.Manifest.Annotations)
	const wantAnnotations = `{"io.github.tareml.datasets":"https://data","io.github.tareml.languages":"en,de",` +
		`"org.opencontainers.image.authors":"one, two","org.opencontainers.image.description":"What it is","org.opencontainers.image.documentation":"https://doc",` +
		`"org.opencontainers.image.licenses":"MIT AND Apache-2.0","org.opencontainers.image.revision":"abc","org.opencontainers.image.source":"https://source",` +
		`"org.opencontainers.image.title":"A Title","org.opencontainers.image.vendor":"V","org.opencontainers.image.version":"1.0"}`
	if string(annotations) != wantAnnotations {
		t.Errorf("annotations\n%s\nwant\n%s", annotations, wantAnnotations)
	}
}

func TestLiteralBeatsGlobAndFirstGlobWins(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"a.json": "", "b.json": "", "c.json": ""})
	p, err := plan(t, dir, "CONFIG [ab].json\nCODE *.json\nDOC a.json\nMODEL c.json\nDATASET nothing-*\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range p.Files {
		got = append(got, f.Kind.String()+" "+f.Path)
	}
	if want := []string{"config b.json", "model c.json", "doc a.json"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	if want := "[Modelfile:2:6: *.json takes nothing: lines 1, 3, 4 have its files Modelfile:5:9: nothing-* matches no file]"; fmt.Sprint(p.Warnings) != want {
		t.Errorf("warnings %q, want %q", p.Warnings, want)
	}
}

func TestMistakesAreFoundBeforeReading(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"a.json": "{}", "sub/b.json": "{}", ".tare/x": "x"})
	listener, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "out.link")); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"MODEL a.json\nCONFIG missing.json\n": "Modelfile:2:8: missing.json: no such file",
		"MODEL sub\n":                         "Modelfile:1:7: sub is a directory",
		"MODEL .\n":                           "Modelfile:1:7: . is a directory",
		"MODEL socket\n":                      "Modelfile:1:7: socket is a socket",
		"MODEL sock*\n":                       "Modelfile:1:7: socket is a socket",
		"MODEL ../a.json\n":                   "Modelfile:1:7: ../a.json leaves the model directory",
		"MODEL sub/../../a.json\n":            "leaves the model directory",
		"MODEL /etc/passwd\n":                 "leaves the model directory",
		"MODEL ../*.json\n":                   "leaves the model directory",
		"MODEL out.link\n":                    "Modelfile:1:7: out.link",
		"MODEL *.link\n":                      "Modelfile:1:7: out.link",
		"MODEL .tare/x\n":                     "reserved",
		"MODEL nothing*\n":                    "names no file",
		"NAME x\n":                            "names no file",
	} {
		if _, err := plan(t, dir, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", text, err, want)
		}
	}
	_, err = plan(t, dir, "MODEL one\nMODEL two\n")
	if err == nil || !strings.Contains(err.Error(), "1:7: one") || !strings.Contains(err.Error(), "2:7: two") {
		t.Errorf("error %v, want both mistakes in it", err)
	}
}

func TestBadDirectories(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"file": "x"})
	for path, want := range map[string]string{
		filepath.Join(dir, "missing"): "no such file or directory",
		filepath.Join(dir, "file"):    "is a file",
	} {
		if _, err := plan(t, path, "MODEL a\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q in it", path, err, want)
		}
	}
}

// meddler is a Store that does something to the source while a file is read.
type meddler struct {
	*memstore.Session
	once   sync.Once
	meddle func()
}

func (m *meddler) Ingest(ctx context.Context, r io.Reader) (digest.Digest, int64, error) {
	return m.Session.Ingest(ctx, io.MultiReader(readFunc(func([]byte) (int, error) {
		m.once.Do(m.meddle)
		return 0, io.EOF
	}), r))
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestFileThatChanges(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"rewritten": func(path string) error { return os.WriteFile(path, []byte("WEIGHTS"), 0o644) },
		"grown":     func(path string) error { return os.WriteFile(path, []byte("weights and more"), 0o644) },
		"truncated": func(path string) error { return os.Truncate(path, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, t.TempDir(), map[string]string{"w.bin": "weights"})
			path := filepath.Join(dir, "w.bin")
			past := time.Now().Add(-time.Hour)
			if err := os.Chtimes(path, past, past); err != nil {
				t.Fatal(err)
			}
			p, err := plan(t, dir, "MODEL w.bin\n")
			if err != nil {
				t.Fatal(err)
			}
			store := memstore.New()
			session, _ := store.Begin(t.Context())
			layers, _ := p.Layers(build.Layout{})
			_, err = p.Build(t.Context(), &meddler{Session: session, meddle: func() {
				if err := change(path); err != nil {
					t.Error(err)
				}
			}}, layers, build.Options{})
			if err == nil || !strings.Contains(err.Error(), "w.bin changed while it was read") {
				t.Errorf("error %v, want one that names the file", err)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"a": "a"})
	p, err := plan(t, dir, "MODEL a\n")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	session, _ := memstore.New().Begin(t.Context())
	layers, _ := p.Layers(build.Layout{})
	if _, err := p.Build(ctx, session, layers, build.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// TestOthersAcceptTheStore builds into a real store and shows it to
// go-containerregistry.
func TestOthersAcceptTheStore(t *testing.T) {
	store, err := storage.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	session, err := store.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	p, err := plan(t, "../testdata/model", golden)
	if err != nil {
		t.Fatal(err)
	}
	layers, _ := p.Layers(build.Layout{})
	r, err := p.Build(t.Context(), session, layers, build.Options{Concurrency: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Tag("localhost:5000/models/tiny:v1", r.Manifest); err != nil {
		t.Fatal(err)
	}
	index, err := layout.ImageIndexFromPath(store.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
}
