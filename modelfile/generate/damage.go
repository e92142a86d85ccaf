package generate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/weights"
)

// headed is a format whose header says how large the file has to be.
type headed struct {
	name   string
	starts func(head []byte) bool
	check  func(r io.ReaderAt, size int64) error
}

// headedFormat is the format that the name of a file promises.
func headedFormat(p string) (headed, bool) {
	switch strings.ToLower(path.Ext(p)) {
	case ".safetensors":
		return headed{"safetensors", startsSafetensors, func(r io.ReaderAt, size int64) error {
			_, err := weights.ReadSafetensors(r, size, nil)
			return err
		}}, true
	case ".gguf":
		return headed{"GGUF", startsWith("GGUF"), func(r io.ReaderAt, size int64) error {
			_, err := weights.ReadGGUF(r, size, nil)
			return err
		}}, true
	}
	return headed{}, false
}

// startsSafetensors wants the length of a header and the start of one. Text in the
// place of the length would be a number beyond any file.
func startsSafetensors(head []byte) bool {
	const longest = 1 << 40
	return len(head) > 8 && head[8] == '{' && binary.LittleEndian.Uint64(head) < longest
}

// damage says what is wrong with a file of weights, in a sentence that names it; it
// is empty if nothing is, or nothing is known of it. A file that cannot be read is
// not damaged for that, and neither is one that asks more of a reader than it knows.
func damage(fsys fs.FS, e entry, left *atomic.Int64) string {
	format, ok := headedFormat(e.path)
	switch {
	case e.size == 0 && promisesWeights(e):
		return fmt.Sprintf("%q is empty", e.path)
	case e.size == 0 || !ok:
		return ""
	}
	f, err := fsys.Open(e.path)
	if err != nil {
		return ""
	}
	defer f.Close()
	r, ok := f.(io.ReaderAt)
	if !ok {
		return ""
	}
	return format.damage(metered{r, left}, e)
}

func (h headed) damage(r io.ReaderAt, e entry) string {
	head := make([]byte, glanceLen)
	n, err := r.ReadAt(head, 0)
	head = head[:n]
	switch {
	case err != nil && err != io.EOF:
		return ""
	case !h.starts(head):
		return h.mismatch(e.path, head)
	}
	wrong, ok := errors.AsType[*weights.FormatError](h.check(r, e.size))
	if !ok || isBeyondReader(wrong) {
		return ""
	}
	return fmt.Sprintf("%q is damaged or incomplete: at byte %d: %s", e.path, wrong.Offset, wrong.Msg)
}

// mismatch is for a file that does not start as the format does.
func (h headed) mismatch(p string, head []byte) string {
	text := string(head[:textLen(head)])
	const telling = 3
	switch {
	case strings.Trim(string(head), "\x00") == "":
		return fmt.Sprintf("%q is damaged or incomplete: it begins with zeros", p)
	case len(text) >= min(telling, len(head)):
		return fmt.Sprintf("%q is not %s: it begins with %q", p, h.name, text)
	}
	return fmt.Sprintf("%q is not %s: it begins with the bytes % x", p, h.name, head[:min(len(head), 8)])
}

// textLen is how many bytes of head are text, up to a character that is cut.
func textLen(head []byte) int {
	n := 0
	for n < len(head) {
		c, width := utf8.DecodeRune(head[n:])
		if c == utf8.RuneError || c < ' ' && !strings.ContainsRune("\t\r\n", c) || c == 0x7F {
			break
		}
		n += width
	}
	return n
}

// isBeyondReader says whether a header is one that the reader does not know or that
// is larger than it reads, which says nothing against the file.
func isBeyondReader(err *weights.FormatError) bool {
	return strings.HasSuffix(err.Msg, "is not known") || strings.Contains(err.Msg, "more than")
}

// promisesWeights says whether the name of a file is that of weights. What
// TensorFlow writes beside them, and training, may be empty.
func promisesWeights(e entry) bool {
	f := classifyOne(e, content{}, surroundings{})
	return f.kind == modelpack.Model && f.label != trainingState && f.format != "tensorflow"
}

// findDamage looks at the header of each file of weights by itself, whatever else
// is there or missing.
func (s *surveyed) findDamage() {
	var left atomic.Int64
	left.Store(mostHeaders)
	var group errgroup.Group
	group.SetLimit(readers)
	for i := range s.files {
		f := &s.files[i]
		group.Go(func() error {
			f.damage = damage(s.fsys, f.entry, &left)
			return nil
		})
	}
	group.Wait()
}

// mostDamaged is how many damaged files are named.
const mostDamaged = 10

// damageNotes says what is wrong with files of weights.
func damageNotes(files []file) []string {
	var n notes
	damaged := damagedOf(files)
	for _, f := range damaged[:min(mostDamaged, len(damaged))] {
		n.add("%s", f.damage)
	}
	if more := len(damaged) - mostDamaged; more > 0 {
		n.add("%s of weights are damaged, incomplete or empty, too", plural(more, "more file"))
	}
	return n
}

func damagedOf(files []file) []file {
	var damaged []file
	for _, f := range files {
		if f.damage != "" {
			damaged = append(damaged, f)
		}
	}
	return damaged
}

// errDamaged is for weights that are not counted because of damaged files, of which
// there is a warning already.
func errDamaged(damaged []file) error {
	return fmt.Errorf("damaged, incomplete or empty: %s", some(pathsOf(damaged)))
}
