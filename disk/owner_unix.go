//go:build unix

package disk

import (
	"io/fs"
	"syscall"
)

// Owner is who a file belongs to.
func Owner(info fs.FileInfo) (uid, gid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(st.Uid), int(st.Gid), true
}
