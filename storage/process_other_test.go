//go:build !linux

package storage_test

func platformRoles() map[string]role { return nil }
