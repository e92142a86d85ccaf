//go:build !linux && !darwin

package disk

// bootID is empty: when the machine started cannot be told.
func bootID() string { return "" }
