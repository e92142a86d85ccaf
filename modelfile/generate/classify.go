package generate

import (
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/weights"
)

// largeFile is the size beyond which an unrecognised file is taken for weights,
// in bytes. modctl draws the same line.
const largeFile = 128 << 20

// unrecognised is the label of files that no row knows.
const unrecognised = "unrecognised, by size"

// file is an entry whose kind was decided.
type file struct {
	entry
	kind   modelpack.Kind
	format string
	label  string // what it is with the others of its sort, as in the table
	// sniffed is what the content is, empty if nobody looked or it says nothing.
	sniffed weights.Kind
	// misnamed says that it is weights by content and something else by name.
	misnamed bool
	// damage is what is wrong with it, empty if nothing is or nobody looked.
	damage string
}

// contentMatters says whether there is a need for more than a glance into a file.
func contentMatters(e entry) bool {
	name := strings.ToLower(e.path)
	if e.size <= pointerLen || isKeyName(path.Base(name)) {
		return true
	}
	for i := range rows {
		if r := &rows[i]; r.content == nil && r.beside == "" && r.named(name) {
			return !r.sure
		}
	}
	return true
}

// classify decides about each entry, and keeps their order. The contents are
// those of the entries.
func classify(entries []entry, contents []content) []file {
	around := surroundings{files: make(map[string]content, len(entries)), extensions: make(map[string]bool)}
	for i, e := range entries {
		name := strings.ToLower(e.path)
		around.files[name] = contents[i]
		around.extensions[path.Dir(name)+"/"+path.Ext(name)] = true
	}
	files := make([]file, len(entries))
	for i, e := range entries {
		files[i] = classifyOne(e, contents[i], around)
	}
	return files
}

// surroundings are the files around one, by names in lower case.
type surroundings struct {
	files      map[string]content
	extensions map[string]bool // by directory, slash and extension
}

func classifyOne(e entry, c content, around surroundings) file {
	name := strings.ToLower(e.path)
	f := file{entry: e, kind: modelpack.Code, label: unrecognised}
	isWeights := c.isWeights()
	if !c.weak {
		f.sniffed = c.kind
	}
	for i := range rows {
		r := &rows[i]
		if isWeights && r.isMisnomer() || !r.isContent(c) || !r.isBeside(name, around) || !r.named(name) {
			continue
		}
		f.kind, f.format, f.label = r.kind, r.format, r.label
		if r.content != nil {
			f.sniffed = c.kind
			f.misnamed = isWeights && isMisnamed(name)
		}
		return f
	}
	if e.size > largeFile {
		f.kind = modelpack.Model
	}
	return f
}

// isWeights says whether the content is that of weights, whatever the name of the
// file says. Pickles may be vocabularies and labels as well.
func (c content) isWeights() bool {
	return c.kind != weights.KindUnknown && slices.ContainsFunc(rows[:], func(r row) bool {
		return r.kind == modelpack.Model && r.format != "pickle" && r.match == "" && r.content != nil && r.isContent(c)
	})
}

// isMisnomer says whether the row is about names that weights cannot have.
func (r *row) isMisnomer() bool { return r.sure && r.kind != modelpack.Model }

// isMisnamed says whether weights of this name are called as something else.
func isMisnamed(name string) bool {
	return slices.ContainsFunc(rows[:], func(r row) bool { return r.isMisnomer() && r.named(name) })
}

// isContent says whether a file has the content that the row asks for.
func (r *row) isContent(c content) bool {
	return r.content == nil || slices.Contains(r.content, c.kind) && (!c.weak || r.match != "")
}

// isBeside says whether the file is where the row wants it to be. A neighbour that
// nobody could look into is taken for what it should be.
func (r *row) isBeside(name string, around surroundings) bool {
	if r.near != "" && !around.extensions[path.Dir(name)+"/"+r.near] {
		return false
	}
	if r.beside == "" {
		return true
	}
	c, ok := around.files[strings.TrimSuffix(name, path.Ext(name))+r.beside]
	return ok && (r.besideIs == "" || c.kind == "" || c.kind == r.besideIs)
}

func (r *row) named(name string) bool {
	if r.match == "" || r.match == anything {
		return true
	}
	base := path.Base(name)
	for pattern := range strings.FieldsSeq(r.match) {
		if strings.Contains(pattern, "/") {
			if doublestar.MatchUnvalidated(pattern, name) {
				return true
			}
		} else if matchPattern(pattern, base) {
			return true
		}
	}
	return false
}

// rank is where the table first says something, to have the most telling files
// first.
func rank(label string) int {
	i := slices.IndexFunc(rows[:], func(r row) bool { return r.label == label })
	if i < 0 || rows[i].aside {
		return len(rows)
	}
	return i
}

// classNotes names the files whose kind is a guess, or not what one would think.
func classNotes(files []file) []string {
	guessed := make(map[modelpack.Kind][]string)
	var misnamed []string
	for _, f := range files {
		if f.misnamed {
			misnamed = append(misnamed, f.path)
		}
		if f.label == unrecognised {
			guessed[f.kind] = append(guessed[f.kind], f.path)
		}
	}
	var n notes
	if paths := guessed[modelpack.Model]; paths != nil {
		n.add("took %s over 128 MiB for weights: %s", plural(len(paths), "unrecognised file"), some(paths))
	}
	if misnamed != nil {
		n.add("took %s for weights by content, whatever the name says: %s", plural(len(misnamed), "file"), some(misnamed))
	}
	if paths := guessed[modelpack.Code]; paths != nil {
		n.add("took %s for code: %s", plural(len(paths), "unrecognised file"), some(paths))
	}
	return n
}
