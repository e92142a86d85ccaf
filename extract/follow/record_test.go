package follow

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestRecord(t *testing.T) {
	dir := t.TempDir()
	r := Record(filepath.Join(dir, "ready"))
	if v := r.Load(); len(v) > 0 {
		t.Errorf("%v in a file that is not there", v)
	}
	two := Version{{"h.io/a:v1", digest.FromString("a")}, {"h.io/b@x", digest.FromString("b")}}
	for _, v := range []Version{version(1), two} {
		if err := r.Save(v); err != nil {
			t.Fatal(err)
		}
		if got := r.Load(); !got.Equal(v) {
			t.Errorf("%v, want %v", got, v)
		}
	}
	if data, err := os.ReadFile(string(r)); err != nil || string(data) != "h.io/a:v1 "+two[0].Digest.String()+"\nh.io/b@x "+two[1].Digest.String()+"\n" {
		t.Errorf("%q, %v", data, err)
	}
	if info, err := os.Stat(string(r)); err != nil || info.Mode().Perm()&0o444 != 0o444 {
		t.Errorf("%v, %v: not everybody may read it", info.Mode(), err)
	}
	for range 2 {
		if err := r.Remove(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v left, %v", left, err)
	}
}

// TestRecordThatCannotBeWritten names the file, and leaves nothing.
func TestRecordThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "taken", "x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "none", "ready"), filepath.Join(dir, "taken")} {
		if err := Record(path).Save(version(1)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
		if v := Record(path).Load(); len(v) > 0 {
			t.Errorf("%s: %v", path, v)
		}
	}
	if err := Record(filepath.Join(dir, "taken")).Remove(); err == nil {
		t.Error("a directory that is not empty was removed")
	}
	var names []string
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		names = append(names, d.Name())
		return nil
	})
	if len(names) != 3 {
		t.Errorf("left: %v", names)
	}
}

func FuzzRecord(f *testing.F) {
	good := formatRecord(version(1))
	for _, seed := range [][]byte{good, append(good, good...), good[:20], []byte("\n"), []byte("a b\n"), nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v := parseRecord(data)
		if len(v) == 0 {
			return
		}
		if again := formatRecord(v); !bytes.Equal(bytes.TrimSuffix(again, []byte("\n")), bytes.TrimSuffix(data, []byte("\n"))) {
			t.Errorf("%q became %q", data, again)
		}
	})
}
