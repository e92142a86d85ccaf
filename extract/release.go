package extract

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/tareml/tare/modelpack"
)

// What is in a destination with Options.Atomic.
const (
	releasesName = "releases"
	currentName  = "current"
	// nextPrefix starts the name of the release that is being put together.
	nextPrefix = modelpack.StateDir + "/next-"
)

// releaseName names a release after what is in it: for a model alone that is the
// digest of its manifest.
func releaseName(models []Model, f *Filter) string {
	if len(models) == 1 && models[0].Subdir == "" && f.All() {
		return strings.Replace(models[0].Digest.String(), ":", "-", 1)
	}
	h := sha256.New()
	for _, m := range models {
		fmt.Fprintf(h, "%q %s\n", m.Subdir, m.Digest)
	}
	fmt.Fprintf(h, "%q\n", f.String())
	return "sha256-" + hex.EncodeToString(h.Sum(nil))
}

// currentRelease is the release that current points to, "" if there is none.
func currentRelease(root *os.Root) string {
	target, err := root.Readlink(currentName)
	if err != nil {
		return ""
	}
	name, ok := strings.CutPrefix(target, releasesName+"/")
	if !ok || strings.Contains(name, "/") {
		return ""
	}
	return name
}

// runAtomic puts a release together where nobody looks, unless it is there, and
// has current point to it.
func (x *extraction) runAtomic(ctx context.Context, models []Model) (*Result, error) {
	if err := x.checkCurrent(); err != nil {
		return nil, err
	}
	x.release.Name = releaseName(models, x.o.Filter)
	x.base = nextPrefix + x.release.Name
	x.mine = true
	old := x.state.release(x.release.Name)
	if old != nil {
		x.release = *old
	}
	if _, err := x.root.Lstat(x.release.base()); err == nil {
		x.base, x.mine = x.release.base(), old != nil
	}
	x.sweepNext()
	if err := x.makeBase(); err != nil {
		return nil, fmt.Errorf("destination %s: %w", x.dir, err)
	}
	now, r, err := x.update(ctx, models)
	if err != nil {
		x.root.Remove(x.base) // if it is empty
		return nil, err
	}
	// First the record: a release that nobody knows would never be removed.
	if err := x.record(x.release.with(now)); err != nil {
		return nil, err
	}
	if err := x.editedError(); err != nil {
		return nil, err // and current stays where it is
	}
	if err := x.complete(); err != nil {
		return nil, fmt.Errorf("destination %s: %w", x.dir, err)
	}
	if err := x.point(); err != nil {
		return nil, fmt.Errorf("destination %s: %w", x.dir, err)
	}
	r.Release, r.Beside = x.release.base(), x.beside()
	return r, x.prune(r)
}

// checkCurrent refuses to take the place of what is not ours.
func (x *extraction) checkCurrent() error {
	info, err := x.root.Lstat(currentName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSymlink || currentRelease(x.root) == "":
		return &currentError{x.dir}
	}
	return nil
}

// checkPlain refuses to put files beside a release that a server reads, which
// would stay what it is.
func (x *extraction) checkPlain() error {
	if name := currentRelease(x.root); name != "" && x.state.release(name) != nil {
		return &AtomicError{x.dir}
	}
	return nil
}

// AtomicError says that a destination was written with Options.Atomic, and is
// now to be written without.
type AtomicError struct{ Dir string }

// Error implements error.
func (e *AtomicError) Error() string {
	return fmt.Sprintf("%s was written with --atomic: %[1]s/%s would stay at what it is", e.Dir, currentName)
}

// Hint says what to do about it.
func (e *AtomicError) Hint() string { return "add --atomic, or name another directory" }

// beside counts the files of runs without Options.Atomic that are still there.
func (x *extraction) beside() int {
	plain := x.state.release("")
	if plain == nil {
		return 0
	}
	there := make(map[string]bool) // several models may count on one file
	for i := range plain.Models {
		for _, f := range plain.Models[i].files {
			if _, err := x.root.Lstat(f.Path); err == nil {
				there[f.Path] = true
			}
		}
	}
	return len(there)
}

// currentError says that current is something else than a link to a release.
type currentError struct{ dir string }

// Error implements error.
func (e *currentError) Error() string {
	return fmt.Sprintf("%s/%s is not a link to one of its releases", e.dir, currentName)
}

// Hint says what to do about it.
func (e *currentError) Hint() string {
	return "with --atomic, tare has to be able to replace it: a directory or a mount point cannot be; mount the directory above, and have the server read current in it"
}

func (x *extraction) makeBase() error {
	if err := x.root.Mkdir(x.base, 0o755); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return x.dressDir(x.base)
}

// sweepNext removes what runs that were interrupted put together of other
// releases.
func (x *extraction) sweepNext() {
	entries, _ := fs.ReadDir(x.root.FS(), modelpack.StateDir)
	for _, e := range entries {
		if name := modelpack.StateDir + "/" + e.Name(); strings.HasPrefix(name, nextPrefix) && name != x.base {
			x.root.RemoveAll(name)
		}
	}
}

// complete gives the release its name.
func (x *extraction) complete() error {
	if x.base == x.release.base() {
		return nil
	}
	if err := x.root.Mkdir(releasesName, 0o755); err == nil {
		err = x.dressDir(releasesName)
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := x.root.Rename(x.base, x.release.base()); err != nil {
		return err
	}
	x.base = x.release.base()
	if x.o.NoSync {
		return nil
	}
	return x.syncDir(releasesName)
}

// point has current point to the release. A reader sees the old one or the new
// one, and nothing in between.
func (x *extraction) point() error {
	if currentRelease(x.root) == x.release.Name {
		return nil
	}
	temp := stagingName + "/current-" + rand.Text()
	if err := x.root.Symlink(path.Join(releasesName, x.release.Name), temp); err != nil {
		return err
	}
	if err := x.root.Rename(temp, currentName); err != nil {
		x.root.Remove(temp)
		return err
	}
	if x.o.NoSync {
		return nil
	}
	return x.syncDir(".")
}

// prune removes releases beyond those to keep: the files that were written and
// did not change since. What else is there stays.
func (x *extraction) prune(r *Result) error {
	var kept, old []release
	spare := x.o.Keep
	for i := len(x.state.Releases) - 1; i >= 0; i-- {
		rel := x.state.Releases[i]
		info, err := x.root.Lstat(rel.base())
		switch {
		case rel.Name != "" && (err != nil || !info.IsDir()): // it never came to be, or is somebody's link
			continue
		case rel.Name == "" || rel.Name == x.release.Name:
			kept = append(kept, rel)
		case spare > 0:
			spare--
			kept = append(kept, rel)
		default:
			old = append(old, rel)
		}
	}
	if len(kept) == len(x.state.Releases) {
		return nil
	}
	for i := range old {
		r.Removed += x.removeRelease(&old[i])
	}
	slices.Reverse(kept)
	x.state = &state{Version: stateVersion, Releases: kept}
	return x.state.save(x.destination, !x.o.NoSync)
}

// removeRelease returns how many files it removed.
func (x *extraction) removeRelease(r *release) (removed int) {
	base := r.base()
	for m := range r.Models {
		for _, f := range r.Models[m].files {
			info, err := x.root.Lstat(path.Join(base, f.Path))
			if err == nil && !f.Found && f.intact(info) && x.root.Remove(path.Join(base, f.Path)) == nil {
				removed++
			}
		}
	}
	var dirs []string
	fs.WalkDir(x.root.FS(), base, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, name)
		}
		return nil
	})
	for _, dir := range slices.Backward(dirs) {
		x.root.Remove(dir) // if it is empty
	}
	return removed
}
