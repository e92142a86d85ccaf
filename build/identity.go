package build

import (
	"io/fs"
	"time"
)

// identity tells a file in a state from every other file and from itself in
// another state. Where a system cannot give inode and change time, known is
// false and the identity is good for noticing a change only.
type identity struct {
	Dev, Ino     uint64
	Size         int64
	MTime, CTime int64 // in nanoseconds
	known        bool
}

// racy is how long after a change a file may change again without its times
// showing it.
const racy = 2 * time.Second

// settled says whether a change since the identity was taken would show.
func (i identity) settled(now time.Time) bool {
	last := max(i.MTime, i.CTime)
	return i.known && now.UnixNano()-last > int64(racy)
}

// identify takes the identity of a file.
func identify(info fs.FileInfo) identity {
	i := identity{Size: info.Size(), MTime: info.ModTime().UnixNano()}
	i.Dev, i.Ino, i.CTime, i.known = inode(info)
	// A change time that is a whole second was hardly set by a running kernel: in
	// images and behind gateways another file may come to have the same.
	i.known = i.known && i.CTime%int64(time.Second) != 0
	return i
}
