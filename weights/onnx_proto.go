package weights

import "encoding/binary"

// Wire types of protocol buffers.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// field is a key of a protocol buffer message. For those of wireVarint the value
// was read, for those of wireBytes the length.
type field struct {
	number int64
	wire   int
	value  uint64
}

func (s *source) varint() (uint64, error) {
	at := s.offset()
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		c, err := s.byte()
		if err != nil {
			return 0, err
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, nil
		}
	}
	return 0, s.errorf(at, "a number of more than 64 bits")
}

// field reads a key and, depending on its kind, the value or the length.
func (s *source) field() (f field, err error) {
	at := s.offset()
	key, err := s.varint()
	if err != nil {
		return f, err
	}
	f.number, f.wire = int64(key>>3), int(key&7)
	if f.number == 0 || f.number > 1<<29-1 {
		return f, s.errorf(at, "a field with the number %d", f.number)
	}
	switch f.wire {
	case wireVarint:
		f.value, err = s.varint()
	case wireFixed64:
		f.value, err = s.uint(8, binary.LittleEndian)
	case wireFixed32:
		f.value, err = s.uint(4, binary.LittleEndian)
	case wireBytes:
		if f.value, err = s.varint(); err == nil && f.value > uint64(s.left()) {
			err = s.errorf(at, "a field of %d bytes where there are %d more", f.value, s.left())
		}
	default:
		err = s.errorf(at, "a field of kind %d, which is not known", f.wire)
	}
	return f, err
}

// message calls each for the fields up to the end of the source. What it leaves
// of a field is skipped.
func (s *source) message(each func(field) error) error {
	for s.left() > 0 {
		f, err := s.field()
		if err != nil {
			return err
		}
		length := int64(0)
		if f.wire == wireBytes {
			length = int64(f.value)
		}
		if err := s.within(length, func() error { return each(f) }); err != nil {
			return err
		}
	}
	return nil
}

// rest takes what is left, of which it returns the first most bytes.
func (s *source) rest(most int64) (string, error) { return s.text(s.left(), most) }

// numbers takes the numbers of a repeated field, which may be packed.
func (s *source) numbers(f field, each func(uint64) error) error {
	if f.wire == wireVarint {
		return each(f.value)
	}
	for s.left() > 0 {
		n, err := s.varint()
		if err != nil {
			return err
		}
		if err := each(n); err != nil {
			return err
		}
	}
	return nil
}
