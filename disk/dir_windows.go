package disk

import "os"

// SyncDir closes dir: NTFS keeps renames in order by itself.
func SyncDir(dir *os.File) error { return dir.Close() }
