//go:build unix

package storage

import "os"

func rename(from, to string) error { return os.Rename(from, to) }

// renameBlob replaces whatever was there with the bytes that were verified.
func renameBlob(temp, path string, _ int64) error { return os.Rename(temp, path) }

// closeToMove does nothing: open files can be moved.
func closeToMove(*os.File) {}
