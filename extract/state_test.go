package extract

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tareml/tare/modelpack"
)

func TestParseState(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"version":1}`:                 true,
		`{"version":1,"releases":null}`: true,
		`{"version":1,"later":true}`:    true,
		``:                              false,
		`null`:                          false,
		`{}`:                            false,
		`{"version":0,"releases":[]}`:   false,
		`{"version":-1}`:                false,
		`[]`:                            false,
		`{"version":1,"releases":{}}`:   false,
		`{"version":1,"releases":[{"models":[{"lay`:    false,
		`{"version":1e400}`:                            false,
		`{"version":99999999999999999999}`:             false,
		`{"version":1}{"version":1}`:                   false,
		strings.Repeat(`{"version":`, 20_000):          false,
		`{"version":1,"releases":[{"models":[1e99]}]}`: false,
	} {
		s, err := parseState([]byte(text))
		if (err == nil) != ok || errors.Is(err, errNewerState) {
			t.Errorf("%.60s: %v, %v", text, s, err)
		}
	}
	if _, err := parseState([]byte(`{"version":2,"releases":"in another form"}`)); !errors.Is(err, errNewerState) {
		t.Errorf("error %v, want %v", err, errNewerState)
	}
}

func TestParseStateDropsWhatCannotBe(t *testing.T) {
	text := `{"version":1,"releases":[
		{"name":"..","models":[]}, {"name":"a/b","models":[]}, {"name":".tare","models":[]}, {"name":"/","models":[]},
		{"name":"good","models":[{"subdir":"sub","digest":"sha256:0","layers":[
			{"digest":"sha256:1","whole":true,"files":[
				{"path":"sub/good"}, {"path":"../x"}, {"path":"/x"}, {"path":"x"}, {"path":"sub"}, {"path":"submarine/x"},
				{"path":"sub/../../x"}, {"path":""}, {"path":".tare/state.json"}, {"path":"sub/\u0000"}, {"path":"sub/neg","size":-1}]},
			{"digest":"sha256:2","whole":true,"files":[{"path":"sub/also","size":9223372036854775807,"inode":18446744073709551615}]}]}]}]}`
	s, err := parseState([]byte(text))
	if err != nil || len(s.Releases) != 1 || s.Releases[0].Name != "good" {
		t.Fatalf("%+v, %v", s, err)
	}
	m := s.Releases[0].Models[0]
	if l := m.Layers[0]; len(l.Files) != 1 || l.Files[0].Path != "sub/good" || l.Whole || l.Digest != "" {
		t.Errorf("%+v", l)
	}
	if l := m.Layers[1]; len(l.Files) != 1 || !l.Whole || l.Digest == "" {
		t.Errorf("%+v", l)
	}
	if m.Digest != "" {
		t.Error("what is left of a model is said to be the model")
	}
}

// FuzzState: whatever a state says, what is kept of it can be a state.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"version":1,"releases":[{"models":[{"subdir":"s","layers":[{"files":[{"path":"s/a"},{"path":"../x"}]}]}]}]}`))
	f.Add([]byte(`{"version":1,"releases":[{"name":"../x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseState(data)
		if err != nil {
			return
		}
		for i := range s.Releases {
			r := &s.Releases[i]
			if base := r.base(); base != "." && !strings.HasPrefix(base, "releases/") {
				t.Errorf("base %q", base)
			}
			for m := range r.Models {
				for _, f := range r.Models[m].files {
					if modelpack.CheckPath(f.Path) != nil || f.Size < 0 {
						t.Errorf("kept %+v", f)
					}
					within(&Model{Subdir: r.Models[m].Subdir}, f.Path)
				}
			}
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseState(text)
		if err != nil || len(again.Releases) != len(s.Releases) {
			t.Errorf("%s became %+v, %v", text, again, err)
		}
	})
}

// TestIntact changes a record in each way that a file can differ from it.
func TestIntact(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	if err := errors.Join(os.WriteFile(name, []byte("content"), 0o644), os.Symlink("a", filepath.Join(dir, "link")), os.Mkdir(filepath.Join(dir, "dir"), 0o755)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	good := newRecord(record{Path: "a"}, info)
	if !good.intact(info) {
		t.Skip("no change times here")
	}
	for what, change := range map[string]func(r *record){
		"size":    func(r *record) { r.Size++ },
		"mtime":   func(r *record) { r.MTime++ },
		"ctime":   func(r *record) { r.CTime++ },
		"inode":   func(r *record) { r.Inode++ },
		"link":    func(r *record) { r.Link = "b" },
		"pending": func(r *record) { r.Pending = true },
		"unknown": func(r *record) { r.CTime = 0 },
	} {
		r := good
		if change(&r); r.intact(info) {
			t.Errorf("%s makes no difference", what)
		}
	}
	for other, link := range map[string]string{"link": "", "dir": "", "dir ": "a"} {
		info, err := os.Lstat(filepath.Join(dir, strings.TrimSpace(other)))
		if err != nil {
			t.Fatal(err)
		}
		if r := newRecord(record{Path: "a", Link: link}, info); r.intact(info) {
			t.Errorf("a record with link %q is intact as a %s", link, other)
		}
	}
}

// TestConfirm: a file that changed between the moment when it was known to be
// right and the moment when it was recorded is not recorded as right.
func TestConfirm(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(name, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	r := newRecord(record{Path: "a"}, before)
	if !r.intact(before) {
		t.Skip("no change times here")
	}
	if got, _ := r.confirm(before); !reflect.DeepEqual(got, r) {
		t.Errorf("confirmed as %+v, want %+v", got, r)
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(name, later, later); err != nil {
		t.Fatal(err)
	}
	after, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := r.confirm(after); got.intact(after) {
		t.Error("a file that was changed meanwhile is said to be right")
	}
	r.Pending = true
	if got, _ := r.confirm(after); got.intact(after) || got.Pending {
		t.Error("a new file that was changed meanwhile is said to be right")
	}
}
