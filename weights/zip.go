package weights

import (
	"bytes"
	"encoding/binary"
	"io"
)

// zipEntry is what the directory at the end of a zip archive says of a file.
type zipEntry struct {
	name   string
	size   int64  // not compressed
	packed int64  // compressed
	method uint16 // of compression
	flags  uint16
	header int64 // where its own header is, which its content follows
}

// stored says whether the content is in the archive as it is.
func (e zipEntry) stored() bool { return e.method == 0 && e.flags&zipEncrypted == 0 }

const (
	zipEndLen     = 22
	zipEnd64Len   = 56
	zipLocatorLen = 20
	zipHeadLen    = 46
	zipLocalLen   = 30
	zipEncrypted  = 1          // of the flags
	zipNoRoom     = 0xffffffff // stands for a number that is elsewhere
)

var (
	zipEndMagic     = []byte("PK\x05\x06")
	zipEnd64Magic   = []byte("PK\x06\x06")
	zipLocatorMagic = []byte("PK\x06\x07")
	zipHeadMagic    = []byte("PK\x01\x02")
	zipLocalMagic   = []byte("PK\x03\x04")
)

// zipDirectory is where the directory is.
type zipDirectory struct {
	start, length, entries int64
	before                 int64 // bytes before the archive, which counts from its own start
}

// zipEntries calls each for the files of a zip archive until it returns false.
// archive/zip is not used since it allocates for the count that a sparse file
// declares.
func zipEntries(r io.ReaderAt, size int64, each func(zipEntry) bool) error {
	return newSource("zip", r, size).zipEntries(each)
}

func (s *source) zipEntries(each func(zipEntry) bool) error {
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
			e.header = addSat(e.header, dir.before)
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
	if dir.entries == 0xffff || dir.length == zipNoRoom || dir.start == zipNoRoom {
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
	dir.before = at - dir.length - dir.start
	dir.start += dir.before
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
		flags:  binary.LittleEndian.Uint16(head[8:]),
		method: binary.LittleEndian.Uint16(head[10:]),
		packed: int64(binary.LittleEndian.Uint32(head[20:])),
		size:   int64(binary.LittleEndian.Uint32(head[24:])),
		header: int64(binary.LittleEndian.Uint32(head[42:])),
	}
	extra := int64(binary.LittleEndian.Uint16(head[30:]))
	if e.size == zipNoRoom || e.packed == zipNoRoom || e.header == zipNoRoom {
		if err := s.within(extra, func() error { return s.zipSizes(&e) }); err != nil {
			return zipEntry{}, err
		}
		extra = 0
	}
	return e, s.skip(extra + int64(binary.LittleEndian.Uint16(head[32:])))
}

// zipSizes looks for numbers of 64 bits among the extra fields: those that had no
// room before, in this order.
func (s *source) zipSizes(e *zipEntry) error {
	for s.left() >= 4 {
		id, err := s.uint(2, binary.LittleEndian)
		if err != nil {
			return err
		}
		n, err := s.uint(2, binary.LittleEndian)
		if err != nil {
			return err
		}
		if id != 1 {
			if err := s.skip(int64(n)); err != nil {
				return err
			}
			continue
		}
		return s.within(int64(n), func() error { return s.zipNumbers(&e.size, &e.packed, &e.header) })
	}
	return nil
}

func (s *source) zipNumbers(numbers ...*int64) error {
	for _, n := range numbers {
		if *n != zipNoRoom || s.left() < 8 {
			continue
		}
		at := s.offset()
		v, err := s.uint(8, binary.LittleEndian)
		if err == nil && v > maxInt64 {
			err = s.errorf(at, "a file of %d bytes in the archive", v)
		}
		if err != nil {
			return err
		}
		*n = int64(v)
	}
	return nil
}

// zipContent finds where the content of a file is. It is an error if it is not
// stored as it is.
func (s *source) zipContent(e zipEntry) (at int64, err error) {
	if !e.stored() {
		return 0, s.errorf(min(e.header, s.end), "%q is compressed or encrypted, and nothing is decompressed here", e.name)
	}
	if e.header > s.end-zipLocalLen {
		return 0, s.errorf(s.end, "%q is said to be at byte %d", e.name, e.header)
	}
	s.seek(e.header)
	var head [zipLocalLen]byte
	if err := s.full(head[:]); err != nil {
		return 0, err
	}
	if !bytes.HasPrefix(head[:], zipLocalMagic) {
		return 0, s.errorf(e.header, "%q is not where it is said to be", e.name)
	}
	err = s.skip(int64(binary.LittleEndian.Uint16(head[26:])) + int64(binary.LittleEndian.Uint16(head[28:])))
	at = s.offset()
	if err == nil && e.size > s.left() {
		err = s.errorf(at, "%q has %d bytes and there are %d more", e.name, e.size, s.left())
	}
	return at, err
}
