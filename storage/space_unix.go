//go:build unix

package storage

import "golang.org/x/sys/unix"

var errNoSpace error = unix.ENOSPC

// freeBytes is what an ordinary user may still write below dir.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
