//go:build !linux

package storage

import (
	"path/filepath"
)

// syncFiles waits until the files at paths and their names are on disk, as far
// as they are there.
func syncFiles(_ string, paths []string) error {
	dirs := make(map[string]bool)
	for _, path := range paths {
		if err := ignoreNotExist(syncFile(path)); err != nil {
			return err
		}
		dirs[filepath.Dir(path)] = true
	}
	for dir := range dirs {
		if err := ignoreNotExist(syncDir(dir)); err != nil {
			return err
		}
	}
	return nil
}
