package generate

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
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
	secrets          []string            // what was left out as secret
	asked            []string            // secrets that --include takes
	seen             []string            // every name that is no directory's, whatever became of it, sorted
	closed           []string            // directories that were not entered
	links            []string            // of the files, those that are links
	ignore           ignoreRules
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
	rules, err := readIgnore(fsys)
	if err != nil {
		return nil, err
	}
	w := &found{left: make(map[string][]string), ignore: rules, exclude: exclude, include: include}
	err = fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("reading the directory: %w", err)
		case path == ".":
			return nil
		case !d.IsDir():
			w.seen = append(w.seen, path)
		}
		err = w.visit(fsys, path, d)
		if err == fs.SkipDir {
			w.closed = append(w.closed, path)
		}
		return err
	})
	// The walk goes directory by directory, which is not quite the order of
	// whole paths.
	slices.SortFunc(w.files, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	slices.Sort(w.seen)
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
	if why := w.whyLeft(fsys, path, d); why != "" && !w.include.cover(path) {
		if d.IsDir() && w.include.reach(path) {
			return nil
		}
		w.leave(path, why)
		return skip
	}
	if !utf8.ValidString(path) {
		return &failure{msg: fmt.Sprintf("name %q is not valid UTF-8", path), hint: "rename it, or leave it out with --exclude"}
	}
	if d.IsDir() {
		return w.visitDir(fsys, path)
	}
	return w.visitFile(fsys, path, d)
}

// Reasons to leave something out that are told apart from the others, and one
// that is not in the table.
const (
	noNews   = "no news"
	secret   = "a secret"
	byIgnore = ignoreName + " says"
)

// whyLeft is the reason to leave out a path or a directory above it, empty if
// there is none. Above it matters in directories that were entered for the sake of
// something that --include takes.
func (w *found) whyLeft(fsys fs.FS, p string, d fs.DirEntry) string {
	if p == ownName || p == ignoreName {
		return noNews
	}
	for i := range p {
		if p[i] == '/' {
			if why := w.whyDir(p[:i]); why != "" {
				return why
			}
		}
	}
	if d.IsDir() {
		return w.whyDir(p)
	}
	if isSecretFile(strings.ToLower(path.Base(p)), sizeOf(fsys, p)) {
		return secret
	}
	return w.whyNamed(p, false)
}

func (w *found) whyDir(p string) string {
	if isSecretDir(strings.ToLower(path.Base(p))) {
		return secret
	}
	return w.whyNamed(p, true)
}

// whyNamed asks .tareignore first, which overrules what is built in.
func (w *found) whyNamed(p string, dir bool) string {
	if left, decided := w.ignore.decide(p, dir); left {
		return byIgnore
	} else if decided {
		return ""
	}
	return whyIgnored(strings.ToLower(path.Base(p)))
}

// sizeOf finds out how large a file is, 0 if that cannot be.
func sizeOf(fsys fs.FS, p string) func() int64 {
	return func() int64 {
		info, err := fs.Stat(fsys, p)
		if err != nil {
			return 0
		}
		return info.Size()
	}
}

// visitDir looks at a directory that may be entered, for what tells that it
// should not be.
func (w *found) visitDir(fsys fs.FS, dir string) error {
	if _, err := fs.Stat(fsys, dir+"/oci-layout"); err == nil {
		w.leave(dir, "a store of artifacts")
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, dir+"/pyvenv.cfg"); err == nil && !w.include.cover(dir) && !w.include.reach(dir) {
		w.leave(dir, "installed or cached packages")
		return fs.SkipDir
	}
	return nil
}

func (w *found) visitFile(fsys fs.FS, p string, d fs.DirEntry) error {
	info, err := d.Info()
	link := d.Type()&fs.ModeSymlink != 0
	if link {
		info, err = fs.Stat(fsys, p)
	}
	switch {
	case err != nil && link:
		return &failure{
			msg:   fmt.Sprintf("%q is a link to a file that cannot be read", p),
			hint:  "restore the file, or leave the link out with --exclude",
			cause: err,
		}
	case err != nil:
		return err
	case info.Mode().IsRegular():
		w.take(entry{p, info.Size()})
		if link {
			w.links = append(w.links, p)
		}
	case info.IsDir():
		w.leave(p, "a link to a directory")
	default:
		w.leave(p, "neither a file nor a directory")
	}
	return nil
}

func (w *found) take(e entry) {
	w.files = append(w.files, e)
	if isSecretFile(strings.ToLower(path.Base(e.path)), func() int64 { return e.size }) {
		w.asked = append(w.asked, e.path) // else it would not be here
	}
}

func (w *found) leave(path, reason string) {
	switch reason {
	case noNews:
	case secret:
		w.secrets = append(w.secrets, path)
	default:
		w.left[reason] = append(w.left[reason], path)
	}
}

// notes says what the walk left out.
func (w *found) notes() []string {
	var n notes
	for _, reason := range slices.Sorted(maps.Keys(w.left)) {
		n.add("left out as %s: %s", reason, some(w.left[reason]))
	}
	return slices.Concat(n, w.exclude.notes(), w.include.notes())
}

// warnings is about secrets.
func (w *found) warnings() []string {
	var n notes
	if len(w.secrets) > 0 {
		n.add("left out as secret: %s; --include takes such files", some(w.secrets))
	}
	if len(w.asked) > 0 {
		n.add("took what looks secret, since --include says so: %s", some(w.asked))
	}
	return n
}

// unfinished lists the files that aria2 is not done with: a control file is
// beside them.
func (w *found) unfinished() []string {
	var names []string
	for _, f := range w.files {
		if _, ok := slices.BinarySearch(w.seen, f.path+ariaSuffix); ok {
			names = append(names, f.path)
		}
	}
	return names
}
