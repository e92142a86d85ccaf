package disk

import (
	"io/fs"
	"time"
)

// Identity tells a file in a state from every other file and from itself in
// another state. Where a system cannot give inode and change time, Known is
// false and the identity is good for noticing a change only.
type Identity struct {
	Dev, Ino     uint64
	Size         int64
	MTime, CTime int64 // in nanoseconds
	Known        bool
}

// racy is how long after a change a file may change again without its times
// showing it.
const racy = 2 * time.Second

// Settled says whether a change since the identity was taken would show.
func (i Identity) Settled(now time.Time) bool {
	last := max(i.MTime, i.CTime)
	return i.Known && now.UnixNano()-last > int64(racy)
}

// Identify takes the identity of a file.
func Identify(info fs.FileInfo) Identity {
	i := Identity{Size: info.Size(), MTime: info.ModTime().UnixNano()}
	i.Dev, i.Ino, i.CTime, i.Known = inode(info)
	// A change time that is a whole second was hardly set by a running kernel: in
	// images and behind gateways another file may come to have the same.
	i.Known = i.Known && i.CTime%int64(time.Second) != 0
	return i
}
