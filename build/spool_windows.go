package build

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// createVanishing creates a file that the system deletes when it is closed,
// however the process ends.
func createVanishing(dir, pattern string) (*os.File, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	name := f.Name()
	if err := f.Close(); err != nil {
		return nil, errors.Join(err, os.Remove(name))
	}
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, errors.Join(err, os.Remove(name))
	}
	handle, err := windows.CreateFile(path, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.FILE_SHARE_DELETE, nil,
		windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_TEMPORARY|windows.FILE_FLAG_DELETE_ON_CLOSE, 0)
	if err != nil {
		return nil, errors.Join(err, os.Remove(name))
	}
	return os.NewFile(uintptr(handle), name), nil
}
