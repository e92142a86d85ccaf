package storage

import (
	"os"
	"path/filepath"
)

// Cache remembers small values by key, below a directory of its own. It is best
// effort: what cannot be written or read was never remembered. Its methods may
// be called from several goroutines and processes at once.
type Cache struct{ dir string }

// OpenCache returns the cache in dir, which is made when something is put there.
func OpenCache(dir string) *Cache { return &Cache{dir: dir} }

// path spreads keys, which are in hexadecimal, over directories.
func (c *Cache) path(key string) string { return filepath.Join(c.dir, key[:2], key[2:]) }

// Get returns what was put under key last.
func (c *Cache) Get(key string) ([]byte, bool) {
	if len(key) < 3 {
		return nil, false
	}
	data, err := os.ReadFile(c.path(key))
	return data, err == nil
}

// Put remembers a value.
func (c *Cache) Put(key string, value []byte) {
	if len(key) < 3 {
		return
	}
	path := c.path(key)
	if os.MkdirAll(filepath.Dir(path), 0o755) != nil {
		return
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return
	}
	_, err = temp.Write(value)
	if temp.Close() != nil || err != nil || os.Rename(temp.Name(), path) != nil {
		os.Remove(temp.Name())
	}
}
