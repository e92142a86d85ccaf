package generate

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// What gitignore(5) says of each rule.
func TestIgnoreRules(t *testing.T) {
	for _, tt := range []struct{ rules, ignored, kept string }{
		// A blank line matches nothing, and # starts a comment.
		{"\n\n# a\n", "", "a b"},
		{`\#a`, "#a", `a \#a`},
		// Trailing spaces do not count unless they are escaped.
		{"a  ", "a", "a_"},
		{`a\ `, "a_", "a"},
		{`a\ \  `, "a__", "a a_"},
		// ! takes again; \! is a plain one. The last rule that matches decides.
		{"*.bin\n!a.bin", "b.bin c/d.bin", "a.bin c/a.bin"},
		{"!a.bin\n*.bin", "a.bin b.bin", ""},
		{`\!a`, "!a", "a"},
		// Without a slash, at any depth; with one at the start or in the middle, from the top.
		{"a", "a b/a b/c/a a/b", "ab b/ab"},
		{"/a", "a a/b", "b/a"},
		{"b/a", "b/a", "c/b/a a"},
		{"/b/a", "b/a", "c/b/a"},
		// A slash at the end is for directories only.
		{"a/", "a/b c/a/b", "a c/a"},
		{"b/a/", "b/a/c", "b/a c/b/a/d"},
		// * and ? match anything but a slash.
		{"*", "a b/c", ""},
		{"a*b", "ab axxb c/ab", "abc axxbc"},
		{"a/*", "a/b a/b/c", "b a"},
		{"a/*.b", "a/x.b", "a/c/x.b x.b"},
		{"?", "a \u6a21", "ab"},
		{"a?b", "axb", "ab axxb a/b"},
		// Ranges.
		{"[a-c]", "a b c", "d -"},
		{"[!a-c]", "d -", "a b c"},
		{"[^a]b", "bb", "ab"},
		{"[]]", "]", "a"},
		{"[!]]", "a", "]"},
		{"[a-]", "a -", "b"},
		{`[\]]`, "]", `\`},
		{"[[:digit:]x]", "1 x", "d [ :"},
		{"[[:upper:]]*", "Ab", "ab"},
		{"a[", "", "a[ a"},
		{`\*`, "*", "a"},
		{`\[a]`, "[a]", "a"},
		// ** in front of, behind, and between slashes; elsewhere it is a *.
		{"**/a", "a b/a b/c/a", "ab"},
		{"**/a/b", "a/b c/a/b", "b a/c/b"},
		{"a/**", "a/b a/b/c", "b c/a a"},
		{"a/**/b", "a/b a/x/b a/x/y/b", "b a/x c/a/b"},
		{"a**b", "ab axb", "a/b"},
		{"**", "a b/c", ""},
		{"**/", "b/c", "a"},
		{"a**/b", "ax/b", "a/x/b"},
		{"**/a*/**/b*", "a/b x/ax/y/by", "b a"},
		// What is below a directory that is left out stays out.
		{"a\n!a/b", "a/b", "b"},
		{"a/*\n!a/b", "a/c", "a/b"},
		{"/*\n!/a", "b c/d", "a a/x"},
		{"*\n!*/\n!*.bin", "b c/d", "a.bin c/e.bin"},
		// Lines may end in CRLF, and the file begin with a mark.
		{"\xef\xbb\xbfa\r\nb\r\n", "a b", "c"},
		// Names matter to the letter.
		{"README", "README", "readme"},
		{"{a,b}", "{a,b}", "a b"},
		{"/", "", "a"},
		{"!", "", "a !"},
	} {
		fsys := fstest.MapFS{ignoreName: {Data: []byte(tt.rules)}}
		name := func(s string) string { return strings.ReplaceAll(s, "_", " ") }
		want := strings.Fields(tt.kept)
		for _, p := range append(strings.Fields(tt.ignored), want...) {
			fsys[name(p)] = &fstest.MapFile{}
			if dir := name(p) + "/"; slices.ContainsFunc(strings.Fields(tt.ignored+" "+tt.kept), func(o string) bool { return strings.HasPrefix(name(o), dir) }) {
				delete(fsys, name(p)) // it cannot be both
				want = slices.DeleteFunc(want, func(w string) bool { return w == p })
			}
		}
		found, err := walk(fsys, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range found.files {
			got = append(got, strings.ReplaceAll(f.path, " ", "_"))
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", tt.rules, got, want)
		}
	}
}

func TestIgnoreFile(t *testing.T) {
	files := fstest.MapFS{
		ignoreName: {Data: []byte("*.bin\n!.hidden\n!.env\n!.cache/\nsub/\n")}, "a.bin": {}, "sub/b": {}, ".hidden": {}, ".other": {}, ".env": {}, ".cache/x": {}, "c": {},
	}
	found, err := walk(files, Options{Include: []string{"sub/b"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found.files {
		got = append(got, f.path)
	}
	// It overrules what is built in, --include overrules it, and secrets stay secret.
	if want := []string{".cache/x", ".hidden", "c", "sub/b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	want := []string{`left out as .tareignore says: "a.bin"`, `left out as hidden: ".other"`}
	if got := found.notes(); !slices.Equal(got, want) {
		t.Errorf("got notes %q, want %q", got, want)
	}
	if want := []string{`left out as secret: ".env"; --include takes such files`}; !slices.Equal(found.warnings(), want) {
		t.Errorf("got warnings %q, want %q", found.warnings(), want)
	}
}

func TestIgnoreFileThatIsNone(t *testing.T) {
	for name, fsys := range map[string]fstest.MapFS{
		"directory": {ignoreName + "/x": {}},
		"large":     {ignoreName: {Data: make([]byte, maxIgnore+1)}},
	} {
		if _, err := walk(fsys, Options{}); err == nil || !strings.Contains(err.Error(), ignoreName) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzIgnore(f *testing.F) {
	f.Add("*.bin\n!a", "a/b.bin")
	f.Add("[[:alpha:]-z]/**/x", "a/b/x")
	f.Add(`a\ b[!]-]\`, "a b")
	f.Fuzz(func(t *testing.T, rules, path string) {
		parseIgnore([]byte(rules)).decide(path, false)
	})
}
