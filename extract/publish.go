package extract

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

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
			if err != nil || taken[f.Path] || f.Found || len(x.shared[f.Path]) > 0 || !x.o.Filter.Takes(kind, within(&models[i], f.Path), l.Name) {
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
			next.Layers = append(next.Layers, layerFiles{Kind: f.job.layer.Kind.String(), Name: f.job.layer.Name, Files: []record{f.as}})
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
	old := stagingName + "/was-" + path.Base(f.name)
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

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
