package generate

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on a description, in characters.
const (
	leastProse = 20
	mostProse  = 240
)

var (
	proseLink = regexp.MustCompile(`\[([^\[\]]+)\]\([^()\s]*\)`)
	proseMark = regexp.MustCompile("\\*\\*|__|`")
	// proseOdd is what a plain paragraph has not got: HTML, pictures, tables,
	// formulas, links that were not taken apart, what is left of emphasis.
	proseOdd = regexp.MustCompile(`[<>|*\[\]{}$\\]|!\[|://|:$`)
	sentence = regexp.MustCompile(`^(.*?[a-z0-9)]{3}\.) +[A-Z]`)
)

// description is the first paragraph of a text in Markdown, or its first sentence,
// if it is short and plain. Nothing is better than half a table.
func description(text string) string {
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		lines := plainLines(paragraph)
		if len(lines) == 0 {
			continue
		}
		prose := proseLink.ReplaceAllString(strings.Join(lines, " "), "$1")
		prose = proseMark.ReplaceAllString(prose, "")
		if m := sentence.FindStringSubmatch(prose); m != nil && utf8.RuneCountInString(prose) > mostProse {
			prose = m[1]
		}
		if isProse(prose) {
			return prose
		}
		return ""
	}
	return ""
}

// plainLines are the lines of a paragraph without headings, badges and HTML on
// lines of their own.
func plainLines(paragraph string) []string {
	var lines []string
	for line := range strings.Lines(paragraph) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", line[0] == '#', line[0] == '<', strings.Trim(line, "-=*_ ") == "",
			strings.HasPrefix(line, "!["), strings.HasPrefix(line, "[!["):
		default:
			lines = append(lines, line)
		}
	}
	return lines
}

func isProse(s string) bool {
	n := utf8.RuneCountInString(s)
	first, _ := utf8.DecodeRuneInString(s)
	return n >= leastProse && n <= mostProse && utf8.ValidString(s) && (unicode.IsLetter(first) || unicode.IsDigit(first)) &&
		!proseOdd.MatchString(s) && !strings.ContainsFunc(s, isOdd) && !hasToken(s)
}
