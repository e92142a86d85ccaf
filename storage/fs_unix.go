//go:build unix

package storage

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func rename(from, to string) error { return os.Rename(from, to) }

// renameBlob replaces whatever was there with the bytes that were verified.
func renameBlob(temp, path string, _ int64) error { return os.Rename(temp, path) }

// syncDir makes renames in dir last. Some network file systems cannot, and do
// not need to.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// closeToMove does nothing: open files can be moved.
func closeToMove(*os.File) {}
