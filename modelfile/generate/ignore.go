package generate

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tareml/tare/modelfile"
)

// ownName is the file that is being generated. That it is left out is no news.
const ownName = "Modelfile"

// Unfinished is what to call files that a download, or another program, is not done
// with.
const Unfinished = "unfinished or temporary"

// ariaSuffix is what aria2 appends to the name of a file that it is not done with,
// for a file of its own.
const ariaSuffix = ".aria2"

// ignored lists the names of files and directories that are left out, and why.
// The patterns are for names in lower case; the first that matches says why.
var ignored = [...]struct{ match, reason string }{
	{".git .gitattributes .gitignore .gitmodules .gitkeep .github .gitlab .hg .svn .dvc .lfsconfig", "version control"},
	{".cache .huggingface .locks .no_exist .msc .mv .mdl ._____temp .modelscope .ds_store", "remains of downloads or the system"},
	{"*.incomplete *.aria2 *.part *.partial *.crdownload *.tmp *.filepart *.download", Unfinished},
	{"thumbs.db desktop.ini __macosx lost+found ._*", "remains of downloads or the system"},
	{".ipynb_checkpoints *~ *.swp *.swo *.orig *.rej .#* #*# .idea .vscode .vs", "remains of an editor"},
	{"__pycache__ *.pyc *.pyo *.egg-info", "compiled Python"},
	{".venv node_modules .tox .nox .mypy_cache .pytest_cache .ruff_cache .eggs", "installed or cached packages"},
	{"wandb mlruns lightning_logs *tfevents*", "logs of training"},
	{".*", "hidden"},
}

// whyIgnored is the reason why a file or directory with a name in lower case is
// left out, empty if it is not.
func whyIgnored(base string) string {
	for _, row := range ignored {
		if matchAny(row.match, base) {
			return row.reason
		}
	}
	return ""
}

// matchAny says whether one of the blank-separated patterns matches name.
func matchAny(patterns, name string) bool {
	for pattern := range strings.FieldsSeq(patterns) {
		if matchPattern(pattern, name) {
			return true
		}
	}
	return false
}

// matchPattern is doublestar's match for patterns and names that are not empty,
// quicker for the most common ones.
func matchPattern(pattern, name string) bool {
	first, last := pattern[0], pattern[len(pattern)-1]
	if !isMeta(first) && first != name[0] || !isMeta(last) && last != name[len(name)-1] {
		return false
	}
	rest, star := strings.CutPrefix(pattern, "*")
	switch {
	case strings.ContainsAny(rest, `*?[]{}\`):
		return doublestar.MatchUnvalidated(pattern, name)
	case star:
		return strings.HasSuffix(name, rest)
	}
	return pattern == name
}

func isMeta(c byte) bool {
	switch c {
	case '*', '?', '[', ']', '{', '}', '\\':
		return true
	}
	return false
}

// globs are the user's patterns of one sort.
type globs struct {
	sort     string // exclude or include
	patterns []string
	used     []bool
}

func newGlobs(sort string, patterns []string) (*globs, error) {
	g := &globs{sort: sort, used: make([]bool, len(patterns))}
	for _, p := range patterns {
		if p == "" || !doublestar.ValidatePattern(p) {
			return nil, &failure{
				msg:  fmt.Sprintf("malformed %s pattern %q", sort, p),
				hint: `write \[ \{ \} for brackets that are part of a name`,
			}
		}
		g.patterns = append(g.patterns, strings.TrimSuffix(strings.TrimPrefix(p, "./"), "/"))
	}
	return g, nil
}

// cover says whether a pattern matches the path or a directory above it.
func (g *globs) cover(p string) bool {
	covered := false
	for ; p != "."; p = path.Dir(p) {
		for i, pattern := range g.patterns {
			if doublestar.MatchUnvalidated(pattern, p) {
				g.used[i] = true
				covered = true
			}
		}
	}
	return covered
}

// reach says whether a pattern might match something below dir.
func (g *globs) reach(dir string) bool {
	return slices.ContainsFunc(g.patterns, func(pattern string) bool { return modelfile.Reaches(pattern, dir) })
}

// notes names the patterns that did nothing, which may be misspelt.
func (g *globs) notes() []string {
	var n notes
	for i, used := range g.used {
		if !used {
			n.add("the %s pattern %q made no difference", g.sort, g.patterns[i])
		}
	}
	return n
}
