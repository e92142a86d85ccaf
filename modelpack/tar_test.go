package modelpack

import (
	"bytes"
	"strings"
	"testing"
)

// checkHeader holds the short cuts against archive/tar.
func checkHeader(t *testing.T, name string, size, mode int64) {
	t.Helper()
	want, err := fullHeader(name, size, mode)
	if err != nil || size < 0 {
		return
	}
	got, err := TarHeader(name, size, mode)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q of %d bytes, mode %o: %v\n%q\nwant\n%q", name, size, mode, err, got, want)
	}
	if n := TarHeaderSize(name, size); n != int64(len(want)) {
		t.Errorf("%q of %d bytes: header of %d bytes, expected %d", name, size, len(want), n)
	}
}

func TestHeaders(t *testing.T) {
	for _, name := range []string{
		"a", "dir/a", strings.Repeat("x", 99), strings.Repeat("x", 100), strings.Repeat("x", 101),
		strings.Repeat("dir/", 30) + "f", strings.Repeat("x", 255), "ünï", "a b", "a\x7f", "a\x01", "0",
	} {
		for _, size := range []int64{0, 1, 511, 512, 1<<33 - 1, 1 << 33, 1 << 40} {
			checkHeader(t, name, size, 0o644)
			checkHeader(t, name, size, 0o755)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add("a/b", int64(5), true)
	f.Fuzz(func(t *testing.T, name string, size int64, executable bool) {
		mode := int64(0o644)
		if executable {
			mode = 0o755
		}
		checkHeader(t, name, size, mode)
	})
}
