package generate

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tareml/tare/modelfile"
)

const gitName = ".git"

// gitDir is where git keeps what it knows of a work tree: own is what is this work
// tree's, common what it shares with others.
type gitDir struct{ own, common fs.FS }

// commitPattern takes SHA-1 and SHA-256.
var commitPattern = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// sayGit states remote and commit if the directory is the top of a work tree. It
// does not look whether files were changed since, nor run git.
func (s *study) sayGit() {
	g, ok := s.findGit()
	if !ok {
		return
	}
	commit := g.head()
	if commit == "" {
		return // nothing was ever committed, or it is no repository
	}
	remote, stripped := publicURL(remoteOf(g.config()))
	if stripped && !s.knows(modelfile.SourceURL) {
		s.notes.add("the address of the git remote has a user, a password or a query, which SOURCEURL leaves out")
	}
	s.say(modelfile.SourceURL, "from "+gitName, remote)
	s.say(modelfile.Revision, "from "+gitName, commit)
}

// findGit finds .git, a directory or, in work trees that were added and in
// submodules, a file that says where that is.
func (s *study) findGit() (gitDir, bool) {
	info, err := fs.Stat(s.fsys, gitName)
	if err != nil {
		return gitDir{}, false
	}
	if info.IsDir() {
		if strayLinks(s.dir, []string{gitName + "/HEAD", gitName + "/config"}) != nil {
			return gitDir{}, false // somebody else's, by a link
		}
		own := os.DirFS(filepath.Join(s.dir, gitName)) // fs.Sub cannot stat without opening
		return gitDir{own, own}, true
	}
	target, ok := strings.CutPrefix(readLine(s.fsys, gitName), "gitdir: ")
	if !ok {
		return gitDir{}, false
	}
	own := within(s.dir, target)
	g := gitDir{own: os.DirFS(own), common: os.DirFS(own)}
	if shared := readLine(g.own, "commondir"); shared != "" {
		g.common = os.DirFS(within(own, shared))
	}
	return g, g.knows(own, s.dir)
}

// within is a path as git writes it: relative to dir, or absolute.
func within(dir, name string) string {
	name = filepath.FromSlash(name)
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// knows says whether the work tree at dir is one of the repository's: any
// directory could come with a .git that points to somebody else's.
func (g gitDir) knows(own, dir string) bool {
	if link := readLine(g.own, "gitdir"); link != "" {
		return sameFile(within(own, link), filepath.Join(dir, gitName))
	}
	for _, e := range g.config() {
		if e.section == "core" && e.key == "worktree" {
			return sameFile(within(own, e.value), dir)
		}
	}
	return false
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// readLine is the first line of a short file, or empty.
func readLine(fsys fs.FS, name string) string {
	data, err := readBounded(fsys, name, 64<<10)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

func (g gitDir) config() []gitEntry {
	data, err := readBounded(g.common, "config", maxText)
	if err != nil {
		return nil
	}
	return parseGitConfig(string(data))
}

// head is the commit that is checked out, or empty.
func (g gitDir) head() string {
	head := readLine(g.own, "HEAD")
	if ref, ok := strings.CutPrefix(head, "ref: "); ok {
		head = g.ref(strings.TrimSpace(ref))
	}
	if !commitPattern.MatchString(head) {
		return ""
	}
	return head
}

// ref looks a branch up where git does: in a file of its own, else among the
// packed ones.
func (g gitDir) ref(name string) string {
	if !strings.HasPrefix(name, "refs/") || path.Clean(name) != name || !fs.ValidPath(name) {
		return ""
	}
	for _, fsys := range [...]fs.FS{g.own, g.common} {
		if commit := readLine(fsys, name); commit != "" {
			return commit
		}
	}
	packed, err := readBounded(g.common, "packed-refs", maxText)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(packed)) {
		if commit, ref, ok := strings.Cut(strings.TrimSpace(line), " "); ok && ref == name {
			return commit
		}
	}
	return ""
}
