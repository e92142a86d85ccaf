package storage

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncFiles waits until the file system of dir is on disk, and with it whatever
// files are meant.
func syncFiles(dir string, _ []string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err = unix.Syncfs(int(f.Fd())); err != nil {
		err = &os.PathError{Op: "syncfs", Path: dir, Err: err}
	}
	return errors.Join(err, f.Close())
}
