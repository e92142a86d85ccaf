package storage_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/internal/storetest"
	"github.com/tareml/tare/storage"
)

// blobFile is the path of a blob within its store.
func blobFile(d digest.Digest) string { return "blobs/" + d.Algorithm().String() + "/" + d.Encoded() }

// TestGCDamagedManifest must keep the layers of a manifest that cannot be read.
func TestGCDamagedManifest(t *testing.T) {
	for name, content := range map[string]string{
		"other bytes": `{"layers":[]}`,
		"truncated":   `{"lay`,
		"empty":       "",
		"huge":        strings.Repeat(" ", 5<<20),
	} {
		t.Run(name, func(t *testing.T) {
			s := tagged(t)
			desc, err := s.Resolve("kept")
			must(t, err)
			write(t, s.Dir(), blobFile(desc.Digest), content)
			before := files(t, s.Dir())
			freed, err := s.GC(t.Context(), false)
			if err == nil || !strings.Contains(err.Error(), desc.Digest.String()) || hint(err) == "" {
				t.Errorf("got %v, want an error with a hint that names the manifest", err)
			}
			if freed.Blobs != 0 {
				t.Errorf("freed %v", freed)
			}
			checkFiles(t, s, before)
		})
	}
}

// TestGCNotAManifest has a tag on verified content that says it is a manifest
// and is none.
func TestGCNotAManifest(t *testing.T) {
	s := tagged(t)
	session := begin(t, s)
	must(t, session.Tag("odd", storetest.Put(t, session, ocispec.MediaTypeImageManifest, []byte("<xml/>"))))
	must(t, session.Close())
	if freed, err := s.GC(t.Context(), false); err == nil || freed.Blobs != 0 {
		t.Errorf("got %v, %v, want an error", freed, err)
	}
	must(t, s.Untag("odd"))
	if freed, err := s.GC(t.Context(), false); err != nil || freed.Blobs != 2 {
		t.Errorf("without the tag: got %v, %v, want 2 blobs", freed, err)
	}
}

// TestGCOddEntries has entries that must neither stop a collection nor be
// collected.
func TestGCOddEntries(t *testing.T) {
	for name, content := range map[string]string{
		"xml":            "<xml/>",
		"json list":      "[1]",
		"other shape":    `{"layers":12,"config":"x"}`,
		"large":          strings.Repeat("x", 5<<20),
		"no type at all": `{"layers":null}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := tagged(t)
			session := begin(t, s)
			desc := storetest.Put(t, session, "application/xml", []byte(content))
			must(t, session.Tag("odd", desc))
			must(t, session.Close())
			checkGC(t, s, 1)
			if src, err := s.Open(desc); err != nil {
				t.Error(err)
			} else {
				src.Close()
			}
		})
	}
}

func checkGC(t *testing.T, s *storage.Store, blobs int) {
	t.Helper()
	freed, err := s.GC(t.Context(), false)
	if err != nil || freed.Blobs != blobs {
		t.Errorf("got %v, %v, want %d blobs", freed, err, blobs)
	}
}

// TestGCUnknownType follows a manifest whose media type is not known, and one
// whose fields are only partly what they should be.
func TestGCUnknownType(t *testing.T) {
	s := tagged(t)
	session := begin(t, s)
	layer := storetest.Put(t, session, "x", []byte("layer"))
	manifest := `{"config":"odd","layers":[{"digest":"` + layer.Digest.String() + `"}]}`
	must(t, session.Tag("odd", storetest.Put(t, session, "application/vnd.future+json", []byte(manifest))))
	must(t, session.Close())
	checkGC(t, s, 1)
	if _, err := s.ReadAll(layer); err != nil {
		t.Error(err)
	}
}

func TestGCMissingManifest(t *testing.T) {
	s := tagged(t)
	session := begin(t, s)
	desc := storetest.PutArtifact(t, session, []byte("other"))
	must(t, session.Tag("broken", desc))
	must(t, session.Close())
	must(t, os.Remove(filepath.Join(s.Dir(), blobFile(desc.Digest))))
	checkGC(t, s, 2) // the garbage, and the layer that nothing leads to any more
	kept, err := s.Resolve("kept")
	must(t, err)
	checkLayers(t, s, kept)
}

// TestGCUntaggedEntry keeps what other tools keep without a name.
func TestGCUntaggedEntry(t *testing.T) {
	s := open(t, t.TempDir())
	session := begin(t, s)
	desc := storetest.PutArtifact(t, session, []byte("x"))
	must(t, session.Close())
	write(t, s.Dir(), "index.json", `{"schemaVersion":2,"manifests":[{"digest":"`+desc.Digest.String()+`"},{"digest":"sha256:short"}]}`)
	checkGC(t, s, 0)
}

// TestGCSHA512 reads and collects blobs of the other algorithm.
func TestGCSHA512(t *testing.T) {
	s := tagged(t)
	session := begin(t, s)
	data := []byte("long digest")
	desc := ocispec.Descriptor{Digest: digest.SHA512.FromBytes(data), Size: int64(len(data))}
	_, err := session.Receive(t.Context(), desc, storetest.Write(desc, data))
	must(t, err)
	if _, err := s.ReadAll(desc); err != nil {
		t.Error(err)
	}
	must(t, session.Close())
	checkGC(t, s, 2)
	if _, err := s.Open(desc); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("got %v, want %v", err, blob.ErrNotFound)
	}
}

// TestGCLeavesOthersFiles removes nothing that has no blob's name.
func TestGCLeavesOthersFiles(t *testing.T) {
	s := tagged(t)
	checkGC(t, s, 1)
	for _, name := range []string{
		"blobs/sha256/oci-put-blob123", "blobs/blake3/00", "ingest/x", "notes.txt", ".tare/partial/notes", ".tare/other/x",
	} {
		write(t, s.Dir(), name, "x")
	}
	before := files(t, s.Dir())
	checkGC(t, s, 0)
	checkFiles(t, s, before)
}

// TestGCKeepsAwaitedPartial keeps the bytes of a transfer that failed as long as
// somebody relies on what they will be.
func TestGCKeepsAwaitedPartial(t *testing.T) {
	s := open(t, t.TempDir())
	start(t, "receive", s.Dir())()
	session := begin(t, s)
	must(t, session.Rely(storetest.Describe("x", whole).Digest))
	freed, err := s.GC(t.Context(), false)
	if err != nil || freed.Leftovers != 0 {
		t.Errorf("got %v, %v, want nothing freed", freed, err)
	}
	resume(t, session)
}

// TestGCDamagedSession has a session whose file says nothing of what it needs.
func TestGCDamagedSession(t *testing.T) {
	s := tagged(t)
	session := begin(t, s)
	storetest.Put(t, session, "x", []byte("needed"))
	names, err := filepath.Glob(filepath.Join(s.Dir(), ".tare", "sessions", "*"))
	must(t, err)
	must(t, os.WriteFile(names[0], []byte("sha256:0123\n"), 0o644))
	if freed, err := s.GC(t.Context(), false); err == nil || freed.Blobs != 0 {
		t.Errorf("got %v, %v, want an error", freed, err)
	}
}
