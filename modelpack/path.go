package modelpack

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"
)

// StateDir is the directory in which tare keeps its own state where it extracts
// to. No path of an artifact may lie in one, at any depth.
const StateDir = ".tare"

// maxName and maxPath bound a path and its components, in bytes, by what Linux
// file systems take. maxDepth is far more than any model needs.
const (
	maxName  = 255
	maxPath  = 4096
	maxDepth = 64
)

// CheckPath says whether an artifact may hold a file named path: relative,
// slash-separated and clean, and not in [StateDir]. The error says what is wrong
// with it.
func CheckPath(path string) error {
	if err := checkPath(path); err != nil {
		return fmt.Errorf("path %s: %w", quote(path), err)
	}
	return nil
}

// quote is path for an error: all of it, unless nobody would read that much.
func quote(path string) string {
	const most = 300
	if len(path) <= most {
		return strconv.Quote(path)
	}
	return strconv.Quote(path[:most]) + "…"
}

func checkPath(path string) error {
	switch {
	case path == "" || path == ".":
		return errors.New("names no file")
	case strings.HasPrefix(path, "/"):
		return errors.New("is absolute")
	case !utf8.ValidString(path):
		return errors.New("is not valid UTF-8")
	case strings.ContainsAny(path, "\x00\\"):
		return errors.New("has a NUL or a backslash in it")
	case len(path) > maxPath:
		return fmt.Errorf("is longer than %d bytes", maxPath)
	case strings.Count(path, "/") >= maxDepth:
		return fmt.Errorf("is more than %d directories deep", maxDepth)
	case !fs.ValidPath(path):
		return errors.New("is not clean (empty, . or .. components)")
	case len(path) >= 2 && path[1] == ':':
		return errors.New("starts with a drive letter")
	case !filepath.IsLocal(filepath.FromSlash(path)):
		return errors.New("cannot be the name of a file on this system")
	}
	for name := range strings.SplitSeq(path, "/") {
		if strings.EqualFold(strings.TrimRight(name, ". "), StateDir) { // Windows drops what it trims
			return fmt.Errorf("lies in %s, which is reserved", StateDir)
		}
		if len(name) > maxName {
			return fmt.Errorf("has a name longer than %d bytes", maxName)
		}
	}
	return nil
}
