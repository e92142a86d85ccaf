package storage_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/internal/storetest"
)

// allocator is what the sinks of a store have on top.
type allocator interface{ Allocate(size int64) error }

// TestAllocate has a transfer find out at its start whether there is room to its
// end.
func TestAllocate(t *testing.T) {
	for name, mkfs := range map[string][]string{
		"ext4":  {"mkfs.ext4", "-q"},
		"xfs":   {"mkfs.xfs", "-q", "-f"},
		"btrfs": {"mkfs.btrfs", "-q", "-f"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(mkfs[0]); err != nil {
				t.Skipf("SKIPPED: %v", err)
			}
			dir := mount(t, mkfs...)
			session := begin(t, open(t, dir))
			before := used(t, dir)
			const fits, doesNot = 300 << 20, 1 << 30
			try(t, session.Receive, doesNot, func(err error) {
				if !errors.Is(err, syscall.ENOSPC) || hint(err) == "" {
					t.Errorf("%v, want no space and a hint", err)
				}
			})
			if left := used(t, dir) - before; left > 10<<20 {
				t.Errorf("what could not be had in full still takes %d bytes", left)
			}
			try(t, session.Receive, fits, func(err error) {
				if err != nil {
					t.Error(err)
				}
				if got := used(t, dir) - before; got < fits {
					t.Errorf("%d bytes are set aside, want %d", got, fits)
				}
			})
			// The next attempt does not need the same space again.
			if err := session.ReserveBlobs(sized(fits)); err != nil {
				t.Error(err)
			}
			if err := session.ReserveBlobs(sized(fits+1<<20), sized(fits-1<<20)); err == nil {
				t.Error("there is room for twice as much as the disk has")
			}
		})
	}
}

// try allocates in a transfer that then fails.
func try(t *testing.T, receive func(context.Context, ocispec.Descriptor, storetest.Fill) (bool, error), size int64, check func(error)) {
	t.Helper()
	desc := sized(size)
	gaveUp := errors.New("gave up")
	_, err := receive(t.Context(), desc, func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
		check(sink.(allocator).Allocate(size))
		return blob.Proof{}, gaveUp
	})
	if !errors.Is(err, gaveUp) {
		t.Error(err)
	}
}

// sized is a blob of this size.
func sized(size int64) ocispec.Descriptor {
	desc := storetest.Describe("application/octet-stream", fmt.Append(nil, size))
	desc.Size = size
	return desc
}
