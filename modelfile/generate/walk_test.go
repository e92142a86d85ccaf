package generate

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"
)

// recorder notes which directories are read, and refuses to read one.
type recorder struct {
	fstest.MapFS
	closed string
	read   []string
}

func (r *recorder) ReadDir(name string) ([]fs.DirEntry, error) {
	r.read = append(r.read, name)
	if name == r.closed {
		return nil, fs.ErrPermission
	}
	return r.MapFS.ReadDir(name)
}

func TestDirectoriesThatAreNotEntered(t *testing.T) {
	files := fstest.MapFS{"a/x": {}, "b/x": {}, ".git/x": {}, ".cache/a/x": {}}
	tests := []struct {
		name string
		opts Options
		want []string
	}{
		{"hidden", Options{}, []string{".", "a", "b"}},
		{"excluded", Options{Exclude: []string{"b"}}, []string{".", "a"}},
		{"included", Options{Include: []string{".cache/a/x"}}, []string{".", ".cache", ".cache/a", "a", "b"}},
		{"included here only", Options{Include: []string{"*.x"}}, []string{".", "a", "b"}},
		{"excluded and included", Options{Exclude: []string{".cache/a"}, Include: []string{".cache"}}, []string{".", ".cache", "a", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{MapFS: files}
			if _, err := walk(r, tt.opts); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(r.read, tt.want) {
				t.Errorf("read %q, want %q", r.read, tt.want)
			}
		})
	}
}

func TestDirectoryThatCannotBeRead(t *testing.T) {
	r := &recorder{MapFS: fstest.MapFS{"a/x": {}}, closed: "a"}
	if _, err := walk(r, Options{}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want the error of reading a", err)
	}
}

func TestSpecialFilesAreLeftOut(t *testing.T) {
	found, err := walk(fstest.MapFS{"pipe": {Mode: fs.ModeNamedPipe}, "x": {}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`left out as neither a file nor a directory: "pipe"`}
	if len(found.files) != 1 || !slices.Equal(found.notes(), want) {
		t.Errorf("got %+v with notes %q, want %q", found.files, found.notes(), want)
	}
}
