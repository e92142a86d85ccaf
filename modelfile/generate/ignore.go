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

// ignored lists the names of files and directories that are left out, and why.
// The patterns are for names in lower case.
var ignored = [...]struct{ match, reason string }{
	{".*", "hidden"},
	{"__pycache__ *.pyc *.pyo", "compiled Python"},
	{"*.incomplete *.aria2 *.part *.partial *.crdownload *.tmp", "unfinished or temporary"},
	{"*~ *.swp *.swo", "left by an editor"},
	{"thumbs.db desktop.ini __macosx lost+found", "left by the system"},
}

// whyIgnored is the reason why a path is left out by name, empty if it is not.
// A path is left out if a directory above it is.
func whyIgnored(p string) string {
	if p == ownName {
		return "the Modelfile itself"
	}
	for name := range strings.SplitSeq(strings.ToLower(p), "/") {
		for _, row := range ignored {
			if matchAny(row.match, name) {
				return row.reason
			}
		}
	}
	return ""
}

// matchAny says whether one of the blank-separated patterns matches name.
func matchAny(patterns, name string) bool {
	for pattern := range strings.FieldsSeq(patterns) {
		if doublestar.MatchUnvalidated(pattern, name) {
			return true
		}
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
