package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/tareml/tare/disk"
)

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
	if errors.Is(err, fs.ErrPermission) {
		return false, nil // nobody can tell
	}
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
