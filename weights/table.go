package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/klauspost/compress/s2"
)

const (
	tableMagic     = "\x57\xfb\x80\x8b\x24\x75\x47\xdb" // the end of a table
	tableFooterLen = 48
	trailerLen     = 5 // of a block: how it is compressed, a checksum
	maxBlocks      = 1 << 16

	// maxBlock is how large a compressed block may be, before and after. TensorFlow
	// begins another one after 256 KiB.
	maxBlock = 4 << 20
)

// How a block may be compressed.
const (
	blockPlain  = 0
	blockSnappy = 1
)

// table reads a table as LevelDB keeps it: blocks of entries in the order of their
// keys, an index of these blocks, and a footer that says where the index is.
type table struct {
	*source
	footer    int64  // where the footer is
	key, next []byte // of the entry at hand, and room for the one after it
	entered   bool   // there is an entry at hand
	plain     []byte // room for what a compressed block comes to
	shared    int64  // bytes that keys had from those before them
}

func newTable(format string, r io.ReaderAt, size int64) *table {
	return &table{source: newSource(format, r, size), footer: size - tableFooterLen}
}

// block is where some entries are.
type block struct{ offset, size int64 }

// entries calls each for every entry of the table, with the key in t.key and the
// source narrowed to the value.
func (t *table) entries(each func() error) error {
	blocks, err := t.blocks()
	if err != nil {
		return err
	}
	t.entered = false
	for _, b := range blocks {
		if err := t.block(b, each); err != nil {
			return err
		}
	}
	return nil
}

// blocks reads the index, which has no block twice.
func (t *table) blocks() ([]block, error) {
	index, err := t.index()
	if err != nil {
		return nil, err
	}
	var blocks []block
	var end int64
	err = t.block(index, func() error {
		at := t.offset()
		b, err := t.handle()
		switch {
		case err != nil:
			return err
		case b.offset < end:
			return t.errorf(at, "a block at %d, before the end of another one", b.offset)
		case len(blocks) == maxBlocks:
			return t.errorf(at, "more than %d blocks", maxBlocks)
		}
		blocks, end = append(blocks, b), b.offset+b.size
		return nil
	})
	return blocks, err
}

// index reads the footer: two blocks, of which the first says nothing of use.
func (t *table) index() (block, error) {
	if t.footer < 0 {
		return block{}, t.errorf(0, "%d bytes are too few for a table", t.end)
	}
	at := t.end - int64(len(tableMagic))
	t.seek(at)
	magic, err := t.text(int64(len(tableMagic)), int64(len(tableMagic)))
	if err != nil {
		return block{}, err
	}
	if magic != tableMagic {
		return block{}, t.errorf(at, "the end is not that of a table")
	}
	t.seek(t.footer)
	if _, err := t.handle(); err != nil {
		return block{}, err
	}
	return t.handle()
}

// handle reads where a block is.
func (t *table) handle() (block, error) {
	at := t.offset()
	offset, err := t.varint()
	if err != nil {
		return block{}, err
	}
	size, err := t.varint()
	if err != nil {
		return block{}, err
	}
	room := uint64(t.footer - trailerLen)
	if t.footer < trailerLen || size < 4 || size > room || offset > room-size {
		return block{}, t.errorf(at, "a block of %d bytes at %d does not fit in", size, offset)
	}
	return block{int64(offset), int64(size)}, nil
}

// block calls each for the entries of a block.
func (t *table) block(b block, each func() error) error {
	at := b.offset + b.size
	t.seek(at)
	compression, err := t.byte()
	switch {
	case err != nil:
		return err
	case compression == blockPlain:
		t.seek(b.offset)
		return t.within(b.size, func() error { return t.all(each) })
	case compression == blockSnappy:
		return t.unpacked(b, each)
	}
	return t.errorf(at, "the table is compressed in a way that is not known: %d", compression)
}

// unpacked is block for a compressed one, whose entries are in memory.
func (t *table) unpacked(b block, each func() error) error {
	if b.size > maxBlock {
		return t.errorf(b.offset, "a compressed block of %d bytes", b.size)
	}
	t.seek(b.offset)
	packed := make([]byte, b.size)
	if err := t.full(packed); err != nil {
		return err
	}
	size, err := s2.DecodedLen(packed)
	if err != nil || size > maxBlock || int64(size) > t.budget {
		return t.errorf(b.offset, "a compressed block that is too large or damaged")
	}
	if t.plain, err = s2.Decode(t.plain[:0], packed); err != nil {
		return t.errorf(b.offset, "a damaged block: %v", err)
	}
	t.budget -= int64(size)
	file := t.source
	t.source = newSource(file.format, bytes.NewReader(t.plain), int64(size))
	err = t.all(each)
	t.source = file
	if e, ok := errors.AsType[*FormatError](err); ok {
		return t.errorf(b.offset, "in the compressed block: at byte %d: %s", e.Offset, e.Msg)
	}
	return err
}

// all calls each for the entries of the block that the source is narrowed to.
func (t *table) all(each func() error) error {
	length, err := t.length()
	if err != nil {
		return err
	}
	err = t.within(length, func() error {
		for first := true; t.left() > 0; first = false {
			if err := t.entry(first, each); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		t.seek(t.end)
	}
	return err
}

// length is how long the entries of a block are. Behind them there is a list of
// places to search from, and its length.
func (t *table) length() (int64, error) {
	start, size := t.offset(), t.left()
	if size < 4 {
		return 0, t.errorf(start, "a block of %d bytes", size)
	}
	t.seek(t.end - 4)
	restarts, err := t.uint(4, binary.LittleEndian)
	if err != nil {
		return 0, err
	}
	if int64(restarts) > (size-4)/4 {
		return 0, t.errorf(t.end-4, "%d restarts in a block of %d bytes", restarts, size)
	}
	t.seek(start)
	return size - 4 - 4*int64(restarts), nil
}

// entry reads a key and hands the value over. Of the key only what differs from
// the one before is stored.
func (t *table) entry(first bool, each func() error) error {
	at := t.offset()
	var head [3]uint64 // bytes that are shared, further ones, bytes of the value
	for i := range head {
		var err error
		if head[i], err = t.varint(); err != nil {
			return err
		}
	}
	shared, further := head[0], head[1]
	switch {
	case shared > uint64(len(t.key)) || shared > 0 && first:
		return t.errorf(at, "a key shares %d bytes with one that has fewer", shared)
	case further > maxName-min(shared, maxName):
		return t.errorf(at, "a key of more than %d bytes", maxName)
	}
	if t.shared += int64(shared); t.shared > MaxRead {
		return t.errorf(at, "the keys come to more than %d MiB, which is more than is read", MaxRead>>20)
	}
	t.next = slices.Grow(append(t.next[:0], t.key[:shared]...), int(further))[:shared+further]
	if err := t.full(t.next[shared:]); err != nil {
		return err
	}
	if t.entered && bytes.Compare(t.next, t.key) <= 0 {
		return t.errorf(at, "a key that does not come after the one before it")
	}
	t.key, t.next, t.entered = t.next, t.key, true
	return t.within(int64(head[2]), each)
}
