package disk

import (
	"os"

	"golang.org/x/sys/windows"
)

var ErrFull error = windows.ERROR_DISK_FULL

// Free is what the user may still write below dir.
func Free(dir string) (int64, error) {
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

// Allocated is what a file takes of the disk.
func Allocated(info os.FileInfo) int64 { return info.Size() }
