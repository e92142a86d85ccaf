//go:build !linux

package storage

// machineID is empty: where there is a boot ID, it is different on each machine.
func machineID() string { return "" }
