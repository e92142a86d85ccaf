package extract_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/modelpack"
)

func TestNoFilterTakesAll(t *testing.T) {
	for _, f := range []*extract.Filter{nil, {}} {
		if !f.All() || f.String() != "" || f.Check() != nil {
			t.Errorf("%#v: All %v, String %q, Check %v", f, f.All(), f.String(), f.Check())
		}
		for _, k := range modelpack.Kinds() {
			if !f.TakesKind(k) || !f.Takes(k, "a/b", "") {
				t.Errorf("%#v leaves out %v", f, k)
			}
		}
	}
}

func TestEachFieldRestricts(t *testing.T) {
	for _, f := range []extract.Filter{
		{Kinds: []modelpack.Kind{modelpack.Doc}},
		{Include: []string{"other"}},
		{Exclude: []string{"a"}},
		{Parts: []extract.Part{{Kinds: []modelpack.Kind{modelpack.Doc}}}},
	} {
		if f.All() || f.String() == "" {
			t.Errorf("%+v is said to take all", f)
		}
		if f.Takes(modelpack.Model, "a", "") {
			t.Errorf("%v takes the model a", &f)
		}
	}
}

// TestGlobs has, for each pattern, what it takes of the paths in tree.
func TestGlobs(t *testing.T) {
	tree := []string{"config.json", "model.bin", "sub/config.json", "sub/deep/model.bin", "sub/deep/sub/x", "submarine", "[a]/b*c"}
	for _, test := range []struct {
		pattern string
		want    []string
	}{
		// names, wherever they are
		{"*.json", []string{"config.json", "sub/config.json"}},
		{"config.json", []string{"config.json", "sub/config.json"}},
		{"*", tree},
		{"**", tree},
		{"{x,submarine}", []string{"sub/deep/sub/x", "submarine"}},
		{"model.b?n", []string{"model.bin", "sub/deep/model.bin"}},
		{"[!a-s]*.bin", nil},
		{"CONFIG.JSON", nil},
		// whole paths
		{"/*.json", []string{"config.json"}},
		{"./*.json", []string{"config.json"}},
		{"sub/*", []string{"sub/config.json"}},
		{"*/config.json", []string{"sub/config.json"}},
		{"**/config.json", []string{"config.json", "sub/config.json"}},
		{"**/*.bin", []string{"model.bin", "sub/deep/model.bin"}},
		{"sub/**", []string{"sub/config.json", "sub/deep/model.bin", "sub/deep/sub/x"}},
		{"sub/**/x", []string{"sub/deep/sub/x"}},
		{"sub/{deep/*,config.json}", []string{"sub/config.json", "sub/deep/model.bin"}},
		{"sub*.bin", nil},
		// directories
		{"sub", []string{"sub/config.json", "sub/deep/model.bin", "sub/deep/sub/x"}},
		{"sub/", []string{"sub/config.json", "sub/deep/model.bin", "sub/deep/sub/x"}},
		{"deep", []string{"sub/deep/model.bin", "sub/deep/sub/x"}},
		{"deep/", []string{"sub/deep/model.bin", "sub/deep/sub/x"}},
		{"/deep/", nil},
		{"sub/deep", []string{"sub/deep/model.bin", "sub/deep/sub/x"}},
		{"/sub/deep/", []string{"sub/deep/model.bin", "sub/deep/sub/x"}},
		{"*/deep/", []string{"sub/deep/model.bin", "sub/deep/sub/x"}},
		{"*/deep", nil},
		{"d*/", []string{"sub/deep/model.bin", "sub/deep/sub/x"}},
		{"d*", nil},
		{"submarine/", nil},
		{"subm", nil},
		// literally
		{`\[a\]/b\*c`, []string{"[a]/b*c"}},
		{"[[]a]/", []string{"[a]/b*c"}},
	} {
		in := extract.Filter{Include: []string{test.pattern}}
		out := extract.Filter{Exclude: []string{test.pattern}}
		if err := in.Check(); err != nil {
			t.Errorf("%s: %v", test.pattern, err)
		}
		for _, file := range tree {
			want := slices.Contains(test.want, file)
			if got := in.Takes(modelpack.Model, file, ""); got != want {
				t.Errorf("include %s takes %s: %v, want %v", test.pattern, file, got, want)
			}
			if got := out.Takes(modelpack.Model, file, ""); got == want {
				t.Errorf("exclude %s takes %s: %v, want %v", test.pattern, file, got, !want)
			}
		}
	}
}

func TestExcludeBeatsInclude(t *testing.T) {
	f := extract.Filter{Include: []string{"*.json", "*.bin"}, Exclude: []string{"sub/", "secret.*"}}
	for file, want := range map[string]bool{
		"a.json": true, "b/c.bin": true, "a.txt": false, "sub/a.json": false, "secret.json": false, "b/secret.bin": false,
	} {
		if got := f.Takes(modelpack.Config, file, ""); got != want {
			t.Errorf("takes %s: %v, want %v", file, got, want)
		}
	}
}

func TestCheckNamesTheBadPattern(t *testing.T) {
	for _, pattern := range []string{"", "/", "./", "//", ".", "..", "../x", "a/../b", "a//b", "a/./b", "[a", "{a,b", `a\`, `a\/`} {
		for field, f := range map[string]extract.Filter{
			"include": {Include: []string{"fine", pattern}},
			"exclude": {Exclude: []string{"fine", pattern}},
		} {
			err := f.Check()
			if err == nil || !strings.HasPrefix(err.Error(), field+" pattern \"") || strings.Contains(err.Error(), "fine") {
				t.Errorf("%s %q: %v", field, pattern, err)
			}
		}
	}
	f := extract.Filter{Parts: []extract.Part{{Kinds: modelpack.Kinds(), Names: []string{""}}}}
	if f.Check() == nil || f.Takes(modelpack.Model, "a", "") {
		t.Error("an empty name is used")
	}
}

func TestParsePart(t *testing.T) {
	weights := []modelpack.Kind{modelpack.Config, modelpack.Model}
	for s, want := range map[string]extract.Part{
		"model":                     {Kinds: weights},
		"models":                    {Kinds: weights},
		"dataset":                   {Kinds: []modelpack.Kind{modelpack.Dataset}},
		"datasets":                  {Kinds: []modelpack.Kind{modelpack.Dataset}},
		"code":                      {Kinds: []modelpack.Kind{modelpack.Code}},
		"prompts":                   {Kinds: []modelpack.Kind{modelpack.Code}},
		"prompt":                    {Kinds: []modelpack.Kind{modelpack.Code}},
		"doc":                       {Kinds: []modelpack.Kind{modelpack.Doc}},
		"docs":                      {Kinds: []modelpack.Kind{modelpack.Doc}},
		"kitfile":                   {},
		"kitfile,docs,code":         {Kinds: []modelpack.Kind{modelpack.Doc, modelpack.Code}},
		"datasets:my-dataset":       {Kinds: []modelpack.Kind{modelpack.Dataset}, Names: []string{"my-dataset"}},
		"docs:./README.md,a b, c/*": {Kinds: []modelpack.Kind{modelpack.Doc}, Names: []string{"./README.md", "a b", " c/*"}},
	} {
		got, err := extract.ParsePart(s)
		if err != nil || !slices.Equal(got.Kinds, want.Kinds) || !slices.Equal(got.Names, want.Names) {
			t.Errorf("%q is %+v, %v, want %+v", s, got, err, want)
		}
	}
}

func TestParsePartRefuses(t *testing.T) {
	for s, reason := range map[string]string{
		"":              `unknown type ""`,
		":a":            `unknown type ""`,
		"model,":        `unknown type ""`,
		"model,,code":   `unknown type ""`,
		"model, code":   `unknown type " code"`,
		"Model":         "one of kitfile, model, datasets, code, docs, prompts",
		"config":        `unknown type "config"`,
		"weights:a":     `unknown type "weights"`,
		"model:":        "a name is empty",
		"model:a,":      "a name is empty",
		"model:a,,b":    "a name is empty",
		"model:a:b":     "more than one colon",
		"model::":       "more than one colon",
		"model:C:\\dir": "more than one colon",
	} {
		got, err := extract.ParsePart(s)
		if err == nil || !strings.Contains(err.Error(), reason) || !strings.Contains(err.Error(), "parsing filter") {
			t.Errorf("%q is %+v, %v, want %q", s, got, err, reason)
		}
	}
}

func mustParse(t *testing.T, filters ...string) *extract.Filter {
	t.Helper()
	var f extract.Filter
	for _, s := range filters {
		p, err := extract.ParsePart(s)
		if err != nil {
			t.Fatal(err)
		}
		f.Parts = append(f.Parts, p)
	}
	return &f
}

func TestParts(t *testing.T) {
	for _, test := range []struct {
		filters    string // separated by spaces
		kind       modelpack.Kind
		path, name string
		want       bool
	}{
		{"model", modelpack.Model, "model.bin", "", true},
		{"model", modelpack.Config, "config.json", "", true},
		{"model", modelpack.Code, "a.py", "", false},
		{"kitfile", modelpack.Config, "config.json", "", false},
		{"kitfile", modelpack.Doc, "Kitfile", "", false},
		{"kitfile,docs", modelpack.Doc, "README.md", "", true},
		{"prompts", modelpack.Code, "prompts/system.txt", "", true},
		// several: any of them
		{"model datasets:eval", modelpack.Dataset, "x", "eval", true},
		{"model datasets:eval", modelpack.Dataset, "x", "train", false},
		{"model datasets:eval", modelpack.Model, "x", "train", true},
		// names are of their own filter's types
		{"model:a code:b", modelpack.Code, "a", "", false},
		// the path, a directory above it, the base name, the layer's name
		{"datasets:data/train.csv", modelpack.Dataset, "data/train.csv", "", true},
		{"datasets:./data/train.csv", modelpack.Dataset, "data/train.csv", "", true},
		{"datasets:data", modelpack.Dataset, "data/train.csv", "", true},
		{"datasets:./data/", modelpack.Dataset, "data/train.csv", "", true},
		{"datasets:.", modelpack.Dataset, "data/train.csv", "", true},
		{"datasets:train.csv", modelpack.Dataset, "data/train.csv", "", true},
		{"datasets:train", modelpack.Dataset, "data/train.csv", "train", true},
		{"datasets:eval,train", modelpack.Dataset, "data/train.csv", "train", true},
		{"datasets:./odd/", modelpack.Dataset, "x", "./odd/", true},
		// and nothing else
		{"datasets:dat", modelpack.Dataset, "data/train.csv", "", false},
		{"datasets:Train.csv", modelpack.Dataset, "data/train.csv", "", false},
		{"datasets:*", modelpack.Dataset, "data/train.csv", "train", false},
		{"datasets:*", modelpack.Dataset, "data/*", "", true},
		{"datasets:sub", modelpack.Dataset, "data/sub/train.csv", "", false},
		{"datasets:../data", modelpack.Dataset, "data/train.csv", "", false},
		{"datasets:/data", modelpack.Dataset, "data/train.csv", "", false},
	} {
		f := mustParse(t, strings.Fields(test.filters)...)
		if got := f.Takes(test.kind, test.path, test.name); got != test.want {
			t.Errorf("%s takes %v %s (%q): %v, want %v", test.filters, test.kind, test.path, test.name, got, test.want)
		}
	}
}

func TestTakesKind(t *testing.T) {
	both := mustParse(t, "model:a", "docs")
	both.Kinds = []modelpack.Kind{modelpack.Model, modelpack.Code}
	for name, test := range map[string]struct {
		f    *extract.Filter
		want []modelpack.Kind
	}{
		"kinds":   {&extract.Filter{Kinds: []modelpack.Kind{modelpack.Code, modelpack.Doc}}, []modelpack.Kind{modelpack.Code, modelpack.Doc}},
		"parts":   {mustParse(t, "model:a", "docs"), []modelpack.Kind{modelpack.Config, modelpack.Model, modelpack.Doc}},
		"both":    {both, []modelpack.Kind{modelpack.Model}},
		"kitfile": {mustParse(t, "kitfile"), nil},
		"globs":   {&extract.Filter{Include: []string{"a"}, Exclude: []string{"a"}}, modelpack.Kinds()},
	} {
		for _, k := range modelpack.Kinds() {
			if got := test.f.TakesKind(k); got != slices.Contains(test.want, k) {
				t.Errorf("%s: TakesKind(%v) is %v", name, k, got)
			}
		}
	}
}

func TestEqualFiltersAreOneString(t *testing.T) {
	filter := func() extract.Filter {
		return extract.Filter{
			Kinds:   []modelpack.Kind{modelpack.Model, modelpack.Config},
			Include: []string{"b", "a"},
			Exclude: []string{"d", "c"},
			Parts:   mustParse(t, "model,code:y,x", "docs").Parts,
		}
	}
	a, b := filter(), filter()
	slices.Reverse(b.Kinds)
	slices.Reverse(b.Include)
	slices.Reverse(b.Exclude)
	slices.Reverse(b.Parts)
	slices.Reverse(b.Parts[1].Kinds)
	slices.Reverse(b.Parts[1].Names)
	b.Kinds = append(b.Kinds, modelpack.Model)
	b.Parts = append(b.Parts, b.Parts[0])
	if a.String() != b.String() {
		t.Errorf("%s\n%s", &a, &b)
	}
	const want = `exclude="c" exclude="d" filter=code,config,model:"x","y" filter=doc: include="a" include="b" type=config type=model`
	if a.String() != want {
		t.Errorf("is stored as\n%s, want\n%s", &a, want)
	}
	if again := filter(); !slices.Equal(a.Include, again.Include) || !slices.Equal(a.Parts[0].Names, again.Parts[0].Names) {
		t.Error("String changed the filter")
	}
}

func TestDifferentFiltersAreDifferentStrings(t *testing.T) {
	seen := map[string]int{}
	for i, f := range []*extract.Filter{
		{},
		{Kinds: []modelpack.Kind{modelpack.Model}},
		{Kinds: []modelpack.Kind{modelpack.Config, modelpack.Model}},
		{Include: []string{"a"}},
		{Exclude: []string{"a"}},
		{Include: []string{"a b"}},
		{Include: []string{"a", "b"}},
		{Include: []string{`a" include="b`}},
		{Include: []string{"type=model"}},
		mustParse(t, "model"),
		mustParse(t, "kitfile"),
		mustParse(t, "code,docs"),
		mustParse(t, "code", "docs"),
		mustParse(t, "code:a,b"),
		mustParse(t, "code:a b"),
		mustParse(t, "code:a", "code:b"),
		mustParse(t, `code:a"`, "code:b"),
	} {
		if other, ok := seen[f.String()]; ok {
			t.Errorf("filters %d and %d are both %s", other, i, f)
		}
		seen[f.String()] = i
	}
}

// FuzzFilter reads a filter of kit's and two globs, as they are typed, and asks
// whether what they take hangs together.
func FuzzFilter(f *testing.F) {
	f.Add("model,docs:./README.md,data/", "**/*.{json,bin}", "sub/", "sub/README.md", "name", uint8(4))
	f.Add("kitfile", "[!a-z]?\\*", "/{a,b/**}/c", "b/x/c", "", uint8(0))
	f.Add("datasets:train", "./a", "dir", "a/dir", "train", uint8(3))
	f.Add("model:", "../a", "[", "/a//", "", uint8(9))
	f.Fuzz(func(t *testing.T, part, include, exclude, path, name string, kind uint8) {
		if strings.Count(include+exclude, "{") > 6 || len(include)+len(exclude) > 200 {
			t.Skip("matching takes time exponential in what the user types, not in what an artifact holds")
		}
		kinds := modelpack.Kinds()
		k := kinds[int(kind)%len(kinds)]
		filter := &extract.Filter{Include: []string{include}, Exclude: []string{exclude}}
		if p, err := extract.ParsePart(part); err == nil {
			checkPart(t, part, p)
			filter.Parts = []extract.Part{p}
		}
		took := filter.Takes(k, path, name) // whatever Check says: it must not panic or hang
		if filter.Check() != nil {
			return
		}
		checkFilter(t, filter, k, path, name, took)
	})
}

// checkPart asks that every type and name that was typed counts.
func checkPart(t *testing.T, s string, p extract.Part) {
	types, names, _ := strings.Cut(s, ":")
	if strings.Join(p.Names, ",") != names {
		t.Errorf("%q has the names %q", s, p.Names)
	}
	if len(p.Kinds) < strings.Count(types, ",")+1-strings.Count(types, "kitfile") {
		t.Errorf("%q has the kinds %v", s, p.Kinds)
	}
	if (&extract.Filter{Parts: []extract.Part{p}}).Check() != nil {
		t.Errorf("%q was read, but cannot be used", s)
	}
}

func checkFilter(t *testing.T, filter *extract.Filter, k modelpack.Kind, path, name string, took bool) {
	if filter.All() || filter.String() == "" {
		t.Errorf("%s is said to take all", filter)
	}
	if took && !filter.TakesKind(k) {
		t.Errorf("%s takes %s, but nothing of kind %v", filter, path, k)
	}
	if took != filter.Takes(k, path, name) {
		t.Errorf("%s takes %s the one time and not the other", filter, path)
	}
	included := (&extract.Filter{Include: filter.Include}).Takes(k, path, name)
	excluded := !(&extract.Filter{Exclude: filter.Exclude}).Takes(k, path, name)
	parts := (&extract.Filter{Parts: filter.Parts}).Takes(k, path, name)
	if took != (included && !excluded && parts) {
		t.Errorf("%s takes %s: %v, but included %v, excluded %v, by kit's filter %v", filter, path, took, included, excluded, parts)
	}
	if (&extract.Filter{Include: filter.Include, Exclude: filter.Include}).Takes(k, path, name) {
		t.Errorf("include and exclude disagree on whether %q matches %s", filter.Include[0], path)
	}
}
