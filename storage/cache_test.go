package storage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "cache")
	c := OpenCache(dir)
	if _, ok := c.Get("abcd"); ok {
		t.Error("got a value from nothing")
	}
	for _, value := range []string{"one", "", "two"} {
		c.Put("abcd", []byte(value))
		if got, ok := OpenCache(dir).Get("abcd"); !ok || string(got) != value {
			t.Errorf("got %q, %v, want %q", got, ok, value)
		}
	}
	if _, ok := c.Get("abce"); ok {
		t.Error("got the value of another key")
	}
}

// TestCacheOddKeys must not lead out of the directory, nor panic.
func TestCacheOddKeys(t *testing.T) {
	dir := t.TempDir()
	c := OpenCache(filepath.Join(dir, "cache"))
	for _, key := range []string{"", "a", "ab", "../x", "ab/../../x", "ab.trimmed", "ABC", "äöü"} {
		c.Put(key, []byte("x"))
		if _, ok := c.Get(key); ok {
			t.Errorf("%q is a key", key)
		}
	}
	if entries, err := os.ReadDir(dir); len(entries) != 0 || err != nil {
		t.Errorf("written: %v, %v", entries, err)
	}
}

// TestCacheCannotWrite has a file where the directory should be.
func TestCacheCannotWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(path, nil, 0o644))
	c := OpenCache(path)
	c.Put("abcd", []byte("x"))
	if _, ok := c.Get("abcd"); ok {
		t.Error("remembered in a file")
	}
}

// TestCacheIsWhole has many who put values of one byte each under one key.
func TestCacheIsWhole(t *testing.T) {
	c := OpenCache(t.TempDir())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			value := bytes.Repeat([]byte{byte(i)}, 10_000)
			for range 20 {
				c.Put("abcd", value)
				got, ok := c.Get("abcd")
				if !ok || !bytes.Equal(got, bytes.Repeat(got[:1], 10_000)) {
					t.Errorf("got %d bytes, %v, not one value", len(got), ok)
				}
			}
		})
	}
	wg.Wait()
}

func TestCacheForgets(t *testing.T) {
	dir := t.TempDir()
	c := OpenCache(dir)
	ago := func(name string, age time.Duration) {
		then := time.Now().Add(-age)
		check(t, os.Chtimes(filepath.Join(dir, "ab", name), then, then))
	}
	for _, name := range []string{"old", "asked", "new"} {
		c.Put(fmt.Sprintf("ab%x", name), []byte(name))
	}
	const old, asked = "6f6c64", "61736b6564"
	check(t, os.WriteFile(filepath.Join(dir, "ab", ".new-1"), nil, 0o644))
	for _, name := range []string{old, asked, ".new-1"} {
		ago(name, cacheLife+time.Hour)
	}
	c.Get("ab" + asked)
	c.Put("abcd", nil)
	if _, ok := c.Get("ab" + old); !ok {
		t.Error("trimmed twice a day")
	}
	ago(old, cacheLife+time.Hour) // Get took it for new
	ago(cacheTrimmed, cacheTick+time.Hour)
	for range 2 { // the second time there is no need
		c.Put("abcd", nil)
	}
	var names []string
	entries, err := os.ReadDir(filepath.Join(dir, "ab"))
	check(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{cacheTrimmed, asked, "6e6577", "cd"}; !slices.Equal(names, want) {
		t.Errorf("kept %q, want %q", names, want)
	}
	if olderThan(filepath.Join(dir, "ab", cacheTrimmed), cacheTick) {
		t.Error("nothing says that it was trimmed")
	}
}
