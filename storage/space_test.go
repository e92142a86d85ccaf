package storage_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/internal/storetest"
)

func TestReserve(t *testing.T) {
	s := open(t, t.TempDir())
	session := begin(t, s)
	for _, bytes := range []int64{-1, 0, 1} {
		if err := session.Reserve(bytes); err != nil {
			t.Errorf("%d bytes: %v", bytes, err)
		}
	}
	err := session.Reserve(math.MaxInt64)
	if err == nil || !strings.Contains(err.Error(), s.Dir()) || !strings.Contains(err.Error(), "8589934592.0 GiB needed") || hint(err) == "" {
		t.Errorf("got %v, want an error with a hint, the directory and the size", err)
	}
	if os.PathSeparator == '/' && !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want %v", err, syscall.ENOSPC)
	}
}

// TestCanCloneLeavesNothing looks without a trace.
func TestCanCloneLeavesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	session := begin(t, s)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	defer file.Close()
	session.CanClone(file)
	for _, name := range files(t, s.Dir()) {
		if strings.HasPrefix(name, ".tare/tmp/") {
			t.Errorf("left behind: %s", name)
		}
	}
	must(t, session.Close())
	if session.CanClone(file) {
		t.Error("a closed session can clone")
	}
}

// TestReserveBlobs counts what is missing: not what is there, nor what an
// unfinished transfer has.
func TestReserveBlobs(t *testing.T) {
	s := open(t, t.TempDir())
	session := begin(t, s)
	small := storetest.Describe("application/octet-stream", []byte("small"))
	huge := storetest.Describe("application/octet-stream", []byte("huge"))
	huge.Size = math.MaxInt64 / 2
	must(t, session.ReserveBlobs(small, small))
	for _, blobs := range [][]ocispec.Descriptor{{small, huge}, {huge, huge, small}} {
		err := session.ReserveBlobs(blobs...)
		if err == nil || !strings.Contains(err.Error(), "4294967296.0 GiB needed") {
			t.Errorf("got %v, want an error about the huge one alone", err)
		}
	}
	other := huge
	other.Digest = digest.FromString("as huge")
	third := huge
	third.Digest = digest.FromString("and as huge")
	if err := session.ReserveBlobs(huge, other, third); err == nil {
		t.Error("sizes overflow")
	}
	_, err := session.Receive(t.Context(), small, storetest.Write(small, []byte("small")))
	must(t, err)
	must(t, session.ReserveBlobs(small))
}
