package extract

import (
	"io/fs"

	"github.com/tareml/tare/disk"
)

// Owner is who extracted files and directories are given to, in numbers: -1
// leaves a user or a group as it is. It takes root to give files away.
type Owner struct{ UID, GID int }

// The modes of files and directories unless another one is asked for: whatever
// the artifact or the umask says, a server run by anyone can read the model.
const (
	plainMode      fs.FileMode = 0o644
	executableMode fs.FileMode = 0o755
)

// fileModeFor is the mode of a file: mode, and execute for an executable wherever
// mode lets it be read. A mode of 0 is none asked for.
func fileModeFor(mode fs.FileMode, executable bool) fs.FileMode {
	if mode == 0 {
		mode = plainMode
	}
	mode = mode.Perm()
	if executable {
		mode |= readers(mode)
	}
	return mode
}

// dirModeFor is the mode of a directory between files of mode: whoever may read
// them may enter it. Its owner may also write to it, or nobody but root could
// put the files of the next version in their place.
func dirModeFor(mode fs.FileMode) fs.FileMode {
	if mode == 0 {
		return executableMode
	}
	mode = mode.Perm()
	return mode | readers(mode) | 0o700
}

// readers are the execute bits of those that mode lets read.
func readers(mode fs.FileMode) fs.FileMode { return (mode & 0o444) >> 2 }

// has says whether a file belongs to o already, as far as that can be told.
func (o *Owner) has(info fs.FileInfo) bool {
	uid, gid, ok := disk.Owner(info)
	return ok && (o.UID < 0 || o.UID == uid) && (o.GID < 0 || o.GID == gid)
}
