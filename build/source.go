package build

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/modelpack"
)

// source is a file opened to become a layer.
type source struct {
	*blob.Layer
	file       *os.File
	path       string
	before     fs.FileInfo
	format     modelpack.Format
	executable bool
}

// open opens a file and dresses it as a layer of the given format.
func (p *Plan) open(file File, format modelpack.Format) (_ *source, err error) {
	f, err := p.root.Open(file.Path)
	if err != nil {
		return nil, fmt.Errorf("packaging %s: %w", file.Path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	s := &source{file: f, path: file.Path, format: format}
	if s.before, err = f.Stat(); err != nil {
		return nil, fmt.Errorf("packaging %s: %w", file.Path, err)
	}
	if s.executable, err = isExecutable(f); err != nil {
		return nil, fmt.Errorf("packaging %s: %w", file.Path, err)
	}
	return s, s.dress()
}

// dress puts header and trailer around the file.
func (s *source) dress() error {
	size := s.before.Size()
	if s.format == modelpack.Raw {
		s.Layer = blob.NewLayer(nil, s.file, size, nil)
		return nil
	}
	s.format = modelpack.Tar
	header, err := tarHeader(s.path, size, modelpack.Mode(s.executable))
	if err != nil {
		return fmt.Errorf("packaging %s: %w", s.path, err)
	}
	s.Layer = blob.NewLayer(header, s.file, size, tarTrailer(size))
	return nil
}

const tarBlock = 512

// tarHeader is the header of a file that is alone in its archive: USTAR where
// that holds the name and the size, PAX where it does not.
func tarHeader(name string, size, mode int64) ([]byte, error) {
	var buf bytes.Buffer
	err := tar.NewWriter(&buf).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg,
		Name:     name,
		Size:     size,
		Mode:     mode,
		ModTime:  time.Unix(0, 0),
	})
	return buf.Bytes(), err
}

// tarTrailer fills the last block and ends the archive with two zero blocks and
// nothing after them: some readers refuse more.
func tarTrailer(size int64) []byte {
	padding := (tarBlock - size%tarBlock) % tarBlock
	return make([]byte, padding+2*tarBlock)
}

// executableMagics start a file that can be run: a script, ELF, Mach-O in
// either byte order and width, and universal Mach-O.
var executableMagics = []string{
	"#!", "\x7fELF",
	"\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe",
}

// isExecutable goes by content: permission bits get lost between file systems.
func isExecutable(r io.ReaderAt) (bool, error) {
	var magic [4]byte
	n, err := r.ReadAt(magic[:], 0)
	if err != nil && err != io.EOF {
		return false, err
	}
	for _, m := range executableMagics {
		if bytes.HasPrefix(magic[:n], []byte(m)) {
			return true, nil
		}
	}
	return false, nil
}

// annotations describe the layer's file in the manifest. Only raw layers have a
// title: a tool that goes by it would save an archive under the file's name.
func (s *source) annotations() (map[string]string, error) {
	metadata, err := json.Marshal(modelpack.NewFileMetadata(s.path, s.before.Size(), s.executable))
	if err != nil {
		return nil, err
	}
	annotations := map[string]string{
		modelpack.AnnotationFilepath:     s.path,
		modelpack.AnnotationFileMetadata: string(metadata),
	}
	if s.format == modelpack.Raw {
		annotations[ocispec.AnnotationTitle] = s.path
	}
	return annotations, nil
}

// reader reads the layer once. It ends in an error if the file changed since it
// was opened.
func (s *source) reader(o Observer) io.Reader {
	return &guardedReader{r: io.NewSectionReader(s.Layer, 0, s.Size()), s: s, o: o}
}

// guardedReader watches the file and reports progress.
type guardedReader struct {
	r io.Reader
	s *source
	o Observer
}

func (g *guardedReader) Read(p []byte) (int, error) {
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

// changed says whether the file is still the one that was opened.
func (s *source) changed() error {
	after, err := s.file.Stat()
	if err != nil {
		return err
	}
	if after.Size() != s.before.Size() || !after.ModTime().Equal(s.before.ModTime()) {
		return fmt.Errorf("%s changed while it was read", s.path)
	}
	return nil
}
