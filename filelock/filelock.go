// Package filelock locks files, so that processes that share a directory keep
// out of each other's way:
//
//	lock, err := filelock.Acquire(ctx.Err, filepath.Join(dir, "lock"), filelock.Exclusive)
//	if err != nil {
//		return err
//	}
//	defer lock.Release()
//
// A lock ends with its process, however that ends: nobody has to clean up after
// a crash. Locks of one process exclude each other as those of several do.
//
// The file of a lock may be removed by whoever holds it exclusively, with
// [Lock.Remove]. Those who wait for it then lock a new file of that name, one
// after the other as before.
//
// Locks are flock(2), or LockFileEx on Windows. On a file system that has none,
// the error has a method Hint() string.
package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"
)

// Mode says who else may hold a lock.
type Mode bool

const (
	// Shared lets others in that want it shared.
	Shared Mode = false
	// Exclusive lets nobody in.
	Exclusive Mode = true
)

// ErrLocked says that somebody else holds a lock.
var ErrLocked = errors.New("locked by another process")

// maxBackoff is how long a waiter sleeps at most before it tries again.
const maxBackoff = 50 * time.Millisecond

// Lock is a lock that is held. It ends with Release or Remove, or with the
// process.
type Lock struct{ file *os.File }

// Acquire opens the file at path, creates it if need be, and locks it. It waits
// until it has the lock or stop returns an error, usually that of a context.
func Acquire(stop func() error, path string, mode Mode) (*Lock, error) {
	for delay := time.Millisecond; ; delay = min(2*delay, maxBackoff) {
		lock, err := TryAcquire(path, mode)
		if !errors.Is(err, ErrLocked) {
			return lock, err
		}
		if err := stop(); err != nil {
			return nil, fmt.Errorf("waiting for %s: %w", path, err)
		}
		time.Sleep(delay/2 + rand.N(delay)) // waiters must not move in step
	}
}

// TryAcquire is Acquire for those who do not wait: it returns [ErrLocked].
func TryAcquire(path string, mode Mode) (*Lock, error) {
	for {
		f, err := open(path)
		if err != nil {
			return nil, err
		}
		if err := tryLock(f, mode); err != nil {
			f.Close()
			return nil, explain(path, err)
		}
		// Whoever held the lock may have removed the file. A lock on a file that
		// nobody else finds keeps nobody out.
		if sameFile(f, path) {
			return &Lock{f}, nil
		}
		f.Close()
	}
}

// File is the locked file, open to be read and written. To close it is to give
// up the lock.
func (l *Lock) File() *os.File { return l.file }

// Release gives the lock up.
func (l *Lock) Release() { l.file.Close() }

// Remove removes the file and gives the lock up, in this order, so that the
// next one to lock a file of that name locks a new one. It is for exclusive
// locks.
func (l *Lock) Remove() error {
	err := os.Remove(l.file.Name())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.file.Close())
}

// sameFile says whether path still names f.
func sameFile(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(opened, named)
}

// noLocksError is the error of a file system that has no locks.
type noLocksError struct{ error }

// Unwrap is what the file system said.
func (e noLocksError) Unwrap() error { return e.error }

// Hint says what to do about it.
func (noLocksError) Hint() string {
	return "this file system has no file locks: use a directory on another one"
}

// explain names the file that could not be locked.
func explain(path string, err error) error {
	if errors.Is(err, ErrLocked) {
		return err
	}
	err = fmt.Errorf("locking %s: %w", path, err)
	if cannotLock(err) {
		return noLocksError{err}
	}
	return err
}
