package build

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/modelpack"
)

// executableMagics start a file that can be run: a script, ELF, and Mach-O in
// either byte order and width.
var executableMagics = []string{
	"#!", "\x7fELF",
	"\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe",
}

// isExecutable goes by content: permission bits get lost between file systems.
func isExecutable(r io.ReaderAt) (bool, error) {
	var start [8]byte
	n, err := r.ReadAt(start[:], 0)
	if err != nil && err != io.EOF {
		return false, err
	}
	for _, m := range executableMagics {
		if bytes.HasPrefix(start[:n], []byte(m)) {
			return true, nil
		}
	}
	return isUniversal(start[:n]), nil
}

// isUniversal knows universal Mach-O from Java classes, which start alike: what
// follows is a small number of architectures, and not a version from 45 on.
func isUniversal(start []byte) bool {
	return len(start) == 8 && string(start[:4]) == "\xca\xfe\xba\xbe" && binary.BigEndian.Uint32(start[4:]) < 45
}

// source is a file that is open to become a layer or a part of one.
type source struct {
	*blob.Layer
	path       string
	file       *os.File
	before     fs.FileInfo
	executable bool
}

// open opens a file and puts a header before it and padding and end behind it,
// unless it is to be raw.
func (p *Plan) open(f File, format modelpack.Format, end int64) (*source, error) {
	file, err := p.tree.open(f.Path)
	if err != nil {
		return nil, err
	}
	return newSource(f.Path, file, format, end)
}

// newSource dresses an open file. It closes the file if it fails.
func newSource(name string, file *os.File, format modelpack.Format, end int64) (_ *source, err error) {
	s := &source{path: name, file: file}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	if s.before, err = file.Stat(); err != nil {
		return nil, err
	}
	if s.executable, err = isExecutable(file); err != nil {
		return nil, err
	}
	size := s.before.Size()
	if format == modelpack.Raw {
		s.Layer = blob.NewLayer(nil, file, size, nil)
		return s, nil
	}
	header, err := modelpack.TarHeader(name, size, modelpack.Mode(s.executable))
	if err != nil {
		return nil, err
	}
	trailer := make([]byte, modelpack.TarPadding(size)+end)
	s.Layer = blob.NewLayer(header, file, size, trailer)
	return s, nil
}

// changed says whether the file is still the one that was opened.
func (s *source) changed() error {
	after, err := s.file.Stat()
	if err != nil {
		return err
	}
	if disk.Identify(after) != disk.Identify(s.before) {
		return &hintError{fmt.Errorf("%s changed while it was read", s.path), "build again when nothing writes to it"}
	}
	return nil
}

// reader reads the source once, and ends in an error if the file changed.
func (s *source) reader(o Observer) *sourceReader {
	return &sourceReader{r: io.NewSectionReader(s.Layer, 0, s.Size()), s: s, o: o}
}

// sourceReader watches its file and reports progress.
type sourceReader struct {
	r io.Reader
	s *source
	o Observer
}

func (g *sourceReader) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	if g.o != nil && n > 0 {
		g.o.Observe("data", g.s.path, int64(n), 0, 0)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		if changed := g.s.changed(); changed != nil {
			err = changed
		}
	}
	return n, err
}

// File is the file whose bytes are all that Read will return, nil if there are
// others too. A store that can clone files asks for it.
func (g *sourceReader) File() *os.File {
	if g.s.Size() != g.s.before.Size() {
		return nil
	}
	return g.s.file
}

// Redirect has Read return the bytes of a clone of the file.
func (g *sourceReader) Redirect(clone io.ReaderAt) {
	g.r = io.NewSectionReader(clone, 0, g.s.Size())
}

// bundle reads an archive of several files, of which one at a time is open.
type bundle struct {
	plan   *Plan
	files  []File
	o      Observer
	opened []disk.Identity

	current *source
	reader  io.Reader
	dir     string
	dirRoot *os.Root // of dir, where the last file was
}

// Read implements [io.Reader]. It fills p, with many small files if need be: what
// is behind works in large pieces.
func (b *bundle) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if b.reader == nil {
			if err := b.next(); err != nil {
				return n, err
			}
		}
		m, err := b.reader.Read(p[n:])
		n += m
		if err == io.EOF {
			err = b.closeFile()
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// next opens the next file. The last one carries the end of the archive.
func (b *bundle) next() error {
	if len(b.files) == 0 {
		return io.EOF
	}
	f := b.files[0]
	var end int64
	if len(b.files) == 1 {
		end = modelpack.TarEnd
	}
	file, err := b.open(f.Path)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	s, err := newSource(f.Path, file, modelpack.Tar, end)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	b.files = b.files[1:]
	b.opened = append(b.opened, disk.Identify(s.before))
	b.current, b.reader = s, s.reader(b.o)
	return nil
}

// open opens a file through its directory, which the next file is likely to share.
func (b *bundle) open(name string) (*os.File, error) {
	if dir := path.Dir(name); b.dirRoot == nil || dir != b.dir {
		b.closeDir()
		root, err := b.plan.tree.root.OpenRoot(dir)
		if err != nil {
			return b.plan.tree.open(name)
		}
		b.dir, b.dirRoot = dir, root
	}
	if file, err := b.dirRoot.Open(path.Base(name)); err == nil {
		return file, nil
	}
	return b.plan.tree.open(name) // a link, or an error that it explains better
}

func (b *bundle) closeFile() error {
	if b.current == nil {
		return nil
	}
	err := b.current.Close()
	b.current, b.reader = nil, nil
	return err
}

func (b *bundle) closeDir() {
	if b.dirRoot != nil {
		b.dirRoot.Close()
		b.dirRoot = nil
	}
}

// Close closes what is open.
func (b *bundle) Close() error {
	b.closeDir()
	return b.closeFile()
}
