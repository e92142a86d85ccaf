package modelfile

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// globMeta are the characters that keep the backslash before them.
const globMeta = "*?[]{}!"

const backslashHint = `write \\ for a backslash`

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// scanner reads the value of one line.
type scanner struct {
	rest   string
	column int // of the start of rest
}

// next takes one character off the rest, which must not be empty.
func (s *scanner) next() string {
	_, n := utf8.DecodeRuneInString(s.rest)
	c := s.rest[:n]
	s.rest = s.rest[n:]
	s.column++
	return c
}

// char takes one character or one escape off the rest, which must not be empty.
func (s *scanner) char() (text string, escaped bool, err *SyntaxError) {
	at := s.column
	if c := s.next(); c != `\` {
		return c, false, nil
	}
	text, err = s.escape(at)
	return text, true, err
}

// skipBlanks moves on to the next character that is not blank.
func (s *scanner) skipBlanks() {
	trimmed := strings.TrimLeft(s.rest, " \t")
	s.column += len(s.rest) - len(trimmed)
	s.rest = trimmed
}

// word takes everything up to the next blank off the rest.
func (s *scanner) word() string {
	n := strings.IndexAny(s.rest, " \t")
	if n < 0 {
		n = len(s.rest)
	}
	w := s.rest[:n]
	s.rest = s.rest[n:]
	s.column += utf8.RuneCountInString(w)
	return w
}

// value reads the rest as a value. If it is a path, blanks and quotes in it must
// be quoted or escaped.
func (s *scanner) value(path bool) (string, *SyntaxError) {
	if strings.HasPrefix(s.rest, `"`) {
		return s.quoted()
	}
	return s.plain(path)
}

func (s *scanner) quoted() (string, *SyntaxError) {
	var out []byte
	opening := s.column
	s.next()
	for s.rest != "" {
		c, escaped, err := s.char()
		switch {
		case err != nil:
			return "", err
		case c == `"` && !escaped:
			return string(out), s.end()
		}
		out = append(out, c...)
	}
	return "", problem(opening, "the quote is not closed", `write \" for a quote that is part of the value`)
}

// end makes sure that nothing follows a quoted value.
func (s *scanner) end() *SyntaxError {
	s.skipBlanks()
	switch {
	case s.rest == "":
		return nil
	case s.rest[0] == '#':
		return problem(s.column, "comment after a value", "a comment needs a line of its own")
	}
	return problem(s.column, "text after the closing quote", `write \" for a quote that is part of the value`)
}

func (s *scanner) plain(path bool) (string, *SyntaxError) {
	var out []byte
	solid := 0 // length of out without the unescaped blanks at its end
	gap := 0   // column of the first of those
	for s.rest != "" {
		at := s.column
		c, escaped, err := s.char()
		switch {
		case err != nil:
			return "", err
		case isBlank(c[0]) && !escaped:
			if solid == len(out) {
				gap = at
			}
			out = append(out, c...)
			continue
		case path && solid < len(out):
			return "", blankInPath(gap, c)
		case path && c == `"` && !escaped:
			return "", problem(at, "quote inside a path", `quote the whole path, or write \" for a quote that is part of it`)
		}
		out = append(out, c...)
		solid = len(out)
	}
	return string(out[:solid]), nil
}

func blankInPath(column int, next string) *SyntaxError {
	if next == "#" {
		return problem(column, "comment after a path", `a comment needs a line of its own; quote a path that has " #" in it`)
	}
	return problem(column, "blank inside a path", "one path a line; quote a path that has blanks in it")
}

// escape reads what follows a backslash in column at.
func (s *scanner) escape(at int) (string, *SyntaxError) {
	if s.rest == "" {
		return "", problem(at, "backslash at the end of the line", backslashHint+"; values do not go on in the next line")
	}
	c := s.next()
	switch {
	case strings.Contains(`\" #`, c):
		return c, nil
	case strings.Contains(globMeta, c):
		return `\` + c, nil
	}
	switch c {
	case "n":
		return "\n", nil
	case "r":
		return "\r", nil
	case "t":
		return "\t", nil
	case "x":
		return s.hexEscape(at)
	}
	return "", problem(at, fmt.Sprintf(`unknown escape \%s`, strings.Trim(quoteShort(c), `"`)), backslashHint)
}

func (s *scanner) hexEscape(at int) (string, *SyntaxError) {
	if len(s.rest) >= 2 {
		if b, err := hex.DecodeString(s.rest[:2]); err == nil {
			s.next()
			s.next()
			return string(b), nil
		}
	}
	return "", problem(at, `\x needs two hexadecimal digits`, backslashHint)
}

// formatValue is the inverse of scanner.value. A value that is to be one word is
// quoted if it has blanks or quotes in it: paths have to be, and of others modctl
// takes nothing else.
func formatValue(value string, word bool) string {
	if needsQuotes(value, word) {
		return `"` + escapeValue(value, true) + `"`
	}
	return escapeValue(value, false)
}

// needsQuotes need not look at tabs and other control characters: they are escaped.
// Blanks of other alphabets matter at the ends, where modctl drops them.
func needsQuotes(value string, word bool) bool {
	blank := func(r rune) bool { return unicode.IsSpace(r) && !unicode.IsControl(r) }
	return value == "" || value[0] == '"' || strings.TrimFunc(value, blank) != value || word && strings.ContainsAny(value, ` "`)
}

func escapeValue(value string, quoted bool) string {
	var out strings.Builder
	for i := 0; i < len(value); {
		r, n := utf8.DecodeRuneInString(value[i:])
		c := value[i : i+n]
		switch {
		case r == '\\' && i+1 < len(value) && strings.IndexByte(globMeta, value[i+1]) >= 0:
			n = 2
			out.WriteString(value[i : i+n])
		case r == '\\', r == '"' && quoted:
			out.WriteString(`\` + c)
		case r == utf8.RuneError && n == 1, unicode.IsControl(r):
			out.WriteString(escapeBytes(c))
		default:
			out.WriteString(c)
		}
		i += n
	}
	return out.String()
}

// escapeBytes is for characters that a text file cannot or should not hold.
func escapeBytes(c string) string {
	switch c {
	case "\n":
		return `\n`
	case "\r":
		return `\r`
	case "\t":
		return `\t`
	}
	var out strings.Builder
	for i := range len(c) {
		fmt.Fprintf(&out, `\x%02x`, c[i])
	}
	return out.String()
}
