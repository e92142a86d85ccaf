package generate

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode"
)

const (
	ignoreName = ".tareignore"
	// maxIgnore bounds how much of it is read, in bytes.
	maxIgnore = 1 << 20
)

// ignoreRule is a line of .tareignore, which means what it would in a
// .gitignore.
type ignoreRule struct {
	segments []string // of the pattern, relative to the top
	negated  bool     // takes again what an earlier rule left out
	dirOnly  bool
}

// ignoreRules are asked from the last to the first.
type ignoreRules []ignoreRule

// readIgnore reads the .tareignore at the top of fsys, if there is one.
func readIgnore(fsys fs.FS) (ignoreRules, error) {
	info, err := fs.Stat(fsys, ignoreName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", ignoreName)
	}
	if err != nil {
		return nil, err
	}
	data, err := readBounded(fsys, ignoreName, maxIgnore)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ignoreName, err)
	}
	return parseIgnore(data), nil
}

// parseIgnore reads rules. There are no mistakes: what makes no sense matches
// nothing.
func parseIgnore(data []byte) ignoreRules {
	var rules ignoreRules
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if r, ok := parseIgnoreLine(trimSpaces(line)); ok {
			rules = append(rules, r)
		}
	}
	return rules
}

// trimSpaces takes off the spaces at the end but for an escaped one.
func trimSpaces(line string) string {
	trimmed := strings.TrimRight(line, " ")
	slashes := len(trimmed) - len(strings.TrimRight(trimmed, `\`))
	if slashes%2 == 1 && len(trimmed) < len(line) {
		trimmed += " "
	}
	return trimmed
}

func parseIgnoreLine(line string) (r ignoreRule, ok bool) {
	if line == "" || line[0] == '#' {
		return r, false
	}
	line, r.negated = strings.CutPrefix(line, "!")
	line, r.dirOnly = strings.CutSuffix(line, "/")
	if line == "" {
		return r, false
	}
	if !strings.Contains(line, "/") {
		if line == "**" {
			line = "*"
		}
		r.segments = []string{"**", line} // at any depth
		return r, true
	}
	r.segments = strings.Split(strings.TrimPrefix(line, "/"), "/")
	return r, true
}

// decide says whether the rules leave out a path, all directories above which
// they let through; decided is false if they have nothing to say.
func (rules ignoreRules) decide(path string, dir bool) (ignored, decided bool) {
	segments := strings.Split(path, "/")
	for _, r := range slices.Backward(rules) {
		if (dir || !r.dirOnly) && matchSegments(r.segments, segments) {
			return !r.negated, true
		}
	}
	return false, false
}

// matchSegments matches a path. A ** stands for any number of segments, at the
// end for at least one.
func matchSegments(pattern, path []string) bool {
	retryPattern, retryPath := -1, 0
	p, s := 0, 0
	for s < len(path) || p < len(pattern) {
		switch {
		case p < len(pattern) && pattern[p] == "**":
			if p == len(pattern)-1 {
				return s < len(path)
			}
			p++
			retryPattern, retryPath = p, s
		case p < len(pattern) && s < len(path) && matchSegment(pattern[p], path[s]):
			p++
			s++
		case retryPattern >= 0 && retryPath < len(path):
			retryPath++
			p, s = retryPattern, retryPath
		default:
			return false
		}
	}
	return true
}

// matchSegment matches a name without slashes.
func matchSegment(pattern, name string) bool {
	pat, runes := []rune(pattern), []rune(name)
	retryPattern, retryName := -1, 0
	p, s := 0, 0
	for s < len(runes) || p < len(pat) {
		if p < len(pat) && pat[p] == '*' {
			p++
			retryPattern, retryName = p, s
			continue
		}
		if p < len(pat) && s < len(runes) {
			if n, ok := matchRune(pat[p:], runes[s]); ok {
				p += n
				s++
				continue
			}
		}
		if retryPattern < 0 || retryName >= len(runes) {
			return false
		}
		retryName++
		p, s = retryPattern, retryName
	}
	return true
}

// matchRune matches one character with the first n of the pattern.
func matchRune(pattern []rune, c rune) (n int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		return matchClass(pattern, c)
	case '\\':
		if len(pattern) == 1 {
			return 0, false
		}
		return 2, pattern[1] == c
	}
	return 1, pattern[0] == c
}

// matchClass matches [a-z], [!a-z] or [^a-z]. A class without end matches
// nothing.
func matchClass(pattern []rune, c rune) (n int, ok bool) {
	i := 1
	negated := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if negated {
		i++
	}
	for first := true; i < len(pattern); first = false {
		if pattern[i] == ']' && !first {
			return i + 1, ok != negated
		}
		if name, width := posixClass(pattern[i:]); width > 0 {
			ok = ok || inPOSIXClass(name, c)
			i += width
			continue
		}
		var low, high rune
		if low, i = classRune(pattern, i); i+1 < len(pattern) && pattern[i] == '-' && pattern[i+1] != ']' {
			high, i = classRune(pattern, i+1)
		} else {
			high = low
		}
		ok = ok || low <= c && c <= high
	}
	return 0, false
}

// classRune is a member of a class and where the next one starts.
func classRune(pattern []rune, i int) (c rune, next int) {
	if pattern[i] == '\\' && i+1 < len(pattern) {
		i++
	}
	return pattern[i], i + 1
}

// posixClass is the name in [:name:] and the length of it all.
func posixClass(pattern []rune) (name string, width int) {
	rest, ok := strings.CutPrefix(string(pattern), "[:")
	if !ok {
		return "", 0
	}
	name, _, ok = strings.Cut(rest, ":]")
	if !ok {
		return "", 0
	}
	return name, len([]rune(name)) + len("[::]")
}

func inPOSIXClass(name string, c rune) bool {
	if c > unicode.MaxASCII {
		return false
	}
	switch name {
	case "alpha":
		return unicode.IsLetter(c)
	case "digit":
		return unicode.IsDigit(c)
	case "alnum":
		return unicode.IsLetter(c) || unicode.IsDigit(c)
	case "lower":
		return unicode.IsLower(c)
	case "upper":
		return unicode.IsUpper(c)
	case "space":
		return unicode.IsSpace(c)
	case "punct":
		return unicode.IsPunct(c) || unicode.IsSymbol(c)
	case "xdigit":
		return unicode.IsDigit(c) || 'a' <= unicode.ToLower(c) && unicode.ToLower(c) <= 'f'
	}
	return false
}
