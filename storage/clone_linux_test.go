package storage_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/tareml/tare/storage"
)

// wholeFile reads a file, or the clone of it once there is one.
type wholeFile struct {
	io.Reader
	file *os.File
	size int64
}

func (w *wholeFile) File() *os.File             { return w.file }
func (w *wholeFile) Redirect(clone io.ReaderAt) { w.Reader = io.NewSectionReader(clone, 0, w.size) }

// hasNoBytes is a reader that nobody should read.
type hasNoBytes struct{ t *testing.T }

func (r hasNoBytes) Read([]byte) (int, error) {
	r.t.Error("the file was read, not its clone")
	return 0, io.EOF
}

// mount makes a file system in a file and mounts it for the time of the test.
func mount(t *testing.T, mkfs ...string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can mount a file system that clones")
	}
	if _, err := exec.LookPath(mkfs[0]); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 512<<20))
	if out, err := exec.Command(mkfs[0], append(mkfs[1:], image)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: mount: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	return dir
}

// used is the number of bytes in use on the file system of dir, after all that
// was written is on disk.
func used(t *testing.T, dir string) int64 {
	t.Helper()
	f, err := os.Open(dir)
	must(t, err)
	defer f.Close()
	must(t, unix.Syncfs(int(f.Fd())))
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	return int64(st.Blocks-st.Bfree) * st.Bsize
}

// TestIngestClones takes in a file without writing its content.
func TestIngestClones(t *testing.T) {
	for name, mkfs := range map[string][]string{
		"xfs":   {"mkfs.xfs", "-q", "-f", "-m", "reflink=1"},
		"btrfs": {"mkfs.btrfs", "-q", "-f"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := mount(t, mkfs...)
			const size = 64<<20 + 12345
			data := make([]byte, size)
			_, err := rand.Read(data)
			must(t, err)
			path := filepath.Join(dir, "weights")
			must(t, os.WriteFile(path, data, 0o644))
			session := begin(t, open(t, filepath.Join(dir, "store")))
			file, err := os.Open(path)
			must(t, err)
			defer file.Close()
			if !session.CanClone(file) {
				t.Fatal("the store says that it cannot clone")
			}

			before := used(t, dir)
			d, n, err := session.Ingest(t.Context(), &wholeFile{Reader: hasNoBytes{t}, file: file, size: size})
			must(t, err)
			if written := used(t, dir) - before; written > size/8 {
				t.Errorf("%d bytes were written for a file of %d", written, size)
			}
			if n != size || d != digest.FromBytes(data) {
				t.Errorf("got %s with %d bytes, want %s", d, n, digest.FromBytes(data))
			}
			checkCloneIsApart(t, session, file, data[:5<<20])
			must(t, session.Close())
		})
	}
}

// checkCloneIsApart ingests the first part of a file that has grown, and then
// changes the file.
func checkCloneIsApart(t *testing.T, session *storage.Session, file *os.File, want []byte) {
	t.Helper()
	d, n, err := session.Ingest(t.Context(), &wholeFile{Reader: hasNoBytes{t}, file: file, size: int64(len(want))})
	must(t, err)
	if n != int64(len(want)) || d != digest.FromBytes(want) {
		t.Errorf("first part: got %s with %d bytes", d, n)
	}
	must(t, os.WriteFile(file.Name(), bytes.Repeat([]byte("x"), len(want)), 0o644))
	path := filepath.Join(filepath.Dir(file.Name()), "store", blobFile(d))
	if got, err := os.ReadFile(path); !bytes.Equal(got, want) || err != nil {
		t.Errorf("the blob has %d bytes, %v, and is not what was ingested", len(got), err)
	}
}

// TestIngestCannotClone falls back to reading: the file is on a file system of
// its own.
func TestIngestCannotClone(t *testing.T) {
	file, err := os.Open("/proc/self/cmdline")
	must(t, err)
	defer file.Close()
	session := begin(t, open(t, t.TempDir()))
	if session.CanClone(file) {
		t.Error("the store says that it can clone a file of another file system")
	}
	const content = "read"
	d, _, err := session.Ingest(t.Context(), &wholeFile{Reader: bytes.NewReader([]byte(content)), file: file})
	if err != nil || d != digest.FromString(content) {
		t.Errorf("got %s, %v", d, err)
	}
}

// TestIngestNoFileAfterAll has a reader whose bytes are not those of a file.
func TestIngestNoFileAfterAll(t *testing.T) {
	session := begin(t, open(t, t.TempDir()))
	d, _, err := session.Ingest(t.Context(), &wholeFile{Reader: bytes.NewReader([]byte("read"))})
	if err != nil || d != digest.FromString("read") {
		t.Errorf("got %s, %v", d, err)
	}
}
