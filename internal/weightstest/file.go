// Package weightstest makes weight files for tests: valid headers, and zeros for
// the weights. A [File] takes no room for the zeros, in memory or on disk, so that
// the files can have the sizes of real models.
package weightstest

import (
	"bytes"
	"io"
	"os"
)

// File is a file with zeros between its parts. It can be read as it is or written
// to disk.
type File struct {
	parts []part
	size  int64
}

type part struct {
	at   int64
	data []byte
}

// NewFile is a file of the given content.
func NewFile(content []byte) *File {
	f := new(File)
	f.add(content)
	return f
}

// add appends content.
func (f *File) add(content []byte) {
	f.parts = append(f.parts, part{f.size, bytes.Clone(content)})
	f.size += int64(len(content))
}

// zeros appends n bytes of zeros.
func (f *File) zeros(n int64) { f.size += n }

// pad appends zeros up to a multiple of n.
func (f *File) pad(n int64) { f.zeros((n - f.size%n) % n) }

// Size is how long the file is.
func (f *File) Size() int64 { return f.size }

// Truncate changes the size, as os.File's does.
func (f *File) Truncate(size int64) { f.size = size }

// ReadAt reads as the file on disk would.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	n := int(max(min(int64(len(p)), f.size-off), 0))
	clear(p[:n])
	for _, part := range f.parts {
		from, to := max(off, part.at), min(off+int64(n), part.at+int64(len(part.data)))
		if from < to {
			copy(p[from-off:to-off], part.data[from-part.at:])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Bytes is all of the file, which must be small.
func (f *File) Bytes() []byte {
	p := make([]byte, f.size)
	f.ReadAt(p, 0)
	return p
}

// Write writes the file to disk, with holes for the zeros where the filesystem
// can have them.
func (f *File) Write(path string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	for _, part := range f.parts {
		if _, err := out.WriteAt(part.data, part.at); err != nil {
			out.Close()
			return err
		}
	}
	if err := out.Truncate(f.size); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
