package modelfile_test

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tareml/tare/modelfile"
)

func TestIsLiteral(t *testing.T) {
	tests := []struct {
		glob, path string
		ok         bool
	}{
		{`a/b.bin`, `a/b.bin`, true},
		{`a\*b\\`, `a*b\`, true},
		{`[*][?][[][\{][\}][\\]`, `*?[{}\`, true},
		{`a]b!^,`, `a]b!^,`, true},
		{`*`, ``, false},
		{`a?`, ``, false},
		{`[ab]`, ``, false},
		{`[a]`, ``, false},
		{`[!]`, ``, false},
		{`[]]`, ``, false},
		{`[*a]`, ``, false},
		{`{a,b}`, ``, false},
		{`a}`, ``, false},
		{`a\`, ``, false},
		{`a[`, ``, false},
	}
	for _, tt := range tests {
		if path, ok := modelfile.IsLiteral(tt.glob); path != tt.path || ok != tt.ok {
			t.Errorf("%s: got %q, %v, want %q, %v", tt.glob, path, ok, tt.path, tt.ok)
		}
	}
}

// matches asks both matchers and fails if they do not agree.
func matches(t *testing.T, glob, name string) bool {
	t.Helper()
	got, err := doublestar.Match(glob, name)
	if err != nil {
		t.Fatalf("doublestar.Match(%q, %q): %v", glob, name, err)
	}
	if runtime.GOOS == "windows" && strings.Contains(glob, `\`) {
		return got
	}
	other, err := filepath.Match(glob, name)
	if err != nil || other != got {
		t.Fatalf("filepath.Match(%q, %q) = %v, %v, but doublestar says %v", glob, name, other, err, got)
	}
	return got
}

func FuzzEscapeGlob(f *testing.F) {
	f.Add("a*b", "aXb")
	f.Add("[a]", "a")
	f.Add("{a,b}", "a")
	f.Add(`\a`, `a`)
	f.Add("!a^", "b")
	f.Add("a/**/b", "a/x/b")
	f.Add("*[*]?{}]", "x")
	f.Fuzz(func(t *testing.T, name, other string) {
		if !utf8.ValidString(name) || !utf8.ValidString(other) {
			return
		}
		glob := modelfile.EscapeGlob(name)
		if !matches(t, glob, name) {
			t.Errorf("%q does not match its name %q", glob, name)
		}
		if other != name && matches(t, glob, other) {
			t.Errorf("%q, which is for %q, matches %q", glob, name, other)
		}
		if path, ok := modelfile.IsLiteral(glob); path != name || !ok {
			t.Errorf("IsLiteral(%q) = %q, %v, want %q", glob, path, ok, name)
		}
	})
}

func FuzzIsLiteral(f *testing.F) {
	f.Add(`a\*[[]`, "a*[")
	f.Add(`[*]`, "x")
	f.Fuzz(func(t *testing.T, glob, other string) {
		path, ok := modelfile.IsLiteral(glob)
		if !ok || !utf8.ValidString(glob) || !utf8.ValidString(other) {
			return
		}
		if got, err := doublestar.Match(glob, path); err != nil || !got {
			t.Errorf("%q is %q but does not match it: %v", glob, path, err)
		}
		if got, _ := doublestar.Match(glob, other); got && other != path {
			t.Errorf("%q is %q but matches %q", glob, path, other)
		}
	})
}
