package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// awaitTraffic waits until a child has ended, and says what it and the processes
// that it waited for moved. The child is still there to be waited for.
func awaitTraffic(pid int) traffic {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		// a signal came to us
	}
	counters, _ := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid)) // a kernel may have none
	return parseTraffic(string(counters))
}

// parseTraffic takes what calls asked for, not what went to or came from a disk:
// a page cache is no excuse.
func parseTraffic(counters string) traffic {
	var t traffic
	for line := range strings.Lines(counters) {
		fmt.Sscanf(line, "rchar: %d", &t.read)
		fmt.Sscanf(line, "wchar: %d", &t.written)
	}
	return t
}
