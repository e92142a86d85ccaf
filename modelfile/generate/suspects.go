package generate

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/weights"
)

// maxSecretText is the size of the largest file that is looked into for a secret
// that its name does not tell of, in bytes. Keys and tokens are small.
const maxSecretText = 64 << 10

// Suspects are files that an artifact should perhaps not have, in the order in which
// they were asked about.
type Suspects struct {
	Secrets    []string // what [Generate] takes for secrets
	Pointers   []string // what Git LFS has in the place of files
	Unfinished []string // what is named like a download that is not done, or has an .aria2 file beside it
	// Damaged says what is wrong with safetensors and GGUF whose headers do not fit
	// the file, and with weights of no bytes: a sentence each.
	Damaged []string
	History History
}

// History is what version control keeps: all that was ever committed, and in its
// settings perhaps passwords. Its files are in no other list of [Suspects].
type History struct {
	Dirs  []string // such as .git
	Files int      // in all of them
}

// String reads on from who takes it: 41 files of ".git", which …
func (h History) String() string {
	return fmt.Sprintf("%s of %s, which may hold passwords and all that was ever committed", plural(h.Files, "file"), some(h.Dirs))
}

// split tells the paths of files in directories of version control from the others.
func split(paths []string) (History, []string) {
	var h History
	var rest []string
	known := make(map[string]bool)
	for _, p := range paths {
		dir := historyAbove(p)
		if dir == "" {
			rest = append(rest, p)
			continue
		}
		h.Files++
		if !known[dir] {
			known[dir] = true
			h.Dirs = append(h.Dirs, dir)
		}
	}
	return h, rest
}

// historyAbove is the first directory of version control above a file, or empty.
func historyAbove(p string) string {
	for i := range p {
		if p[i] == '/' && matchAny(".git .hg .svn", strings.ToLower(path.Base(p[:i]))) {
			return p[:i]
		}
	}
	return ""
}

// Suspect looks at the paths, slash-separated and in dir. Where the name does not
// tell it reads the start of small files, and of safetensors and GGUF the headers.
// What cannot be read is not suspect.
func Suspect(dir string, paths []string) Suspects {
	fsys := os.DirFS(dir)
	history, paths := split(paths)
	var left atomic.Int64
	left.Store(mostHeaders)
	found := make([]suspicion, len(paths))
	var group errgroup.Group
	group.SetLimit(readers)
	for i, p := range paths {
		group.Go(func() error {
			found[i] = suspect(fsys, p, &left)
			return nil
		})
	}
	group.Wait()
	all := Suspects{History: history}
	for i, p := range paths {
		all.add(p, found[i])
	}
	return all
}

func (s *Suspects) add(p string, is suspicion) {
	if is.secret {
		s.Secrets = append(s.Secrets, p)
	}
	if is.pointer {
		s.Pointers = append(s.Pointers, p)
	}
	if is.unfinished {
		s.Unfinished = append(s.Unfinished, p)
	}
	if is.damage != "" {
		s.Damaged = append(s.Damaged, is.damage)
	}
}

// suspicion is what may be wrong with a file.
type suspicion struct {
	secret, pointer, unfinished bool
	damage                      string
}

func suspect(fsys fs.FS, p string, left *atomic.Int64) suspicion {
	name := strings.ToLower(p)
	base := path.Base(name)
	e := entry{p, sizeOf(fsys, p)()}
	is := suspicion{
		secret:     inSecretDir(name) || isSecretFile(base, func() int64 { return e.size }),
		unfinished: isUnfinished(fsys, p),
	}
	if (e.size <= maxSecretText || isKeyName(base)) && contentMatters(e) {
		c := sniff(fsys, e, false)
		is.secret = is.secret || c.secret
		is.pointer = c.kind == weights.KindLFSPointer && isPointer(fsys, e)
	}
	if info, err := fs.Stat(fsys, p); err == nil && info.Mode().IsRegular() && !is.pointer && !is.unfinished {
		is.damage = damage(fsys, e, left)
	}
	return is
}

// isPointer reads all of what starts like a Git LFS pointer.
func isPointer(fsys fs.FS, e entry) bool {
	f, err := fsys.Open(e.path)
	if err != nil {
		return false
	}
	defer f.Close()
	r, ok := f.(io.ReaderAt)
	if !ok {
		return false
	}
	_, ok, err = weights.ReadPointer(r, e.size)
	return ok && err == nil
}

func isUnfinished(fsys fs.FS, p string) bool {
	if whyIgnored(strings.ToLower(path.Base(p))) == Unfinished {
		return true
	}
	_, err := fs.Stat(fsys, p+ariaSuffix)
	return err == nil
}

// OnlyPointers is the error that a file is a Git LFS pointer. The hint says what to
// do about it, and what else there is to do.
func OnlyPointers(paths []string, orElse string) error {
	return &failure{
		msg:  some(paths) + ": only a Git LFS pointer is here, the content was never downloaded",
		hint: "fetch it: git lfs pull; or " + orElse,
	}
}

// inSecretDir says whether a directory above p is for nobody else.
func inSecretDir(p string) bool {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if isSecretDir(path.Base(dir)) {
			return true
		}
	}
	return false
}
