package extract

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/modelpack"
)

// A layer whose one file the manifest declares can be written to where the file
// is to be, in any order, if one knows where in the layer the file begins. In a
// tar layer that is a guess, which is checked when all bytes are there and have
// proved right: see [fileSink.header].

const tarBlock = 512

// maxHeader is how long a header may be that is guessed, in bytes.
const maxHeader = 64 << 10

// headerLength guesses how long the header is before the file of a tar layer, by
// the lengths of layer and file. It is -1 if nothing fits.
func headerLength(l modelpack.Layer, size int64) int64 {
	padded := size + modelpack.TarPadding(size)
	if l.Format == modelpack.Raw {
		return 0
	}
	head := l.Size - padded - modelpack.TarEnd
	if l.Size%(20*tarBlock) == 0 { // written in records of 20 blocks, which hides the length
		head = modelpack.TarHeaderSize(l.Path, size)
	}
	if size < 0 || padded < size || head < tarBlock || head > maxHeader || head%tarBlock != 0 || padded > l.Size-head {
		return -1
	}
	return head
}

// fileSink writes a layer of one file such that the file is at the start of a
// partial file. What is before it in the layer is behind it there.
type fileSink struct {
	*disk.Partial
	head int64 // bytes before the file
	size int64 // of the file
	all  int64 // of the layer
}

// span calls do for the pieces of the bytes from off to off+n of the layer: where
// they are in the file, and which of the bytes they are.
func (s *fileSink) span(off int64, n int, do func(at int64, from, to int) (int, error)) (int, error) {
	total := 0
	for total < n {
		at, left := s.place(off + int64(total))
		to := total + int(min(left, int64(n-total)))
		m, err := do(at, total, to)
		total += m
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// place is where byte off of the layer is in the file, and how many follow it
// there.
func (s *fileSink) place(off int64) (at, left int64) {
	switch {
	case off < s.head:
		return s.size + off, s.head - off
	case off < s.head+s.size:
		return off - s.head, s.head + s.size - off
	default:
		return off, s.all - off
	}
}

// WriteAt implements [io.WriterAt]. Bytes beyond the declared size are
// [blob.ErrMismatch].
func (s *fileSink) WriteAt(p []byte, off int64) (int, error) {
	if int64(len(p)) > s.all-off {
		return 0, fmt.Errorf("more than the declared %d bytes: %w", s.all, blob.ErrMismatch)
	}
	return s.span(off, len(p), func(at int64, from, to int) (int, error) { return s.Partial.WriteAt(p[from:to], at) })
}

// ReadAt implements [io.ReaderAt].
func (s *fileSink) ReadAt(p []byte, off int64) (int, error) {
	want := int(max(0, min(int64(len(p)), s.all-off)))
	n, err := s.span(off, want, func(at int64, from, to int) (int, error) { return s.Partial.ReadAt(p[from:to], at) })
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// Clone takes in a file that is all of the layer, if the file system can share
// its content.
func (s *fileSink) Clone(from *os.File) bool {
	return s.head == 0 && s.size == s.all && disk.Clone(s.File, from) == nil
}

// header says whether a tar layer that is complete holds its file where it was
// guessed to be, alone, and whether that is executable and from when.
func (s *fileSink) header(l modelpack.Layer) (executable bool, when time.Time, ok bool) {
	if l.Format == modelpack.Raw {
		return l.Metadata != nil && l.Metadata.Mode&0o111 != 0, recordedTime(l), true
	}
	head := make([]byte, s.head) // no more than maxHeader
	if _, err := s.ReadAt(head, 0); err != nil && err != io.EOF {
		return false, time.Time{}, false
	}
	r := bytes.NewReader(head)
	h, err := tar.NewReader(r).Next()
	if err != nil || r.Len() > 0 || h.Typeflag != tar.TypeReg || h.Size != s.size || isSparse(h) || !isName(h, l.Path) {
		return false, time.Time{}, false
	}
	return h.Mode&0o111 != 0, h.ModTime, s.endsAfterFile()
}

// isName says whether an entry is the file that the manifest has at this path:
// some tools let the path say another directory.
func isName(h *tar.Header, declared string) bool {
	name := entryName(h)
	return modelpack.CheckPath(name) == nil && path.Base(name) == path.Base(declared)
}

// endsAfterFile says whether nothing but zeros follows the file.
func (s *fileSink) endsAfterFile() bool {
	start := s.head + s.size + modelpack.TarPadding(s.size)
	if s.all-start < modelpack.TarEnd || s.all-start > maxTrailing {
		return false
	}
	tail := make([]byte, s.all-start)
	if _, err := s.ReadAt(tail, start); err != nil && err != io.EOF {
		return false
	}
	return !bytes.ContainsFunc(tail, func(r rune) bool { return r != 0 })
}

// isSparse knows the headers of files with holes, which come to more bytes than
// the archive has.
func isSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// entryName is the name of an entry as a path of an artifact, if it can be one:
// what leads upwards stays as it is, to be refused.
func entryName(h *tar.Header) string {
	if slices.Contains(strings.Split(h.Name, "/"), "..") {
		return h.Name
	}
	return path.Clean(h.Name)
}
