package storage

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/tareml/tare/disk"
)

// writeSynced writes a file and waits until it is on disk. It leaves no file
// behind if it fails.
func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

// replaceFile gives path the content data, through the file temp. A crash
// leaves the old content or the new one.
func replaceFile(temp, path string, data []byte) error {
	if err := writeSynced(temp, data); err != nil {
		return err
	}
	if err := rename(temp, path); err != nil {
		os.Remove(temp)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// publish gives the verified file temp, of size bytes, its place among the
// blobs. If it fails, temp is still there.
func publish(temp, path string, size int64) error {
	err := renameBlob(temp, path, size)
	if !isNotExist(err) {
		return err
	}
	// Stores of other tools have a directory only for what they hold.
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return renameBlob(temp, path, size)
}

// syncFile waits until the file at path is on disk. It opens it for writing,
// since Windows wants that.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncDir makes renames in dir last.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return disk.SyncDir(f)
}
