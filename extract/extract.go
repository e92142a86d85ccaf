// Package extract puts the files of an artifact into a directory, the mirror of
// package build.
//
// [Extract] stages every file in a directory of its own below the destination,
// while the digest of its layer is checked, and gives files their names only when
// all layers of the artifact turned out right. A bad layer, a full disk or an
// interruption leaves the destination as it was.
//
// Nothing in an artifact can reach outside the destination: every path goes
// through [modelpack.CheckPath] and [os.Root], and what is neither a file nor a
// directory is refused.
package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/modelpack"
)

// Source is where the layers come from: the local store or a registry.
type Source interface {
	// Fetch streams a blob. The stream ends in io.EOF only if it was the content
	// of desc, all of it.
	Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
}

// Observer is told how an extraction gets on, from several goroutines at once:
// phase "data" while bytes of the layer for path are staged, "done" when the
// layer is complete. The numbers are bytes of layers since the last call.
type Observer interface {
	Observe(phase, path string, safe, skipped, resumed int64)
}

// Options change how an extraction goes about it. The zero value is safe.
type Options struct {
	// Concurrency is how many layers are read at once; less than one means one.
	Concurrency int
	// Overwrite replaces files that are there with other content. Without it
	// they are a [ConflictError].
	Overwrite bool
	// NoSync leaves writing to the disk to the system. For volumes that do not
	// outlive the machine.
	NoSync bool
	// Observer may be nil.
	Observer Observer
}

// Result says what an extraction did.
type Result struct {
	Files int   // files of the artifact that are in the directory now
	Bytes int64 // their size
}

// ConflictError lists files that an extraction would have to replace.
type ConflictError struct {
	Dir   string
	Paths []string
}

// Error implements error.
func (e *ConflictError) Error() string {
	const most = 5
	shown := strings.Join(e.Paths[:min(most, len(e.Paths))], ", ")
	if more := len(e.Paths) - most; more > 0 {
		shown += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%s holds other content already: %s", e.Dir, shown)
}

// Hint says what to do about it.
func (e *ConflictError) Hint() string {
	return "nothing was changed; to replace these files: --overwrite"
}

// Extract puts the files of a into dir, which is made if it is not there.
func Extract(ctx context.Context, a *modelpack.Artifact, src Source, dir string, o Options) (*Result, error) {
	if err := checkLayers(a.Layers); err != nil {
		return nil, err
	}
	x, err := open(dir, src, o)
	if err != nil {
		return nil, err
	}
	defer x.close()
	if err := x.checkConflicts(a.Layers); err != nil {
		return nil, err
	}
	if err := x.stageAll(ctx, a.Layers); err != nil {
		return nil, err
	}
	return x.publish(ctx)
}

// checkLayers refuses what can be refused by the manifest alone.
func checkLayers(layers []modelpack.Layer) error {
	seen := make(map[string]bool)
	for _, l := range layers {
		if l.Path == "" && l.Format != modelpack.Raw || l.Path == "." {
			continue
		}
		if err := modelpack.CheckPath(l.Path); err != nil {
			return hostile(l, err)
		}
		if l.Format == modelpack.Raw && seen[l.Path] {
			return hostile(l, fmt.Errorf("another layer has the path %q too", l.Path))
		}
		seen[l.Path] = true
	}
	return nil
}

// hostile says which layer must not be used and why.
func hostile(l modelpack.Layer, err error) error {
	return fmt.Errorf("layer %s: %w: %w", l.Digest, blob.ErrHostile, err)
}

// staged is a file that waits for its name.
type staged struct {
	name string // in the staging directory
	path string
	size int64
}

// extraction is one run of Extract.
type extraction struct {
	dir     string
	root    *os.Root
	src     Source
	o       Options
	made    bool   // the destination is ours
	staging string // below root

	mu    sync.Mutex
	files []staged
	dirs  []string
	kinds map[string]bool // paths taken so far; true is a directory
}

// open prepares the destination and a staging directory in it.
func open(dir string, src Source, o Options) (*extraction, error) {
	x := &extraction{dir: dir, src: src, o: o, kinds: make(map[string]bool)}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		x.made = true
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("destination: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("destination: %w", err)
	}
	x.root = root
	if err := x.makeStaging(); err != nil {
		x.close()
		return nil, fmt.Errorf("destination: %w", err)
	}
	return x, nil
}

// makeStaging finds a name that no other extraction into the same directory has.
func (x *extraction) makeStaging() error {
	for i := 0; ; i++ {
		if err := x.root.Mkdir(modelpack.StateDir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		x.staging = fmt.Sprintf("%s/stage-%d-%d", modelpack.StateDir, os.Getpid(), i)
		err := x.root.Mkdir(x.staging, 0o755)
		// another run may clear the parent away between the two calls
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) || i > 1000 {
			return err
		}
	}
}

// close removes what is not part of the result.
func (x *extraction) close() {
	x.root.RemoveAll(x.staging)
	x.root.Remove(modelpack.StateDir) // fails while it holds anything else
	x.root.Close()
	if x.made {
		os.Remove(x.dir) // fails unless it stayed empty
	}
}

// checkConflicts finds files that are in the way by their size alone, before
// anything is moved.
func (x *extraction) checkConflicts(layers []modelpack.Layer) error {
	if x.o.Overwrite {
		return nil
	}
	var conflicts []string
	for _, l := range layers {
		size, known := fileSize(l)
		if !known || modelpack.CheckPath(l.Path) != nil {
			continue
		}
		info, err := x.root.Lstat(l.Path)
		if err == nil && (!info.Mode().IsRegular() || info.Size() != size) {
			conflicts = append(conflicts, l.Path)
		}
	}
	if len(conflicts) > 0 {
		return &ConflictError{Dir: x.dir, Paths: conflicts}
	}
	return nil
}

// fileSize is the size of the one file of a layer, if the manifest says it.
func fileSize(l modelpack.Layer) (int64, bool) {
	if l.Format == modelpack.Raw {
		return l.Size, true
	}
	if l.Metadata != nil && !modelpack.IsDir(l.Metadata) && l.Path != "" && path.Base(l.Path) == l.Metadata.Name {
		return l.Metadata.Size, true
	}
	return 0, false
}

// stageAll reads all layers into the staging directory.
func (x *extraction) stageAll(ctx context.Context, layers []modelpack.Layer) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(x.o.Concurrency, 1))
	for i, l := range layers {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return x.stage(ctx, i, l)
		})
	}
	return group.Wait()
}

// claim gives path to one layer: nothing else may be there, and no file may be
// where another path needs a directory.
func (x *extraction) claim(name string, dir bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if isDir, taken := x.kinds[name]; taken && (!dir || !isDir) {
		return fmt.Errorf("the path %q is there twice", name)
	}
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if isDir, taken := x.kinds[parent]; taken && !isDir {
			return fmt.Errorf("%q is a file and a directory", parent)
		}
		x.kinds[parent] = true
	}
	x.kinds[name] = dir
	if dir {
		x.dirs = append(x.dirs, name)
	}
	return nil
}

// publish gives all staged files their names.
func (x *extraction) publish(ctx context.Context) (*Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(x.files, func(a, b staged) int { return strings.Compare(a.path, b.path) })
	fresh, err := x.settle()
	if err != nil {
		return nil, err
	}
	for _, dir := range x.dirs {
		if err := x.root.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	for _, f := range fresh {
		if err := x.root.MkdirAll(path.Dir(f.path), 0o755); err != nil {
			return nil, err
		}
		if err := x.root.Rename(f.name, f.path); err != nil {
			return nil, err
		}
	}
	r := &Result{Files: len(x.files)}
	for _, f := range x.files {
		r.Bytes += f.size
	}
	return r, nil
}

// settle compares staged files with what is there, and returns those that need
// to move. It changes nothing.
func (x *extraction) settle() ([]staged, error) {
	var fresh []staged
	var conflicts []string
	for _, f := range x.files {
		info, err := x.root.Lstat(f.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			fresh = append(fresh, f)
			continue
		case err != nil:
			return nil, fmt.Errorf("destination: %w", err)
		}
		same := false
		if info.Mode().IsRegular() && info.Size() == f.size {
			if same, err = sameContent(x.root, f.name, f.path); err != nil {
				return nil, err
			}
		}
		switch {
		case same:
		case x.o.Overwrite && !info.IsDir():
			fresh = append(fresh, f)
		default:
			conflicts = append(conflicts, f.path)
		}
	}
	if len(conflicts) > 0 {
		return nil, &ConflictError{Dir: x.dir, Paths: conflicts}
	}
	return fresh, nil
}
