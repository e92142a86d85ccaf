package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tareml/tare/disk"
)

// TestErrorsOfOwnFiles: a disk that takes nothing is told of without the names of
// files that nobody knows, and with what to do. What else is wrong with a file,
// or with what content comes from, keeps its name.
func TestErrorsOfOwnFiles(t *testing.T) {
	s := &Store{dir: "s"}
	own, foreign := filepath.Join("s", ".tare", "tmp", "x.1"), filepath.Join("models", "w.bin")
	at := func(path string, err error) error { return &fs.PathError{Op: "write", Path: path, Err: err} }
	const full, fixed = spaceHint, "make the directory writable, or choose another store"
	if !errors.Is(s.notTaken(at(own, disk.ErrFull)), disk.ErrFull) {
		t.Error("the error is no longer of a full disk")
	}
	for _, test := range []struct {
		err        error
		want, hint string
	}{
		{at(own, disk.ErrFull), "writing to store s: " + disk.ErrFull.Error(), full},
		{errors.Join(at(own, disk.ErrFull), errors.New("closing")), "writing to store s: " + disk.ErrFull.Error(), full},
		{at(own, syscall.EROFS), "writing to store s: " + syscall.EROFS.Error(), fixed},
		{at(own, fs.ErrPermission), "writing to store s: write " + own + ": permission denied", fixed},
		{at(foreign, syscall.EROFS), "write " + foreign + ": " + syscall.EROFS.Error(), ""},
		{fmt.Errorf("w.bin changed"), "w.bin changed", ""},
		{s.notWritable(at(own, fs.ErrPermission)), "writing to store s: write " + own + ": permission denied", fixed},
	} {
		err := s.notTaken(test.err)
		var h *hintError
		hint := ""
		if errors.As(err, &h) {
			hint = h.Hint()
		}
		if err.Error() != test.want || hint != test.hint {
			t.Errorf("%v: %q, hint %q, want %q, %q", test.err, err, hint, test.want, test.hint)
		}
	}
}
