package extract

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/tareml/tare/modelpack"
)

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
