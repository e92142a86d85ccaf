package template

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func decode(t testing.TB, text string) (v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func run(text string, data any) (string, error) {
	parsed, err := Parse(text)
	if err != nil {
		return "", err
	}
	return parsed.Execute(data)
}

// TestNumbers is where JSON has one kind of number and Go has many.
func TestNumbers(t *testing.T) {
	data := decode(t, `{"n": 5, "zero": 0, "minus": -0, "f": 1.50, "e": 1e3, "big": 18446744073709551616, "near": 9007199254740993, "list": [1, 2.50]}`)
	for text, want := range map[string]string{
		"{{.n}} {{.minus}} {{.f}} {{.e}} {{.big}} {{.list}}": "5 -0 1.50 1e3 18446744073709551616 [1 2.50]",
		"{{json .}}": `{"big":18446744073709551616,"e":1e3,"f":1.50,"list":[1,2.50],"minus":-0,"n":5,"near":9007199254740993,"zero":0}`,
		"{{if .zero}}yes{{else}}no{{end}} {{not .minus}} {{not .f}}":           "no true false",
		"{{eq .f 1.5}} {{eq .e 1000}} {{eq .n 1 5.0}} {{ne .n 5}}":             "true true true false",
		"{{eq .near 9007199254740992}} {{lt .n .e}} {{gt .big .near}}":         "false true true",
		`{{printf "%d %3d %03d %x %s %v %-3v| %4s|" .n .n .n .n .n .n .n .f}}`: "5   5 005 5 5 5 5  | 1.50|",
		`{{printf "%.1f %.2f %g %d" .n .f .e .f}}`:                             "5.0 1.50 1000 %!d(float64=1.5)",
		"{{index .list .zero}} {{print .n .zero}} {{range .n}}{{.}}{{end}}":    "1 5 0 01234",
		"{{1_000}} {{0x10}} {{'a'}} {{1e3}} {{1.50}} {{-3}}":                   "1000 16 97 1000 1.5 -3",
	} {
		if got, err := run(text, data); got != want || err != nil {
			t.Errorf("%s\n got %s, %v\nwant %s", text, got, err, want)
		}
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	data := decode(t, `{"s": "x", "nil": null, "empty": {}, "list": [{"a": 1, "b": 2}]}`)
	for text, want := range map[string]string{
		"{{.":                              `line 1: illegal number syntax: "."`,
		"\n{{if}}{{end}}":                  "line 2: missing value for if",
		"{{html .s}}":                      `line 1: function "html" not defined`,
		`{{define "x"}}y{{end}}`:           "define, block and template are not supported",
		`{{block "x" .}}y{{end}}`:          "define, block and template are not supported",
		`{{define "format"}}y{{end}}`:      "define, block and template are not supported",
		`{{if .s}}{{template "x"}}{{end}}`: "define, block and template are not supported",
		"{{.nope}}":                        `at .nope: no field "nope": there are empty, list, nil, s`,
		"{{$.empty.nope}}":                 `at $.empty.nope: no field "nope": there are none`,
		"{{(index .list 0).c}}":            `at (index .list 0).c: no field "c": there are a, b`,
		"{{.s.x}}":                         `at .s.x: no field "x" in a string`,
		"{{.nil.x}}":                       `at .nil.x: no field "x" in null`,
		"{{print (index .list 1)}}":        "at index .list 1: index 1 is out of range",
		"{{lt .s 1}}":                      "at lt .s 1: a string and a number cannot be compared",
		"{{.s | len 1}}":                   "at len 1: len has the wrong number of arguments: 2",
		"{{range .s}}{{end}}":              "at .s: range cannot go over a string",
		"{{1i}}":                           "at 1i: the number 1i is complex or too large",
	} {
		if _, err := run(text, data); err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

// TestNoFieldError is how a caller tells a wrong name from a value that is missing
// this time.
func TestNoFieldError(t *testing.T) {
	data := decode(t, `{"s": "x", "nil": null, "list": []}`)
	for text, want := range map[string]bool{
		"{{.nope}}": true, "{{.s.x}}": true, "{{(.s).x.y}}": true, "{{range .}}{{.x}}{{end}}": true,
		"{{.nil.x}}": false, "{{index .list 0}}": false, "{{len .nil}}": false,
	} {
		_, err := run(text, data)
		if _, got := errors.AsType[*NoFieldError](err); got != want || err == nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestNestingIsNoTrouble goes deeper than a stack of fixed size would.
func TestNestingIsNoTrouble(t *testing.T) {
	const depth = 5000
	deep := strings.Repeat("{{if .}}", depth) + "x" + strings.Repeat("{{end}}", depth)
	if got, err := run(deep, true); got != "x" || err != nil {
		t.Errorf("%d times if: %q, %v", depth, got, err)
	}
	deep = "{{" + strings.Repeat("(", depth) + "." + strings.Repeat(")", depth) + "}}"
	if got, err := run(deep, "x"); got != "x" || err != nil {
		t.Errorf("%d parentheses: %q, %v", depth, got, err)
	}
}
