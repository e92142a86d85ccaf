package weights

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deeply JSON may be nested.
const maxDepth = 64

// scanner reads JSON as a stream: it holds one string at a time, and errors have
// offsets. Names that are too long are errors and values are cut.
type scanner struct {
	*source // whose scratch holds the string read last
	depth   int
}

// next is the first byte that is not space, which stays.
func (s *scanner) next() (byte, error) {
	for {
		c, err := s.peek()
		if err != nil || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c, err
		}
		s.pos++
	}
}

// expect takes the next byte that is not space if it is want.
func (s *scanner) expect(want byte) error {
	c, err := s.next()
	switch {
	case err != nil:
		return err
	case c != want:
		return s.errorf(s.offset(), "%q where JSON has to have %q", c, want)
	}
	s.pos++
	return nil
}

// object calls member for each key, with the scanner before the value.
func (s *scanner) object(member func(key []byte) error) error {
	return s.list('{', '}', func() error {
		key, err := s.key()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		return member(key)
	})
}

// array calls element with the scanner before each element.
func (s *scanner) array(element func() error) error { return s.list('[', ']', element) }

func (s *scanner) list(open, end byte, item func() error) error {
	if s.depth++; s.depth > maxDepth {
		return s.errorf(s.offset(), "JSON is nested more than %d deep", maxDepth)
	}
	defer func() { s.depth-- }()
	if err := s.expect(open); err != nil {
		return err
	}
	c, err := s.next()
	if err != nil {
		return err
	}
	for c != end {
		if err := item(); err != nil {
			return err
		}
		if c, err = s.next(); err != nil {
			return err
		}
		if c == ',' {
			s.pos++
			if c, err = s.next(); err == nil && c == end {
				err = s.errorf(s.offset(), "a comma and then %q", c)
			}
			if err != nil {
				return err
			}
		} else if c != end {
			return s.errorf(s.offset(), "%q where JSON has to have ',' or %q", c, end)
		}
	}
	s.pos++
	return nil
}

// key reads a string that must not be longer than a name.
func (s *scanner) key() ([]byte, error) {
	at := s.offset()
	key, whole, err := s.string(maxName)
	if err == nil && !whole {
		err = s.errorf(at, "a name of more than %d bytes", maxName)
	}
	return key, err
}

// string reads a string and keeps the first most bytes; false if there were
// more. It is valid until the next one is read.
func (s *scanner) string(most int) ([]byte, bool, error) {
	if err := s.expect('"'); err != nil {
		return nil, false, err
	}
	s.str = s.str[:0]
	whole := true
	for {
		c, err := s.peek()
		if err != nil {
			return nil, false, err
		}
		switch {
		case c == '"':
			s.pos++
			return s.str, whole, nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return nil, false, err
			}
		case c < ' ':
			return nil, false, s.errorf(s.offset(), "a control character in a string")
		default:
			s.plain()
		}
		if len(s.str) > most {
			s.str, whole = s.str[:most], false
		}
	}
}

// plain takes what is buffered up to the end of the string or an escape.
func (s *scanner) plain() {
	rest := s.buf[s.pos:]
	rest = rest[:min(int64(len(rest)), s.left())]
	n := 0
	for n < len(rest) && rest[n] != '"' && rest[n] != '\\' && rest[n] >= ' ' {
		n++
	}
	s.str = append(s.str, rest[:n]...)
	s.pos += n
}

func (s *scanner) escape() error {
	at := s.offset()
	s.pos++
	c, err := s.byte()
	if err != nil {
		return err
	}
	if c == 'u' {
		r, err := s.hex()
		if err != nil {
			return err
		}
		if utf16.IsSurrogate(r) {
			r = s.lowSurrogate(r)
		}
		s.str = utf8.AppendRune(s.str, r)
		return nil
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	i := strings.IndexByte(from, c)
	if i < 0 {
		return s.errorf(at, "a string has the escape \\%c, which JSON does not know", c)
	}
	s.str = append(s.str, to[i])
	return nil
}

func (s *scanner) hex() (rune, error) {
	at := s.offset()
	var digits [4]byte
	if err := s.full(digits[:]); err != nil {
		return 0, err
	}
	r, err := strconv.ParseUint(string(digits[:]), 16, 16)
	if err != nil {
		return 0, s.errorf(at, "%q after \\u is not a number of four hexadecimal digits", digits)
	}
	return rune(r), nil
}

// lowSurrogate completes a pair, or gives up and stands for an unknown character.
func (s *scanner) lowSurrogate(high rune) rune {
	var escape [2]byte
	back := s.offset()
	if s.full(escape[:]) == nil && string(escape[:]) == `\u` {
		if low, err := s.hex(); err == nil {
			if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
				return r
			}
		}
	}
	s.seek(back)
	return utf8.RuneError
}

// number reads a whole number that is not negative.
func (s *scanner) number() (int64, error) {
	if _, err := s.next(); err != nil {
		return 0, err
	}
	at := s.offset()
	var n int64
	for digits := 0; ; digits++ {
		c, err := s.peek()
		if err != nil {
			return 0, err
		}
		if c < '0' || c > '9' {
			if digits == 0 || c == '.' || c == 'e' || c == 'E' {
				return 0, s.errorf(at, "not a whole number that is not negative")
			}
			return n, nil
		}
		if n > (maxInt64-9)/10 {
			return 0, s.errorf(at, "a number beyond 64 bits")
		}
		n = 10*n + int64(c-'0')
		s.pos++
	}
}

// numberOrOther is number, and 0 for a value that is none.
func (s *scanner) numberOrOther() (int64, error) {
	c, err := s.next()
	switch {
	case err != nil:
		return 0, err
	case c < '0' || c > '9':
		return 0, s.skipValue()
	}
	return s.number()
}

// skipValue takes a value of any kind and forgets it.
func (s *scanner) skipValue() error {
	c, err := s.next()
	if err != nil {
		return err
	}
	switch c {
	case '{':
		return s.object(func([]byte) error { return s.skipValue() })
	case '[':
		return s.array(s.skipValue)
	case '"':
		_, _, err := s.string(0)
		return err
	}
	return s.skipWord()
}

// skipWord takes a number, true, false or null.
func (s *scanner) skipWord() error {
	at := s.offset()
	for n := 0; ; n++ {
		c, err := s.peek()
		if err != nil {
			return err
		}
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E') {
			if n == 0 {
				return s.errorf(at, "%q where JSON has to have a value", c)
			}
			return nil
		}
		s.pos++
	}
}
