package modelfile_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tareml/tare/modelfile"
)

func TestFormat(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", ""},
		{"blank", "\n \n\t\n", ""},
		{"case and blanks", "  name\t x  \r\n", "NAME x\n"},
		{"no final newline", "NAME x", "NAME x\n"},
		{"quotes that are not needed", `DESCRIPTION "a b"`, "DESCRIPTION a b\n"},
		{"quotes that are", `DESCRIPTION " a"` + "\n" + `TITLE a\ ` + "\n" + `MODEL a\ b`,
			"DESCRIPTION \" a\"\nTITLE \"a \"\nMODEL \"a b\"\n"},
		{"quote", "TITLE \\\"a\nDESCRIPTION a\"\nDOC \\\"a", "TITLE \"\\\"a\"\nDESCRIPTION a\"\nDOC \"\\\"a\"\n"},
		{"escapes", `MODEL \*\\a\\\*\x09\x01\xff\xc2\x85`, `MODEL \*\\a\\\*\t\x01\xff\xc2\x85` + "\n"},
		{"hash", `NAME \#1`, "NAME #1\n"},
		{"comments", "\n\n  #one  \n\n\n# two\n\nNAME x\n#three\nARCH y\n\n\n", "#one\n\n# two\n\nNAME x\n#three\nARCH y\n"},
		{"paragraphs", "NAME x\nARCH y\n\n\nMODEL z\n\n# end\n\n", "NAME x\nARCH y\n\nMODEL z\n\n# end\n"},
		{"comments only", "# a\n\n#\n", "# a\n\n#\n"},
		{"control character in a comment", "# a\x1b[31m \x01\nNAME x", "# a[31m\nNAME x\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := string(parse(t, tt.text).Format())
			if got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			if again := string(parse(t, got).Format()); again != got {
				t.Errorf("formatted again\n%s\nwas\n%s", again, got)
			}
		})
	}
}

func TestFormatMadeByHand(t *testing.T) {
	var f modelfile.File
	f.Add("name", "x", "", "no hash\nsecond line", "#hash", "")
	f.Add(modelfile.Model, "a b", "", "", "bad \xff")
	f.Trailing = []string{"", "end", ""}
	want := "# no hash\n# second line\n#hash\n\nNAME x\n\n# bad \uFFFD\nMODEL \"a b\"\n\n# end\n"
	var out bytes.Buffer
	n, err := f.WriteTo(&out)
	if err != nil || n != int64(len(want)) || out.String() != want {
		t.Errorf("got %d, %v\n%s\nwant\n%s", n, err, out.String(), want)
	}
}

// same says whether two files hold the same statements and comments, wherever
// they are.
func same(a, b *modelfile.File) bool {
	join := func(f *modelfile.File) string {
		var out strings.Builder
		for i, s := range f.Statements {
			comments := s.Comments
			if i == 0 && len(comments) > 0 && comments[0] == "" {
				comments = comments[1:]
			}
			out.WriteString(strings.Join(append([]string{s.Command, s.Value}, comments...), "\x00") + "\x01")
		}
		return out.String() + strings.Join(f.Trailing, "\x00")
	}
	return join(a) == join(b)
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{
		"# c\n\nname x\n\nMODEL \"a b\"\r\n",
		"MODEL a\\\\\\*\\x00\nDESCRIPTION \"\\\"\" ",
		"\uFEFF#\n#\n\nDOC [[]\n\n#",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, err := modelfile.Parse("Modelfile", strings.NewReader(text))
		if err != nil {
			return
		}
		formatted := first.Format()
		second, err := modelfile.Parse("Modelfile", bytes.NewReader(formatted))
		if err != nil {
			t.Fatalf("formatted text does not parse: %v\n%s", err, formatted)
		}
		if !same(first, second) {
			t.Fatalf("got %+v\nwant %+v", second, first)
		}
		if again := second.Format(); !bytes.Equal(again, formatted) {
			t.Fatalf("formatted again\n%q\nwas\n%q", again, formatted)
		}
	})
}

func FuzzStatements(f *testing.F) {
	f.Add(`a b`, `\*`, "comment")
	f.Add(`"`, `\\\`, "\x00\n\n#")
	f.Add(" \t\xff\r\n", `#[!a]\!`, "\u2028 ")
	f.Fuzz(func(t *testing.T, text, glob, comment string) {
		var want modelfile.File
		if text != "" {
			want.Add(modelfile.Author, text, comment)
		}
		if glob != "" && doublestar.ValidatePattern(glob) {
			want.Add(modelfile.Model, glob, comment)
		}
		want.Trailing = []string{comment}
		formatted := want.Format()
		got, err := modelfile.Parse("Modelfile", bytes.NewReader(formatted))
		if err != nil {
			t.Fatalf("%v\n%s", err, formatted)
		}
		if len(got.Statements) != len(want.Statements) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		for i, s := range got.Statements {
			if w := want.Statements[i]; s.Command != w.Command || s.Value != w.Value {
				t.Errorf("got %+v, want %+v", s, w)
			}
		}
		if !utf8.Valid(formatted) {
			t.Errorf("not UTF-8: %q", formatted)
		}
	})
}
