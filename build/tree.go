package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tree is a model directory. Links in it are followed to files within it and,
// if it is a snapshot in a Hugging Face cache, to the blobs of that cache.
type tree struct {
	dir    string
	root   *os.Root
	blobs  *os.Root // of the cache, nil if there is none
	follow bool     // follow every link
}

// openTree opens a directory. With follow, links may lead anywhere.
func openTree(dir string, follow bool) (*tree, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("model directory: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("model directory %s: is a file", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("model directory: %w", err)
	}
	t := &tree{dir: dir, root: root, follow: follow}
	if blobs := cacheBlobs(dir); blobs != "" {
		t.blobs, _ = os.OpenRoot(blobs)
	}
	return t, nil
}

// cacheBlobs is where the files of a Hugging Face cache are, if dir is one of
// its snapshots: models--org--name/snapshots/<revision> beside
// models--org--name/blobs.
func cacheBlobs(dir string) string {
	real, err := realPath(dir)
	if err != nil || filepath.Base(filepath.Dir(real)) != "snapshots" {
		return ""
	}
	blobs := filepath.Join(filepath.Dir(filepath.Dir(real)), "blobs")
	if info, err := os.Stat(blobs); err != nil || !info.IsDir() {
		return ""
	}
	return blobs
}

// realPath is an absolute path without links.
func realPath(name string) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

func (t *tree) close() error {
	if t.blobs != nil {
		t.blobs.Close()
	}
	return t.root.Close()
}

// stat describes the file that name leads to.
func (t *tree) stat(name string) (fs.FileInfo, error) {
	info, err := t.root.Stat(name)
	if err == nil || !t.isLink(name) {
		return info, plain(err)
	}
	root, name, err := t.leave(name)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return os.Stat(name)
	}
	info, err = root.Stat(name)
	return info, plain(err)
}

// describe is stat for an entry of a directory that is being walked.
func (t *tree) describe(name string, d fs.DirEntry) (fs.FileInfo, error) {
	if d.Type().IsRegular() {
		info, err := d.Info()
		return info, plain(err)
	}
	return t.stat(name)
}

// open opens the file that name leads to.
func (t *tree) open(name string) (*os.File, error) {
	f, err := t.root.Open(name)
	if err == nil || !t.isLink(name) {
		return f, plain(err)
	}
	root, name, err := t.leave(name)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return os.Open(name)
	}
	f, err = root.Open(name)
	return f, plain(err)
}

// isLink says whether a link is on the way to name.
func (t *tree) isLink(name string) bool {
	for dir := name; dir != "."; dir = filepath.ToSlash(filepath.Dir(dir)) {
		if info, err := t.root.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return true
		}
	}
	return false
}

// leave follows a link that the directory's own root would not: into the cache
// that the directory belongs to, or anywhere if that is wanted. A nil root means
// that the path is one of the system.
func (t *tree) leave(name string) (*os.Root, string, error) {
	target, err := realPath(filepath.Join(t.dir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", errors.New("is a link to what is not there")
	}
	if err != nil {
		return nil, "", fmt.Errorf("is a link that leads nowhere: %w", plain(err))
	}
	if t.follow {
		return nil, target, nil
	}
	if t.blobs != nil {
		if blobs, err := realPath(t.blobs.Name()); err == nil {
			if rel, ok := strings.CutPrefix(target, blobs+string(filepath.Separator)); ok {
				return t.blobs, rel, nil
			}
		}
	}
	return nil, "", &hintError{
		fmt.Errorf("is a link to %s, outside the model directory", target),
		"if that file belongs to the model: --follow-links",
	}
}

// plain is an error without the path that the caller names anyway.
func plain(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
