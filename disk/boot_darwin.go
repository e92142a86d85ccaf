package disk

import "golang.org/x/sys/unix"

// bootID is different after each start of the machine, and on each machine.
// Empty means that it cannot be told.
func bootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
