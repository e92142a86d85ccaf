package weights_test

import (
	"encoding/binary"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/weights"
)

// counter counts what is read.
type counter struct {
	r io.ReaderAt
	n int64
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// TestHostileHeaders wants files that declare far more than they are to cost
// neither memory nor reading.
func TestHostileHeaders(t *testing.T) {
	u64 := func(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }
	many := u64(1 << 60)
	key := u64(9) + "general.x"
	zip64 := func(entries, length, start string) string {
		record := "PK\x06\x06" + strings.Repeat("\x00", 28) + entries + length + start
		return record + "PK\x06\x07\x00\x00\x00\x00" + u64(1<<40-22-20-56) + "\x01\x00\x00\x00" +
			"PK\x05\x06\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00"
	}
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	// The first object of an HDF5 file comes after 96 bytes.
	hdf5 := "\x89HDF\r\n\x1a\n" + "\x00\x00\x00\x00\x00\x08\x08\x00" + zeros(24) + u64(1<<40) + zeros(16) + u64(96) + zeros(24)
	message := func(kind, data string) string {
		data += zeros((8 - len(data)%8) % 8)
		return kind + "\x00" + string(rune(len(data))) + zeros(5) + data
	}
	header := func(messages string) string {
		return "\x01\x00\x01\x00\x01\x00\x00\x00" + string(rune(len(messages))) + zeros(7) + messages
	}
	group := header(message("\x11", u64(136)+u64(160))) // and then its tree, and its heap
	for name, parts := range map[string][2]string{      // at the start and at the end of 1 TiB of zeros
		"safetensors length": {many, ""},
		"safetensors zeros":  {u64(60<<20) + "{", ""},
		"gguf tensors":       {"GGUF\x03\x00\x00\x00" + many + u64(0), ""},
		"gguf few tensors":   {"GGUF\x03\x00\x00\x00" + u64(1<<19) + u64(0), ""},
		"gguf pairs":         {"GGUF\x03\x00\x00\x00" + u64(0) + u64(1<<19), ""},
		"gguf key":           {"GGUF\x03\x00\x00\x00" + u64(0) + u64(1) + many, ""},
		"gguf long key":      {"GGUF\x03\x00\x00\x00" + u64(0) + u64(1) + u64(1<<39), ""},
		"gguf string":        {"GGUF\x03\x00\x00\x00" + u64(0) + u64(1) + key + "\x08\x00\x00\x00" + u64(1<<39), ""},
		"gguf lists":         {"GGUF\x03\x00\x00\x00" + u64(0) + u64(1) + key + "\x09\x00\x00\x00\x09\x00\x00\x00" + u64(1<<35), ""},
		"onnx graph":         {"\x08\x08\x3a\x80\x80\x80\x80\x80\x10\x0a\x80\x80\x80\x80\x40", ""},
		"onnx name":          {"\x08\x08\x12\x80\x80\x80\x80\x80\x10", ""},
		"zip entries":        {"PK\x03\x04", zip64(many, u64(1<<39), u64(1<<38))},
		"zip many entries":   {"PK\x03\x04", zip64(u64(1<<33), u64(1<<39), u64(1<<38))},
		"zip directory":      {"PK\x03\x04", zip64(u64(1), many, many)},
		"pickle":             {"\x80\x02", "."},
		"tflite lists":       {tfliteLists(1 << 30), ""},
		"tflite many graphs": {tfliteLists(4000), ""},
		"table of zeros":     {"", tableFooter(0, 1<<39)},
		"table index":        {"", tableFooter(1<<40-48-5-1<<30, 1<<30)},
		"table block":        {"", tableFooter(1<<20, 1<<30)},
		"hdf5 end":           {hdf5[:40] + many + hdf5[48:], ""},
		"hdf5 tree":          {hdf5 + group + "TREE\x00\x00\xff\xff" + zeros(16) + "HEAP" + zeros(4) + u64(1<<39) + u64(0) + u64(4096), ""},
		"hdf5 blocks":        {hdf5 + header(message("\x10", u64(112)+u64(24))), ""},
		"hdf5 block":         {hdf5 + header(message("\x10", u64(4096)+u64(1<<39))), ""},
		"hdf5 header":        {hdf5 + "\x01\x00\xff\xff\x01\x00\x00\x00\xff\xff\xff\xff", ""},
		"hdf5 new header":    {hdf5 + "OHDR\x02\x03" + u64(1<<39), ""},
		"hdf5 name":          {hdf5 + header(message("\x06", "\x01\x03"+u64(1<<39))), ""},
		"hdf5 text":          {hdf5 + header(message("\x0c", "\x03\x00\x01\x00\x08\x00\x04\x00\x00"+"a"+"\x13\x00\x00\x00\xff\xff\xff\x7f"+"\x02\x00\x00\x00")), ""},
		"hdf5 heap of texts": {hdf5 + header(message("\x0c", "\x03\x00\x01\x00\x08\x00\x04\x00\x00"+"a"+"\x19\x01\x00\x00\x10\x00\x00\x00"+"\x02\x00\x00\x00"+"\xff\xff\xff\x7f"+u64(4096)+"\x01\x00\x00\x00")), ""},
		"keras":              {"PK\x03\x04", zip64(u64(1<<33), u64(1<<39), u64(1<<38))},
		"nothing":            {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := &counter{r: sparse{parts[0], parts[1]}}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			readAll(t, file, 1<<40)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
				t.Errorf("allocated %d bytes", n)
			}
			if file.n > 3*weights.MaxRead {
				t.Errorf("read %d bytes", file.n)
			}
		})
	}
}

// tfliteLists is a model whose graphs and buffers are the same list, far behind it.
func tfliteLists(n uint32) string {
	file := []byte("\x20\x00\x00\x00TFL3\x0e\x00\x08\x00\x00\x00\x00\x00\x04\x00\x00\x00\x04\x00")
	file = append(file, make([]byte, 72-len(file))...)
	file[32], file[36] = 24, 68-36
	binary.LittleEndian.PutUint32(file[68:], n)
	return string(file)
}

// tableFooter ends a table whose index is at a place.
func tableFooter(offset, size uint64) string {
	footer := binary.AppendUvarint([]byte{0, 8}, offset)
	footer = binary.AppendUvarint(footer, size)
	return string(append(footer, make([]byte, 40-len(footer))...)) + "\x57\xfb\x80\x8b\x24\x75\x47\xdb"
}

// sparse is 1 TiB of zeros between a start and an end.
type sparse struct{ start, end string }

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	const size = 1 << 40
	clear(p)
	if off < int64(len(s.start)) {
		copy(p, s.start[off:])
	}
	if from := size - int64(len(s.end)); off+int64(len(p)) > from {
		if off >= from {
			copy(p, s.end[off-from:])
		} else {
			copy(p[from-off:], s.end)
		}
	}
	if int64(len(p)) > size-off {
		return int(size - off), io.EOF
	}
	return len(p), nil
}

// readAll hands a file to all readers; there are no panics to be seen.
func readAll(t *testing.T, r io.ReaderAt, size int64) {
	t.Helper()
	model := weights.NewModel(weights.Options{})
	_, err := weights.ReadSafetensors(r, size, model.Add)
	checkError(t, err, size)
	_, err = weights.ReadGGUF(r, size, model.Add)
	checkError(t, err, size)
	_, err = weights.ReadONNX(r, size)
	checkError(t, err, size)
	_, err = weights.ReadTorch(r, size)
	checkError(t, err, size)
	_, err = weights.ReadTFLite(r, size)
	checkError(t, err, size)
	_, err = weights.ReadCheckpoint(r, size, model.Add)
	checkError(t, err, size)
	_, err = weights.ReadHDF5(r, size, model.Add)
	checkError(t, err, size)
	_, err = weights.ReadKeras(r, size, model.Add)
	checkError(t, err, size)
	_, err = weights.ReadIndex(r, size)
	checkError(t, err, size)
	if _, err := weights.Sniff(r, size); err != nil {
		t.Error(err)
	}
}

// TestManyTensors wants the largest headers that are read to stay within bounds.
func TestManyTensors(t *testing.T) {
	var header strings.Builder
	header.WriteString(`{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`)
	for i := range 1 << 16 {
		header.WriteString(`,"`)
		for n := i; n > 0; n >>= 4 {
			header.WriteByte('a' + byte(n&15))
		}
		header.WriteString(`.weight":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`)
	}
	f := weightstest.SafetensorsRaw(header.String() + "}")
	model := weights.NewModel(weights.Options{})
	if _, err := weights.ReadSafetensors(f, f.Size(), model.Add); err != nil {
		t.Fatal(err)
	}
	if n := model.Summary().Tensors; n != 1<<16+1 {
		t.Errorf("got %d tensors", n)
	}
	runtime.GC()
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > 64<<20 {
		t.Errorf("%d bytes are held", after.HeapAlloc)
	}
	runtime.KeepAlive(model)
}
