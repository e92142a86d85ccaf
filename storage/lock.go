package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"
)

// lockMode says who else may hold a lock.
type lockMode bool

const (
	shared    lockMode = false // others that want it shared
	exclusive lockMode = true  // nobody
)

// errLocked says that somebody else holds a lock.
var errLocked = errors.New("locked by another process")

// maxBackoff is how long a waiter sleeps at most before it tries again.
const maxBackoff = 50 * time.Millisecond

// fileLock is a locked file. The lock ends with release or with the process.
type fileLock struct{ *os.File }

// never is the stop function of those who wait as long as it takes.
func never() error { return nil }

// lock takes the store lock: exclusive to write the index and to collect
// garbage, shared to say what must not be collected.
func (s *Store) lock(stop func() error, mode lockMode) (*fileLock, error) {
	lock, err := acquire(stop, s.path(lockFile), mode)
	if !isNotExist(err) {
		return lock, err
	}
	// A layout that another tool made has no directory of ours.
	if err := os.Mkdir(s.path(ownDir), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return acquire(stop, s.path(lockFile), mode)
}

// acquire opens the file at path, creates it if need be, and locks it. It waits
// until it has the lock or stop returns an error, usually that of a context.
func acquire(stop func() error, path string, mode lockMode) (*fileLock, error) {
	for delay := time.Millisecond; ; delay = min(2*delay, maxBackoff) {
		lock, err := tryAcquire(path, mode)
		if !errors.Is(err, errLocked) {
			return lock, err
		}
		if err := stop(); err != nil {
			return nil, fmt.Errorf("waiting for %s: %w", path, err)
		}
		time.Sleep(delay/2 + rand.N(delay)) // waiters must not move in step
	}
}

// tryAcquire is acquire for those who do not wait: it returns errLocked.
func tryAcquire(path string, mode lockMode) (*fileLock, error) {
	for {
		f, err := openLock(path)
		if err != nil {
			return nil, err
		}
		if err := tryLock(f, mode); err != nil {
			f.Close()
			return nil, lockError(path, err)
		}
		// Whoever held the lock may have removed the file. A lock on a file that
		// nobody else finds keeps nobody out.
		if sameFile(f, path) {
			return &fileLock{f}, nil
		}
		f.Close()
	}
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

// lockError explains the errors of file systems that have no locks.
func lockError(path string, err error) error {
	if errors.Is(err, errLocked) {
		return err
	}
	err = fmt.Errorf("locking %s: %w", path, err)
	if cannotLock(err) {
		return &hintError{err: err, hint: "this file system has no file locks: put the store on another one"}
	}
	return err
}

// release gives the lock up.
func (l *fileLock) release() { l.Close() }

// remove removes the file and gives the lock up, in this order, so that the
// next one to lock a file of that name locks a new one.
func (l *fileLock) remove() error {
	err := ignoreNotExist(os.Remove(l.Name()))
	return errors.Join(err, l.Close())
}
