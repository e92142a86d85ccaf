package storage

import (
	"errors"
	"io/fs"
	"os"

	"github.com/tareml/tare/filelock"
)

// never is the stop function of those who wait as long as it takes.
func never() error { return nil }

// lock takes the store lock: exclusive to write the index and to collect
// garbage, shared to say what must not be collected.
func (s *Store) lock(stop func() error, mode filelock.Mode) (*filelock.Lock, error) {
	lock, err := filelock.Acquire(stop, s.path(lockFile), mode)
	if !isNotExist(err) {
		return lock, err
	}
	// A layout that another tool made has no directory of ours.
	if err := os.Mkdir(s.path(ownDir), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return filelock.Acquire(stop, s.path(lockFile), mode)
}
