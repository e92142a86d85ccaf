package build

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelpack"
)

// meddler does something before the end of what it reads.
type meddler struct {
	io.Reader
	meddle func()
}

func (m meddler) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p[:1])
	m.meddle()
	return n, err
}

// TestFileThatChangesWhileItIsHashed is here since nothing outside can tell when
// a push is in the middle of a file.
func TestFileThatChangesWhileItIsHashed(t *testing.T) {
	for _, format := range []modelpack.Format{modelpack.Raw, modelpack.Tar} {
		file := filepath.Join(t.TempDir(), "w.bin")
		if err := os.WriteFile(file, []byte("weights"), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := modelfile.Parse("Modelfile", strings.NewReader("MODEL w.bin\n"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewPlan(filepath.Dir(file), f, "Modelfile", false)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		s := newSender(p, nil, Options{})
		c, err := s.open(Layer{Format: format, Path: "w.bin", Files: p.Files})
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		c.reader = meddler{c.reader, func() { os.WriteFile(file, []byte("longer weights"), 0o644) }}
		if _, err := s.read(t.Context(), c); err == nil || hintOf(err) != "build again when nothing writes to it" || err.Error() != "w.bin changed while it was read" {
			t.Errorf("%s: error %v", format, err)
		}
	}
}

// TestTemporaryFileThatCannotBe: the error names the directory that TMPDIR can
// change, and no file that nobody sees.
func TestTemporaryFileThatCannotBe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, dir)
	}
	_, err := newSpool(dir)
	if err == nil || !strings.HasPrefix(err.Error(), "temporary file in "+dir+": ") || strings.Contains(err.Error(), "tare-layer") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(hintOf(err), "TMPDIR names another place") {
		t.Errorf("the hint is %q", hintOf(err))
	}
}
