package build

import (
	"strings"
	"testing"
)

// TestHeaderSize holds the short cut against the real thing.
func TestHeaderSize(t *testing.T) {
	for _, name := range []string{"a", strings.Repeat("x", 99), strings.Repeat("x", 100), strings.Repeat("x", 101), strings.Repeat("d/", 60) + "f", strings.Repeat("x", 255), "ünï", "a b"} {
		for _, size := range []int64{0, 1, 511, 512, 1<<33 - 1, 1 << 33, 1 << 40} {
			header, err := tarHeader(name, size, 0o755)
			if err != nil {
				t.Fatal(err)
			}
			if got := headerSize(name, size); got != int64(len(header)) {
				t.Errorf("%q of %d bytes: %d, the header has %d", name, size, got, len(header))
			}
		}
	}
}

func FuzzHeaderSize(f *testing.F) {
	f.Add("a/b", int64(5))
	f.Fuzz(func(t *testing.T, name string, size int64) {
		header, err := tarHeader(name, size, 0o644)
		if err != nil || size < 0 {
			return
		}
		if got := headerSize(name, size); got != int64(len(header)) {
			t.Errorf("%q of %d bytes: %d, the header has %d", name, size, got, len(header))
		}
	})
}
