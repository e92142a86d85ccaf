package generate

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tareml/tare/modelpack"
)

// entry is a file that was found.
type entry struct {
	path string // slash-separated
	size int64
}

// found is what is in a directory.
type found struct {
	files            []entry             // sorted by path
	left             map[string][]string // what was left out, by reason
	exclude, include *globs
}

// walk looks at each name in fsys once. It does not follow links to directories.
func walk(fsys fs.FS, opts Options) (*found, error) {
	exclude, err := newGlobs("exclude", opts.Exclude)
	if err != nil {
		return nil, err
	}
	include, err := newGlobs("include", opts.Include)
	if err != nil {
		return nil, err
	}
	w := &found{left: make(map[string][]string), exclude: exclude, include: include}
	err = fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("reading the directory: %w", err)
		case path == ".":
			return nil
		}
		return w.visit(fsys, path, d)
	})
	// The walk goes directory by directory, which is not quite the order of
	// whole paths.
	slices.SortFunc(w.files, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	return w, err
}

// visit decides about one name. It returns [fs.SkipDir] only for directories.
func (w *found) visit(fsys fs.FS, path string, d fs.DirEntry) error {
	skip := error(nil)
	if d.IsDir() {
		skip = fs.SkipDir
	}
	if w.exclude.cover(path) {
		return skip
	}
	if reason := whyIgnored(path); reason != "" && !w.include.cover(path) {
		if d.IsDir() && w.include.reach(path) {
			return nil
		}
		if path != ownName {
			w.leave(path, reason)
		}
		return skip
	}
	if !utf8.ValidString(path) {
		return &failure{msg: fmt.Sprintf("name %q is not valid UTF-8", path), hint: "rename it, or leave it out with --exclude"}
	}
	if d.IsDir() {
		if _, err := fs.Stat(fsys, path+"/oci-layout"); err == nil {
			w.leave(path, "a store of artifacts")
			return skip
		}
		return nil
	}
	return w.visitFile(fsys, path, d)
}

func (w *found) visitFile(fsys fs.FS, path string, d fs.DirEntry) error {
	info, err := d.Info()
	link := d.Type()&fs.ModeSymlink != 0
	if link {
		info, err = fs.Stat(fsys, path)
	}
	switch {
	case err != nil && link:
		return &failure{
			msg:   fmt.Sprintf("%q is a link to a file that cannot be read", path),
			hint:  "restore the file, or leave the link out with --exclude",
			cause: err,
		}
	case err != nil:
		return err
	case info.Mode().IsRegular():
		w.files = append(w.files, entry{path, info.Size()})
	case info.IsDir():
		w.leave(path, "a link to a directory")
	default:
		w.leave(path, "neither a file nor a directory")
	}
	return nil
}

func (w *found) leave(path, reason string) {
	w.left[reason] = append(w.left[reason], path)
}

// notes says what the walk left out and what will not go into an artifact.
func (w *found) notes() []string {
	var n notes
	for _, reason := range slices.Sorted(maps.Keys(w.left)) {
		n.add("left out as %s: %s", reason, some(w.left[reason]))
	}
	for _, f := range w.files {
		if err := modelpack.CheckPath(f.path); err != nil {
			n.add("%v: rename it, as an artifact cannot hold it", err)
		}
	}
	return slices.Concat(n, w.exclude.notes(), w.include.notes())
}
