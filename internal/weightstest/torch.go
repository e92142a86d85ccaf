package weightstest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Entry is a file of a zip archive: its content, or as many zeros as Size says.
type Entry struct {
	Name    string
	Content []byte
	Size    int64
}

// Zip makes an archive in which nothing is compressed. It has the records of
// large archives where the sizes need them. Checksums of zeros are not right.
func Zip(entries ...Entry) *File {
	f := new(File)
	var dir []byte
	for _, e := range entries {
		dir = append(dir, addEntry(f, e)...)
	}
	start := f.size
	f.add(dir)
	f.add(zipEnd(int64(len(entries)), start, int64(len(dir))))
	return f
}

// Torch makes what torch.save writes: a pickle and storages of the given sizes in
// bytes, in a folder.
func Torch(folder string, storages ...int64) *File {
	entries := []Entry{
		{Name: folder + "/data.pkl", Content: []byte("\x80\x02}q\x00.")},
		{Name: folder + "/byteorder", Content: []byte("little")},
	}
	for i, size := range storages {
		entries = append(entries, Entry{Name: fmt.Sprintf("%s/data/%d", folder, i), Size: size})
	}
	return Zip(append(entries, Entry{Name: folder + "/version", Content: []byte("3\n")})...)
}

// TorchScript makes what torch.jit.save writes.
func TorchScript(folder string, storages ...int64) *File {
	entries := []Entry{
		{Name: folder + "/data.pkl", Content: []byte("\x80\x02}q\x00.")},
		{Name: folder + "/code/__torch__.py", Content: []byte("class M(Module):\n")},
		{Name: folder + "/constants.pkl", Content: []byte("\x80\x02).")},
	}
	for i, size := range storages {
		entries = append(entries, Entry{Name: fmt.Sprintf("%s/data/%d", folder, i), Size: size})
	}
	return Zip(entries...)
}

const large = 0xffffffff

// addEntry writes a file and returns its entry in the directory.
func addEntry(f *File, e Entry) []byte {
	if e.Content != nil {
		e.Size = int64(len(e.Content))
	}
	at, size, extra := f.size, min(e.Size, large), []byte(nil)
	if e.Size >= large || at >= large {
		size, at = large, large
		extra = le(nil, 2, 1, 2, 24, 8, e.Size, 8, e.Size, 8, f.size)
	}
	crc := int64(crc32.ChecksumIEEE(e.Content))
	common := le(nil, 2, 20, 2, 0x800, 2, 0, 2, 0, 2, 0x21, 4, crc, 4, size, 4, size, 2, int64(len(e.Name)), 2, int64(len(extra)))
	f.add(append(append(append([]byte("PK\x03\x04"), common...), e.Name...), extra...))
	if e.Content != nil {
		f.add(e.Content)
	} else {
		f.zeros(e.Size)
	}
	head := append([]byte("PK\x01\x02\x14\x00"), common...)
	head = le(head, 2, 0, 2, 0, 2, 0, 4, 0, 4, at)
	return append(append(head, e.Name...), extra...)
}

// zipEnd writes what comes after the directory.
func zipEnd(n, start, length int64) []byte {
	var end []byte
	if n >= 0xffff || start >= large {
		end = append(end, "PK\x06\x06"...)
		end = le(end, 8, 44, 2, 45, 2, 45, 4, 0, 4, 0, 8, n, 8, n, 8, length, 8, start)
		end = append(end, "PK\x06\x07"...)
		end = le(end, 4, 0, 8, start+length, 4, 1)
	}
	end = append(end, "PK\x05\x06"...)
	n = min(n, 0xffff)
	return le(end, 2, 0, 2, 0, 2, n, 2, n, 4, min(length, large), 4, min(start, large), 2, 0)
}

// le appends pairs of a width in bytes and a number.
func le(b []byte, pairs ...int64) []byte {
	for i := 0; i < len(pairs); i += 2 {
		var raw [8]byte
		binary.LittleEndian.PutUint64(raw[:], uint64(pairs[i+1]))
		b = append(b, raw[:pairs[i]]...)
	}
	return b
}
