package weights

// DType is how the elements of a tensor are stored. The names are those of
// safetensors and, for block quantisations, of ggml; I4, I3 and so on stand for
// integers that are packed into larger ones, F4 for all floats of four bits.
type DType string

// The types that code has to know by name.
const (
	F64    DType = "F64"
	F32    DType = "F32"
	F16    DType = "F16"
	BF16   DType = "BF16"
	F8E4M3 DType = "F8_E4M3"
	F8E5M2 DType = "F8_E5M2"
	F8E8M0 DType = "F8_E8M0"
	F4     DType = "F4"
	I64    DType = "I64"
	I32    DType = "I32"
	I8     DType = "I8"
	I4     DType = "I4"
	U32    DType = "U32"
	U8     DType = "U8"
	U4     DType = "U4"
	Bool   DType = "BOOL"
)

// dtypes has the bits that an element takes and the spec's name of the precision,
// if it has one.
var dtypes = map[DType]struct {
	bits int64
	name string
}{
	F64: {64, "float64"}, F32: {32, "float32"}, F16: {16, "float16"}, BF16: {16, "bfloat16"},
	F8E4M3: {8, "float8_e4m3"}, F8E5M2: {8, "float8_e5m2"}, F8E8M0: {8, ""},
	"F8_E4M3FNUZ": {8, "float8_e4m3"}, "F8_E5M2FNUZ": {8, "float8_e5m2"},
	"F6_E2M3": {6, ""}, "F6_E3M2": {6, ""}, F4: {4, ""},
	"C32": {32, "complex32"}, "C64": {64, "complex64"}, "C128": {128, "complex128"},
	I64: {64, "int64"}, I32: {32, "int32"}, "I16": {16, "int16"}, I8: {8, "int8"},
	"U64": {64, "uint64"}, U32: {32, "uint32"}, "U16": {16, "uint16"}, U8: {8, "uint8"},
	"I6": {6, ""}, "I5": {5, ""}, I4: {4, ""}, "I3": {3, ""}, "I2": {2, ""}, "I1": {1, ""},
	U4: {4, ""}, "U2": {2, ""}, Bool: {8, "bool"},
}

// Precision is the ModelPack spec's word for the type, such as bfloat16, or empty
// if it has none, as for all types below 8 bits.
func (d DType) Precision() string { return dtypes[d].name }

// Bits is the size of an element; with block quantisations the average, rounded
// to the nearest. It is 0 for types that are not known.
func (d DType) Bits() int {
	if known, ok := dtypes[d]; ok {
		return int(known.bits)
	}
	for _, t := range ggmlTypes {
		if t.name == d {
			return int((2*8*t.bytes + t.elements) / (2 * t.elements))
		}
	}
	return 0
}

// Float says whether the elements are floats, each by itself.
func (d DType) Float() bool {
	return dtypes[d].bits > 0 && (d[0] == 'F' || d[0] == 'B' && d != Bool || d[0] == 'C')
}

// counts says whether tensors of the type can hold parameters: indices,
// shapes and masks do not.
func (d DType) counts() bool { return d != "" && d != I64 && d != Bool && d != "STRING" }
