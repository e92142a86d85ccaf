//go:build unix

package filelock

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCannotLock(t *testing.T) {
	for _, errno := range []error{unix.ENOLCK, unix.ENOTSUP} {
		err := explain("/nfs/lock", errno)
		var hinted interface{ Hint() string }
		if !errors.As(err, &hinted) || hinted.Hint() == "" || !errors.Is(err, errno) {
			t.Errorf("%v: got %v, want a hint", errno, err)
		}
	}
	if err := explain("lock", ErrLocked); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v, want %v", err, ErrLocked)
	}
}
