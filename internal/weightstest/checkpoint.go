package weightstest

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/s2"
)

// checkpointTypes has the number of DataType and the bytes of an element.
var checkpointTypes = map[string][2]int64{
	"F32": {1, 4}, "F64": {2, 8}, "I32": {3, 4}, "U8": {4, 1}, "I8": {6, 1}, "STRING": {7, 0}, "I64": {9, 8}, "BOOL": {10, 1},
	"BF16": {14, 2}, "F16": {19, 2},
}

// TableEntry is an entry of a table as LevelDB keeps it.
type TableEntry struct{ Key, Value string }

// Table makes a table with so many entries a block. They must be in order.
func Table(each int, entries ...TableEntry) *File {
	return PackedTable(func(block []byte) []byte { return block }, 0, each, entries...)
}

// SnappyTable does the same with compressed blocks.
func SnappyTable(each int, entries ...TableEntry) *File {
	return PackedTable(func(block []byte) []byte { return s2.EncodeSnappy(nil, block) }, 1, each, entries...)
}

// PackedTable has blocks that pack made, and says that they are of that kind.
func PackedTable(pack func(block []byte) []byte, kind byte, each int, entries ...TableEntry) *File {
	var file []byte
	add := func(entries []TableEntry) string { return addBlock(&file, pack(packEntries(entries)), kind) }
	var index []TableEntry
	for block := range slices.Chunk(entries, each) {
		index = append(index, TableEntry{block[len(block)-1].Key, add(block)})
	}
	footer := add(nil) + add(index)
	footer += string(make([]byte, 40-len(footer))) + "\x57\xfb\x80\x8b\x24\x75\x47\xdb"
	return NewFile(append(file, footer...))
}

// restartEvery is after how many entries a key is stored whole.
const restartEvery = 16

// packEntries makes a block of entries.
func packEntries(entries []TableEntry) []byte {
	var b, restarts []byte
	before := ""
	for i, e := range entries {
		shared := 0
		if i%restartEvery == 0 {
			restarts = binary.LittleEndian.AppendUint32(restarts, uint32(len(b)))
		} else {
			for shared < min(len(before), len(e.Key)) && before[shared] == e.Key[shared] {
				shared++
			}
		}
		for _, n := range []int{shared, len(e.Key) - shared, len(e.Value)} {
			b = binary.AppendUvarint(b, uint64(n))
		}
		b = append(append(b, e.Key[shared:]...), e.Value...)
		before = e.Key
	}
	if entries == nil {
		restarts = make([]byte, 4)
	}
	return binary.LittleEndian.AppendUint32(append(b, restarts...), uint32(len(restarts)/4))
}

// addBlock writes a block and returns where it is, as an index has it.
func addBlock(file *[]byte, b []byte, kind byte) string {
	handle := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(*file))), uint64(len(b)))
	sum := crc32.Checksum(append(slices.Clone(b), kind), crc32.MakeTable(crc32.Castagnoli))
	*file = append(append(*file, b...), kind)
	*file = binary.LittleEndian.AppendUint32(*file, (sum>>15|sum<<17)+0xa282ead8)
	return string(handle)
}

// Checkpoint makes the index of a TensorFlow checkpoint. Its tensors are in the
// files of that many shards in turn, as [CheckpointShard] makes them.
func Checkpoint(shards int, tensors ...Tensor) *File {
	return Table(100, CheckpointEntries(shards, tensors...)...)
}

// CheckpointEntries are the entries of the table that [Checkpoint] makes.
func CheckpointEntries(shards int, tensors ...Tensor) []TableEntry {
	header := proto{}.withVarint(1, int64(shards))
	header.bytes(3, proto{}.withVarint(1, 1))
	entries := []TableEntry{{"", string(header)}}
	ends := make([]int64, shards)
	for i, t := range sortedTensors(tensors) {
		shard := i % shards
		entries = append(entries, TableEntry{t.Name, string(t.entry(shard, ends[shard]))})
		ends[shard] += t.checkpointBytes()
	}
	return entries
}

// CheckpointShard makes a file of the tensors, zeros all of them.
func CheckpointShard(no, shards int, tensors ...Tensor) *File {
	f := new(File)
	for i, t := range sortedTensors(tensors) {
		if i%shards == no {
			f.zeros(t.checkpointBytes())
		}
	}
	return f
}

func sortedTensors(tensors []Tensor) []Tensor {
	return slices.SortedFunc(slices.Values(tensors), func(a, b Tensor) int { return cmp.Compare(a.Name, b.Name) })
}

func (t Tensor) checkpointBytes() int64 { return t.elements() * checkpointTypes[t.DType][1] }

// entry is a BundleEntryProto.
func (t Tensor) entry(shard int, offset int64) proto {
	var shape proto
	for _, d := range t.Shape {
		shape.bytes(2, proto{}.withVarint(1, d))
	}
	p := proto{}.withVarint(1, checkpointTypes[t.DType][0])
	p.bytes(2, shape)
	if shard > 0 {
		p.varint(3, int64(shard))
	}
	if offset > 0 {
		p.varint(4, offset)
	}
	p.varint(5, t.checkpointBytes())
	p.key(6, 5)
	return append(p, 0, 0, 0, 0)
}
