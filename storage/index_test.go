package storage_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tareml/tare/internal/storetest"
	"github.com/tareml/tare/storage"
)

// damages are things that happen to an index.json.
var damages = map[string]string{
	"empty":          "",
	"blank":          " \n",
	"truncated":      `{"schemaVersion":2,"manifests":[{"mediaType":"app`,
	"zeros":          "\x00\x00\x00\x00",
	"garbage":        "not json",
	"null":           "null",
	"array":          "[]",
	"no manifests":   `{"schemaVersion":2}`,
	"other case":     `{"schemaVersion":2,"Manifests":[]}`,
	"both cases":     `{"schemaVersion":2,"manifests":[],"Manifests":[]}`,
	"twice":          `{"schemaVersion":2,"manifests":[],"manifests":[]}`,
	"two values":     `{"schemaVersion":2,"manifests":[]}{}`,
	"entry null":     `{"schemaVersion":2,"manifests":[null]}`,
	"entry number":   `{"schemaVersion":2,"manifests":[1]}`,
	"no digest":      `{"schemaVersion":2,"manifests":[{"size":1}]}`,
	"other schema":   `{"schemaVersion":1,"manifests":[]}`,
	"manifests type": `{"schemaVersion":2,"manifests":{}}`,
}

func TestDamagedIndex(t *testing.T) {
	for name, content := range damages {
		t.Run(name, func(t *testing.T) {
			s := tagged(t)
			write(t, s.Dir(), "index.json", content)
			checkLostIndex(t, s)
		})
	}
	t.Run("missing", func(t *testing.T) {
		s := tagged(t)
		must(t, os.Remove(filepath.Join(s.Dir(), "index.json")))
		checkLostIndex(t, s)
	})
}

// tagged is a store with an artifact named kept in it, and some garbage.
func tagged(t *testing.T) *storage.Store {
	t.Helper()
	s := open(t, filepath.Join(t.TempDir(), "a store"))
	session := begin(t, s)
	must(t, session.Tag("kept", storetest.PutArtifact(t, session, []byte("x"))))
	storetest.Put(t, session, "x", []byte("garbage"))
	must(t, session.Close())
	return s
}

// checkLostIndex checks that nobody takes the store for an empty one, and that
// the hint leads back to what it was.
func checkLostIndex(t *testing.T, s *storage.Store) {
	t.Helper()
	before := files(t, s.Dir())
	_, list := s.List()
	_, resolve := s.Resolve("kept")
	_, gc := s.GC(t.Context(), false)
	_, begin := s.Begin(t.Context())
	saved, index := filepath.Join(s.Dir(), ".tare", "index.json"), filepath.Join(s.Dir(), "index.json")
	for op, err := range map[string]error{
		"List": list, "Resolve": resolve, "GC": gc, "Begin": begin, "Untag": s.Untag("kept"),
	} {
		if err == nil || !strings.Contains(err.Error(), index) {
			t.Errorf("%s: got %v, want an error that names the file", op, err)
		}
		if want := "cp '" + saved + "' '" + index + "'"; !strings.Contains(hint(err), want) {
			t.Errorf("%s: the hint is %q, want %q", op, hint(err), want)
		}
	}
	if after := files(t, s.Dir()); len(after) != len(before) {
		t.Errorf("files before: %q\nafter: %q", before, after)
	}
	data, err := os.ReadFile(saved)
	must(t, err)
	must(t, os.WriteFile(index, data, 0o644))
	if _, err := s.Resolve("kept"); err != nil {
		t.Errorf("after following the hint: %v", err)
	}
}

func TestDamagedForeignIndex(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "oci-layout", layoutV1)
	write(t, dir, "index.json", "")
	_, err := open(t, dir).List()
	if h := hint(err); h == "" || strings.Contains(h, "cp ") {
		t.Errorf("got %v with hint %q, want a hint that offers no copy", err, h)
	}
}

// foreignEntries are as other tools might write them, white space and all.
var foreignEntries = []string{
	`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",` +
		` "size" : 0, "x-unknown":{"b":1,"a":[1.50, "<&>"]}, "annotations":{"org.opencontainers.image.ref.name":"foreign:1","z":"ü\u00fc"} }`,
	`{"digest":"blake3:af1349b9f5f9a1a6a0404dea36dcc949","size":1}`,
	`{"platform":{"os":"linux","architecture":"arm64"},"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"size2":1e400}`,
}

func TestForeignEntriesSurvive(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "oci-layout", layoutV1)
	write(t, dir, "index.json", `{ "x-first": [1, 2],"schemaVersion": 2, "manifests": [ `+
		strings.Join(foreignEntries, " ,\n ")+`], "annot\u00e4tions":{"k": "<v>"} }`)
	s := open(t, dir)
	session := begin(t, s)
	desc := storetest.PutArtifact(t, session, []byte("x"))
	must(t, session.Tag("ours:1", desc))
	must(t, session.Tag("ours:2", desc))
	must(t, s.Untag("ours:1"))

	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	must(t, err)
	for _, want := range append(foreignEntries, `"x-first":[1, 2]`, `"annot\u00e4tions":{"k": "<v>"}`) {
		if !bytes.Contains(data, []byte(want)) {
			t.Errorf("lost: %s\nin: %s", want, data)
		}
	}
	list, err := s.List()
	must(t, err)
	if len(list) != 4 || list[0].Ref != "" || list[2].Ref != "foreign:1" || list[3].Ref != "ours:2" {
		t.Errorf("list: %v", list)
	}
	if !list[2].Tagged.IsZero() {
		t.Errorf("somebody else's tag has a time: %v", list[2].Tagged)
	}
	if list[1].Platform == nil || list[1].Platform.Architecture != "arm64" {
		t.Errorf("platform: %v", list[1].Platform)
	}
}

// TestRetagKeepsFields re-tags what another tool tagged.
func TestRetagKeepsFields(t *testing.T) {
	s := open(t, t.TempDir())
	session := begin(t, s)
	desc := storetest.PutArtifact(t, session, []byte("x"))
	write(t, s.Dir(), "index.json", `{"schemaVersion":2,"manifests":[{"x":[1, 2],"digest":"`+desc.Digest.String()+
		`","size":1,"annotations":{"org.opencontainers.image.ref.name":"a","k":"\u003c"}},`+
		`{"digest":"sha256:00","annotations":{"org.opencontainers.image.ref.name":"a"}}]}`)
	must(t, session.Tag("a", desc))
	data, err := os.ReadFile(filepath.Join(s.Dir(), "index.json"))
	must(t, err)
	for _, want := range []string{`"x":[1, 2]`, `"k":"\u003c"`} {
		if !bytes.Contains(data, []byte(want)) {
			t.Errorf("lost: %s\nin: %s", want, data)
		}
	}
	list, err := s.List()
	must(t, err)
	if len(list) != 1 || list[0].Size != desc.Size || time.Since(list[0].Tagged) > time.Hour {
		t.Errorf("list: %v", list)
	}
}

func TestIndexIsStandard(t *testing.T) {
	s := tagged(t)
	data, err := os.ReadFile(filepath.Join(s.Dir(), "index.json"))
	must(t, err)
	var index struct {
		SchemaVersion int
		MediaType     string
		Manifests     []struct{ Annotations map[string]string }
	}
	must(t, json.Unmarshal(data, &index))
	if index.SchemaVersion != 2 || index.MediaType != "application/vnd.oci.image.index.v1+json" || len(index.Manifests) != 1 {
		t.Fatalf("index: %s", data)
	}
	annotations := index.Manifests[0].Annotations
	if annotations["org.opencontainers.image.ref.name"] != "kept" {
		t.Errorf("annotations: %v", annotations)
	}
	if stamp := annotations["io.github.tareml.tagged"]; !strings.HasSuffix(stamp, "Z") {
		t.Errorf("time of the tag: %q, want UTC", stamp)
	}
}
