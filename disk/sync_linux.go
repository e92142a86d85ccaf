package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// StartWriteback has the disk begin with what was written to f, and does not
// wait. If the system refuses, it will begin when it sees fit.
func StartWriteback(f *os.File) {
	unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}
