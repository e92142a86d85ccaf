package weightstest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// KV is a pair of GGUF metadata. The value is a string, bool, uint8, uint32,
// int32, uint64, int64, float32, float64, []string, []int32 or []float32.
type KV struct {
	Key   string
	Value any
}

// Pairs makes metadata of keys, each followed by its value.
func Pairs(keysAndValues ...any) []KV {
	var pairs []KV
	for i := 0; i < len(keysAndValues); i += 2 {
		pairs = append(pairs, KV{keysAndValues[i].(string), keysAndValues[i+1]})
	}
	return pairs
}

// GGUFVersion is which dialect to write: by default version 3, little-endian.
type GGUFVersion struct {
	Version   int
	BigEndian bool
}

// block is how many elements of a type take how many bytes.
type block struct {
	number          uint32
	elements, bytes int64
}

var ggufBlocks = map[string]block{
	"F32": {0, 1, 4}, "F16": {1, 1, 2}, "BF16": {30, 1, 2}, "I32": {26, 1, 4}, "I8": {24, 1, 1},
	"Q4_0": {2, 32, 18}, "Q8_0": {8, 32, 34}, "Q2_K": {10, 256, 84}, "Q3_K": {11, 256, 110}, "Q4_K": {12, 256, 144},
	"Q5_K": {13, 256, 176}, "Q6_K": {14, 256, 210}, "IQ2_XXS": {16, 256, 66}, "IQ4_XS": {23, 256, 136}, "MXFP4": {39, 32, 17},
}

// GGUF makes a GGUF file.
func GGUF(version GGUFVersion, pairs []KV, tensors ...Tensor) *File {
	w := ggufWriter{order: binary.LittleEndian, version: version.Version}
	if version.BigEndian {
		w.order = binary.BigEndian
	}
	if w.version == 0 {
		w.version = 3
	}
	w.WriteString("GGUF")
	w.put(uint32(w.version))
	w.count(len(tensors))
	w.count(len(pairs))
	for _, kv := range pairs {
		w.str(kv.Key)
		w.value(kv.Value)
	}
	var end int64
	for _, t := range tensors {
		end = w.tensor(t, end)
	}
	f := NewFile(w.Bytes())
	if len(tensors) > 0 {
		f.pad(32)
		f.zeros(end)
	}
	return f
}

type ggufWriter struct {
	bytes.Buffer
	order   binary.ByteOrder
	version int
}

func (w *ggufWriter) put(v any) { binary.Write(w, w.order, v) }

func (w *ggufWriter) count(n int) {
	if w.version == 1 {
		w.put(uint32(n))
	} else {
		w.put(uint64(n))
	}
}

func (w *ggufWriter) str(s string) {
	w.count(len(s))
	w.WriteString(s)
}

func (w *ggufWriter) tensor(t Tensor, at int64) (end int64) {
	b := ggufBlocks[t.DType]
	if b.elements == 0 {
		panic("no GGUF type " + t.DType)
	}
	w.str(t.Name)
	w.put(uint32(len(t.Shape)))
	for i := range t.Shape {
		w.count(int(t.Shape[len(t.Shape)-1-i]))
	}
	w.put(b.number)
	w.put(uint64(at))
	size := (t.elements() + b.elements - 1) / b.elements * b.bytes
	return (at + size + 31) / 32 * 32
}

// value writes the kind of a value and the value.
func (w *ggufWriter) value(v any) {
	switch v := v.(type) {
	case []string:
		w.list(8, len(v))
		for _, s := range v {
			w.str(s)
		}
	case []int32:
		w.list(5, len(v))
		w.put(v)
	case []float32:
		w.list(6, len(v))
		w.put(v)
	default:
		w.put(ggufKind(v))
		w.scalar(v)
	}
}

func (w *ggufWriter) list(kind uint32, n int) {
	w.put([]uint32{9, kind})
	w.count(n)
}

func (w *ggufWriter) scalar(v any) {
	switch v := v.(type) {
	case string:
		w.str(v)
	case float64:
		w.put(math.Float64bits(v))
	default:
		w.put(v)
	}
}

func ggufKind(v any) uint32 {
	switch v.(type) {
	case uint8:
		return 0
	case uint32:
		return 4
	case int32:
		return 5
	case float32:
		return 6
	case bool:
		return 7
	case string:
		return 8
	case uint64:
		return 10
	case int64:
		return 11
	case float64:
		return 12
	}
	panic(fmt.Sprintf("no kind of GGUF value for %T", v))
}
