package storage

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// rename replaces to. Windows refuses that for as long as anybody has the old
// file open, which readers of an index do for a moment.
func rename(from, to string) error {
	var err error
	for delay := time.Millisecond; delay < time.Second; delay *= 2 {
		if err = os.Rename(from, to); !inUse(err) {
			return err
		}
		time.Sleep(delay)
	}
	return err
}

// renameBlob replaces whatever was there, unless somebody has it open: then a
// file of the right size stays.
func renameBlob(temp, path string, size int64) error {
	err := os.Rename(temp, path)
	if err == nil {
		return nil
	}
	if info, statErr := os.Stat(path); statErr == nil && info.Mode().IsRegular() && info.Size() == size {
		return os.Remove(temp)
	}
	return err
}

func inUse(err error) bool {
	return errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_SHARING_VIOLATION)
}

// closeToMove closes a file that is about to be moved: an open one would stay.
func closeToMove(f *os.File) { f.Close() }
