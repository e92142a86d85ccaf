package extract

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tareml/tare/modelpack"
)

// Filter says which files of an artifact to extract. The zero Filter takes all
// of them, and so does a nil one. A file has to pass all fields that are set.
//
// The patterns of Include and Exclude are globs as doublestar has them:
// * ? [a-z] {a,b} and ** for any number of directories. They are matched with
// slash-separated paths within the artifact, and case counts:
//
//   - A pattern without a slash is matched with names, wherever they are; a
//     slash at its end does not count. Any other pattern is matched with whole
//     paths. A / or ./ at the beginning stands for the top of the artifact, so
//     that /*.json takes no file of a directory.
//   - A pattern that ends in a slash names directories, and one without any
//     wildcard may: all that is below them matches.
type Filter struct {
	Kinds   []modelpack.Kind // none: any
	Include []string         // a file has to match one of them, if there are any
	Exclude []string         // and none of them
	Parts   []Part           // and to pass one of them, if there are any
}

// Check says which of the patterns and names cannot be used, and why.
func (f *Filter) Check() error {
	if f == nil {
		return nil
	}
	for _, pattern := range f.Include {
		if err := checkGlob(pattern); err != nil {
			return fmt.Errorf("include pattern %q: %w", pattern, err)
		}
	}
	for _, pattern := range f.Exclude {
		if err := checkGlob(pattern); err != nil {
			return fmt.Errorf("exclude pattern %q: %w", pattern, err)
		}
	}
	for _, p := range f.Parts {
		if slices.Contains(p.Names, "") {
			return errEmptyName
		}
	}
	return nil
}

// TakesKind says whether a file of kind k can pass at all. If not, layers of that
// kind need not be fetched.
func (f *Filter) TakesKind(k modelpack.Kind) bool {
	if f == nil {
		return true
	}
	if len(f.Kinds) > 0 && !slices.Contains(f.Kinds, k) {
		return false
	}
	return len(f.Parts) == 0 || slices.ContainsFunc(f.Parts, func(p Part) bool { return p.takesKind(k) })
}

// Takes says whether a file passes: its kind, its clean path within the artifact,
// and what the tool that made the artifact called its layer, which may be "".
func (f *Filter) Takes(k modelpack.Kind, path, name string) bool {
	if f == nil {
		return true
	}
	matches := func(pattern string) bool { return parseGlob(pattern).matches(path) }
	return f.TakesKind(k) &&
		(len(f.Include) == 0 || slices.ContainsFunc(f.Include, matches)) &&
		!slices.ContainsFunc(f.Exclude, matches) &&
		(len(f.Parts) == 0 || slices.ContainsFunc(f.Parts, func(p Part) bool { return p.takes(k, path, name) }))
}

// All says that the filter was given nothing to go by, and takes everything.
func (f *Filter) All() bool {
	return f == nil || len(f.Kinds)+len(f.Include)+len(f.Exclude)+len(f.Parts) == 0
}

// String is the same for two filters exactly if they are of the same elements,
// in whatever order and however often, and "" for a filter that takes all. It is
// meant to be stored and compared, not to be parsed.
func (f *Filter) String() string {
	if f == nil {
		return ""
	}
	var terms []string
	for _, k := range f.Kinds {
		terms = append(terms, "type="+k.String())
	}
	for _, pattern := range f.Include {
		terms = append(terms, fmt.Sprintf("include=%q", pattern))
	}
	for _, pattern := range f.Exclude {
		terms = append(terms, fmt.Sprintf("exclude=%q", pattern))
	}
	for _, p := range f.Parts {
		terms = append(terms, "filter="+p.canonical())
	}
	return strings.Join(sortedSet(terms), " ")
}

// sortedSet is a with its elements in order and once each.
func sortedSet(a []string) []string {
	slices.Sort(a)
	return slices.Compact(a)
}

// Part is a filter as KitOps' kit has it: a file passes if it is of one of the
// kinds and, unless there are no names, has one of the names. A name is the file's
// path, that of a directory above it, its base name, or that of its layer; it is
// no glob. A Part of no kind takes nothing.
type Part struct {
	Kinds []modelpack.Kind
	Names []string
}

var errEmptyName = errors.New("a name is empty")

// ParsePart reads a filter in the grammar of kit: TYPE[,TYPE…][:NAME[,NAME…]].
// The types are, in the singular or the plural:
//
//   - model: weights and the configuration that belongs to them
//   - datasets, code, docs
//   - prompts: taken for code, since ModelPack has no such kind
//   - kitfile: no file, since the Kitfile is not one of an artifact's files
//
// Unlike kit it refuses empty names: in kit, "model:" takes whatever has no name.
func ParsePart(s string) (Part, error) {
	part, err := parsePart(s)
	if err != nil {
		return Part{}, fmt.Errorf("parsing filter %q: %w", s, err)
	}
	return part, nil
}

func parsePart(s string) (p Part, err error) {
	types, names, named := strings.Cut(s, ":")
	if strings.Contains(names, ":") {
		return p, errors.New("more than one colon: TYPE[,TYPE…][:NAME[,NAME…]]")
	}
	for word := range strings.SplitSeq(types, ",") {
		kinds, ok := kitKinds(word)
		if !ok {
			return p, fmt.Errorf("unknown type %q: one of kitfile, model, datasets, code, docs, prompts", word)
		}
		p.Kinds = append(p.Kinds, kinds...)
	}
	if !named {
		return p, nil
	}
	p.Names = strings.Split(names, ",")
	if slices.Contains(p.Names, "") {
		return p, errEmptyName
	}
	return p, nil
}

// kitKinds is what a type of kit's stands for here.
func kitKinds(word string) (kinds []modelpack.Kind, ok bool) {
	switch word {
	case "kitfile":
		return nil, true
	case "model", "models":
		return []modelpack.Kind{modelpack.Config, modelpack.Model}, true
	case "dataset", "datasets":
		return []modelpack.Kind{modelpack.Dataset}, true
	case "code", "prompt", "prompts":
		return []modelpack.Kind{modelpack.Code}, true
	case "doc", "docs":
		return []modelpack.Kind{modelpack.Doc}, true
	}
	return nil, false
}

func (p Part) takesKind(k modelpack.Kind) bool { return slices.Contains(p.Kinds, k) }

func (p Part) takes(k modelpack.Kind, path, name string) bool {
	if !p.takesKind(k) {
		return false
	}
	return len(p.Names) == 0 || slices.ContainsFunc(p.Names, func(want string) bool {
		return want != "" && (want == name || isOrHolds(want, path))
	})
}

// isOrHolds says whether want is a file's path, its base name, or a directory
// above it. People write ./README.md and data/ too.
func isOrHolds(want, file string) bool {
	want = path.Clean(want)
	return want == file || want == path.Base(file) || want == "." || strings.HasPrefix(file, want+"/")
}

// canonical is the same for equal parts.
func (p Part) canonical() string {
	var kinds, names []string
	for _, k := range p.Kinds {
		kinds = append(kinds, k.String())
	}
	for _, name := range p.Names {
		names = append(names, fmt.Sprintf("%q", name))
	}
	return strings.Join(sortedSet(kinds), ",") + ":" + strings.Join(sortedSet(names), ",")
}

// glob is a pattern of Include or Exclude, taken apart.
type glob struct {
	pattern string
	whole   bool // matched with paths, not with names
	files   bool
	dirs    bool // takes what is below them
}

func parseGlob(s string) glob {
	rest := strings.TrimPrefix(s, "./")
	pattern := strings.Trim(rest, "/")
	dir := strings.HasSuffix(rest, "/")
	return glob{
		pattern: pattern,
		whole:   rest != s || strings.HasPrefix(rest, "/") || strings.Contains(pattern, "/"),
		files:   !dir,
		dirs:    dir || !strings.ContainsAny(pattern, "*?[{"),
	}
}

// checkGlob refuses what is no glob, and what could never match.
func checkGlob(s string) error {
	pattern := parseGlob(s).pattern
	if pattern == "" {
		return errors.New("names no file")
	}
	if !doublestar.ValidatePattern(pattern) {
		return errors.New("not a glob: a bracket or brace is not closed, or a \\ stands at the end")
	}
	for name := range strings.SplitSeq(pattern, "/") {
		if name == "" || name == "." || name == ".." {
			return errors.New("matches no path: those in an artifact have no empty, . or .. components")
		}
	}
	return nil
}

func (g glob) matches(file string) bool {
	if g.files && g.matchesOne(file) {
		return true
	}
	for end := len(file); g.dirs; {
		if end = strings.LastIndexByte(file[:end], '/'); end < 0 {
			break
		}
		if g.matchesOne(file[:end]) {
			return true
		}
	}
	return false
}

// matchesOne goes by a path alone, whatever is above it.
func (g glob) matchesOne(name string) bool {
	if !g.whole {
		name = path.Base(name)
	}
	return doublestar.MatchUnvalidated(g.pattern, name)
}
