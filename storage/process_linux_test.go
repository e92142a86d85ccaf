package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/internal/storetest"
	"github.com/tareml/tare/storage"
)

// asNobody runs f without the right to write to files of others.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread ends with the goroutine: nothing has to be undone.
		runtime.LockOSThread()
		if os.Getuid() == 0 {
			if err := unix.Setfsuid(65534); err != nil {
				t.Error(err)
				return
			}
		}
		f()
	}()
	<-done
}

func TestReadOnlyStore(t *testing.T) {
	s := tagged(t)
	readOnly(t, s.Dir())
	asNobody(t, func() {
		s, err := storage.Open(s.Dir())
		if err != nil {
			t.Error(err)
			return
		}
		desc, err := s.Resolve("kept")
		if err != nil {
			t.Error(err)
		}
		if _, err := s.ReadAll(desc); err != nil {
			t.Error(err)
		}
		_, begin := s.Begin(t.Context())
		_, gc := s.GC(t.Context(), false)
		for op, err := range map[string]error{"Begin": begin, "GC": gc, "Untag": s.Untag("kept")} {
			if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "store "+s.Dir()) || hint(err) == "" {
				t.Errorf("%s: got %v, want a hint, the directory and %v", op, err, fs.ErrPermission)
			}
		}
	})
}

// TestDamagedInReadOnlyStore cannot set anything aside and says so.
func TestDamagedInReadOnlyStore(t *testing.T) {
	s := tagged(t)
	desc, err := s.Resolve("kept")
	must(t, err)
	write(t, s.Dir(), blobFile(desc.Digest), "damaged")
	readOnly(t, s.Dir())
	asNobody(t, func() {
		err := fetchAll(t, s, desc)
		if !errors.Is(err, blob.ErrMismatch) || !strings.Contains(hint(err), "tare verify") {
			t.Errorf("got %v with hint %q", err, hint(err))
		}
	})
	if _, err := os.Stat(filepath.Join(s.Dir(), blobFile(desc.Digest))); err != nil {
		t.Error(err)
	}
}

// readOnly lets everybody read what is below dir, and nobody write.
func readOnly(t *testing.T, dir string) {
	t.Helper()
	must(t, os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755)) // of the test
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o444)
		if d.IsDir() {
			mode = 0o555
			t.Cleanup(func() { os.Chmod(path, 0o755) })
		}
		return os.Chmod(path, mode)
	}))
}

// fileLimit is how large a file may get in a process that runs out of space.
const fileLimit = 1 << 20

func platformRoles() map[string]role { return map[string]role{"full": outOfSpace} }

// outOfSpace ingests and receives more than fits.
func outOfSpace(ctx context.Context, s *storage.Store, _ int) error {
	session, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: fileLimit, Max: fileLimit}); err != nil {
		return err
	}
	data := make([]byte, 3*fileLimit)
	_, _, ingest := session.Ingest(ctx, bytes.NewReader(data))
	desc := storetest.Describe("x", data)
	_, receive := session.Receive(ctx, desc, func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
		_, err := sink.WriteAt(data, 0)
		return blob.Proof{}, err
	})
	for _, err := range []error{ingest, receive} {
		var path *fs.PathError
		if !errors.As(err, &path) || !strings.Contains(path.Path, s.Dir()) || !errors.Is(err, unix.EFBIG) {
			return errors.Join(errors.New("want the error of the file system, with the path"), err)
		}
	}
	return nil
}

func TestOutOfSpace(t *testing.T) {
	s := tagged(t)
	before := files(t, s.Dir())
	if out, err := process(t, "full", s.Dir(), 0).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, name := range files(t, s.Dir()) {
		if strings.HasPrefix(name, ".tare/tmp/") || strings.HasPrefix(name, ".tare/sessions/") {
			t.Errorf("left behind: %s", name)
		}
	}
	checkGC(t, s, 1) // the garbage that was there; the partial goes too
	if after := files(t, s.Dir()); len(after) != len(before)-1 {
		t.Errorf("files: %q", after)
	}
}
