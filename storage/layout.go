package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/filelock"
)

// Names in the directory of a store.
const (
	blobsDir = ocispec.ImageBlobsDir

	ownDir      = ".tare"
	lockFile    = ownDir + "/lock"       // the store lock
	indexCopy   = ownDir + "/index.json" // the last index that tare wrote
	indexNew    = indexCopy + ".new"     // on their way to their names, written
	copyNew     = indexCopy + ".copy"    // under the exclusive store lock
	layoutNew   = ownDir + "/oci-layout.new"
	sessionsDir = ownDir + "/sessions" // a locked file for each session
	tmpDir      = ownDir + "/tmp"      // ingests, named after their session
	partialDir  = ownDir + "/partial"  // transfers, named after their digest
	unsyncedDir = ownDir + "/unsynced" // what may not be on disk yet: see unsynced.go
	badDir      = ownDir + "/bad"      // damaged files of blobs, named after their digest
)

// path is the place of name, one of the names above, in the store.
func (s *Store) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// checkLayout says whether there is a layout in the directory. Where there is
// none, there must be nothing else either.
func (s *Store) checkLayout() (exists bool, err error) {
	if info, err := os.Stat(s.dir); err == nil && !info.IsDir() {
		return false, &hintError{err: fmt.Errorf("store %s: is not a directory", s.dir), hint: "name a directory with --store or TARE_STORE"}
	}
	data, err := os.ReadFile(s.path(ocispec.ImageLayoutFile))
	if isNotExist(err) {
		return false, s.checkEmpty()
	}
	if err != nil {
		return false, err
	}
	var layout ocispec.ImageLayout
	if err := json.Unmarshal(data, &layout); err != nil {
		return false, fmt.Errorf("parsing %s: %w", s.path(ocispec.ImageLayoutFile), err)
	}
	if layout.Version != ocispec.ImageLayoutVersion {
		return false, fmt.Errorf("%s is an OCI image layout of version %q: only %s is supported",
			s.dir, layout.Version, ocispec.ImageLayoutVersion)
	}
	return true, nil
}

// checkEmpty says whether a store may be created in the directory: it is
// missing or has nothing in it that could be somebody's. The root of a volume
// has lost+found, and a store whose creation was cut short has our own files.
func (s *Store) checkEmpty() error {
	entries, err := os.ReadDir(s.dir)
	if isNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", s.dir, err)
	}
	own, foreign, index := false, "", false
	for _, e := range entries {
		switch e.Name() {
		case ownDir:
			own = true
		case ocispec.ImageIndexFile:
			index = true
		case "lost+found":
		default:
			foreign = e.Name()
		}
	}
	if index && !(own && foreign == "" && s.unfinished()) {
		foreign = ocispec.ImageIndexFile
	}
	return s.foreignError(foreign)
}

// unfinished says whether the index is the empty one that a store is born with.
// Any other one without oci-layout beside it is a store that lost something.
func (s *Store) unfinished() bool {
	idx, err := s.loadIndex()
	return err == nil && len(idx.entries) == 0
}

// foreignError is nil if there is no foreign file. A process may have finished
// the layout after we looked for it: then all is well too.
func (s *Store) foreignError(name string) error {
	if name == "" {
		return nil
	}
	if _, err := os.Stat(s.path(ocispec.ImageLayoutFile)); err == nil {
		_, err := s.checkLayout()
		return err
	}
	hint := "choose another directory for the store, or an empty one"
	if _, err := os.Stat(s.path(indexCopy)); err == nil {
		layout := encode(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
		hint = fmt.Sprintf("if it was a store, get it back: echo '%s' > %s", layout, shellQuote(s.path(ocispec.ImageLayoutFile)))
	}
	return &hintError{
		err:  fmt.Errorf("%s is not an OCI image layout: it holds %s but no %s", s.dir, name, ocispec.ImageLayoutFile),
		hint: hint,
	}
}

// create makes the directory a layout if it is none yet, and adds the
// directories that writers need. Many processes may do so at once.
func (s *Store) create(ctx context.Context) error {
	if _, err := s.checkLayout(); err != nil {
		return err
	}
	for _, dir := range []string{sessionsDir, tmpDir, partialDir} {
		if err := os.MkdirAll(s.path(dir), 0o755); err != nil {
			return err
		}
	}
	if err := s.createLayout(ctx); err != nil {
		return err
	}
	return os.MkdirAll(s.path(blobsDir+"/sha256"), 0o755)
}

// createLayout writes the files of an empty layout where there is none. The
// file that says it is a layout comes last.
func (s *Store) createLayout(ctx context.Context) error {
	if exists, err := s.checkLayout(); exists || err != nil {
		return err
	}
	lock, err := s.lock(ctx.Err, filelock.Exclusive)
	if err != nil {
		return err
	}
	defer lock.Release()
	if exists, err := s.checkLayout(); exists || err != nil {
		return err
	}
	if err := s.writeIndex(newIndex()); err != nil {
		return err
	}
	data := encode(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	return replaceFile(s.path(layoutNew), s.path(ocispec.ImageLayoutFile), data)
}

// notWritable names the store in the error of somebody who wanted to write to it.
func (s *Store) notWritable(err error) error {
	full, fixed := errors.Is(err, disk.ErrFull), errors.Is(err, syscall.EROFS)
	if file, ok := errors.AsType[*fs.PathError](err); ok && (full || fixed) && s.owns(file.Path) {
		err = file.Err // it is the disk, and none of the files that only we know
	}
	err = fmt.Errorf("writing to store %s: %w", s.dir, err)
	switch {
	case full:
		return &hintError{err: err, hint: spaceHint}
	case fixed, errors.Is(err, fs.ErrPermission):
		return &hintError{err: err, hint: "make the directory writable, or choose another store"}
	}
	return err
}

// notTaken is [Store.notWritable] for content: what its source says stays as it is.
func (s *Store) notTaken(err error) error {
	var told *hintError
	if file, ok := errors.AsType[*fs.PathError](err); ok && s.owns(file.Path) && !errors.As(err, &told) {
		return s.notWritable(err)
	}
	return err
}

// owns says whether path is of a file that only this package knows.
func (s *Store) owns(path string) bool {
	return strings.HasPrefix(path, s.path(ownDir)+string(filepath.Separator))
}
