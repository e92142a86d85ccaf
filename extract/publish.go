package extract

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/modelpack"
)

// tick is longer than the steps in which a kernel tells change times: whoever
// changes a file after it has passed, changes its time.
const tick = 12 * time.Millisecond

// publish gives all staged files their names, and takes away those of earlier
// versions that are gone. If that fails half way it takes back what it did.
func (x *extraction) publish(ctx context.Context, models []Model) (_ []installed, _ *Result, err error) {
	fresh, err := x.settle(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := x.expect(fresh); err != nil {
		return nil, nil, err
	}
	gone := x.gone(models, x.taken())
	if err := x.intend(models, fresh); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("destination %s: %w", x.dir, x.takeBack(err))
		}
	}()
	if err := x.change(ctx, fresh, gone); err != nil {
		return nil, nil, err
	}
	if err := x.redress(); err != nil {
		return nil, nil, err
	}
	if x.moved {
		time.Sleep(tick)
	}
	now, r, err := x.inventory(models)
	if err != nil {
		return nil, nil, err
	}
	r.Unchanged = r.Files - len(fresh)
	return now, r, x.syncDirs(now)
}

// change moves files to their names, after making way for them.
func (x *extraction) change(ctx context.Context, fresh []*staged, gone []entry) error {
	for i, e := range gone {
		if err := errors.Join(ctx.Err(), x.remove(e, i)); err != nil {
			return err
		}
	}
	for _, dir := range x.dirs {
		if err := errors.Join(ctx.Err(), x.mkdir(dir)); err != nil {
			return err
		}
	}
	for _, f := range fresh {
		if err := errors.Join(ctx.Err(), x.place(f)); err != nil {
			return err
		}
	}
	return nil
}

// taken says which paths files of the artifacts have.
func (x *extraction) taken() map[string]bool {
	taken := make(map[string]bool)
	for _, j := range x.jobs {
		for _, r := range j.kept {
			taken[r.Path] = true
		}
		for _, f := range j.staged {
			taken[f.path] = true
		}
	}
	return taken
}

// gone lists files that earlier versions of models brought, that are as they were
// written, and that these versions do not have.
func (x *extraction) gone(models []Model, taken map[string]bool) []entry {
	var gone []entry
	for i := range models {
		old := x.earlier(&models[i])
		if old == nil {
			continue
		}
		for l, f := range old.files {
			kind, _ := modelpack.ParseKind(l.Kind)
			info, err := x.lstat(f.Path)
			if err != nil || taken[f.Path] || f.Found || len(x.shared[f.Path]) > 0 || !x.o.Filter.Takes(kind, within(&models[i], f.Path), "") {
				continue
			}
			if f.intact(info) || f.Pending && f.isPending(info) {
				gone = append(gone, entry{record: f, model: old, layer: l})
			}
		}
	}
	return gone
}

// intend records what is about to get a name, so that after a crash the next run
// knows that it is ours.
func (x *extraction) intend(models []Model, fresh []*staged) error {
	if x.base != x.release.base() || len(fresh) == 0 {
		return nil // nobody looks there
	}
	r := x.release
	for i := range models {
		m := &models[i]
		next := installed{Repository: m.Repository, Subdir: m.Subdir, Host: "pending"}
		if old := x.earlier(m); old != nil {
			next = *old
			next.Layers = slices.Clone(old.Layers)
		}
		for _, f := range fresh {
			if f.job.model != m {
				continue
			}
			next.Layers = append(next.Layers, layerFiles{Kind: f.job.layer.Kind.String(), Files: []record{f.as}})
		}
		r = r.with([]installed{next})
	}
	return x.state.with(r).save(x.destination, !x.o.NoSync)
}

// remove takes a file away, and directories that it leaves empty.
func (x *extraction) remove(e entry, i int) error {
	x.mayReturn(e.Path)
	old := fmt.Sprintf("%s/gone-%d", stagingName, i)
	if err := x.root.Rename(x.at(e.Path), old); err != nil {
		return err
	}
	x.moved = true
	x.removed++
	x.undo = append(x.undo, undo{from: old, to: x.at(e.Path)})
	x.lessened = append(x.lessened, path.Dir(e.Path))
	for dir := path.Dir(e.Path); dir != "."; dir = path.Dir(dir) {
		info, err := x.root.Lstat(x.at(dir))
		if err != nil || !info.IsDir() || x.root.Remove(x.at(dir)) != nil {
			break
		}
		x.undo = append(x.undo, undo{to: x.at(dir), mode: info.Mode().Perm()})
		x.lessened = append(x.lessened, path.Dir(dir))
	}
	return nil
}

// mkdir makes a directory and those above it that are missing. The umask is not
// the artifact's. Nothing is written through a link, whoever made it.
func (x *extraction) mkdir(dir string) error {
	if dir == "." || x.real[dir] {
		return nil
	}
	if err := x.mkdir(path.Dir(dir)); err != nil {
		return err
	}
	info, err := x.root.Lstat(x.at(dir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = x.makeDir(dir)
	case err != nil:
	case info.Mode().Type() == fs.ModeSymlink:
		err = fmt.Errorf("%s is a link there and a directory in the artifact", dir)
	case !info.IsDir():
		err = fmt.Errorf("%s is a file there and a directory in the artifact", dir)
	}
	x.real[dir] = err == nil
	return err
}

func (x *extraction) makeDir(dir string) error {
	if err := x.root.Mkdir(x.at(dir), 0o755); err != nil {
		return err
	}
	x.moved = true
	x.undo = append(x.undo, undo{from: x.at(dir)})
	return x.dressDir(x.at(dir))
}

func (x *extraction) dressDir(name string) error {
	if err := x.root.Chmod(name, dirModeFor(x.o.Mode)); err != nil || x.o.Owner == nil {
		return err
	}
	return x.root.Lchown(name, x.o.Owner.UID, x.o.Owner.GID)
}

// place gives a staged file its name, and keeps what had it for the case that
// the rest fails.
func (x *extraction) place(f *staged) error {
	if err := x.mkdir(path.Dir(f.path)); err != nil {
		return err
	}
	target := x.at(f.path)
	if err := x.makeWay(f, target); err != nil {
		return err
	}
	if err := x.root.Rename(f.name, target); err != nil {
		return err
	}
	x.moved = true
	x.undo = append(x.undo, undo{from: target, to: f.name})
	return nil
}

// makeWay moves aside what stands in the place of f.
func (x *extraction) makeWay(f *staged, target string) error {
	info, err := x.root.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory there and a file in the artifact", f.path)
	case f.absent && !x.o.Overwrite: // another name of a file of ours, or somebody was quick
		return &ConflictError{Dir: x.dir, Paths: []string{f.path}}
	}
	old := f.name + ".old"
	x.mayReturn(f.path)
	// A second name for it, where there can be one: a reader finds it, or what
	// takes its place, and at no time nothing.
	if x.root.Link(target, old) != nil {
		if err := x.root.Rename(target, old); err != nil {
			return err
		}
	}
	x.undo = append(x.undo, undo{from: old, to: target})
	return nil
}

// undo takes back one thing: the name of a file, from here to there, or a
// directory that was made (no to) or removed (no from).
type undo struct {
	from, to string
	mode     fs.FileMode // of a directory
}

func (x *extraction) back(u undo) error {
	switch {
	case u.to == "":
		x.root.Remove(u.from)
		return nil
	case u.from == "":
		return errors.Join(x.root.Mkdir(u.to, 0o700), x.root.Chmod(u.to, u.mode))
	}
	return x.root.Rename(u.from, u.to)
}

// takeBack undoes what was published, the last first. If that fails too, what
// was there before is kept, and the error says where.
func (x *extraction) takeBack(cause error) error {
	var failed error
	for _, u := range slices.Backward(x.undo) {
		failed = errors.Join(failed, x.back(u))
	}
	if failed == nil {
		x.recordReturned()
		if x.state.Releases != nil {
			return errors.Join(cause, x.state.save(x.destination, !x.o.NoSync))
		}
		return errors.Join(cause, ignoreNotExist(x.root.Remove(stateName)))
	}
	kept := modelpack.StateDir + "/kept-" + rand.Text()
	if x.root.Rename(stagingName, kept) != nil {
		kept, x.keepStaging = stagingName, true
	}
	return fmt.Errorf("%w; it could not be undone: what was there before is in %s: %w", cause, kept, failed)
}

// mayReturn notes the records of a file that is as it was written, and is about
// to be moved out of the way.
func (x *extraction) mayReturn(name string) {
	info, err := x.lstat(name)
	if err != nil {
		return
	}
	for _, e := range append(x.shared[name], x.byPath[name]) {
		for at := &e; at != nil && at.record != nil; at = at.older {
			if at.intact(info) {
				x.returned = append(x.returned, at.record)
			}
		}
	}
}

// recordReturned has the records follow files that were moved away and back,
// which changed their change times.
func (x *extraction) recordReturned() {
	if len(x.returned) > 0 {
		time.Sleep(tick)
	}
	for _, r := range x.returned {
		if info, err := x.lstat(r.Path); err == nil && r.isPending(info) {
			*r = newRecord(*r, info)
		}
	}
}

// redress gives files that stay the mode and the owner that were asked for.
func (x *extraction) redress() error {
	for _, j := range x.jobs {
		for i := range j.kept {
			if err := x.redressFile(&j.kept[i], j.unsynced); err != nil {
				return err
			}
		}
		for _, f := range j.staged {
			if f.as.Pending {
				continue
			}
			if err := x.redressFile(&f.as, true); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *extraction) redressFile(r *record, unsynced bool) error {
	if r.Link != "" {
		return nil
	}
	info, err := x.lstat(r.Path)
	if err != nil {
		return err
	}
	if !r.Found {
		changed, err := x.adjust(x.at(r.Path), info, fileModeFor(x.o.Mode, r.Executable))
		if err != nil {
			return err
		}
		x.moved = x.moved || changed
		if after, err := x.lstat(r.Path); changed && err == nil && r.intact(info) {
			*r = newRecord(*r, after)
		}
	}
	if unsynced && !x.o.NoSync {
		return x.syncFile(x.at(r.Path))
	}
	return nil
}

// syncFile has a file that an earlier run left to the system on the disk.
func (x *extraction) syncFile(name string) error {
	f, err := x.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// adjust changes mode and owner where they are not as they should be.
func (x *extraction) adjust(name string, info fs.FileInfo, mode fs.FileMode) (changed bool, err error) {
	if info.Mode() != mode && runtime.GOOS != "windows" {
		changed = true
		err = x.root.Chmod(name, mode)
	}
	if err == nil && x.o.Owner != nil && !x.o.Owner.has(info) {
		changed = true
		err = x.root.Lchown(name, x.o.Owner.UID, x.o.Owner.GID)
	}
	return changed, err
}

// unknownHost is no host's, where there is no telling them apart.
const unknownHost = "unknown"

// inventory describes what is there now.
func (x *extraction) inventory(models []Model) ([]installed, *Result, error) {
	r := &Result{Removed: x.removed}
	now := make([]installed, len(models))
	for i := range models {
		m := &models[i]
		now[i] = installed{Repository: m.Repository, Subdir: m.Subdir, Digest: m.Digest, Filter: x.o.Filter.String()}
		if x.o.NoSync {
			now[i].Host = cmp.Or(x.host, unknownHost)
		}
		seen := make(map[string]bool)
		for _, j := range x.jobs {
			if j.model != m {
				continue
			}
			if err := x.count(j, &now[i], r, seen); err != nil {
				return nil, nil, err
			}
		}
		x.inherit(m, &now[i], seen)
	}
	return now, r, nil
}

// count adds what a job brought.
func (x *extraction) count(j *job, now *installed, r *Result, seen map[string]bool) error {
	if !j.done() && !j.reused {
		r.Moved += j.bytes()
	}
	l := layerFiles{Digest: j.layer.Digest, Kind: j.layer.Kind.String(), Whole: j.single() || j.layers == nil && x.o.Filter.All()}
	note := func(was record) error {
		info, err := x.lstat(was.Path)
		if err != nil {
			return err
		}
		seen[was.Path] = true
		r.Files, r.Bytes = r.Files+1, r.Bytes+info.Size()
		l.Files = append(l.Files, was.confirm(info))
		return nil
	}
	for _, kept := range j.kept {
		if err := note(kept); err != nil {
			return err
		}
	}
	for _, f := range j.staged {
		if err := note(f.as); err != nil {
			return err
		}
	}
	now.Layers = append(now.Layers, l)
	return nil
}

// syncDirs makes the names last, those of directories too.
func (x *extraction) syncDirs(now []installed) error {
	if x.o.NoSync || !x.moved || runtime.GOOS == "windows" { // which cannot, and need not
		return nil
	}
	dirs := append(append([]string{"."}, x.dirs...), x.lessened...)
	for i := range now {
		for _, r := range now[i].files {
			for d := path.Dir(r.Path); d != "."; d = path.Dir(d) {
				dirs = append(dirs, d)
			}
		}
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		if err := x.syncDir(x.at(dir)); ignoreNotExist(err) != nil {
			return err
		}
	}
	for _, dir := range x.made {
		f, err := os.Open(filepath.Dir(dir))
		if err != nil {
			return err
		}
		if err := disk.SyncDir(f); err != nil {
			return err
		}
	}
	return nil
}

// settle compares staged files with what is there, and returns those that need
// to move.
func (x *extraction) settle(ctx context.Context) ([]*staged, error) {
	var fresh []*staged
	for _, j := range x.jobs {
		for _, f := range j.staged {
			isFresh, err := x.settleFile(ctx, f)
			if err != nil {
				return nil, fmt.Errorf("destination %s: %w", x.dir, err)
			}
			if isFresh {
				fresh = append(fresh, f)
			}
		}
	}
	slices.SortFunc(fresh, func(a, b *staged) int { return strings.Compare(a.path, b.path) })
	return fresh, x.conflict()
}

// expect makes files ready to get their names, and notes what they are.
func (x *extraction) expect(fresh []*staged) error {
	for _, f := range fresh {
		if f.cut {
			if err := x.trim(f); err != nil {
				return fmt.Errorf("destination %s: %w", x.dir, err)
			}
		}
		info, err := x.root.Lstat(f.name)
		if err != nil {
			return fmt.Errorf("destination %s: %w", x.dir, err)
		}
		f.as = record{
			Path: f.path, Link: f.link, Executable: f.exec, Pending: true,
			Size: info.Size(), Inode: disk.Identify(info).Ino, MTime: info.ModTime().UnixNano(),
		}
	}
	return nil
}

// settleFile says whether f has to move, and notes a conflict if it may not.
func (x *extraction) settleFile(ctx context.Context, f *staged) (fresh bool, err error) {
	info, err := x.lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir) {
		f.absent = true
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if info.IsDir() {
		return true, nil // which may be gone by then
	}
	same, err := x.isThere(ctx, f, info)
	if err != nil {
		return false, err
	}
	known, _ := x.known(f.job.model, f.path)
	ours := x.isOurs(known, f.job.model, info)
	if same {
		f.as = newRecord(record{Path: f.path, Link: f.link, Executable: f.exec, Found: !ours}, info)
		return false, nil
	}
	if !ours && !x.o.Overwrite {
		x.conflicts = append(x.conflicts, f.path)
	}
	return true, nil
}

// isThere says whether the file of which info is, is the same as f, and did not
// change meanwhile.
func (x *extraction) isThere(ctx context.Context, f *staged, info fs.FileInfo) (bool, error) {
	if f.link != "" {
		target, err := x.root.Readlink(x.at(f.path))
		return err == nil && target == f.link, nil
	}
	if !info.Mode().IsRegular() || info.Size() != f.size {
		return false, nil
	}
	same, err := x.sameContent(ctx, f.name, x.at(f.path), f.size)
	if err != nil || !same {
		return false, err
	}
	after, err := x.lstat(f.path)
	return err == nil && disk.Identify(info) == disk.Identify(after), err
}

// trim cuts off what is behind the file in a partial file, which cannot be gone
// on from after that.
func (x *extraction) trim(f *staged) error {
	file, err := x.root.OpenFile(f.name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.Size() != f.size {
		err = file.Truncate(f.size)
	}
	if err == nil {
		err = x.dress(file, f.name, f.exec, f.when)
	}
	return errors.Join(err, file.Close())
}

// sameContent compares the first size bytes of two files.
func (x *extraction) sameContent(ctx context.Context, a, b string, size int64) (bool, error) {
	fa, err := x.root.Open(a)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := x.root.Open(b)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	ra, rb := io.LimitReader(fa, size), io.LimitReader(fb, size)
	bufA, bufB := x.buffers.Get().(*[copyBuffer]byte), x.buffers.Get().(*[copyBuffer]byte)
	defer x.buffers.Put(bufA)
	defer x.buffers.Put(bufB)
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, errA := io.ReadFull(ra, bufA[:])
		m, errB := io.ReadFull(rb, bufB[:])
		switch {
		case !bytes.Equal(bufA[:n], bufB[:m]):
			return false, nil
		case errA != nil || errB != nil:
			return isEnd(errA) && isEnd(errB), errors.Join(notEnd(errA), notEnd(errB))
		}
	}
}

func isEnd(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

func notEnd(err error) error {
	if isEnd(err) {
		return nil
	}
	return err
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// inherit keeps the records of files that the filter left alone.
func (x *extraction) inherit(m *Model, now *installed, seen map[string]bool) {
	old := x.earlier(m)
	if old == nil {
		return
	}
	for _, l := range old.Layers {
		kind, _ := modelpack.ParseKind(l.Kind)
		left := slices.DeleteFunc(slices.Clone(l.Files), func(r record) bool {
			return seen[r.Path] || x.o.Filter.Takes(kind, within(m, r.Path), "")
		})
		if len(left) > 0 {
			l.Whole = l.Whole && len(left) == len(l.Files)
			l.Rest, l.Files = !l.Whole, left
			now.Layers = append(now.Layers, l)
			now.Host = cmp.Or(old.Host, now.Host) // nobody made sure of these
		}
	}
}
