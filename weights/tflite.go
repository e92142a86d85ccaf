package weights

import "io"

// TFLite is what a TensorFlow Lite file says of its model.
type TFLite struct {
	Version     int64 // of the schema
	Description string
	Subgraphs   int
	// Tensors is how many tensors there are with values in the file: weights and
	// constants. Those that share their values count once.
	Tensors int
	// Params is the number of parameters; ByDType has it by how they are stored.
	// Shapes, indices and single numbers are not counted, and so no integers of 32
	// bits or more: as in ONNX files, the biases of quantised models are among
	// these. Of a sparse tensor the elements that are stored count.
	Params  int64
	ByDType map[DType]int64
}

// tfliteDTypes is by TensorType. Resources and variants have no elements.
var tfliteDTypes = [...]DType{F32, F16, I32, U8, I64, "STRING", Bool, "I16", "C64", I8, F64, "C128", "U64", "", "", U32, "U16", I4, BF16,
	"I2", U4, F8E4M3, F8E5M2}

// Fields of tables, by their place in the schema.
const (
	tfliteVersion     = 0 // of a Model
	tfliteSubgraphs   = 2
	tfliteDescription = 3
	tfliteBuffers     = 4

	tfliteTensors = 0 // of a SubGraph

	tfliteShape  = 0 // of a Tensor
	tfliteType   = 1
	tfliteBuffer = 2

	tfliteData   = 0 // of a Buffer
	tfliteOffset = 1
	tfliteSize   = 2
)

// maxTFLiteGraphs bounds the subgraphs of a model: large ones have some dozens.
const maxTFLiteGraphs = 1 << 12

// ReadTFLite reads a TensorFlow Lite file: its tables, not the weights.
func ReadTFLite(r io.ReaderAt, size int64) (*TFLite, error) {
	t := tfliteReader{flatbuffer: newFlatbuffer("TensorFlow Lite", r, size), model: TFLite{ByDType: make(map[DType]int64)}, seen: make(map[uint64]bool)}
	t.read()
	if t.err != nil {
		return nil, t.err
	}
	return &t.model, nil
}

type tfliteReader struct {
	*flatbuffer
	model   TFLite
	buffers flatVector
	seen    map[uint64]bool // buffers that were counted
	tensors int64           // of all subgraphs, with values or without
}

func (t *tfliteReader) read() {
	var id [4]byte
	if t.full(id[:], 4); t.err == nil && string(id[:]) != "TFL3" {
		t.errorf(4, "the identifier is %q, not TFL3", id)
	}
	root := t.root()
	t.model.Version = int64(t.number(root, tfliteVersion, 4))
	t.model.Description = t.text(root, tfliteDescription, maxName)
	t.buffers = t.vector(root, tfliteBuffers, 4)
	graphs := t.vector(root, tfliteSubgraphs, 4)
	if t.err == nil && (graphs.n == 0 || graphs.n > maxTFLiteGraphs) {
		t.errorf(root.at, "%d subgraphs, where there may be 1 to %d", graphs.n, maxTFLiteGraphs)
	}
	for i := int64(0); i < graphs.n && t.err == nil; i++ {
		t.subgraph(t.tableOf(graphs, i))
	}
	t.model.Subgraphs = int(graphs.n)
}

func (t *tfliteReader) subgraph(graph flatTable) {
	tensors := t.vector(graph, tfliteTensors, 4)
	if t.tensors += tensors.n; t.tensors > maxTensors {
		t.errorf(graph.at, "more than %d tensors", maxTensors)
	}
	for i := int64(0); i < tensors.n && t.err == nil; i++ {
		t.tensor(t.tableOf(tensors, i))
	}
}

// tensor counts one that is a weight. What has values is told by its buffer; the
// others are computed.
func (t *tfliteReader) tensor(tensor flatTable) {
	buffer := t.number(tensor, tfliteBuffer, 4)
	if buffer == 0 || t.seen[buffer] {
		return
	}
	bytes := t.bytes(tensor.at, buffer)
	if bytes == 0 || t.err != nil {
		return
	}
	t.seen[buffer] = true
	t.model.Tensors++
	d := t.dtype(tensor)
	shape := t.vector(tensor, tfliteShape, 4)
	if d == I32 || d == U32 || d == "U64" || !d.counts() || shape.n == 0 {
		return
	}
	// A sparse tensor holds fewer elements than its shape has.
	n := min(t.elements(tensor.at, shape), mulSat(bytes, 8)/dtypes[d].bits)
	t.model.Params = addSat(t.model.Params, n)
	t.model.ByDType[d] = addSat(t.model.ByDType[d], n)
}

// bytes is the size of a buffer, which is in the flat buffer or, in large files,
// behind it.
func (t *tfliteReader) bytes(at int64, buffer uint64) int64 {
	if buffer >= uint64(t.buffers.n) {
		t.errorf(at, "a tensor in buffer %d of %d", buffer, t.buffers.n)
		return 0
	}
	table := t.tableOf(t.buffers, int64(buffer))
	if data := t.vector(table, tfliteData, 1); data.n > 0 {
		return data.n
	}
	offset, size := t.number(table, tfliteOffset, 8), t.number(table, tfliteSize, 8)
	switch {
	case offset <= 1 || size <= 1: // exporters write 1 before they know better
		return 0
	case size > uint64(t.size) || offset > uint64(t.size)-size:
		t.errorf(table.at, "a buffer of %d bytes from %d on, which is outside of the file", size, offset)
		return 0
	}
	return int64(size)
}

func (t *tfliteReader) dtype(tensor flatTable) DType {
	n := t.number(tensor, tfliteType, 1)
	if n >= uint64(len(tfliteDTypes)) {
		t.errorf(tensor.at, "a tensor of type %d, which is not known", n)
		return ""
	}
	return tfliteDTypes[n]
}

func (t *tfliteReader) elements(at int64, shape flatVector) int64 {
	var dims [maxRank]int64
	if shape.n > maxRank {
		t.errorf(at, "a tensor with more than %d dimensions", maxRank)
		return 0
	}
	for i := range shape.n {
		dims[i] = int64(int32(t.uint(shape.at+4*i, 4)))
	}
	n, ok := product(dims[:shape.n])
	if !ok {
		t.errorf(at, "a tensor of shape %v, which is negative or beyond 64 bits", dims[:shape.n])
	}
	return n
}
