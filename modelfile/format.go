package modelfile

import (
	"bytes"
	"io"
	"strings"
	"unicode"
)

// Format is the text of f in its canonical form: commands in upper case, one
// space behind them, quotes and escapes only where a value needs them, at most
// one blank line at a time. Order and comments are the author's. Formatting what
// was formatted changes nothing.
//
// A File that was put together by hand gives a text that [Parse] takes if the
// grammar allows its statements.
func (f *File) Format() []byte {
	var out bytes.Buffer
	for _, s := range f.Statements {
		writeComments(&out, s.Comments)
		rule, _ := lookup(s.Command)
		out.WriteString(s.Command + " " + formatValue(s.Value, rule.Modctl) + "\n")
	}
	writeComments(&out, f.Trailing)
	if bytes.HasSuffix(out.Bytes(), []byte("\n\n")) {
		out.Truncate(out.Len() - 1)
	}
	return out.Bytes()
}

// WriteTo writes the text of f to w.
func (f *File) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(f.Format())
	return int64(n), err
}

// writeComments takes comments as programs make them, too: without their # or
// with several lines in one.
func writeComments(out *bytes.Buffer, comments []string) {
	for _, comment := range comments {
		for line := range strings.SplitSeq(comment, "\n") {
			writeComment(out, line)
		}
	}
}

func writeComment(out *bytes.Buffer, line string) {
	line = cleanComment(strings.ToValidUTF8(line, "\uFFFD"))
	switch {
	case line == "":
		if out.Len() > 0 && !bytes.HasSuffix(out.Bytes(), []byte("\n\n")) {
			out.WriteByte('\n')
		}
		return
	case line[0] != '#':
		out.WriteString("# ")
	}
	out.WriteString(line + "\n")
}

func cleanComment(line string) string {
	return strings.Trim(strings.Map(printable, line), " \t")
}

// printable drops the control characters that a comment cannot hold, or that
// would play tricks on a terminal.
func printable(r rune) rune {
	if unicode.IsControl(r) && r != '\t' {
		return -1
	}
	return r
}
