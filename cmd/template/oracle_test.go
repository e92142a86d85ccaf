package template

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
)

// views are values to print. Their numbers are written as Go writes them.
var views = []string{
	`{"n": 3, "zero": 0, "f": 1.5, "s": "añb", "t": "", "b": true, "nil": null,
	  "list": [1, 2, 3], "none": [], "map": {"b": 2, "a": 1, "c-d": "x"},
	  "objects": [{"s": "<x>", "n": 1, "list": [null, "y"]}, {"s": "", "n": 2, "list": []}]}`,
	`{"n": -1, "zero": 0.25, "f": 100, "s": "x", "t": "3", "b": false, "nil": {"a": null},
	  "list": ["b", {"a": [1]}], "none": null, "map": {}, "objects": []}`,
	`[1, "x", null]`, `"text"`, `7`, `null`, `true`,
}

// corpus are templates that text/template and this package must agree on.
var corpus = []string{
	"", "text", "{{.}}", "{{ . }} {{- . -}} x", "{{/* nothing */}}x{{- /* nothing */ -}} y",
	"{{.n}} {{.f}} {{.s}} {{.b}} {{.nil}} {{.list}} {{.map}} {{.objects}}",
	"{{.nope}}", "{{.nil.a}}", "{{.nil.a.b}}", "{{.s.a}}", "{{$.map.a}}", "{{(.map).a}}", "{{(index .objects 0).s}}",
	"{{.n 1}}", "{{.n | .s}}", "{{1 | .n}}", "{{nil}}", "{{(nil)}}", "{{print nil}}", "{{print .nil}}", "{{.nil | print}}",
	"{{range .list}}{{.}},{{end}}", "{{range .none}}x{{else}}none{{end}}", "{{range .nil}}x{{else}}nil{{end}}",
	"{{range $v := .list}}{{$v}}{{end}}", "{{range $i, $v := .list}}{{$i}}={{$v}} {{end}}", "{{range $k, $v := .map}}{{$k}}={{$v}} {{end}}",
	"{{range $i, $v := .none}}x{{else}}{{$i}}{{$v}}{{end}}", "{{range $v, $v := .list}}{{$v}}{{end}}",
	"{{$a := 1}}{{$b := 2}}{{range $a, $b = .list}}{{$a}}{{$b}} {{end}}{{$a}}{{$b}}", "{{$a := 1}}{{range $a = .map}}{{end}}{{$a}}",
	"{{range .s}}{{end}}", "{{range .f}}{{end}}", "{{range .b}}{{end}}", "{{range 3}}{{.}}{{end}}", "{{range 0}}x{{else}}y{{end}}",
	"{{range $i, $v := 3}}{{end}}", "{{range .n}}{{.}}{{else}}less{{end}}",
	"{{range .list}}{{if eq . 2}}{{break}}{{end}}{{.}}{{end}}x", "{{range .list}}{{if eq . 2}}{{continue}}{{end}}{{.}}{{end}}x",
	"{{range .list}}{{$x := .}}{{range $.list}}{{if eq . $x}}{{break}}{{end}}{{.}}{{end}};{{end}}", "{{break}}",
	"{{if .b}}a{{else if .n}}b{{else}}c{{end}}", "{{with .map}}{{.a}}{{else with .s}}{{.}}{{else}}c{{end}}", "{{with $x := .n}}{{$x}}{{.}}{{end}}{{$x}}",
	"{{if $x := .n}}{{$x}}{{end}}", "{{$x := 1}}{{if true}}{{$x = 2}}{{$x := 3}}{{$x}}{{end}}{{$x}}", "{{$x}}", "{{$x = 1}}",
	"{{or true ($x := 1)}}{{$x}}", "{{and true ($x := 1)}}{{$x}}",
	"{{if .nope}}x{{end}}", "{{if .zero}}x{{else}}y{{end}}", "{{if .t}}x{{else}}y{{end}}", "{{not .none}} {{not .map}} {{not nil}}",
	"{{and .b .n .s}} {{and .b .zero .s}} {{or .t .zero .s}} {{or .t .zero}} {{and nil}} {{or nil nil}}", "{{or true .nope}}", "{{and true .nope}}",
	"{{.n | and .b}}", "{{.n | or .t}}", "{{and}}", "{{or}}", "{{not}}", "{{not 1 2}}",
	"{{eq .n 3}} {{eq .s \"x\" \"añb\"}} {{eq .b true}} {{ne .n 3}} {{eq .nil nil}} {{eq .s nil}} {{eq nil nil}} {{eq .map nil}}",
	"{{eq 1}}", "{{eq}}", "{{eq .list .list}}", "{{eq .map .list}}", "{{eq .s .n}}", "{{eq 1 1 .s}}", "{{eq 1 2 .s}}", "{{eq true 1}}", "{{ne 1 2 3}}",
	"{{lt 1 2}}{{le 2 2}}{{gt 1 2}}{{ge 2 2}} {{lt \"a\" .s}} {{ge .f 1.5}} {{lt .n 5}}", "{{lt true false}}", "{{lt nil 1}}", "{{lt .list 1}}", "{{lt 1}}", "{{le \"a\" 1}}",
	"{{len .list}} {{len .map}} {{len .s}} {{len \"\"}}", "{{len .n}}", "{{len .nil}}", "{{len nil}}", "{{len}}",
	"{{index .list 0}} {{index .map \"a\"}} {{index .map \"nope\"}} {{index .s 1}} {{index .n}}", "{{index .list 3}}", "{{index .list -1}}", "{{index .list 1.0}}",
	"{{index .list \"a\"}}", "{{index .map 1}}", "{{index .map nil}}", "{{index .list nil}}", "{{index .objects 0 \"list\" 1}}", "{{index .map \"nope\" 1}}", "{{index nil}}", "{{index .n 1}}", "{{index}}",
	"{{slice .list 1}} {{slice .list 1 2}} {{slice .list 0 1 2}} {{slice .s 1 2}} {{slice .s}}", "{{slice .s 0 1 1}}", "{{slice .list 2 1}}", "{{slice .list 4}}", "{{slice .map}}", "{{slice .n}}", "{{slice nil}}", "{{slice .list 0 2 1}}", "{{slice .list 0 1 2 3}}",
	"{{print}}|{{print 1 2}}|{{print .s .n}}|{{print .n .n}}|{{println .n .s}}|{{println}}", "{{printf \"%d %v %5d|%-5v|\" .n .s 3 .n}}", "{{\"%v\" | printf}}", "{{3 | printf \"%03d\"}}",
	"{{printf}}", "{{printf 1}}", "{{printf .n}}", "{{printf nil}}", "{{.nil | printf}}", "{{printf .s 1}}", "{{printf \"%v %v\" .list .map}}", "{{printf \"%d\" .list}}", "{{printf \"%.2f\" .f}}",
	"{{json .}}", "{{.objects | json}}", "{{json nil}}", "{{json 1 2}}", "{{json (index .objects 0)}}",
	"{{1}} {{1.50}} {{1e6}} {{1e3}} {{0x1F}} {{0b11}} {{0o7}} {{'a'}} {{1_0}} {{-1}} {{+1}} {{true}} {{\"a\\n\"}} {{`raw`}}", "{{18446744073709551615}}", "{{1.a}}", "{{.n.}}",
	"{{print print}}", "{{(print 1).a}}", "{{json}}", "{{unknown 1}}", "{{if}}", "{{end}}", "{{", "{{range .list}}", "{{else}}", "{{template \"x\"}}",
	"{{(1)}} {{((.n))}} {{(.n | print) | len}}", "{{(1) 2}}", "{{1 2}}", "{{true | not}}", "{{$}}", "{{$ 1}}", "{{with .map}}{{$.n}}{{.a}}{{end}}",
}

// forText is a view as text/template gets to see it.
func forText(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return int(i)
		}
		f, _ := v.Float64()
		return f
	case []any:
		list := make([]any, len(v)) // slice goes up to the capacity
		for i := range v {
			list[i] = forText(v[i])
		}
		return list
	case map[string]any:
		object := map[string]any{}
		for key := range v {
			object[key] = forText(v[key])
		}
		return object
	}
	return v
}

func oracle(text string, data any) (string, error) {
	functions := template.FuncMap{"json": func(v any) (string, error) { data, err := json.Marshal(v); return string(data), err }}
	parsed, err := template.New("").Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = parsed.Execute(&out, forText(data))
	return out.String(), err
}

// moreWorks are errors of text/template that this package does not have: numbers
// are of one type, and slice takes indexes out of the value.
var moreWorks = regexp.MustCompile(`types for comparison: (int and float64|float64 and int)|index slice/array with type interface`)

// differs says whether a difference is expected here.
func differs(want string, err error) bool {
	if err != nil {
		return moreWorks.MatchString(err.Error())
	}
	return strings.Contains(want, "%!")
}

func sameAsOracle(t testing.TB, text string, data any) {
	t.Helper()
	want, wantErr := oracle(text, data)
	got, err := run(text, data)
	if differs(want, wantErr) {
		return
	}
	if (err == nil) != (wantErr == nil) || err == nil && got != want {
		t.Errorf("%s\nof %v\n got %q, %v\nwant %q, %v", text, data, got, err, want, wantErr)
	}
}

func TestSameAsTextTemplate(t *testing.T) {
	for _, view := range views {
		data := decode(t, view)
		for _, text := range corpus {
			sameAsOracle(t, text, data)
		}
	}
}

// TestMadeUpTemplates is the same for templates that nobody would write.
func TestMadeUpTemplates(t *testing.T) {
	data := []any{decode(t, views[0]), decode(t, views[1])}
	worked := 0
	for seed := range uint64(1000) {
		g := generator{rand.New(rand.NewPCG(seed, 0))}
		text := g.block(3, false)
		for _, view := range data {
			sameAsOracle(t, text, view)
			if _, err := run(text, view); err == nil {
				worked++
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if worked < 300 {
		t.Errorf("only %d of the templates work: there is little to compare", worked)
	}
}

// generator makes templates up.
type generator struct{ *rand.Rand }

func (g generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g generator) block(depth int, inLoop bool) string {
	var b strings.Builder
	for range 1 + g.IntN(2) {
		b.WriteString(g.statement(depth, inLoop))
	}
	return b.String()
}

func (g generator) statement(depth int, inLoop bool) string {
	if depth == 0 {
		return g.pick("text", " {{- 1 -}} ", "{{"+g.pipeline(0)+"}}")
	}
	depth--
	switch g.IntN(8) {
	case 0:
		return fmt.Sprintf("{{$x := %s}}{{$x}}{{$x = %s}}%s{{$x}}", g.pipeline(depth), g.pipeline(depth), g.block(depth, inLoop))
	case 1:
		return fmt.Sprintf("{{if %s}}%s{{else}}%s{{end}}", g.pipeline(depth), g.block(depth, inLoop), g.block(depth, inLoop))
	case 2:
		return fmt.Sprintf("{{with %s}}%s{{else}}%s{{end}}", g.pipeline(depth), g.block(depth, inLoop), g.block(depth, inLoop))
	case 3, 4:
		decl := g.pick("", "$x := ", "$i, $x := ")
		// text/template takes a break in an else for one of this range, not of the outer one
		return fmt.Sprintf("{{range %s%s}}%s{{else}}%s{{end}}", decl, g.value(), g.block(depth, true), g.block(depth, false))
	case 5:
		if inLoop {
			return fmt.Sprintf("{{if %s}}{{%s}}{{end}}", g.pipeline(depth), g.pick("break", "continue"))
		}
	}
	return "{{" + g.pipeline(depth) + "}}"
}

func (g generator) pipeline(depth int) string {
	expr := g.pick(g.value(), g.call(depth))
	if g.IntN(4) == 0 {
		expr += " | " + g.call(depth)
	}
	return expr
}

func (g generator) call(depth int) string {
	if g.IntN(2) == 0 { // half of the calls work
		return g.pick("eq .n ", "lt $.n ", "index $.list ", "slice $.list ", "ge 1 ") + g.pick("0", "1", "$.n", "(len $.list)")
	}
	fn := g.pick("and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "index", "slice", "len", "json", "print", "println", `printf "%v %d"`)
	for range 1 + g.IntN(2) {
		arg := g.value()
		if depth > 0 && g.IntN(3) == 0 {
			arg = "(" + g.pipeline(depth-1) + ")"
		}
		fn += " " + arg
	}
	return fn
}

func (g generator) value() string {
	return g.pick("$", "$.n", "$.zero", "$.f", "$.s", "$.t", "$.b", "$.nil", "$.list", "$.none", "$.map", "$.objects", "$.map.a",
		".", ".", ".n", ".s", "0", "1", "2", "1.5", `"x"`, `"s"`, "true", "nil", "(index $.list 1)")
}

// notTheSame knows what a fuzzer should not compare: what this package documents
// to be otherwise, and loops without an end.
var notTheSame = regexp.MustCompile(`define|block|template|html|js|urlquery|call|else[^{]*}}[^{]*{{[^}]*(break|continue)|%[^dv]|[0-9.]i|[0-9_]{3}|'|0[xX]`)

func FuzzSameAsTextTemplate(f *testing.F) {
	for _, text := range slices.Concat(corpus, []string{"{{range $i, $v := .objects}}{{$i}}{{$v.s}}{{end}}"}) {
		f.Add(text)
	}
	var data []any
	for _, view := range views {
		data = append(data, decode(f, view))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if notTheSame.MatchString(text) || strings.Count(text, "range") > 3 {
			return
		}
		for _, view := range data {
			sameAsOracle(t, text, view)
		}
	})
}
