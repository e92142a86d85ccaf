package extract

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/filelock"
	"github.com/tareml/tare/modelpack"
)

// What is in the directory of our own in a destination.
const (
	lockName    = modelpack.StateDir + "/lock"
	stateName   = modelpack.StateDir + "/state.json"
	stagingName = modelpack.StateDir + "/staging"

	// partialPrefix starts the names of what the next run may go on from.
	partialPrefix = stagingName + "/part-"
)

// destination is a directory that this run alone works on.
type destination struct {
	dir  string
	host string
	root *os.Root
	lock *filelock.Lock
	made []string // directories on the way to it that are ours
	fold bool     // File and file are one

	keepStaging bool // what is staged could not be put back where it was
}

// openDestination makes the directory if it is not there, and waits for its
// lock.
func openDestination(ctx context.Context, dir string, o Observer) (d *destination, err error) {
	for range 100 {
		d, err = tryDestination(ctx, dir, o)
		if !errors.Is(err, fs.ErrNotExist) {
			break // else whoever had made the directory has removed it
		}
	}
	return d, err
}

func tryDestination(ctx context.Context, dir string, o Observer) (_ *destination, err error) {
	d := &destination{dir: dir, host: disk.HostID()}
	defer func() {
		if err != nil {
			d.abandon()
		}
	}()
	for parent := filepath.Clean(dir); ; parent = filepath.Dir(parent) {
		if _, err := os.Lstat(parent); !errors.Is(err, fs.ErrNotExist) || parent == filepath.Dir(parent) {
			break
		}
		d.made = append(d.made, parent)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, made := range d.made {
		if err := os.Chmod(made, 0o755); err != nil { // the umask is not the artifact's
			return nil, err
		}
	}
	if d.root, err = os.OpenRoot(dir); err != nil {
		return nil, err
	}
	if err := d.acquire(ctx, o); err != nil {
		return nil, err
	}
	return d, d.openStaging()
}

// acquire takes the lock. Whoever had it may remove its directory when it ends.
func (d *destination) acquire(ctx context.Context, o Observer) (err error) {
	for range 100 {
		if err := d.makeState(); err != nil {
			return err
		}
		path := filepath.Join(d.dir, filepath.FromSlash(lockName))
		d.lock, err = filelock.TryAcquire(path, filelock.Exclusive)
		if errors.Is(err, filelock.ErrLocked) {
			observe(o, PhaseWaiting, d.dir, 0, 0, 0)
			d.lock, err = filelock.Acquire(ctx.Err, path, filelock.Exclusive)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// makeState makes the directory of our own. A link of that name could lead
// anywhere.
func (d *destination) makeState() error {
	if err := d.root.Mkdir(modelpack.StateDir, 0o755); !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := d.root.Lstat(modelpack.StateDir)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a directory", filepath.Join(d.dir, modelpack.StateDir))
	}
	if lock, lockErr := d.root.Lstat(lockName); lockErr == nil && !lock.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", filepath.Join(d.dir, filepath.FromSlash(lockName)))
	}
	return err
}

func (d *destination) openStaging() error {
	if err := d.root.Mkdir(stagingName, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := d.root.Lstat(stagingName)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", filepath.Join(d.dir, filepath.FromSlash(stagingName)))
	}
	d.fold, err = d.folds()
	return err
}

// folds says whether the file system takes File and file for one.
func (d *destination) folds() (bool, error) {
	name := stagingName + "/Case"
	f, err := d.root.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return false, err
	}
	_, err = d.root.Lstat(strings.ToLower(name))
	return err == nil, errors.Join(f.Close(), d.root.Remove(name))
}

// sweep removes what is staged, except what keep wants.
func (d *destination) sweep(keep func(name string) bool) {
	entries, _ := fs.ReadDir(d.root.FS(), stagingName)
	for _, e := range entries {
		if name := stagingName + "/" + e.Name(); !keep(name) {
			d.root.RemoveAll(name)
		}
	}
}

// close ends the run, which ended with err. What the next one can go on from
// stays, unless there is no use in it.
func (d *destination) close(err error) error {
	useless := err == nil || errors.Is(err, blob.ErrHostile)
	d.sweep(func(name string) bool { return d.keepStaging || !useless && strings.HasPrefix(name, partialPrefix) })
	d.root.Remove(stagingName) // if it is empty
	if _, statErr := d.root.Lstat(stateName); errors.Is(statErr, fs.ErrNotExist) {
		d.abandon()
		return err
	}
	d.lock.Release()
	d.root.Close()
	return err
}

// abandon leaves nothing, as far as nothing is there.
func (d *destination) abandon() {
	if d.lock != nil {
		d.root.Remove(stagingName) // while it is ours
		d.lock.Remove()
	}
	if d.root != nil {
		d.root.Remove(modelpack.StateDir)
		d.root.Close()
	}
	for _, made := range d.made {
		os.Remove(made)
	}
}

// replace gives the file name new content, all of it or nothing.
func (d *destination) replace(name string, data []byte, sync bool) (err error) {
	temp := stagingName + "/" + path.Base(name) + "-" + rand.Text() // which is swept after a crash
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			d.root.Remove(temp)
		}
	}()
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = d.root.Rename(temp, name); err != nil || !sync {
		return err
	}
	return d.syncDir(modelpack.StateDir)
}

// syncDir makes the names in a directory last.
func (d *destination) syncDir(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return disk.SyncDir(f)
}

func observe(o Observer, phase, path string, safe, skipped, resumed int64) {
	if o != nil {
		o.Observe(phase, path, safe, skipped, resumed)
	}
}
