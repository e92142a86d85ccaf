package generate

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/tareml/tare/modelfile"
)

// notes gathers what the user should know, one sentence each.
type notes []string

func (n *notes) add(format string, args ...any) {
	*n = append(*n, fmt.Sprintf(format, args...))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// mostNamed is how many paths a sentence names.
const mostNamed = 4

// some quotes the first few of paths.
func some(paths []string) string { return someOf(paths, len(paths)) }

// someOf quotes the first few of n paths, of which it is given at least as many.
func someOf(paths []string, n int) string {
	var out []string
	for _, p := range paths[:min(mostNamed, n)] {
		out = append(out, strconv.Quote(p))
	}
	if more := n - mostNamed; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}

// whyUncounted says why the weights of some formats do not tell how many parameters
// there are.
var whyUncounted = map[string]string{
	"pt":         "PyTorch archives say it only in a pickle, which is not read",
	"pickle":     "a pickle says it only when it is loaded, which runs code",
	"tensorflow": "of TensorFlow only SavedModels and checkpoints are read",
	"tflite":     "of TensorFlow Lite only .tflite files are read",
	"gguf":       "the GGUF files here are parts of other models",
}

// noteUncounted says once for each format why PARAMSIZE is left out.
func (s *study) noteUncounted(c copyOf) {
	if c.format == "" || s.knows(modelfile.ParamSize) {
		return
	}
	why := cmp.Or(whyUncounted[c.format], "it is not read from weights in "+cmp.Or(formatNames[c.format], c.format))
	if name, err := s.unreadable(c.files); err != nil {
		why = fmt.Sprintf("%q cannot be read: %v", name, reason(err))
	}
	if note := "PARAMSIZE is left out: " + why; !slices.Contains(*s.notes, note) {
		s.notes.add("%s", note)
	}
}

// unreadable is the first of files that cannot be read, and why.
func (s *study) unreadable(files []file) (string, error) {
	for _, f := range files {
		err := s.header(f.path, func(r io.ReaderAt, _ int64) error {
			_, err := r.ReadAt(make([]byte, 1), 0)
			return err
		})
		if err != nil && err != io.EOF {
			return f.path, err
		}
	}
	return "", nil
}

// reason is an error of the file system without the operation and the path.
func reason(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}

// byteSize writes a number of bytes for people: 12.3 GiB.
func byteSize(n int64) string {
	units := [...]string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	size, i := float64(n), 0
	for size >= 1024 && i < len(units)-1 {
		size /= 1024
		i++
	}
	if i == 0 {
		return plural(int(n), "byte")
	}
	return fmt.Sprintf("%.1f %s", size, units[i])
}

// failure is an error that the user can do something about.
type failure struct {
	msg, hint string
	cause     error // nil if there is no other
}

func (f *failure) Error() string { return f.msg }
func (f *failure) Hint() string  { return f.hint }
func (f *failure) Unwrap() error { return f.cause }
