package disk

import (
	"os"
	"strings"
)

// bootID is different after each start of the machine, and on each machine.
// Empty means that it cannot be told, as in a sandbox without /proc.
func bootID() string { return firstLine("/proc/sys/kernel/random/boot_id") }

// machineID is different on each machine, as far as that can be told.
func machineID() string { return firstLine("/etc/machine-id") }

// firstLine is empty for a file that cannot be read.
func firstLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}
