// Package extract puts the files of artifacts into a directory, the mirror of
// package build.
//
// [Extract] stages every file below the destination while the digest of its
// layer is checked, and gives files their names only when all layers turned out
// right. A bad layer, a full disk or an interruption until then leaves the
// destination as it was; after it, only renames are left to do, and they are
// taken back if one fails. What an interruption left of large layers is gone on
// from by the next run.
//
// What was written is recorded in the destination ([modelpack.StateDir]), so that
// the next run touches only what changed since, in the artifact or on the disk,
// and knows its own files from those of others: only its own are replaced or
// removed without being asked. One run at a time works on a destination, others
// wait for it.
//
// With [Options].Atomic each version has a directory of its own, and the link
// "current" is moved from one to the next when that is complete.
//
// Nothing in an artifact can reach outside the destination: every path goes
// through [modelpack.CheckPath] and [os.Root], links that would leave it are
// refused, and so is all that is neither file, directory nor link.
package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/modelpack"
)

// Model is an artifact on its way into a directory.
type Model struct {
	*modelpack.Artifact
	// Source is where its layers come from.
	Source Source
	// Digest is that of its manifest.
	Digest digest.Digest
	// Repository is where its versions come from: what an earlier one of the same
	// repository has written is replaced by this one.
	Repository string
	// Subdir is where its files go, below the destination; empty is the
	// destination itself.
	Subdir string
}

// Source is where layers come from: the local store or a registry.
type Source interface {
	// Fetch streams a blob. The stream ends in io.EOF only if it was the content
	// of desc, all of it. A stream that turned out to be wrong may be asked for
	// once more.
	Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)

	// Fill brings the content of desc into sink, in any order, and proves it. It
	// may go on from the state in the sink. Report is told of bytes that came,
	// and of those that were there.
	Fill(ctx context.Context, desc ocispec.Descriptor, sink blob.Sink, report func(safe, resumed int64)) (blob.Proof, error)
}

// Phases that an [Observer] sees.
const (
	PhaseData    = "data"    // bytes of the layer for path were staged
	PhaseDone    = "done"    // the layer is complete
	PhaseWaiting = "waiting" // another run works on the destination
)

// Observer is told how an extraction gets on, from several goroutines at once. The
// numbers are bytes of layers since the last call; skipped ones did not have to
// be read.
type Observer interface {
	Observe(phase, path string, safe, skipped, resumed int64)
}

// Options change how an extraction goes about it. The zero value is safe.
type Options struct {
	// Concurrency is how many layers are read at once; less than one means one.
	Concurrency int
	// Overwrite replaces files that are there with other content. Without it
	// they are a [ConflictError], unless an earlier version brought them.
	Overwrite bool
	// NoSync leaves writing to the disk to the system. For volumes that do not
	// outlive the machine: after a restart the files have to be read again.
	NoSync bool
	// Filter says which files to extract, nil all. It limits removal too.
	Filter *Filter
	// Atomic puts the files into releases/<name> and moves the link current to
	// it.
	Atomic bool
	// Keep is how many releases to keep beside the current one.
	Keep int
	// RecordedTime gives files the modification time in the artifact, not that
	// of the extraction.
	RecordedTime bool
	// Mode is the permission of files, 0644 (or 0755 if executable) if zero.
	Mode fs.FileMode
	// Owner is who the files shall belong to, nil whoever extracts them.
	Owner *Owner
	// Observer may be nil.
	Observer Observer
}

// Result says what an extraction did.
type Result struct {
	Files     int    // files of the artifacts that are in the directory now
	Unchanged int    // those of them that were there with the same content
	Removed   int    // files of an earlier version that are gone
	Bytes     int64  // the size of all files
	Release   string // what current points to, with Options.Atomic
	Beside    int    // files of runs without it, which stay in the destination too

	// Written is bytes of layers that files were written from. Together with what
	// did not have to be written that is all of them: those that moved in this
	// run, in earlier ones that it went on from, and that were on this machine.
	// A Source with a method IsLocal(digest.Digest) bool says which of its blobs
	// were; without one none are.
	Written                 int64
	Moved, Resumed, Skipped int64
}

// ConflictError lists files that an extraction would have to replace.
type ConflictError struct {
	Dir   string
	Paths []string
}

// Error implements error.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s holds other content already: %s", e.Dir, few(e.Paths))
}

// few lists paths, as many as people read.
func few(paths []string) string {
	const most = 5
	shown := strings.Join(paths[:min(most, len(paths))], ", ")
	if more := len(paths) - most; more > 0 {
		shown += fmt.Sprintf(" and %d more", more)
	}
	return shown
}

// Hint says what to do about it.
func (e *ConflictError) Hint() string {
	return "nothing was changed; to replace these files: --overwrite"
}

// Extract puts the files of models into dir, which is made if it is not there.
func Extract(ctx context.Context, models []Model, dir string, o Options) (*Result, error) {
	if err := check(models, o); err != nil {
		return nil, err
	}
	dest, err := openDestination(ctx, dir, o.Observer)
	if err != nil {
		return nil, fmt.Errorf("destination %s: %w", dir, err)
	}
	x := newExtraction(dest, o)
	r, err := x.run(ctx, models)
	return r, dest.close(err)
}

// check refuses what can be refused by arguments and manifests alone.
func check(models []Model, o Options) error {
	if err := o.Filter.Check(); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, m := range models {
		if m.Subdir != "" {
			if err := modelpack.CheckPath(m.Subdir); err != nil {
				return fmt.Errorf("directory for %s: %w", m.Repository, err)
			}
		}
		if err := checkLayers(m, seen); err != nil {
			return err
		}
	}
	return nil
}

// checkLayers refuses paths that lead elsewhere, or that another layer has.
func checkLayers(m Model, seen map[string]bool) error {
	var total int64
	for i, l := range m.Layers {
		if total = add(total, max(l.Size, 0)); total == math.MaxInt64 {
			return hostile(l, errors.New("the layers have more bytes together than any disk"))
		}
		if err := checkSize(l); err != nil {
			return hostile(l, err)
		}
		if err := l.Digest.Validate(); err != nil {
			return fmt.Errorf("layer %d (%q): digest %q: %w: %w", i+1, l.Path, l.Digest, err, blob.ErrHostile)
		}
		if l.Format != modelpack.Raw && (l.Path == "" || l.Path == ".") {
			continue
		}
		if err := modelpack.CheckPath(l.Path); err != nil {
			return hostile(l, err)
		}
		target := path.Join(m.Subdir, l.Path)
		if _, single := declared(l); single && seen[target] {
			return hostile(l, fmt.Errorf("another layer has the path %q too", target))
		}
		seen[target] = true
	}
	return nil
}

// checkSize refuses a file that is larger than what it is to come from.
func checkSize(l modelpack.Layer) error {
	m := l.Metadata
	if m == nil {
		return nil
	}
	if m.Size < 0 || l.Format == modelpack.Tar && m.Size > l.Size {
		return fmt.Errorf("%q is declared to have %d bytes, in a layer of %d", l.Path, m.Size, l.Size)
	}
	return nil
}

// declared is the size of the one file of a layer, if the manifest says that it
// has one and how large it is.
func declared(l modelpack.Layer) (size int64, ok bool) {
	switch m := l.Metadata; {
	case l.Path == "", l.Path == ".":
		return 0, false
	case l.Format == modelpack.Raw:
		return l.Size, true
	case m == nil || modelpack.IsDir(m) || m.Size < 0:
		return 0, false
	default:
		return m.Size, path.Base(l.Path) == path.Base(m.Name)
	}
}

// hostile says which layer must not be used and why.
func hostile(l modelpack.Layer, err error) error {
	return fmt.Errorf("layer %s: %w: %w", l.Digest, blob.ErrHostile, err)
}
