package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// Archives are written by hand here: a proper writer refuses what a hostile one
// would write.

const blockSize = 512

// Types of entries.
const (
	typeFile     = '0'
	typeHardLink = '1'
	typeSymlink  = '2'
	typeDir      = '5'
	typePAX      = 'x'
	typeGlobal   = 'g'
	typeLongName = 'L'
	typeLongLink = 'K'
	typeSparse   = 'S'
)

// Where the fields of a header are.
const (
	offMode  = 100
	offUID   = 108
	offGID   = 116
	offSize  = 124
	offMtime = 136
	offSum   = 148
	offFlag  = 156
	offLink  = 157
	offMagic = 257
)

// header is a block that begins an entry. A name that is too long is cut.
func header(flag byte, name string, size int64) []byte {
	b := make([]byte, blockSize)
	copy(b[:offMode], name)
	octal(b[offMode:offUID], 0o644)
	octal(b[offUID:offGID], 0)
	octal(b[offGID:offSize], 0)
	number(b[offSize:offMtime], size)
	octal(b[offMtime:offSum], 0)
	b[offFlag] = flag
	copy(b[offMagic:], "ustar\x0000")
	return seal(b)
}

// octal writes a number in the old way.
func octal(field []byte, n int64) { copy(field, fmt.Sprintf("%0*o", len(field)-1, n)) }

// number writes a number in the old way if it fits, and in base 256 if not.
func number(field []byte, n int64) {
	if n >= 0 && n < 1<<33 {
		octal(field, n)
		return
	}
	binary.BigEndian.PutUint64(field[len(field)-8:], uint64(n))
	for i := range field[:len(field)-8] {
		field[i] = byte(n >> 63)
	}
	field[0] |= 0x80
}

// seal writes the checksum of a header.
func seal(b []byte) []byte {
	copy(b[offSum:], "        ")
	sum := 0
	for _, c := range b[:blockSize] {
		sum += int(c)
	}
	copy(b[offSum:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// entry is a header and its content, padded.
func entry(flag byte, name, content string) []byte {
	return pad(append(header(flag, name, int64(len(content))), content...))
}

func pad(b []byte) []byte {
	return append(b, make([]byte, -len(b)&(blockSize-1))...)
}

func file(name, content string) []byte { return entry(typeFile, name, content) }

func dir(name string) []byte { return entry(typeDir, name, "") }

// link is a link of either type.
func link(flag byte, name, target string) []byte {
	b := header(flag, name, 0)
	copy(b[offLink:offMagic], target)
	return seal(b)
}

// longLink is a symbolic link whose target any length is good for.
func longLink(name, target string) []byte {
	return joined(entry(typeLongLink, "././@LongLink", target+"\x00"), link(typeSymlink, name, ""))
}

// pax is a header of records, given as keys and values by turns.
func pax(flag byte, records ...string) []byte {
	var b bytes.Buffer
	for i := 0; i+1 < len(records); i += 2 {
		b.WriteString(paxRecord(records[i], records[i+1]))
	}
	return entry(flag, "PaxHeaders/0", b.String())
}

// paxRecord begins with its own length.
func paxRecord(key, value string) string {
	rest := " " + key + "=" + value + "\n"
	n := len(rest)
	for n != len(strconv.Itoa(n))+len(rest) {
		n = len(strconv.Itoa(n)) + len(rest)
	}
	return strconv.Itoa(n) + rest
}

// paxFile is a file whose name stands in a record.
func paxFile(name, content string) []byte {
	return joined(pax(typePAX, "path", name), file("plain.txt", content))
}

// gnuFile is a file whose name stands in an entry of its own.
func gnuFile(name, content string) []byte {
	return joined(entry(typeLongName, "././@LongLink", name+"\x00"), file("plain.txt", content))
}

func joined(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// archive is entries and the end of an archive.
func archive(entries ...[]byte) []byte {
	return append(joined(entries...), make([]byte, 2*blockSize)...)
}
