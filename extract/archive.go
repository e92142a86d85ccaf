package extract

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"
	"time"
	"unicode"

	"github.com/klauspost/compress/zstd"

	"github.com/tareml/tare/modelpack"
)

// maxWindow bounds the memory that a zstd stream may ask for, in bytes. Decoders
// need not take more, and encoders stay below it unless told otherwise.
const maxWindow = 8 << 20

// A compressed layer whose manifest does not say how large its files are may grow
// by maxRatio, more than text does, and by maxSlack bytes. Headers may add
// maxHeaders to what files have, those of one entry maxEntryHeaders.
const (
	maxRatio        = 100
	maxSlack        = 16 << 20
	maxHeaders      = maxEntries * 3 * tarBlock
	maxEntryHeaders = 4 << 20
)

// maxTrailing is how many bytes may follow the end of an archive: some tools
// fill up to blocks of 10 KiB and more.
const maxTrailing = 1 << 20

// maxDiagnosis is how many bytes are read on to tell why a layer is bad.
const maxDiagnosis = 256 << 20

// stager reads the files of one layer, in order.
type stager struct {
	x       *extraction
	job     *job
	layer   modelpack.Layer
	prefix  string
	overlay *overlay // of an image, else nil

	entries int                // of the layer, files and others
	last    string             // path of the file that came last, in the layer
	size    int64              // of that file
	left    int64              // bytes that the layer's files may still have
	files   []*staged          // what was staged
	dirs    []string           // with entries of their own
	byName  map[string]*staged // to be linked to

	skipped map[string]string // files that were left out, by all their names
	missing map[string]bool   // those of them that others are links to
	extra   map[string]bool   // those to stage for that: missing in the first attempt
	names   int               // bytes in the keys of skipped
	hidden  []*staged         // what was staged for nothing but links to it
}

// errMissing says that a layer has to be read again, since files that were left
// out are needed.
var errMissing = errors.New("links to files that were left out")

// readAll stages the layer's files and reads what follows them: it counts for
// the digest too.
func (s *stager) readAll(r io.Reader) error {
	s.byName, s.skipped, s.missing = make(map[string]*staged), make(map[string]string), make(map[string]bool)
	if err := s.read(r); err != nil {
		return err
	}
	if len(s.missing) > 0 {
		return errMissing
	}
	if err := s.discardHidden(); err != nil {
		return err
	}
	if err := drain(r); err != nil {
		return err
	}
	return s.complete()
}

// complete makes sure that the layer held what the manifest says that it holds.
func (s *stager) complete() error {
	switch {
	case s.overlay != nil:
		return nil
	case s.entries == 0:
		return errors.New("holds no file")
	case s.single() && (s.last != s.layer.Path || s.size != s.job.size):
		return fmt.Errorf("holds %s of %d bytes, and the manifest declares %s of %d", s.last, s.size, s.layer.Path, s.job.size)
	}
	return nil
}

// single says whether the manifest declares one file.
func (s *stager) single() bool { return s.job.single() && s.layer.Format != modelpack.Raw }

// discard removes what was staged, for the layer to be read again.
func (s *stager) discard() {
	s.discardHidden()
	for _, f := range s.files {
		s.x.root.Remove(f.name)
		s.x.unclaim(f.path)
	}
	s.x.unclaim(s.dirs...)
}

// discardHidden removes what was staged to be linked to. The links stay.
func (s *stager) discardHidden() error {
	for _, f := range s.hidden {
		if err := s.x.root.Remove(f.name); err != nil {
			return err
		}
	}
	s.hidden = nil
	return nil
}

// explain says what an error in a layer means: the destination's own errors and
// the stream's are what they are, everything else is the artifact's fault.
func (s *stager) explain(err error, r *observedReader) error {
	if !isLocal(err) {
		// Damaged content and hostile content look alike until the digest is known.
		io.CopyN(io.Discard, r, maxDiagnosis)
		if r.err != nil {
			err = r.err
		} else {
			err = hostile(s.layer, err)
		}
	}
	return extracting(s.layer, err)
}

// drain reads what follows an archive, of which there must not be much.
func drain(r io.Reader) error {
	n, err := io.CopyN(io.Discard, r, maxTrailing+1)
	if n > maxTrailing {
		return fmt.Errorf("more than %d bytes behind the end of the archive", maxTrailing)
	}
	if err == io.EOF {
		err = nil
	}
	return err
}

// read stages the files that r holds.
func (s *stager) read(r io.Reader) error {
	switch s.layer.Format {
	case modelpack.Raw:
		s.left = s.layer.Size
		return s.file(s.layer.Path, r, s.layer.Size, s.executable(), recordedTime(s.layer))
	case modelpack.TarGzip, modelpack.RawGzip:
		z, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		return s.inflated(z)
	case modelpack.TarZstd, modelpack.RawZstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return err
		}
		defer z.Close()
		return s.inflated(z)
	case modelpack.Tar:
		return s.archive(r, s.layer.Size)
	}
	return fmt.Errorf("format %q: %w", s.layer.Format, errors.ErrUnsupported)
}

// inflated stages the files of a compressed layer, whose content may have a
// digest of its own.
func (s *stager) inflated(r io.Reader) error {
	limit := inflatedSize(s.layer.Size)
	if m := s.layer.Metadata; m != nil {
		limit = max(limit, m.Size)
	}
	r = &limitedReader{r, add(limit, headerRoom(s.layer.Size))}
	if s.layer.DiffID == "" {
		return s.content(r, limit)
	}
	v := s.layer.DiffID.Verifier()
	if err := s.content(io.TeeReader(r, v), limit); err != nil {
		return err
	}
	if !v.Verified() {
		return fmt.Errorf("its content is not %s, which the config declares", s.layer.DiffID)
	}
	return nil
}

// content stages what was compressed: an archive, or one file.
func (s *stager) content(r io.Reader, limit int64) error {
	if s.layer.Format == modelpack.TarGzip || s.layer.Format == modelpack.TarZstd {
		return s.archive(r, limit)
	}
	if s.left = limit; s.job.single() {
		s.left = min(limit, s.job.size)
	}
	if err := s.file(s.layer.Path, r, unknownSize, s.executable(), recordedTime(s.layer)); err != nil {
		return err
	}
	return drain(r)
}

// unknownSize is that of a file which ends where its stream does.
const unknownSize = -1

// executable says whether the manifest has the layer's file executable.
func (s *stager) executable() bool {
	return s.layer.Metadata != nil && s.layer.Metadata.Mode&0o111 != 0
}

// headerRoom is how much headers may add to what size compressed bytes become: an
// entry takes some of them, however well it is compressed.
func headerRoom(size int64) int64 {
	return min(maxHeaders, 1<<20+2*maxRatio*min(size, maxHeaders))
}

// limitedReader ends in an error after left bytes.
type limitedReader struct {
	r    io.Reader
	left int64
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("there is no end to its headers or its content")
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}

// inflatedSize bounds what size compressed bytes may become.
func inflatedSize(size int64) int64 {
	if size > (math.MaxInt64-maxSlack)/maxRatio {
		return math.MaxInt64
	}
	return size*maxRatio + maxSlack
}

// archive stages the entries of a tar stream whose files have at most limit
// bytes in all.
func (s *stager) archive(r io.Reader, limit int64) error {
	if s.left = limit; s.single() {
		s.left = min(limit, s.job.size)
	}
	// Headers that describe headers may go on for ever.
	bounded := &limitedReader{r: r}
	tr := tar.NewReader(bounded)
	for {
		bounded.left = add(bounded.left, maxEntryHeaders)
		h, err := tr.Next()
		if err == io.EOF {
			return drain(r) // the end of a compressed stream holds its checksum
		}
		if err != nil {
			return err
		}
		bounded.left = add(h.Size, tarBlock)
		if s.entries++; s.entries > maxEntries {
			return fmt.Errorf("more than %d entries", maxEntries)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err := s.entry(h, tr); err != nil {
			return err
		}
	}
}

// entry stages one entry of an archive.
func (s *stager) entry(h *tar.Header, r io.Reader) error {
	name := s.inDir(entryName(h))
	if name == "." && h.Typeflag == tar.TypeDir {
		return nil
	}
	if err := modelpack.CheckPath(name); err != nil {
		return err
	}
	if s.single() && path.Base(name) == path.Base(s.layer.Path) {
		name = s.layer.Path // attached under another directory than it was packed in
	}
	if s.overlay != nil {
		visible, err := s.overlay.entry(name, h.Typeflag == tar.TypeDir)
		if err == nil && !visible && h.Typeflag == tar.TypeReg && h.Size <= s.left {
			return s.skip(name, r, h)
		}
		if err != nil || !visible {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return s.directory(name)
	case tar.TypeReg:
		if isSparse(h) {
			return fmt.Errorf("entry %q is sparse", h.Name)
		}
		return s.file(name, r, h.Size, h.Mode&0o111 != 0, h.ModTime)
	case tar.TypeSymlink:
		return s.symlink(name, h.Linkname)
	case tar.TypeLink:
		return s.hardLink(name, h)
	default:
		return fmt.Errorf("entry %q is neither a file nor a directory nor a link (type %q)", h.Name, h.Typeflag)
	}
}

// inDir is where an entry goes: in some dialects names begin in the directory of
// their layer. What leads upwards stays as it is, to be refused.
func (s *stager) inDir(name string) string {
	if s.layer.Dir == "" || modelpack.CheckPath(name) != nil {
		return name
	}
	return path.Join(s.layer.Dir, name)
}

// takes says whether the filter lets a file pass.
func (s *stager) takes(name string) bool {
	return s.x.o.Filter.Takes(s.layer.Kind, name, s.layer.Name)
}

// directory notes a directory. A filter is about files: directories without any
// are not worth making then.
func (s *stager) directory(name string) error {
	if !s.x.o.Filter.All() {
		return nil
	}
	dir := path.Join(s.job.model.Subdir, name)
	if err := s.x.claim(dir, true); err != nil {
		return err
	}
	s.dirs = append(s.dirs, dir)
	return nil
}

// stage gives a name to what is about to be staged: its path is claimed, and it
// can be linked to.
func (s *stager) stage(name string) (*staged, error) {
	f := &staged{name: fmt.Sprintf("%s-%d", s.prefix, len(s.files)), path: path.Join(s.job.model.Subdir, name)}
	if err := s.x.claim(f.path, false); err != nil {
		return nil, err
	}
	s.files = append(s.files, f)
	s.byName[name] = f
	return f, nil
}

// file stages one file of size bytes, or of as many as come.
func (s *stager) file(name string, r io.Reader, size int64, executable bool, when time.Time) (err error) {
	if err := modelpack.CheckPath(name); err != nil {
		return err
	}
	if size > s.left {
		return fmt.Errorf("%s has %d bytes, more than the layer declares", name, size)
	}
	s.left -= max(size, 0)
	if s.last != "" && s.single() {
		return fmt.Errorf("%s is a second file where the manifest declares one", name)
	}
	s.entries = max(s.entries, 1)
	s.last, s.size = name, size
	if !s.takes(name) {
		return s.skip(name, r, &tar.Header{Size: size, Mode: modelpack.Mode(executable), ModTime: when})
	}
	f, err := s.stage(name)
	if err != nil {
		return err
	}
	limit := size
	if size == unknownSize {
		limit = s.left + 1
	}
	f.exec = executable
	if f.size, err = s.x.write(f.name, io.LimitReader(r, limit), executable, when); err != nil {
		return err
	}
	if size == unknownSize && f.size > s.left {
		return fmt.Errorf("%s has more bytes than the layer declares", name)
	}
	s.size = f.size
	return nil
}

// skip leaves a file out, unless it is known that links to it are wanted.
func (s *stager) skip(name string, r io.Reader, h *tar.Header) error {
	if !s.extra[name] {
		if s.names += len(name); s.names <= maxNames {
			s.skipped[name] = name
		}
		return nil
	}
	f := &staged{name: fmt.Sprintf("%s-hidden-%d", s.prefix, len(s.hidden)), size: h.Size, exec: h.Mode&0o111 != 0}
	s.hidden = append(s.hidden, f)
	s.byName[name] = f
	var err error
	f.size, err = s.x.write(f.name, io.LimitReader(r, h.Size), f.exec, h.ModTime)
	return err
}

// symlink stages a symbolic link, which must not lead out of the directory that
// the artifact is for.
func (s *stager) symlink(name, target string) error {
	if !s.takes(name) {
		return nil
	}
	if s.overlay != nil && path.IsAbs(target) {
		target = fromHere(name, target)
	}
	target = strings.TrimSuffix(strings.TrimPrefix(target, "./"), "/")
	if err := checkTarget(name, target); err != nil {
		return err
	}
	f, err := s.stage(name)
	if err != nil {
		return err
	}
	f.link, f.size = target, int64(len(target))
	if err := s.x.root.Symlink(target, f.name); err != nil || s.x.o.Owner == nil {
		return err
	}
	return s.x.root.Lchown(f.name, s.x.o.Owner.UID, s.x.o.Owner.GID)
}

// fromHere makes an absolute target in an image relative to the link: what was
// the root of the image is the destination now.
func fromHere(name, target string) string {
	up := strings.Repeat("../", strings.Count(name, "/"))
	return path.Clean(up + strings.TrimPrefix(path.Clean(target), "/"))
}

// checkTarget refuses targets of links that lead out, or into our own state.
// Only what is clean can be judged by its letters: a/../.. goes elsewhere if a
// is a link itself.
func checkTarget(name, target string) error {
	switch {
	case len(target) > 4096 || len(name) > 4096:
		return errors.New("a link has a target of more than 4096 bytes")
	case target == "" || path.Clean(target) != target:
		return fmt.Errorf("%q is a link to %q, which is no clean path", name, target)
	case path.IsAbs(target):
		return fmt.Errorf("%q is a link to %q, out of the destination", name, target)
	}
	joined := path.Join(path.Dir(name), target)
	if joined == "." {
		return nil
	}
	if err := modelpack.CheckPath(joined); err != nil {
		return fmt.Errorf("%q is a link to %q, out of the destination: %w", name, target, err)
	}
	return nil
}

// hardLink stages another name of a file that came before in the same layer.
func (s *stager) hardLink(name string, h *tar.Header) error {
	linked := *h
	linked.Name = h.Linkname
	linkname := s.inDir(entryName(&linked))
	target, ok := s.byName[linkname]
	original, skipped := s.skipped[linkname]
	switch {
	case !s.takes(name) && ok:
		s.byName[name] = target
		return nil
	case !s.takes(name):
		s.skipped[name] = cmp.Or(original, name)
		return nil
	case skipped:
		s.missing[original] = true
		return nil
	case !ok:
		return fmt.Errorf("%q is a link to %.300q, which is no file before it", name, h.Linkname)
	}
	if target.link != "" { // which leads elsewhere from here
		if err := checkTarget(name, target.link); err != nil {
			return err
		}
	}
	f, err := s.stage(name)
	if err != nil {
		return err
	}
	f.size, f.exec, f.link = target.size, target.exec, target.link
	return s.x.root.Link(target.name, f.name)
}

// foldCase is the same for names that differ in nothing but case.
func foldCase(name string) string {
	return strings.Map(func(r rune) rune {
		smallest := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			smallest = min(smallest, f)
		}
		return smallest
	}, name)
}
