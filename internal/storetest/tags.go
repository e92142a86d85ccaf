package storetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/storage"
)

func testTag(t *testing.T, e *env) {
	desc := PutArtifact(t, e, []byte("weights"))
	desc.ArtifactType = "application/vnd.example.thing"
	desc.Annotations = map[string]string{"org.example": "a < b & c"}
	for range 2 { // the second time changes nothing but the time
		must(t, e.Tag("reg.example/m:1", desc))
		got, err := e.Resolve("reg.example/m:1")
		must(t, err)
		if !reflect.DeepEqual(got, desc) {
			t.Errorf("got  %v\nwant %v", got, desc)
		}
		list, err := e.List()
		must(t, err)
		if len(list) != 1 || list[0].Ref != "reg.example/m:1" || !reflect.DeepEqual(list[0].Descriptor, desc) {
			t.Errorf("list: %v", list)
		}
		if list[0].Tagged.IsZero() {
			t.Error("the time of the tag is not known")
		}
	}
	for _, ref := range []string{"", "reg.example/m", "reg.example/m:", "m:1", "reg.example/m:11"} {
		if _, err := e.Resolve(ref); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Resolve(%q): got %v, want %v", ref, err, blob.ErrNotFound)
		}
	}
}

func testTagMoves(t *testing.T, e *env) {
	one, two := PutArtifact(t, e, []byte("one")), PutArtifact(t, e, []byte("two"))
	must(t, e.Tag("m:latest", one))
	must(t, e.Tag("m:1", one))
	must(t, e.Tag("m:latest", two))
	for ref, want := range map[string]ocispec.Descriptor{"m:latest": two, "m:1": one} {
		got, err := e.Resolve(ref)
		must(t, err)
		if got.Digest != want.Digest {
			t.Errorf("%s leads to %s, not to %s", ref, got.Digest, want.Digest)
		}
	}
	if got := refs(t, e); !slices.Equal(got, []string{"m:1", "m:latest"}) {
		t.Errorf("tags: %q", got)
	}
}

func testTagMissing(t *testing.T, e *env) {
	if err := e.Tag("m:1", Describe(octets, []byte("gone"))); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("got %v, want %v", err, blob.ErrNotFound)
	}
	if got := refs(t, e); len(got) != 0 {
		t.Errorf("tags: %q", got)
	}
}

func testTagNameless(t *testing.T, e *env) {
	if err := e.Tag("", PutArtifact(t, e, nil)); err == nil {
		t.Error("a tag without a name was taken")
	}
}

func testListSorted(t *testing.T, e *env) {
	desc := PutArtifact(t, e, []byte("x"))
	for _, ref := range []string{"b:2", "a:1", "b:10"} {
		must(t, e.Tag(ref, desc))
	}
	if got := refs(t, e); !slices.Equal(got, []string{"a:1", "b:10", "b:2"}) {
		t.Errorf("tags: %q", got)
	}
}

func refs(t *testing.T, tags Tags) (refs []string) {
	t.Helper()
	list, err := tags.List()
	must(t, err)
	for _, entry := range list {
		refs = append(refs, entry.Ref)
	}
	return refs
}

func testUntag(t *testing.T, e *env) {
	desc := PutArtifact(t, e, []byte("x"))
	for _, ref := range []string{"a", "b", "c"} {
		must(t, e.Tag(ref, desc))
	}
	err := e.Untag("a", "missing", "b")
	if !errors.Is(err, blob.ErrNotFound) || !strings.Contains(err.Error(), "missing") {
		t.Errorf("got %v, want %v and the name", err, blob.ErrNotFound)
	}
	if got := refs(t, e); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("after an error: tags %q", got)
	}
	must(t, e.Untag("a", "c"))
	must(t, e.Untag())
	if got := refs(t, e); !slices.Equal(got, []string{"b"}) {
		t.Errorf("tags: %q", got)
	}
	if _, err := e.ReadAll(desc); err != nil {
		t.Errorf("the manifest of the other tag: %v", err)
	}
}

func testClosed(t *testing.T, e *env) {
	desc := PutArtifact(t, e, []byte("x"))
	must(t, e.Close())
	must(t, e.Close())
	_, _, ingest := e.Ingest(t.Context(), bytes.NewReader(nil))
	_, receive := e.Receive(t.Context(), Describe(octets, []byte("y")), noFill(t))
	_, has := e.Has(desc)
	for name, err := range map[string]error{
		"Rely": e.Rely(desc.Digest), "Has": has, "Ingest": ingest, "Receive": receive, "Tag": e.Tag("a", desc),
	} {
		if err == nil {
			t.Errorf("%s of a closed session is no error", name)
		}
	}
}

// gc collects garbage, or skips the test if the store cannot.
func gc(t *testing.T, e *env, dryRun bool) storage.Freed {
	t.Helper()
	c, ok := e.store.(Collector)
	if !ok {
		t.Skip("the store collects no garbage")
	}
	freed, err := c.GC(t.Context(), dryRun)
	must(t, err)
	return freed
}

func testGC(t *testing.T, e *env) {
	kept := PutArtifact(t, e, []byte("kept"))
	lost := Put(t, e, octets, []byte("lost"))
	must(t, e.Tag("kept", kept))
	must(t, e.Close())
	freed := gc(t, e, false)
	want := storage.Freed{Blobs: 1, Bytes: lost.Size, Digests: []digest.Digest{lost.Digest}}
	if !reflect.DeepEqual(freed, want) {
		t.Errorf("got  %v\nwant %v", freed, want)
	}
	checkArtifact(t, e, kept)
	if _, err := e.Open(lost); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("garbage: got %v, want %v", err, blob.ErrNotFound)
	}
	must(t, e.Untag("kept"))
	if freed := gc(t, e, false); freed.Blobs != 3 {
		t.Errorf("after the last tag: %v", freed)
	}
}

func testGCDryRun(t *testing.T, e *env) {
	desc := PutArtifact(t, e, []byte("x"))
	must(t, e.Close())
	dry := gc(t, e, true)
	checkArtifact(t, e, desc)
	if wet := gc(t, e, false); wet.Blobs != 3 || !reflect.DeepEqual(dry, wet) {
		t.Errorf("dry run: %v\nthe real one: %v", dry, wet)
	}
}

func testGCSparesSessions(t *testing.T, e *env) {
	written := PutArtifact(t, e, []byte("written"))
	other := e.begin(t)
	relied := PutArtifact(t, other, []byte("relied on"))
	must(t, e.Rely(relied.Digest)) // and so on all it refers to
	must(t, other.Close())
	if freed := gc(t, e, false); freed.Blobs != 0 {
		t.Errorf("freed: %v", freed)
	}
	checkArtifact(t, e, written)
	checkArtifact(t, e, relied)
}

func testGCFollows(t *testing.T, e *env) {
	subject := PutArtifact(t, e, []byte("subject"))
	image := PutArtifact(t, e, []byte("image"))
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{image}, Subject: &subject,
	})
	must(t, err)
	must(t, e.Tag("index", Put(t, e, ocispec.MediaTypeImageIndex, index)))
	must(t, e.Close())
	if freed := gc(t, e, false); freed.Blobs != 0 {
		t.Errorf("freed: %v", freed)
	}
	checkArtifact(t, e, subject)
	checkArtifact(t, e, image)
}

// checkArtifact reads all of an artifact.
func checkArtifact(t *testing.T, c Contents, desc ocispec.Descriptor) {
	t.Helper()
	data, err := c.ReadAll(desc)
	must(t, err)
	var m ocispec.Manifest
	must(t, json.Unmarshal(data, &m))
	for _, desc := range append(m.Layers, m.Config) {
		if _, err := c.ReadAll(desc); err != nil {
			t.Error(err)
		}
	}
}
