//go:build !linux

package disk

import (
	"errors"
	"os"
)

func Clone(_, _ *os.File) error { return errors.ErrUnsupported }
