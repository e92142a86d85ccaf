package weights

import (
	"bytes"
	"encoding/binary"
	"io"
)

// zipEntry is what the directory at the end of a zip archive says of a file.
type zipEntry struct {
	name   string
	size   int64 // not compressed
	stored bool  // not compressed
}

const (
	zipEndLen     = 22
	zipEnd64Len   = 56
	zipLocatorLen = 20
	zipHeadLen    = 46
)

var (
	zipEndMagic     = []byte("PK\x05\x06")
	zipEnd64Magic   = []byte("PK\x06\x06")
	zipLocatorMagic = []byte("PK\x06\x07")
	zipHeadMagic    = []byte("PK\x01\x02")
)

// zipDirectory is where the directory is.
type zipDirectory struct{ start, length, entries int64 }

// zipEntries calls each for the files of a zip archive until it returns false.
// archive/zip is not used since it allocates for the count that a sparse file
// declares.
func zipEntries(r io.ReaderAt, size int64, each func(zipEntry) bool) error {
	s := newSource("zip", r, size)
	dir, err := s.zipDirectory()
	if err != nil {
		return err
	}
	s.seek(dir.start)
	return s.within(dir.length, func() error {
		for range dir.entries {
			e, err := s.zipEntry()
			if err != nil {
				return err
			}
			if !each(e) {
				return nil
			}
		}
		return nil
	})
}

func (s *source) zipDirectory() (zipDirectory, error) {
	end, at, err := s.zipEnd()
	if err != nil {
		return zipDirectory{}, err
	}
	dir := zipDirectory{
		entries: int64(binary.LittleEndian.Uint16(end[10:])),
		length:  int64(binary.LittleEndian.Uint32(end[12:])),
		start:   int64(binary.LittleEndian.Uint32(end[16:])),
	}
	if dir.entries == 0xffff || dir.length == 0xffffffff || dir.start == 0xffffffff {
		if dir, at, err = s.zip64(dir, at); err != nil {
			return zipDirectory{}, err
		}
	}
	if dir.start < 0 || dir.length < 0 || dir.length > at || dir.start > at-dir.length {
		return zipDirectory{}, s.errorf(at, "the directory of the archive is outside of the file")
	}
	if dir.entries < 0 || dir.entries > dir.length/zipHeadLen {
		return zipDirectory{}, s.errorf(at, "%d files are announced in a directory of %d bytes", dir.entries, dir.length)
	}
	// Archives with something before them count from their own start.
	dir.start = at - dir.length
	return dir, nil
}

// zipEnd finds the last record, which has a comment of unknown length behind it.
func (s *source) zipEnd() ([]byte, int64, error) {
	for _, tail := range [...]int64{1 << 10, zipEndLen + 0xffff} {
		tail = min(tail, s.end)
		buf := make([]byte, tail)
		n, err := readAt(s.r, buf, s.end-tail)
		if err != nil {
			return nil, 0, err
		}
		if i := bytes.LastIndex(buf[:n], zipEndMagic); i >= 0 && n-i >= zipEndLen {
			return buf[i:n], s.end - tail + int64(i), nil
		}
	}
	return nil, 0, s.errorf(s.end, "the file does not end as a zip archive does")
}

// zip64 reads the record for large archives, if there is one before the last.
func (s *source) zip64(dir zipDirectory, at int64) (zipDirectory, int64, error) {
	var locator [zipLocatorLen]byte
	if at < zipLocatorLen {
		return dir, at, nil
	}
	if _, err := readAt(s.r, locator[:], at-zipLocatorLen); err != nil {
		return dir, at, err
	}
	if !bytes.HasPrefix(locator[:], zipLocatorMagic) {
		return dir, at, nil
	}
	where := int64(binary.LittleEndian.Uint64(locator[8:]))
	if where < 0 || where > at-zipLocatorLen-zipEnd64Len {
		return dir, at, s.errorf(at-zipLocatorLen, "the archive's end is said to be at byte %d", where)
	}
	var end [zipEnd64Len]byte
	if _, err := readAt(s.r, end[:], where); err != nil {
		return dir, at, err
	}
	if !bytes.HasPrefix(end[:], zipEnd64Magic) {
		return dir, at, s.errorf(where, "the archive's end is not where it is said to be")
	}
	return zipDirectory{
		entries: int64(binary.LittleEndian.Uint64(end[32:])),
		length:  int64(binary.LittleEndian.Uint64(end[40:])),
		start:   int64(binary.LittleEndian.Uint64(end[48:])),
	}, where, nil
}

func (s *source) zipEntry() (zipEntry, error) {
	at := s.offset()
	var head [zipHeadLen]byte
	if err := s.full(head[:]); err != nil {
		return zipEntry{}, err
	}
	if !bytes.HasPrefix(head[:], zipHeadMagic) {
		return zipEntry{}, s.errorf(at, "no file of the archive's directory is here")
	}
	name, err := s.text(int64(binary.LittleEndian.Uint16(head[28:])), maxName)
	if err != nil {
		return zipEntry{}, err
	}
	e := zipEntry{
		name:   name,
		size:   int64(binary.LittleEndian.Uint32(head[24:])),
		stored: binary.LittleEndian.Uint16(head[10:]) == 0,
	}
	extra := int64(binary.LittleEndian.Uint16(head[30:]))
	if e.size == 0xffffffff {
		if err := s.within(extra, func() error { return s.zipSize(&e) }); err != nil {
			return zipEntry{}, err
		}
		extra = 0
	}
	return e, s.skip(extra + int64(binary.LittleEndian.Uint16(head[32:])))
}

// zipSize looks for a size of 64 bits among the extra fields, where it is first.
func (s *source) zipSize(e *zipEntry) error {
	for s.left() >= 4 {
		at := s.offset()
		id, err := s.uint(2, binary.LittleEndian)
		if err != nil {
			return err
		}
		n, err := s.uint(2, binary.LittleEndian)
		if err != nil {
			return err
		}
		if id != 1 || n < 8 {
			if err := s.skip(int64(n)); err != nil {
				return err
			}
			continue
		}
		size, err := s.uint(8, binary.LittleEndian)
		if err == nil && size > maxInt64 {
			err = s.errorf(at, "a file of %d bytes in the archive", size)
		}
		e.size = int64(size)
		return err
	}
	return nil
}
