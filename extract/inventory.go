package extract

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/modelpack"
)

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
	x.tally.into(r)
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
		local := j.local()
		r.Written, r.Moved, r.Skipped = add(r.Written, j.bytes()), r.Moved-local, r.Skipped+local
	}
	l := layerFiles{Digest: j.layer.Digest, As: as(j.layer), Kind: j.layer.Kind.String(), Name: j.layer.Name, Whole: j.single() || j.layers == nil && x.o.Filter.All()}
	note := func(was record) error {
		info, err := x.lstat(was.Path)
		if err != nil {
			return err
		}
		seen[was.Path] = true
		r.Files, r.Bytes = r.Files+1, r.Bytes+info.Size()
		next, ok := was.confirm(info)
		if !ok {
			x.edited = append(x.edited, was.Path)
		}
		l.Files = append(l.Files, next)
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

// inherit keeps the records of files that the filter left alone.
func (x *extraction) inherit(m *Model, now *installed, seen map[string]bool) {
	old := x.earlier(m)
	if old == nil {
		return
	}
	for _, l := range old.Layers {
		kind, _ := modelpack.ParseKind(l.Kind)
		left := slices.DeleteFunc(slices.Clone(l.Files), func(r record) bool {
			return seen[r.Path] || x.o.Filter.Takes(kind, within(m, r.Path), l.Name)
		})
		if len(left) > 0 {
			l.Whole = l.Whole && len(left) == len(l.Files)
			l.Rest, l.Files = !l.Whole, left
			now.Layers = append(now.Layers, l)
			now.Host = cmp.Or(old.Host, now.Host) // nobody made sure of these
		}
	}
}
