package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/filelock"
)

// errClosed is what the methods of a closed session return.
var errClosed = errors.New("session is closed")

// Session is one command's writing to a store. Its methods may be called from
// several goroutines at once, except Close.
//
// A session owns a file below .tare/sessions, locked for as long as it lives,
// with a line for each digest that must not be collected. A session whose file
// is not locked is dead.
type Session struct {
	store *Store
	id    string
	// stop is the Err of the context that the session began with. It ends the
	// waits of methods that take no context of their own.
	stop func() error

	mu     sync.Mutex
	file   *filelock.Lock // nil when closed
	size   int64          // of the file
	relied map[digest.Digest]bool
	temps  int // temporary files so far
}

// Begin begins to write. It creates the store if there is none yet. ctx is for
// the whole session: a session waits for nothing after ctx is done.
func (s *Store) Begin(ctx context.Context) (*Session, error) {
	if err := s.create(ctx); err != nil {
		return nil, s.notWritable(err)
	}
	if _, err := s.readIndex(); err != nil {
		return nil, err // better now than after hours of transfer
	}
	if err := s.settle(); err != nil {
		return nil, s.notWritable(err)
	}
	// GC must not find the file before it is locked.
	lock, err := s.lock(ctx.Err, filelock.Shared)
	if err != nil {
		return nil, s.notWritable(err)
	}
	defer lock.Release()
	id := rand.Text()
	file, err := filelock.TryAcquire(filepath.Join(s.path(sessionsDir), id), filelock.Exclusive)
	if err != nil {
		return nil, s.notWritable(err)
	}
	return &Session{store: s, id: id, stop: ctx.Err, file: file, relied: make(map[digest.Digest]bool)}, nil
}

// Close ends the session. From then on only tags protect what it wrote. Closing
// it again does nothing.
func (ss *Session) Close() error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.file == nil {
		return nil
	}
	err := ss.file.Remove()
	ss.file = nil
	return err
}

// Rely keeps blobs, there or yet to come, from being collected while the session
// lives, and with a manifest all that it refers to. When Rely returns, no GC
// that did not know of it is still running.
func (ss *Session) Rely(digests ...digest.Digest) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.file == nil {
		return errClosed
	}
	var lines bytes.Buffer
	for _, d := range digests {
		if err := checkDigest(d); err != nil {
			return err
		}
		if !ss.relied[d] {
			lines.WriteString(d.String() + "\n")
		}
	}
	if lines.Len() == 0 {
		return nil
	}
	if err := ss.record(lines.Bytes()); err != nil {
		return ss.store.notWritable(err)
	}
	for _, d := range digests {
		ss.relied[d] = true
	}
	return nil
}

// record appends lines to the session's file, all of them or none.
func (ss *Session) record(lines []byte) error {
	lock, err := ss.store.lock(ss.stop, filelock.Shared)
	if err != nil {
		return err
	}
	defer lock.Release()
	if _, err := ss.file.File().WriteAt(lines, ss.size); err != nil {
		return errors.Join(err, ss.file.File().Truncate(ss.size))
	}
	ss.size += int64(len(lines))
	return nil
}

// Has relies on the content of desc and says whether it is there, with the right
// size. What a crash of the machine may have damaged is hashed before, once.
func (ss *Session) Has(desc ocispec.Descriptor) (bool, error) {
	if err := ss.Rely(desc.Digest); err != nil {
		return false, err
	}
	return ss.store.has(ss.stop, desc)
}

// Tag lets ref lead to the manifest desc, which must be in the store. A tag of
// that name that leads elsewhere is moved, one that leads there already gets a
// new time.
func (ss *Session) Tag(ref string, desc ocispec.Descriptor) error {
	if ref == "" || !utf8.ValidString(ref) {
		return fmt.Errorf("%q cannot be the name of a tag", ref)
	}
	if err := ss.tag(ref, desc); err != nil {
		return fmt.Errorf("tagging %q: %w", ref, err)
	}
	return nil
}

func (ss *Session) tag(ref string, desc ocispec.Descriptor) error {
	present, err := ss.Has(desc)
	if err != nil {
		return err
	}
	if !present {
		return fmt.Errorf("manifest %s: %w", desc.Digest, blob.ErrNotFound)
	}
	return ss.store.updateIndex(ss.stop, func(idx *index) error {
		return idx.tag(ref, desc, time.Now())
	})
}

// createTemp creates a temporary file. Its name says that it is garbage when the
// session is dead.
func (ss *Session) createTemp() (*os.File, error) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.file == nil {
		return nil, errClosed
	}
	ss.temps++
	name := fmt.Sprintf("%s.%d", ss.id, ss.temps)
	return os.OpenFile(filepath.Join(ss.store.path(tmpDir), name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
}
