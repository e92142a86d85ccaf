package generate

import (
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/weights"
)

// TestHeadersOfADirectoryAreBounded: many files may each have as much of a header as
// is read of one.
func TestHeadersOfADirectoryAreBounded(t *testing.T) {
	content := weightstest.Safetensors(nil, weightstest.T("a", "F32", 2)).Bytes()
	fsys := fstest.MapFS{"a": {Data: content}}
	s := newStudy(fsys, "", nil, new(notes), new(notes))
	read := func() error {
		return s.header("a", func(r io.ReaderAt, size int64) error {
			_, err := weights.ReadSafetensors(r, size, nil)
			return err
		})
	}
	if err := read(); err != nil {
		t.Error(err)
	}
	s.unread.Store(10)
	if err := read(); err == nil || !strings.Contains(err.Error(), "more than the 1024 MiB that are read") {
		t.Errorf("got %v", err)
	}
}
