package generate

import (
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

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
}

// Suspect looks at the paths, slash-separated and in dir. Where the name does not
// tell it reads the start of small files. What cannot be read is not suspect.
func Suspect(dir string, paths []string) Suspects {
	fsys := os.DirFS(dir)
	found := make([]suspicion, len(paths))
	var group errgroup.Group
	group.SetLimit(readers)
	for i, p := range paths {
		group.Go(func() error {
			found[i] = suspect(fsys, p)
			return nil
		})
	}
	group.Wait()
	var all Suspects
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
}

// suspicion is what may be wrong with a file.
type suspicion struct{ secret, pointer, unfinished bool }

func suspect(fsys fs.FS, p string) suspicion {
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
