package storage_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/internal/storetest"
	"github.com/tareml/tare/storage"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *storage.Store { return open(t, filepath.Join(t.TempDir(), "store")) })
}

func open(t testing.TB, dir string) *storage.Store {
	t.Helper()
	s, err := storage.Open(dir)
	must(t, err)
	return s
}

func begin(t testing.TB, s *storage.Store) *storage.Session {
	t.Helper()
	session, err := s.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { session.Close() })
	return session
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hint is what an error tells its reader to do.
func hint(err error) string {
	var h interface{ Hint() string }
	if !errors.As(err, &h) {
		return ""
	}
	return h.Hint()
}

// write creates a file and the directories that it needs.
func write(t testing.TB, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o644))
}

// files lists the regular files below dir, with slashes, except the records of
// what may not be on disk yet.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "unsynced" {
			return filepath.SkipDir
		}
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	}))
	return names
}

const layoutV1 = `{"imageLayoutVersion":"1.0.0"}`

func TestOpen(t *testing.T) {
	emptyIndex := `{"schemaVersion":2,"manifests":[]}`
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string // in the error
	}{
		{name: "empty"},
		{name: "layout", files: map[string]string{"oci-layout": layoutV1, "index.json": emptyIndex}},
		{name: "root of a volume", files: map[string]string{"lost+found/x": ""}},
		{name: "creation cut short", files: map[string]string{".tare/lock": ""}},
		{name: "creation cut short later", files: map[string]string{".tare/lock": "", "index.json": emptyIndex}},
		{name: "other files", files: map[string]string{"README.md": "hi"}, want: "not an OCI image layout: it holds README.md"},
		{name: "other version", files: map[string]string{"oci-layout": `{"imageLayoutVersion":"2.0.0"}`}, want: `version "2.0.0"`},
		{name: "garbage", files: map[string]string{"oci-layout": `{`}, want: "parsing"},
		{name: "blobs alone", files: map[string]string{".tare/lock": "", "blobs/sha256/x": ""}, want: "it holds blobs"},
		{
			name: "oci-layout lost", want: "it holds index.json but no oci-layout",
			files: map[string]string{".tare/index.json": "", "index.json": `{"schemaVersion":2,"manifests":[{"digest":"sha256:x"}]}`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range tt.files {
				write(t, dir, name, content)
			}
			s, err := storage.Open(dir)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
					t.Errorf("got %v, want %q and the directory", err, tt.want)
				}
				return
			}
			must(t, err)
			if list, err := s.List(); len(list) != 0 || err != nil {
				t.Errorf("List: got %v, %v, want nothing", list, err)
			}
			desc := storetest.PutArtifact(t, begin(t, s), []byte("x"))
			must(t, begin(t, s).Tag("a", desc))
		})
	}
}

// TestReadersWriteNothing goes for stores that are there and for those that are
// not.
func TestReadersWriteNothing(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	foreign := t.TempDir()
	write(t, foreign, "oci-layout", layoutV1)
	write(t, foreign, "index.json", `{"schemaVersion":2,"manifests":[]}`)
	for _, dir := range []string{missing, foreign} {
		s := open(t, dir)
		if _, err := s.List(); err != nil {
			t.Error(err)
		}
		if _, err := s.Resolve("a"); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Resolve: got %v, want %v", err, blob.ErrNotFound)
		}
		if err := s.Untag("a"); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Untag: got %v, want %v", err, blob.ErrNotFound)
		}
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Error("reading created the store")
	}
	if got := files(t, foreign); len(got) != 2 {
		t.Errorf("reading wrote: %q", got)
	}
	if _, err := open(t, missing).GC(t.Context(), false); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Error("garbage collection created the store")
	}
}

func TestReadDamaged(t *testing.T) {
	s := open(t, t.TempDir())
	desc := storetest.Put(t, begin(t, s), "x", []byte("original"))
	write(t, s.Dir(), "blobs/sha256/"+desc.Digest.Encoded(), "0riginal")
	if _, err := s.ReadAll(desc); !errors.Is(err, blob.ErrMismatch) {
		t.Errorf("got %v, want %v", err, blob.ErrMismatch)
	}
	// What was verified now replaces what is there.
	storetest.Put(t, begin(t, s), "x", []byte("original"))
	if _, err := s.ReadAll(desc); err != nil {
		t.Error(err)
	}
}

func TestReceiveReplacesWrongSize(t *testing.T) {
	s := open(t, t.TempDir())
	data := []byte("original")
	desc := storetest.Put(t, begin(t, s), "x", data)
	write(t, s.Dir(), "blobs/sha256/"+desc.Digest.Encoded(), "orig")
	present, err := begin(t, s).Receive(t.Context(), desc, storetest.Write(desc, data))
	if present || err != nil {
		t.Fatalf("got %v, %v, want a transfer", present, err)
	}
	if _, err := s.ReadAll(desc); err != nil {
		t.Error(err)
	}
}

func TestNothingStray(t *testing.T) {
	s := open(t, t.TempDir())
	session := begin(t, s)
	desc := storetest.PutArtifact(t, session, []byte("x"))
	data := []byte("received")
	received := storetest.Describe("x", data)
	_, err := session.Receive(t.Context(), received, storetest.Write(received, data))
	must(t, err)
	must(t, session.Tag("a", desc))
	must(t, session.Close())
	for _, name := range files(t, s.Dir()) {
		switch {
		case strings.HasPrefix(name, "blobs/sha256/"), name == "oci-layout", name == "index.json":
		case name == ".tare/lock", name == ".tare/index.json":
		default:
			t.Errorf("left behind: %s", name)
		}
	}
}
