package modelfile_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelpack"
)

func parse(t *testing.T, text string) *modelfile.File {
	t.Helper()
	f, err := modelfile.Parse("Modelfile", strings.NewReader(text))
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return f
}

func TestValues(t *testing.T) {
	tests := []struct{ line, want string }{
		{`NAME qwen3`, `qwen3`},
		{`name qwen3`, `qwen3`},
		{"  Name\t qwen3 \t ", `qwen3`},
		{`DESCRIPTION A small  model`, `A small  model`},
		{`DESCRIPTION written in C# # really`, `written in C# # really`},
		{`DESCRIPTION the "small" one`, `the "small" one`},
		{`NAME "a b"`, `a b`},
		{`NAME " a "  `, ` a `},
		{`NAME "a\"b\\c\#d\ e"`, `a"b\c#d e`},
		{`NAME a\"b\\c\#d\ e`, `a"b\c#d e`},
		{`NAME \"a`, `"a`},
		{`NAME a\ `, `a `},
		{`NAME a\  `, `a `},
		{`NAME \n\r\t\x41\xff`, "\n\r\tA\xff"},
		{`MODEL a\ b`, `a b`},
		{`MODEL "a b" `, `a b`},
		{`MODEL \*\?\[\]\{\}\!`, `\*\?\[\]\{\}\!`},
		{`MODEL a\\*`, `a\*`},
		{`MODEL #1.bin`, `#1.bin`},
		{`MODEL 模型.bin`, `模型.bin`},
		{`LICENSE MIT OR Apache-2.0`, `MIT OR Apache-2.0`},
		{`REASONING true`, `true`},
		{`KNOWLEDGECUTOFF 2025-01-31`, `2025-01-31`},
		{`KNOWLEDGECUTOFF 2025-01-31T10:00:00+02:00`, `2025-01-31T10:00:00+02:00`},
		{`INPUT image`, `image`},
		{"\uFEFFNAME bom", `bom`},
		{"NAME crlf\r\n", `crlf`},
	}
	for _, tt := range tests {
		f := parse(t, tt.line)
		if len(f.Statements) != 1 || f.Statements[0].Value != tt.want {
			t.Errorf("%q: got %+v, want the value %q", tt.line, f.Statements, tt.want)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	tests := []struct{ text, want, hint string }{
		{"\n\n  MODLE x", `3:3: unknown command "MODLE"`, "did you mean MODEL?"},
		{`LICENCE MIT`, `1:1: unknown command "LICENCE"`, "did you mean LICENSE?"},
		{`xyzzy 1`, `1:1: unknown command "xyzzy"`, ""},
		{`ÄÖ 1`, `1:1: unknown command "ÄÖ"`, ""},
		{`FROM llama3`, `1:1: unknown command "FROM"`, "this may be a Modelfile of Ollama, which is another language"},
		{`NAME`, `1:5: NAME has no value`, ""},
		{`NAME  `, `1:7: NAME has no value`, ""},
		{`NAME ""`, `1:6: NAME has no value`, ""},
		{"NAME a\nARCH b\nname c", `3:1: second NAME; the first is in line 1`, "remove one of them"},
		{`NAME "ä`, `1:6: the quote is not closed`, `write \" for a quote that is part of the value`},
		{`NAME "ä\"`, `1:6: the quote is not closed`, `write \" for a quote that is part of the value`},
		{`NAME "ä" b`, `1:10: text after the closing quote`, `write \" for a quote that is part of the value`},
		{`NAME "a" # b`, `1:10: comment after a value`, "a comment needs a line of its own"},
		{`NAME ä\q`, `1:7: unknown escape \q`, `write \\ for a backslash`},
		{`NAME "ä\q"`, `1:8: unknown escape \q`, `write \\ for a backslash`},
		{`NAME \x4g`, `1:6: \x needs two hexadecimal digits`, `write \\ for a backslash`},
		{`NAME \x4`, `1:6: \x needs two hexadecimal digits`, `write \\ for a backslash`},
		{`NAME a\`, `1:7: backslash at the end of the line`, `write \\ for a backslash; values do not go on in the next line`},
		{"MODEL ä\tb", `1:8: blank inside a path`, "one path a line; quote a path that has blanks in it"},
		{`MODEL ä  \*`, `1:8: blank inside a path`, "one path a line; quote a path that has blanks in it"},
		{`MODEL a # b`, `1:8: comment after a path`, `a comment needs a line of its own; quote a path that has " #" in it`},
		{`MODEL ä"b"`, `1:8: quote inside a path`, `quote the whole path, or write \" for a quote that is part of it`},
		{`MODEL [a`, `1:7: malformed glob "[a"`, `write \[ \{ \} for brackets that are part of a name`},
		{`INPUT txt`, `1:7: "txt" is no modality`, "did you mean text?"},
		{`OUTPUT smell`, `1:8: "smell" is no modality`, "use text, image, audio, video, embedding or other"},
		{`REWARD yes`, `1:8: "yes" is neither true nor false`, ""},
		{`KNOWLEDGECUTOFF 2025-13-01`, `1:17: "2025-13-01" is no date`, "write it as 2025-01-31 or 2025-01-31T12:00:00Z"},
		{"NAME a\rARCH b", `1:7: carriage return inside a line`, `end lines with LF or CRLF; write \r in a value`},
		{"NAME a\nARCH ä\xff", `2:7: not UTF-8 text`, `save it as UTF-8; other bytes in a value are written \xHH`},
		{"NAME a\nARCH\x00\xff", `2:5: not UTF-8 text`, `save it as UTF-8; other bytes in a value are written \xHH`},
	}
	for _, tt := range tests {
		_, err := modelfile.Parse("Modelfile", strings.NewReader(tt.text))
		var syntax *modelfile.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%q: got error %v, want a SyntaxError", tt.text, err)
			continue
		}
		if got := err.Error(); got != "Modelfile:"+tt.want {
			t.Errorf("%q:\n got %s\nwant Modelfile:%s", tt.text, got, tt.want)
		}
		if syntax.Hint() != tt.hint {
			t.Errorf("%q: got hint %q, want %q", tt.text, syntax.Hint(), tt.hint)
		}
	}
}

func TestAllProblemsAreReported(t *testing.T) {
	_, err := modelfile.Parse("some/file", strings.NewReader("NAM a\nNAME b\n# c\nMODEL a b\nNAME d\n"))
	want := strings.Join([]string{
		`some/file:1:1: unknown command "NAM"`,
		`some/file:4:8: blank inside a path`,
		`some/file:5:1: second NAME; the first is in line 2`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	_, err := modelfile.Parse("Modelfile", strings.NewReader(strings.Repeat("nonsense\n", 5000)))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 101 || lines[100] != "Modelfile:101:1: too many problems, no more are listed" {
		t.Errorf("got %d problems, the last of them %q", len(lines), lines[len(lines)-1])
	}
}

func TestLongLine(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	if got := parse(t, "NAME "+long).Value(modelfile.Name); got != long {
		t.Errorf("got %d bytes of %d", len(got), len(long))
	}
}

func TestSizeIsBounded(t *testing.T) {
	most := "#" + strings.Repeat("x", 16<<20-1)
	parse(t, most)
	_, err := modelfile.Parse("Modelfile", strings.NewReader(most+"x"))
	if err == nil || err.Error() != "Modelfile: larger than the 16 MiB that a Modelfile may have" {
		t.Errorf("got %v", err)
	}
}

func TestReadError(t *testing.T) {
	cause := errors.New("cable cut")
	if _, err := modelfile.Parse("Modelfile", iotest.ErrReader(cause)); !errors.Is(err, cause) {
		t.Errorf("got %v, want it to wrap the reader's", err)
	}
}

func TestGetters(t *testing.T) {
	f := parse(t, "NAME n\nDOC *.md\nLICENSE MIT\nCONFIG \"a b\"\nLICENSE Apache-2.0\n")
	if got := f.Value(modelfile.Name); got != "n" {
		t.Errorf("Value: got %q", got)
	}
	if got := f.Value(modelfile.Arch); got != "" {
		t.Errorf("Value of a missing command: got %q", got)
	}
	if got, want := f.Values(modelfile.License), []string{"MIT", "Apache-2.0"}; !reflect.DeepEqual(got, want) {
		t.Errorf("Values: got %q, want %q", got, want)
	}
	want := []modelfile.Pattern{
		{Kind: modelpack.Doc, Glob: "*.md", Line: 2, Column: 5},
		{Kind: modelpack.Config, Glob: "a b", Line: 4, Column: 8},
	}
	if got := f.Patterns(); !reflect.DeepEqual(got, want) {
		t.Errorf("Patterns: got %+v, want %+v", got, want)
	}
}

func TestGrammar(t *testing.T) {
	modctl := map[string]bool{}
	for _, c := range strings.Fields("NAME ARCH FAMILY FORMAT PARAMSIZE PRECISION QUANTIZATION CONFIG MODEL CODE DATASET DOC") {
		modctl[c] = true
	}
	repeats := map[string]bool{}
	for _, c := range strings.Fields("CONFIG MODEL CODE DATASET DOC AUTHOR LICENSE LANGUAGE DATASETURL INPUT OUTPUT") {
		repeats[c] = true
	}
	rules := modelfile.Grammar()
	if len(rules) != 29 {
		t.Errorf("got %d commands, want 29", len(rules))
	}
	for _, r := range rules {
		if r.Modctl != modctl[r.Command] || r.Repeats != repeats[r.Command] {
			t.Errorf("%s: known to modctl %v, repeats %v", r.Command, r.Modctl, r.Repeats)
		}
		if r.Doc == "" || r.Value == "" || r.Command != strings.ToUpper(r.Command) {
			t.Errorf("rule is not complete: %+v", r)
		}
		if r.Files != (r.Value == "glob") || r.Files && modelfile.KindCommand(r.Kind) != r.Command {
			t.Errorf("%s: files %v of kind %s", r.Command, r.Files, r.Kind)
		}
	}
}

func TestGrammarIsACopy(t *testing.T) {
	modelfile.Grammar()[0].Command = "GONE"
	parse(t, "NAME x")
}

func TestDocumentedModalities(t *testing.T) {
	for _, r := range modelfile.Grammar() {
		if r.Command != modelfile.Input {
			continue
		}
		_, list, _ := strings.Cut(r.Doc, ": ")
		for _, m := range strings.Fields(strings.ReplaceAll(strings.ReplaceAll(list, ",", ""), " or", "")) {
			parse(t, fmt.Sprintf("INPUT %s\nOUTPUT %s", m, m))
		}
	}
}

func TestParseDate(t *testing.T) {
	for value, want := range map[string]string{
		"2025-01-31":                "2025-01-31 00:00:00 +0000 UTC",
		"2025-01-31T12:00:00+02:00": "2025-01-31 10:00:00 +0000 UTC",
	} {
		got, err := modelfile.ParseDate(value)
		if err != nil || got.UTC().String() != want {
			t.Errorf("%s: got %v, %v", value, got.UTC(), err)
		}
	}
}
