//go:build !linux

package disk

// machineID is empty: where there is a boot ID, it is different on each machine.
func machineID() string { return "" }
