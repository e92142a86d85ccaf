//go:build !linux && !darwin

package storage

// bootID is empty: when the machine started cannot be told.
func bootID() string { return "" }
