package generate

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Texts and addresses in files come from anywhere. What is quoted of them is plain:
// it shows as what it is, in one line, and holds no secret.

// isOdd says whether a character does something to the text around it.
func isOdd(r rune) bool {
	switch {
	case r == '\u00AD' || '\u200B' <= r && r <= '\u200D': // where words may break and how letters join
		return false
	case 0xE0000 <= r && r <= 0xE0FFF: // letters that nobody sees
		return true
	}
	return r == utf8.RuneError || unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Cf)
}

// mostWords is how long names of people and models may be, in characters.
const mostWords = 128

// plainText is a name of a few words, or empty if it is anything else.
func plainText(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > mostWords || strings.ContainsFunc(s, isOdd) || strings.Contains(s, "://") || hasToken(s) {
		return ""
	}
	return s
}

var modelPattern = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N}._+-]*$`)

// modelWord is a name in one word, or empty if it cannot be one.
func modelWord(s string) string {
	s = strings.Join(strings.Fields(plainText(s)), "-")
	if !modelPattern.MatchString(s) {
		return ""
	}
	return s
}

// vaguePattern knows names that directories have whatever is in them.
var vaguePattern = regexp.MustCompile(`(?i)^(tmp([._-].*|[a-z0-9_]{8})?|temp|test|models?|weights|ckpts?|checkpoints?|downloads?|snapshots?|` +
	`ggufs?|output|out|export|data|files|artifacts?|build|src|work|workspace|repo|hub|main|master|latest|current|release|unknown|untitled|new folder|` +
	`\.*|[0-9]+|[0-9a-f]{32,64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)

// telling drops names that tell nothing of a model.
func telling(name string) string {
	if vaguePattern.MatchString(name) {
		return ""
	}
	return name
}

// mostAddress is how long an address may be, in bytes.
const mostAddress = 512

// webAddress is an address of the web that everyone may read: without user, password,
// query and fragment. It is empty for what is no such address. The second result says
// that something was left out.
func webAddress(s string) (address string, stripped bool) {
	s = strings.TrimSpace(s)
	u, err := url.Parse(s)
	if err != nil || len(s) > mostAddress || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsFunc(s, isOdd) {
		return "", false
	}
	if address, stripped = publicURL(s); hasToken(address) {
		return "", true
	}
	return address, stripped
}

// address is the same, with a note if something was left out. The place reads on
// from "the address of".
func (s *study) address(place, text string) string {
	address, stripped := webAddress(text)
	if stripped {
		s.notes.add("the address of %s has a user, a password or a query in it, which is left out", place)
	}
	return address
}
