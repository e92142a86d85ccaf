package storage

import (
	"os"
	"strings"
)

// bootID is different after each start of the machine, and on each machine.
// Empty means that it cannot be told, as in a sandbox without /proc.
func bootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
