package modelfile

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// globEscapes writes each metacharacter as a class of its own, because on Windows
// a backslash escapes nothing. Inside the class, a backslash keeps braces from
// doublestar.Glob, which looks for them before it looks for classes; a system
// that takes it for a member of the class has no such names.
var globEscapes = [...]struct{ char, class string }{
	{`*`, `[*]`},
	{`?`, `[?]`},
	{`[`, `[[]`},
	{`{`, `[\{]`},
	{`}`, `[\}]`},
	{`\`, `[\\]`},
}

// EscapeGlob is the glob that matches exactly the file path, both by the rules of
// doublestar and by those of [path/filepath.Match]. The path is slash-separated
// and valid UTF-8. [IsLiteral] gives it back.
func EscapeGlob(path string) string {
	var out strings.Builder
	for i := range len(path) {
		out.WriteString(escapeByte(path[i : i+1]))
	}
	return out.String()
}

func escapeByte(char string) string {
	for _, e := range globEscapes {
		if e.char == char {
			return e.class
		}
	}
	return char
}

// IsLiteral says whether a glob stands for one path only, and for which: it has
// no metacharacter other than escaped ones. The classes that [EscapeGlob] writes
// are escapes too.
func IsLiteral(glob string) (path string, ok bool) {
	var out strings.Builder
	for glob != "" {
		char, n := literal(glob)
		if n == 0 {
			return "", false
		}
		out.WriteString(char)
		glob = glob[n:]
	}
	return out.String(), true
}

// literal is the character that the first n bytes of glob stand for; n is zero
// if they stand for several.
func literal(glob string) (char string, n int) {
	for _, e := range globEscapes {
		if strings.HasPrefix(glob, e.class) {
			return e.char, len(e.class)
		}
	}
	switch {
	case glob[0] == '\\' && len(glob) > 1:
		return glob[1:2], 2
	case strings.IndexByte(`*?[{}\`, glob[0]) >= 0:
		return "", 0
	}
	return glob[:1], 1
}

// Reaches says whether glob might match something below the directory dir, "."
// for the top. It is there to stay out of directories that do not matter.
func Reaches(glob, dir string) bool {
	if dir == "." {
		return true
	}
	base, rest := doublestar.SplitPattern(glob)
	deep := strings.Contains(rest, "/") || strings.Contains(rest, "**")
	return within(base, dir) || deep && (base == "." || within(dir, base))
}

// within says whether p is dir or below it.
func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
