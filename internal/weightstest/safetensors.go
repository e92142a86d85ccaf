package weightstest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
)

// Tensor is a tensor of a test file. DType is a name of safetensors in
// [Safetensors] and of ggml in [GGUF]; Shape has the slowest dimension first.
type Tensor struct {
	Name, DType string
	Shape       []int64
}

// T is a Tensor.
func T(name, dtype string, shape ...int64) Tensor { return Tensor{name, dtype, shape} }

// elements is the product of the shape.
func (t Tensor) elements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

var safetensorsBits = map[string]int64{
	"F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
	"F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}

// Safetensors makes a safetensors file. The metadata may be nil. Tensors of types
// that are not known take one byte an element.
func Safetensors(metadata map[string]string, tensors ...Tensor) *File {
	var header strings.Builder
	header.WriteByte('{')
	if metadata != nil {
		fmt.Fprintf(&header, `"__metadata__":%s,`, quote(metadata))
	}
	var end int64
	for _, t := range tensors {
		bits := int64(8)
		if known, ok := safetensorsBits[t.DType]; ok {
			bits = known
		}
		start := end
		end += (t.elements()*bits + 7) / 8
		shape := t.Shape
		if shape == nil {
			shape = []int64{}
		}
		fmt.Fprintf(&header, `%s:{"dtype":%s,"shape":%s,"data_offsets":[%d,%d]},`, quote(t.Name), quote(t.DType), quote(shape), start, end)
	}
	json := strings.TrimSuffix(header.String(), ",") + "}"
	f := SafetensorsRaw(json)
	f.zeros(end)
	return f
}

// SafetensorsRaw is a safetensors file of a header that need not be valid,
// without tensors.
func SafetensorsRaw(header string) *File {
	header += strings.Repeat(" ", (8-len(header)%8)%8)
	f := NewFile(binary.LittleEndian.AppendUint64(nil, uint64(len(header))))
	f.add([]byte(header))
	return f
}

// Index is the index of a sharded model: the tensors of each file.
func Index(totalSize int64, shards map[string][]Tensor) *File {
	weightMap := make(map[string]string)
	for file, tensors := range shards {
		for _, t := range tensors {
			weightMap[t.Name] = file
		}
	}
	return NewFile([]byte(quote(map[string]any{
		"metadata":   map[string]any{"total_size": totalSize},
		"weight_map": weightMap,
	})))
}

func quote(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only of types that have no JSON
	}
	return string(b)
}
