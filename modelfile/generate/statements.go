package generate

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelpack"
)

// addFiles adds the files of one kind, those of a sort together below a comment on
// what they are.
func addFiles(out *modelfile.File, kind modelpack.Kind, files []file, all listing, modctl bool) {
	sorts := make(map[string][]string)
	for _, f := range files {
		if f.kind == kind {
			sorts[f.label] = append(sorts[f.label], f.path)
		}
	}
	labels := make([]string, 0, len(sorts))
	for label := range sorts {
		labels = append(labels, label)
	}
	slices.SortFunc(labels, func(a, b string) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a, b)) })
	blank := []string{""}
	for _, label := range labels {
		comments := append(blank, label)
		deep := isDeep(kind, len(sorts[label])) && !modctl // whose globs do not reach down
		for _, glob := range all.globs(sorts[label], deep) {
			out.Add(modelfile.KindCommand(kind), glob, comments...)
			comments = nil
		}
		blank = nil
	}
}

// notForModctl lists what modctl would read otherwise: it takes a backslash off
// whatever follows, and then what is left for a glob. Values are no globs, but
// backslashes stay in them before what would be special in one.
func notForModctl(facts []fact, files []file) (odd []string) {
	for _, f := range facts {
		if strings.ContainsFunc(f.value, unicode.IsControl) || strings.Contains(f.value, `\`) {
			odd = append(odd, f.value)
		}
	}
	for _, f := range files {
		if strings.ContainsFunc(f.path, unicode.IsControl) || strings.ContainsAny(f.path, "*?[") {
			odd = append(odd, f.path)
		}
	}
	return odd
}

// isDeep says whether a glob may reach below a directory. Those who read of weights
// and configuration want to see where these are, unless there are too many.
func isDeep(kind modelpack.Kind, files int) bool {
	const tooMany = 100
	return kind != modelpack.Model && kind != modelpack.Config || files > tooMany
}

// addFacts adds what the model is, each run of facts from one source below a
// comment that names it.
func addFacts(out *modelfile.File, facts []fact) {
	last := ""
	for _, f := range facts {
		var comments []string
		if f.source != "" && f.source != last {
			comments = append(comments, oneLine(f.source))
		}
		last = f.source
		out.Add(f.command, f.value, comments...)
	}
}

// oneLine is a comment that names of files are in, with escapes for the characters
// that would make it another one.
func oneLine(comment string) string {
	if !strings.ContainsFunc(comment, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return comment
	}
	quoted := strconv.Quote(comment)
	return quoted[1 : len(quoted)-1]
}

// forModctl leaves out the facts that modctl has no command for.
func forModctl(facts []fact) []fact {
	known := make(map[string]bool)
	for _, r := range modelfile.Grammar() {
		known[r.Command] = r.Modctl
	}
	return slices.DeleteFunc(facts, func(f fact) bool { return !known[f.command] })
}

// listing is all that a glob could match, wanted or not.
type listing struct {
	names  []string // of files, sorted
	closed []string // directories of which nobody knows what is in them
}

// below lists the names below dir, "." for the top.
func (l listing) below(dir string) []string { return below(l.names, dir) }

// below lists those of the sorted names that are below dir.
func below(names []string, dir string) []string {
	if dir == "." {
		return names
	}
	first, _ := slices.BinarySearch(names, dir+"/")
	end, _ := slices.BinarySearch(names, dir+"0") // the character after the slash
	return names[first:end]
}

// exact says whether glob, which matches nothing outside of dir, matches the
// sorted paths and nothing else.
func (l listing) exact(glob, dir string, paths []string) bool {
	if deep := strings.Contains(glob, "**"); deep && slices.ContainsFunc(l.closed, func(c string) bool { return dir == "." || strings.HasPrefix(c, dir+"/") }) {
		return false
	}
	i := 0
	for _, name := range l.below(dir) {
		if !doublestar.MatchUnvalidated(glob, name) {
			continue
		}
		if i == len(paths) || paths[i] != name {
			return false
		}
		i++
	}
	return i == len(paths)
}

// globs is how the sorted paths are written: literally, but shards and many files
// alike as one glob where that matches just them. A glob is where the first of
// its files would be. Only with deep do globs have a **.
func (l listing) globs(paths []string, deep bool) []string {
	w := writer{listing: l, deep: deep, left: paths, globs: make(map[string]string)}
	w.shards()
	w.many()
	for _, p := range w.left {
		w.globs[p] = modelfile.EscapeGlob(p)
	}
	var out []string
	for _, p := range paths {
		if g, ok := w.globs[p]; ok {
			out = append(out, g)
		}
	}
	return out
}

// writer turns paths into globs.
type writer struct {
	listing
	deep  bool
	left  []string          // not yet written, sorted
	globs map[string]string // by the first path that each matches
}

// take writes the paths as glob if that is exact.
func (w *writer) take(glob, dir string, paths []string) bool {
	if !w.exact(glob, dir, paths) {
		return false
	}
	w.globs[paths[0]] = glob
	taken := make(map[string]bool, len(paths))
	for _, p := range paths {
		taken[p] = true
	}
	w.left = slices.DeleteFunc(slices.Clone(w.left), func(p string) bool { return taken[p] })
	return true
}

// shardName knows the names of shards: model-00001-of-00002.safetensors, and
// consolidated.00.pth.
var (
	shardName    = regexp.MustCompile(`^(.*?)[0-9]{2,}(-of-[0-9]{2,})(.*)$`)
	numberedName = regexp.MustCompile(`^(|.*[^0-9])([0-9]{2,})([^0-9]*)$`)
)

// fewestNumbered is how many files with numbers in their names make a set if they
// do not say of how many they are.
const fewestNumbered = 3

// shardSet is a number of files in one directory, alike but for a number.
type shardSet struct {
	dir    string
	before string
	after  string
	total  string // -of-00002, or empty
	digits int    // of numbers without a total: consolidated.00.pth has 2
}

func shardSetOf(p string) (shardSet, bool) {
	dir, base := path.Dir(p), path.Base(p)
	if m := shardName.FindStringSubmatch(base); m != nil {
		return shardSet{dir: dir, before: m[1], after: m[3], total: m[2]}, true
	}
	if m := numberedName.FindStringSubmatch(base); m != nil {
		return shardSet{dir: dir, before: m[1], after: m[3], digits: len(m[2])}, true
	}
	return shardSet{}, false
}

// shards writes the sets of shards.
func (w *writer) shards() {
	var order []shardSet
	sets := make(map[shardSet][]string)
	for _, p := range w.left {
		if s, ok := shardSetOf(p); ok {
			if sets[s] == nil {
				order = append(order, s)
			}
			sets[s] = append(sets[s], p)
		}
	}
	for _, s := range order {
		if n := len(sets[s]); n < 2 || s.total == "" && n < fewestNumbered {
			continue
		}
		for _, glob := range s.globs() {
			if w.take(glob, s.dir, sets[s]) {
				break
			}
		}
	}
}

// globs lists what the set may be written as, the best first.
func (s shardSet) globs() []string {
	prefix := inDir(s.dir) + modelfile.EscapeGlob(s.before)
	globs := []string{prefix + "*" + modelfile.EscapeGlob(s.after)}
	if s.total != "" {
		globs = append(globs, prefix+"*"+s.total+modelfile.EscapeGlob(s.after))
	}
	return globs
}

// manyFiles is from how many on files alike are written as one glob.
const manyFiles = 8

// many writes large groups: all that is below a directory, or what has one
// extension there. It works from the top down, so that few globs do.
func (w *writer) many() {
	if len(w.left) < manyFiles {
		return
	}
	for _, dir := range directories(w.left) {
		under := below(w.left, dir)
		if len(under) < manyFiles {
			continue
		}
		if w.deep && dir != "." && w.take(modelfile.EscapeGlob(dir)+"/**", dir, under) {
			continue
		}
		for ext, paths := range byExtension(under) {
			if len(paths) >= manyFiles {
				w.takeExtension(dir, ext, paths)
			}
		}
	}
}

// takeExtension writes the files below dir that have an extension, or else those
// that are right in it.
func (w *writer) takeExtension(dir, ext string, paths []string) {
	var here []string
	for _, p := range paths {
		if path.Dir(p) == dir {
			here = append(here, p)
		}
	}
	if w.deep && len(here) < len(paths) && commonDir(paths) == dir && w.take(inDir(dir)+"**/*"+ext, dir, paths) {
		return
	}
	if len(here) >= manyFiles {
		w.take(inDir(dir)+"*"+ext, dir, here)
	}
}

// inDir is the start of a glob for what is in dir.
func inDir(dir string) string {
	if dir == "." {
		return ""
	}
	return modelfile.EscapeGlob(dir) + "/"
}

// commonDir is the deepest directory that all of the sorted paths are below.
func commonDir(paths []string) string {
	dir, last := path.Dir(paths[0]), paths[len(paths)-1]
	for dir != "." && !strings.HasPrefix(last, dir+"/") {
		dir = path.Dir(dir)
	}
	return dir
}

// directories lists all directories that the paths are in or below, those above
// others first.
func directories(paths []string) []string {
	seen := make(map[string]bool)
	for _, p := range paths {
		for dir := path.Dir(p); !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
		}
	}
	dirs := make([]string, 0, len(seen))
	for dir := range seen {
		dirs = append(dirs, dir)
	}
	depth := func(dir string) int {
		if dir == "." {
			return -1
		}
		return strings.Count(dir, "/")
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Or(depth(a)-depth(b), strings.Compare(a, b)) })
	return dirs
}

var plainExtension = regexp.MustCompile(`^\.[A-Za-z0-9_]+$`)

// byExtension sorts paths by extension. Odd extensions are nobody's.
func byExtension(paths []string) map[string][]string {
	groups := make(map[string][]string)
	for _, p := range paths {
		if ext := path.Ext(p); plainExtension.MatchString(ext) {
			groups[ext] = append(groups[ext], p)
		}
	}
	return groups
}
