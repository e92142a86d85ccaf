//go:build unix

package extract_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tareml/tare/extract"
)

// TestUmask: a server that runs as another user has to read what was extracted.
func TestUmask(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	a := newArtifact()
	a.file("sub/a", "a")
	dir := filepath.Join(t.TempDir(), "new", "dest")
	if _, err := extract.Extract(t.Context(), a.models(), dir, options); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{"..": 0o755, ".": 0o755, "sub": 0o755, "sub/a": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
}
