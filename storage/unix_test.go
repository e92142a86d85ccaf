//go:build unix

package storage

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCannotLock(t *testing.T) {
	for _, errno := range []error{unix.ENOLCK, unix.ENOTSUP} {
		err := lockError("/nfs/lock", errno)
		var hinted *hintError
		if !errors.As(err, &hinted) || !errors.Is(err, errno) {
			t.Errorf("%v: got %v, want a hint", errno, err)
		}
	}
	if err := lockError("lock", errLocked); !errors.Is(err, errLocked) {
		t.Errorf("got %v, want %v", err, errLocked)
	}
}
