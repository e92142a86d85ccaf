package storage

import (
	"os"

	"golang.org/x/sys/windows"
)

var errNoSpace error = windows.ERROR_DISK_FULL

// freeBytes is what the user may still write below dir.
func freeBytes(dir string) (int64, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(free), nil
}

// allocated is what a file takes of the disk.
func allocated(info os.FileInfo) int64 { return info.Size() }
