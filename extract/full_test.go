package extract

import (
	"errors"
	"strings"
	"testing"

	"github.com/tareml/tare/disk"
)

// TestFullErrorIsInReadableUnits, and says no more of the largest file than is
// true.
func TestFullErrorIsInReadableUnits(t *testing.T) {
	for want, err := range map[string]*fullError{
		"d: 9.0 KiB needed, most of it for a, 0 B free: ":            {"d", 9 << 10, 5 << 10, 0, "a"},
		"d: 9.0 KiB needed, the largest is a, 1023 B free: ":         {"d", 9 << 10, 3 << 10, 1023, "a"},
		"d: 1.0 MiB needed, most of it for a, 1.0 KiB free: ":        {"d", 1 << 20, 1 << 20, 1 << 10, "a"},
		"d: 1536.0 GiB needed, the largest is a/b, 512.5 MiB free: ": {"d", 3 << 39, 1 << 39, 1025 << 19, "a/b"},
	} {
		if got := err.Error(); !strings.HasPrefix(got, want) || !errors.Is(err, disk.ErrFull) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
