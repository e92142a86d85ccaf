//go:build !windows

package build

import "os"

// createVanishing creates a file that is gone when it is closed, however the
// process ends: it has no name any more.
func createVanishing(dir, pattern string) (*os.File, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
