package build

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelpack"
)

// File is a file of the artifact to be.
type File struct {
	Path string // slash-separated, relative to the directory
	Kind modelpack.Kind
	Size int64 // in bytes, as of the planning

	id disk.Identity // as of the planning
}

// newFile describes a file that info was just read of.
func newFile(path string, kind modelpack.Kind, info fs.FileInfo) File {
	return File{Path: path, Kind: kind, Size: info.Size(), id: disk.Identify(info)}
}

// Plan is what a build will do.
type Plan struct {
	// Files are in layer order.
	Files []File
	// Warnings are worth telling a person: entries that match or take nothing.
	Warnings []*modelfile.SyntaxError

	tree      *tree
	modelfile *modelfile.File
	// name is what positions in errors call the Modelfile.
	name string
}

// NewPlan finds the files that the Modelfile f names below dir. All mistakes are
// reported at once, each with its place in the Modelfile, which errors call
// name. Links are followed within dir, to the blobs of the Hugging Face cache
// that dir is a snapshot of, and with followLinks anywhere. Close the plan after
// use.
func NewPlan(dir string, f *modelfile.File, name string, followLinks bool) (*Plan, error) {
	tree, err := openTree(dir, followLinks)
	if err != nil {
		return nil, err
	}
	p := &Plan{tree: tree, modelfile: f, name: name}
	if err := p.selectFiles(); err != nil {
		tree.close()
		return nil, err
	}
	return p, nil
}

// Survey is what [NewPlan] finds out, of a Modelfile that may be wrong: the files
// that it names as far as that can be told, what is worth telling, and its
// mistakes.
func Survey(dir string, f *modelfile.File, name string, followLinks bool) (files []File, warnings []*modelfile.SyntaxError, err error) {
	tree, err := openTree(dir, followLinks)
	if err != nil {
		return nil, nil, err
	}
	defer tree.close()
	p := &Plan{tree: tree, modelfile: f, name: name}
	err = p.selectFiles()
	return p.Files, p.Warnings, err
}

// Close releases the directory.
func (p *Plan) Close() error { return p.tree.close() }

// entry is a pattern of the Modelfile and what became of it.
type entry struct {
	modelfile.Pattern
	clean string // the pattern, for what is a glob
	hits  int    // files that it names
	took  int    // those of them that it was given
	lost  []int  // the lines of the entries that were given others
}

// mostLost is how many lines are told of where others have the files of an entry.
const mostLost = 4

// lose gives a file that e names to the entry in line.
func (e *entry) lose(line int) {
	e.hits++
	if len(e.lost) <= mostLost && !slices.Contains(e.lost, line) {
		e.lost = append(e.lost, line)
	}
}

// idle is what to say of an entry that is of no use, empty for the others.
func (e *entry) idle() string {
	switch {
	case e.hits == 0:
		return e.Glob + " matches no file"
	case e.took > 0 || len(e.lost) == 0: // it may match links to directories, too
		return ""
	case len(e.lost) == 1:
		return fmt.Sprintf("%s takes nothing: line %d has its files", e.Glob, e.lost[0])
	case len(e.lost) > mostLost:
		return e.Glob + " takes nothing: other lines have its files"
	}
	slices.Sort(e.lost)
	lines := strings.Trim(fmt.Sprint(e.lost), "[]")
	return fmt.Sprintf("%s takes nothing: lines %s have its files", e.Glob, strings.ReplaceAll(lines, " ", ", "))
}

// selectFiles gives every file to one command: a literal path beats a glob, and
// of two globs the first one wins.
func (p *Plan) selectFiles() error {
	lines := make(map[string]int) // of the entry that took a path
	var entries, globs []*entry
	var errs []error
	for _, pattern := range p.modelfile.Patterns() {
		e := &entry{Pattern: pattern}
		literal, ok := modelfile.IsLiteral(pattern.Glob)
		var err error
		if ok {
			err = p.takeLiteral(e, literal, lines)
		} else if err = p.cleanGlob(e); err == nil {
			globs = append(globs, e)
		}
		errs = append(errs, err)
		if err == nil {
			entries = append(entries, e)
		}
	}
	if len(globs) > 0 {
		errs = append(errs, p.expand(globs, lines))
	}
	p.warnOfIdle(entries)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(p.Files) == 0 {
		return p.noFiles()
	}
	slices.SortFunc(p.Files, func(a, b File) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Path, b.Path))
	})
	return nil
}

// takeLiteral gives an entry the file that it spells out, unless another has it.
func (p *Plan) takeLiteral(e *entry, name string, lines map[string]int) error {
	file, err := p.literal(e.Pattern, name)
	if err != nil {
		return err
	}
	if line, taken := lines[file.Path]; taken {
		e.lose(line)
		return nil
	}
	e.hits, e.took = 1, 1
	lines[file.Path] = e.Line
	p.Files = append(p.Files, file)
	return nil
}

func (p *Plan) warnOfIdle(entries []*entry) {
	for _, e := range entries {
		if msg := e.idle(); msg != "" {
			p.Warnings = append(p.Warnings, modelfile.NewSyntaxError(p.name, e.Line, e.Column, msg, ""))
		}
	}
}

// noFiles says that nothing is left to package, and which globs are why.
func (p *Plan) noFiles() error {
	err := fmt.Errorf("%s names no file in %s", p.name, p.tree.dir)
	if len(p.Warnings) > 0 {
		var said []string
		for _, w := range p.Warnings {
			said = append(said, w.Error())
		}
		err = fmt.Errorf("%w (%s)", err, strings.Join(said, "; "))
	}
	return &hintError{err, "name some, such as: MODEL *.safetensors"}
}

// errorAt is a mistake at the place of pattern.
func (p *Plan) errorAt(pattern modelfile.Pattern, hint, format string, args ...any) error {
	return modelfile.NewSyntaxError(p.name, pattern.Line, pattern.Column, fmt.Sprintf(format, args...), hint)
}

const leavesDir = "a Modelfile names files below its model directory only"

// literal looks up a path that is spelled out.
func (p *Plan) literal(pattern modelfile.Pattern, name string) (File, error) {
	clean := path.Clean(name)
	if path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") {
		return File{}, p.errorAt(pattern, leavesDir, "%s leaves the model directory", name)
	}
	if clean == "." {
		return File{}, p.errorAt(pattern, "to take everything below it: **", "%s is a directory", name)
	}
	if err := modelpack.CheckPath(clean); err != nil {
		return File{}, p.errorAt(pattern, "", "%v", err)
	}
	info, err := p.tree.stat(clean)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return File{}, p.errorAt(pattern, "drop the line, or have all written anew: tare modelfile generate --overwrite", "%s: no such file in %s", name, p.tree.dir)
	case err != nil:
		return File{}, p.errorAt(pattern, hintOf(err), "%s: %v", name, err)
	case info.IsDir():
		return File{}, p.errorAt(pattern, "to take everything below it: "+clean+"/**", "%s is a directory", name)
	case !info.Mode().IsRegular():
		return File{}, p.errorAt(pattern, "", "%s is %s, not a file", name, describe(info.Mode()))
	}
	return newFile(clean, pattern.Kind, info), nil
}

// cleanGlob makes of a pattern what is matched with paths.
func (p *Plan) cleanGlob(e *entry) error {
	e.clean = strings.TrimPrefix(e.Glob, "./")
	if strings.HasPrefix(e.clean, "/") || e.clean == ".." || strings.HasPrefix(e.clean, "../") || strings.Contains(e.clean, "/../") {
		return p.errorAt(e.Pattern, leavesDir, "%s leaves the model directory", e.Glob)
	}
	return nil
}

// expand walks the directory once and gives each file that is not taken to the
// first glob that matches.
func (p *Plan) expand(globs []*entry, lines map[string]int) error {
	var errs []error
	err := fs.WalkDir(p.tree.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && !p.enters(globs, name) {
			return fs.SkipDir // whatever is wrong with it
		}
		if err != nil {
			return fmt.Errorf("walking %s: %w", p.tree.dir, err)
		}
		if d.IsDir() {
			return nil
		}
		if err := p.giveAway(globs, lines, name, d); err != nil {
			errs = append(errs, err)
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// giveAway gives a file to the first glob that matches, unless it is taken. The
// others that match lose it; those that took something do not matter.
func (p *Plan) giveAway(globs []*entry, lines map[string]int, name string, d fs.DirEntry) error {
	line, taken := lines[name]
	for _, g := range globs {
		if taken && g.took > 0 || !doublestar.MatchUnvalidated(g.clean, name) {
			continue
		}
		if taken {
			g.lose(line)
			continue
		}
		g.hits++
		file, ok, err := p.matched(g.Pattern, name, d)
		if err != nil || !ok {
			return err
		}
		g.took++
		p.Files = append(p.Files, file)
		line, taken = g.Line, true
	}
	return nil
}

// enters says whether a directory may hold files of the artifact.
func (p *Plan) enters(globs []*entry, dir string) bool {
	if path.Base(dir) == modelpack.StateDir || p.isStore(dir) {
		return false
	}
	return slices.ContainsFunc(globs, func(g *entry) bool { return modelfile.Reaches(g.clean, dir) })
}

// isStore says whether a directory below the top is an OCI layout: packaging the
// store that the artifact goes to would never end.
func (p *Plan) isStore(dir string) bool {
	_, err := p.tree.root.Lstat(path.Join(dir, ocispec.ImageLayoutFile))
	return dir != "." && err == nil
}

// matched looks at a file that a glob matches. A link to a directory is not
// followed and is nobody's file.
func (p *Plan) matched(pattern modelfile.Pattern, name string, d fs.DirEntry) (File, bool, error) {
	info, err := p.tree.describe(name, d)
	switch {
	case err != nil:
		return File{}, false, p.errorAt(pattern, hintOf(err), "%s: %v", name, err)
	case info.IsDir():
		return File{}, false, nil
	case !info.Mode().IsRegular():
		return File{}, false, p.errorAt(pattern, "", "%s is %s, not a file", name, describe(info.Mode()))
	}
	if err := modelpack.CheckPath(name); err != nil {
		return File{}, false, p.errorAt(pattern, "", "%v", err)
	}
	return newFile(name, pattern.Kind, info), true, nil
}

// hintOf is the advice that an error carries.
func hintOf(err error) string {
	var h *hintError
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}

// describe names a kind of file that cannot be packaged.
func describe(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeDevice != 0:
		return "a device"
	default:
		return "a special file"
	}
}
