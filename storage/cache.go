package storage

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// cacheLife is how long a value is kept that nobody asks for.
	cacheLife = 90 * 24 * time.Hour

	// cacheTick is how exactly times are kept: values and directories are
	// looked after once in so long.
	cacheTick = 24 * time.Hour

	// cacheTrimmed is the file whose time says when a directory was trimmed.
	cacheTrimmed = ".trimmed"
)

// Cache remembers small values by key, below a directory of its own. It is best
// effort: what cannot be written or read was never remembered, and what nobody
// asked for in 90 days is forgotten. Its methods may be called from several
// goroutines and processes at once.
type Cache struct{ dir string }

// OpenCache returns the cache in dir, which is made when something is put there.
func OpenCache(dir string) *Cache { return &Cache{dir: dir} }

// path spreads keys, which are in hexadecimal, over directories. A key that is
// too short or not in hexadecimal has none.
func (c *Cache) path(key string) (path string, ok bool) {
	if !isKey(key) {
		return "", false
	}
	return filepath.Join(c.dir, key[:2], key[2:]), true
}

// isKey says whether key is in hexadecimal, and not too short.
func isKey(key string) bool {
	return len(key) >= 3 && strings.Trim(key, "0123456789abcdef") == ""
}

// Get returns what was put under key last.
func (c *Cache) Get(key string) ([]byte, bool) {
	path, ok := c.path(key)
	if !ok {
		return nil, false
	}
	data, err := os.ReadFile(path)
	if err == nil && olderThan(path, cacheTick) {
		now := time.Now()
		os.Chtimes(path, now, now) // it was asked for
	}
	return data, err == nil
}

// Put remembers a value.
func (c *Cache) Put(key string, value []byte) {
	path, ok := c.path(key)
	if !ok {
		return
	}
	dir := filepath.Dir(path)
	if os.MkdirAll(dir, 0o755) != nil {
		return
	}
	trim(dir, cacheLife)
	temp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return
	}
	_, err = temp.Write(value)
	if temp.Close() != nil || err != nil || os.Rename(temp.Name(), path) != nil {
		os.Remove(temp.Name())
	}
}

// trim removes files that nobody asked for in so long, and what killed processes
// left, from one directory. Once a day is enough.
func trim(dir string, life time.Duration) {
	stamp := filepath.Join(dir, cacheTrimmed)
	if _, err := os.Stat(stamp); err == nil && !olderThan(stamp, cacheTick) {
		return
	}
	if os.WriteFile(stamp, nil, 0o644) != nil {
		return
	}
	now := time.Now()
	os.Chtimes(stamp, now, now) // an empty file that is emptied keeps its time
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); olderThan(path, life) {
			os.Remove(path)
		}
	}
}

// olderThan says whether a file was last written or asked for so long ago.
func olderThan(path string, age time.Duration) bool {
	info, err := os.Stat(path)
	return err == nil && time.Since(info.ModTime()) > age
}
