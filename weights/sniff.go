package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Match is what a file was found to be.
type Match struct {
	Kind Kind
	// Weak says that other files could look the same at the places looked at: the
	// name of the file should agree.
	Weak bool
	// Reason says what it was known by, in a few words.
	Reason string
}

// Sniff tells what a file is by its content: its first bytes, and its last ones
// where that is needed. The only errors are those of reading. A file that looks
// like a kind is not necessarily a valid one.
func Sniff(r io.ReaderAt, size int64) (Match, error) {
	s := &sample{r: r, size: max(size, 0)}
	s.head = make([]byte, min(s.size, sniffLen))
	n, err := readAt(r, s.head, 0)
	if err != nil {
		return Match{}, err
	}
	s.head = s.head[:n]
	for _, m := range magics {
		if s.has(m.at, m.bytes) {
			return Match{m.kind, m.weak, m.reason}, nil
		}
	}
	for _, sh := range shapes {
		is, err := sh.is(s)
		if _, other := errors.AsType[*FormatError](err); err != nil && !other {
			return Match{}, err
		}
		if is && err == nil {
			return Match{sh.kind, sh.weak, sh.reason}, nil
		}
	}
	return Match{}, nil
}

// sniffLen is how much of the start is looked at.
const sniffLen = 4 << 10

// sample is the start of a file, and ways to the rest.
type sample struct {
	r     io.ReaderAt
	size  int64
	head  []byte
	names *zipNames
}

func (s *sample) has(at int, want string) bool {
	return len(s.head) >= at && bytes.HasPrefix(s.head[at:], []byte(want))
}

// tail is the last n bytes, or nil if there are fewer.
func (s *sample) tail(n int64) ([]byte, error) {
	if s.size < n {
		return nil, nil
	}
	p := make([]byte, n)
	got, err := readAt(s.r, p, s.size-n)
	return p[:got], err
}

func isSafetensors(s *sample) (bool, error) {
	if len(s.head) < 10 {
		return false, nil
	}
	length := binary.LittleEndian.Uint64(s.head)
	rest := bytes.TrimLeft(s.head[8:], " \n\t\r")
	if length < 2 || length > uint64(s.size-8) || !bytes.HasPrefix(rest, []byte("{")) {
		return false, nil
	}
	rest = bytes.TrimLeft(rest[1:], " \n\t\r")
	return len(rest) > 0 && (rest[0] == '"' || rest[0] == '}'), nil
}

// zipNames is what is known of a zip archive.
type zipNames struct {
	bases    map[string]bool // names of interest, without the first folder
	files    int
	npy      int
	complete bool // it has a directory
}

// zipMembers are the names that tell what an archive is.
var zipMembers = map[string]bool{"constants.pkl": true, "data.pkl": true, "archive_format": true, "model.weights.h5": true, "config.json": true}

// maxSniffed bounds how many files of an archive are looked at.
const maxSniffed = 1 << 14

func (s *sample) zip() (*zipNames, error) {
	if s.names != nil {
		return s.names, nil
	}
	s.names = &zipNames{bases: make(map[string]bool)}
	if !s.has(0, "PK\x03\x04") && !s.has(0, "PK\x05\x06") {
		return s.names, nil
	}
	err := zipEntries(s.r, s.size, func(e zipEntry) bool {
		s.names.add(e.name)
		return s.names.files < maxSniffed
	})
	s.names.complete = err == nil
	return s.names, err
}

func (z *zipNames) add(name string) {
	z.files++
	if strings.HasSuffix(name, ".npy") {
		z.npy++
	}
	if _, below, ok := strings.Cut(name, "/"); ok && zipMembers[below] {
		z.bases[below] = true
	}
	if zipMembers[name] {
		z.bases[name] = true
	}
}

func zipHas(members ...string) func(*sample) (bool, error) {
	return func(s *sample) (bool, error) {
		z, err := s.zip()
		for _, m := range members {
			if !z.bases[m] {
				return false, err
			}
		}
		return true, err
	}
}

func isNpz(s *sample) (bool, error) {
	z, err := s.zip()
	return z.npy > 0 && z.npy == z.files, err
}

// isZip takes archives whose end is missing too: they are zip archives, if not
// whole ones.
func isZip(s *sample) (bool, error) {
	return s.has(0, "PK\x03\x04") || s.has(0, "PK\x05\x06"), nil
}

// isPickle wants protocol 2 to 5 at the start and the STOP at the end.
func isPickle(s *sample) (bool, error) {
	if len(s.head) < 4 || s.head[0] != 0x80 || s.head[1] < 2 || s.head[1] > 5 {
		return false, nil
	}
	if s.head[1] >= 4 && s.head[2] == 0x95 {
		return true, nil // a frame
	}
	end, err := s.tail(1)
	return bytes.Equal(end, []byte(".")), err
}

// isZlib has only two bytes to go by, of which some are text.
func isZlib(s *sample) (bool, error) {
	text, err := isText(s)
	return !text && (s.has(0, "\x78\x01") || s.has(0, "\x78\x5e") || s.has(0, "\x78\x9c") || s.has(0, "\x78\xda")), err
}

// isCheckpointIndex looks for the number at the end of the table that
// variables.index and model.ckpt.index are.
func isCheckpointIndex(s *sample) (bool, error) {
	if s.size < 48 || s.size > 1<<30 {
		return false, nil
	}
	end, err := s.tail(8)
	return bytes.Equal(end, []byte("\x57\xfb\x80\x8b\x24\x75\x47\xdb")), err
}

func isArrowStream(s *sample) (bool, error) {
	if len(s.head) < 16 || !s.has(0, "\xff\xff\xff\xff") {
		return false, nil
	}
	n := binary.LittleEndian.Uint32(s.head[4:])
	root := binary.LittleEndian.Uint32(s.head[8:])
	return n > 0 && n%8 == 0 && n < 1<<24 && root < n && root%2 == 0 && root > 0, nil
}

func isOpenVINO(s *sample) (bool, error) {
	net := bytes.Index(s.head, []byte("<net "))
	return net >= 0 && s.xmlBefore(net) && bytes.Contains(s.head[net:], []byte("<layer")), nil
}

// xmlBefore says whether only an XML declaration and comments are before n.
func (s *sample) xmlBefore(n int) bool {
	before := bytes.TrimSpace(bytes.TrimPrefix(s.head[:n], utf8BOM))
	return len(before) == 0 || bytes.HasPrefix(before, []byte("<?xml")) || bytes.HasPrefix(before, []byte("<!--"))
}

var utf8BOM = []byte("\xef\xbb\xbf")

func startsWithAny(starts ...string) func(*sample) (bool, error) {
	return func(s *sample) (bool, error) {
		text := bytes.TrimSpace(bytes.TrimPrefix(s.head, utf8BOM))
		for _, start := range starts {
			if len(text) >= len(start) && strings.EqualFold(string(text[:len(start)]), start) {
				return true, nil
			}
		}
		return false, nil
	}
}

func isJSON(s *sample) (bool, error) {
	if is, _ := isText(s); !is {
		return false, nil
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(s.head, utf8BOM))
	if len(text) < 2 || text[0] != '{' && text[0] != '[' {
		return false, nil
	}
	rest := bytes.TrimSpace(text[1:])
	after := "\"}" // of {
	if text[0] == '[' {
		after = "\"]{[-0123456789tfn"
	}
	return len(rest) == 0 || strings.IndexByte(after, rest[0]) >= 0, nil
}

// isText allows for a character that is cut off at the end of the sample.
func isText(s *sample) (bool, error) {
	text := s.head
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			return !utf8.FullRune(text) && int64(len(s.head)) < s.size, nil
		case r < ' ' && !strings.ContainsRune("\t\n\r\f\v\b\x1b", r) || r == 0x7f:
			return false, nil
		}
		text = text[n:]
	}
	return len(s.head) > 0, nil
}

const lfsMagic = "version https://git-lfs.github.com/spec/v1\n"

// Pointer is what Git keeps in the place of a large file.
type Pointer struct {
	OID  string // sha256:...
	Size int64  // of the file that is missing
}

// ReadPointer reads a Git LFS pointer; false if the file is none.
func ReadPointer(r io.ReaderAt, size int64) (Pointer, bool, error) {
	const most = 1 << 10 // the format's own bound
	if size > most {
		return Pointer{}, false, nil
	}
	head := make([]byte, max(size, 0))
	n, err := readAt(r, head, 0)
	text, ok := strings.CutPrefix(string(head[:n]), lfsMagic)
	if err != nil || !ok {
		return Pointer{}, false, err
	}
	var p Pointer
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "oid":
			p.OID = value
		case "size":
			if p.Size, err = strconv.ParseInt(value, 10, 64); err != nil || p.Size < 0 {
				p.Size = 0
			}
		}
	}
	return p, p.OID != "", nil
}
