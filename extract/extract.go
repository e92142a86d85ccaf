// Package extract puts the files of an artifact into a directory, the mirror of
// package build.
//
// [Extract] stages every file in a directory of its own below the destination,
// while the digest of its layer is checked, and gives files their names only when
// all layers of the artifact turned out right. A bad layer, a full disk or an
// interruption until then leaves the destination as it was; after it, only
// renames are left to do.
//
// Nothing in an artifact can reach outside the destination: every path goes
// through [modelpack.CheckPath] and [os.Root], and what is neither a file nor a
// directory is refused.
package extract

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/filelock"
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
	Files     int   // files of the artifact that are in the directory now
	Unchanged int   // those of them that were there with the same content
	Bytes     int64 // the size of all files
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
	x, err := open(ctx, dir, src, o)
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
	name   string // in the staging directory
	path   string
	size   int64
	absent bool // nothing stood in its place
}

// extraction is one run of Extract.
type extraction struct {
	dir     string
	root    *os.Root
	src     Source
	o       Options
	made    []string // directories on the way to the destination that are ours
	staging string   // below root
	lock    *filelock.Lock

	mu    sync.Mutex
	files []staged
	dirs  []string
	kinds map[string]bool // paths taken so far; true is a directory
	names int             // bytes in paths

	undo []func() error // what to do if publishing fails half way

	buffers sync.Pool // of *[copyBuffer]byte
}

// copyBuffer is the size of the pieces in which files are written.
const copyBuffer = 1 << 20

// open prepares the destination and a staging directory in it.
func open(ctx context.Context, dir string, src Source, o Options) (_ *extraction, err error) {
	x := &extraction{dir: dir, src: src, o: o, kinds: make(map[string]bool)}
	x.buffers.New = func() any { return new([copyBuffer]byte) }
	defer func() {
		if err != nil {
			x.close()
			err = fmt.Errorf("destination: %w", err)
		}
	}()
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Lstat(d); !errors.Is(err, fs.ErrNotExist) || d == filepath.Dir(d) {
			break
		}
		x.made = append(x.made, d)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return x, err
	}
	for _, d := range x.made {
		if err := os.Chmod(d, 0o755); err != nil { // the umask is not the artifact's
			return x, err
		}
	}
	if x.root, err = os.OpenRoot(dir); err != nil {
		return x, err
	}
	return x, x.makeStaging(ctx)
}

const lockSuffix = ".lock"

// makeStaging makes a directory of our own, and removes those of runs that died.
// Whoever stages holds a lock beside its directory for as long as it lives.
func (x *extraction) makeStaging(ctx context.Context) (err error) {
	name := "stage-" + rand.Text()
	for range 100 { // another run may remove the parent when it ends
		if err = x.root.Mkdir(modelpack.StateDir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		x.lock, err = filelock.Acquire(ctx.Err, filepath.Join(x.dir, modelpack.StateDir, name+lockSuffix), filelock.Exclusive)
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return err
	}
	x.sweep()
	staging := modelpack.StateDir + "/" + name
	if err := x.root.Mkdir(staging, 0o755); err != nil {
		return err
	}
	x.staging = staging
	return nil
}

// sweep removes what runs that died have staged.
func (x *extraction) sweep() {
	entries, _ := fs.ReadDir(x.root.FS(), modelpack.StateDir)
	for _, e := range entries {
		stage, ok := strings.CutSuffix(e.Name(), lockSuffix)
		if !ok || !strings.HasPrefix(stage, "stage-") {
			continue
		}
		lock, err := filelock.TryAcquire(filepath.Join(x.dir, modelpack.StateDir, e.Name()), filelock.Exclusive)
		if err != nil {
			continue // it lives
		}
		x.root.RemoveAll(modelpack.StateDir + "/" + stage)
		lock.Remove()
	}
}

// close removes what is not part of the result. What holds something stays.
func (x *extraction) close() {
	if x.staging != "" {
		x.root.RemoveAll(x.staging)
	}
	if x.lock != nil {
		x.lock.Remove()
	}
	if x.root != nil {
		x.root.Remove(modelpack.StateDir)
		x.root.Close()
	}
	for _, dir := range x.made {
		os.Remove(dir)
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

// maxEntries and maxNames bound what an artifact makes us remember: paths, and
// bytes in them.
const (
	maxEntries = 250_000
	maxNames   = 32 << 20
)

// claim gives path to one layer: nothing else may be there, and no file may be
// where another path needs a directory.
func (x *extraction) claim(name string, dir bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.names += len(name); len(x.kinds) >= maxEntries || x.names > maxNames {
		return fmt.Errorf("more than %d files and directories, or %d bytes of names", maxEntries, maxNames)
	}
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

// publish gives all staged files their names. If that fails half way it takes
// back what it did.
func (x *extraction) publish(ctx context.Context) (_ *Result, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// One run at a time: what is found to be absent has to stay so.
	lock, err := filelock.Acquire(ctx.Err, filepath.Join(x.dir, modelpack.StateDir, "publish"+lockSuffix), filelock.Exclusive)
	if err != nil {
		return nil, err
	}
	defer lock.Remove()
	slices.SortFunc(x.files, func(a, b staged) int { return strings.Compare(a.path, b.path) })
	fresh, err := x.settle(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("destination %s: %w", x.dir, x.takeBack(err))
		}
	}()
	for _, dir := range x.dirs {
		if err := errors.Join(ctx.Err(), x.mkdir(dir)); err != nil {
			return nil, err
		}
	}
	for _, f := range fresh {
		if err := errors.Join(ctx.Err(), x.place(f)); err != nil {
			return nil, err
		}
	}
	r := &Result{Files: len(x.files), Unchanged: len(x.files) - len(fresh)}
	for _, f := range x.files {
		r.Bytes += f.size
	}
	return r, x.syncDirs()
}

// mkdir makes a directory and those above it that are missing. The umask is not
// the artifact's.
func (x *extraction) mkdir(dir string) error {
	if info, err := x.root.Stat(dir); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is a file there and a directory in the artifact", dir)
	} else if err == nil || dir == "." {
		return err
	}
	if err := x.mkdir(path.Dir(dir)); err != nil {
		return err
	}
	if err := x.root.Mkdir(dir, 0o755); err != nil {
		return err
	}
	x.undo = append(x.undo, func() error { x.root.Remove(dir); return nil })
	return x.root.Chmod(dir, 0o755)
}

// place gives a staged file its name, and keeps what had it for the case that
// the rest fails.
func (x *extraction) place(f staged) error {
	if err := x.mkdir(path.Dir(f.path)); err != nil {
		return err
	}
	old := f.name + ".old"
	if err := x.root.Rename(f.path, old); err == nil {
		x.undo = append(x.undo, func() error { return x.root.Rename(old, f.path) })
		if f.absent && !x.o.Overwrite { // another name of a file of ours, or somebody was quick
			return &ConflictError{Dir: x.dir, Paths: []string{f.path}}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := x.root.Rename(f.name, f.path); err != nil {
		return err
	}
	x.undo = append(x.undo, func() error { return x.root.Rename(f.path, f.name) })
	return nil
}

// takeBack undoes what was published, the last first. If that fails too, what
// was there before is kept, and the error says where.
func (x *extraction) takeBack(cause error) error {
	var failed error
	for _, undo := range slices.Backward(x.undo) {
		failed = errors.Join(failed, undo())
	}
	if failed == nil {
		return cause
	}
	kept := modelpack.StateDir + "/kept-" + rand.Text()
	if x.root.Rename(x.staging, kept) != nil {
		kept = x.staging
	}
	x.staging = "" // close must not remove it
	return fmt.Errorf("%w; it could not be undone: what was there before is in %s: %w", cause, kept, failed)
}

// syncDirs makes the names last, those of directories too.
func (x *extraction) syncDirs() error {
	if x.o.NoSync || runtime.GOOS == "windows" { // which cannot, and need not
		return nil
	}
	dirs := append([]string{"."}, x.dirs...)
	for _, f := range x.files {
		for d := path.Dir(f.path); d != "."; d = path.Dir(d) {
			dirs = append(dirs, d)
		}
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		if err := syncDir(x.root.Open(dir)); err != nil {
			return err
		}
	}
	for _, dir := range x.made {
		if err := syncDir(os.Open(filepath.Dir(dir))); err != nil {
			return err
		}
	}
	return nil
}

// syncDir syncs and closes a directory that was just opened. Some network file
// systems cannot, and do not need to.
func syncDir(f *os.File, err error) error {
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// settle compares staged files with what is there, and returns those that need
// to move. It changes nothing.
func (x *extraction) settle(ctx context.Context) ([]staged, error) {
	var fresh []staged
	var conflicts []string
	for _, f := range x.files {
		state, err := x.compare(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("destination %s: %w", x.dir, err)
		}
		switch {
		case state == same:
		case state == absent, state == other && x.o.Overwrite:
			f.absent = state == absent
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

// presence is what stands where a file is to go.
type presence int

const (
	absent presence = iota
	same            // a file of the same content
	other           // something else
)

func (x *extraction) compare(ctx context.Context, f staged) (presence, error) {
	info, err := x.root.Lstat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent, nil
	case err != nil:
		return other, err
	case info.IsDir():
		return other, fmt.Errorf("%s is a directory there and a file in the artifact", f.path)
	case !info.Mode().IsRegular() || info.Size() != f.size:
		return other, nil
	}
	if ok, err := sameContent(ctx, x.root, f.name, f.path); ok || err != nil {
		return same, err
	}
	return other, nil
}
