package weights

import (
	"hash/maphash"
	"io"
	"slices"
	"strconv"
	"strings"
)

// ONNX is what an ONNX file says of its model.
type ONNX struct {
	IRVersion                 int64
	Producer, ProducerVersion string
	// Opset is the version of the standard operators, Domains has the versions of
	// all others.
	Opset   int64
	Domains map[string]int64
	// Inputs and Outputs are those of the model; weights are left out.
	Inputs, Outputs []Port
	Nodes           int
	// Tensors is how many weights and constants there are, in sub-graphs too.
	Tensors int
	// Params is the number of parameters; ByDType has it by how they are stored.
	// Shapes, indices, scales and zero points are not counted, and so no integers
	// of 32 bits or more.
	Params  int64
	ByDType map[DType]int64
	// External are the files that hold weights, sorted. They come from the model
	// as they are, relative to it: they need not be local paths.
	External []string
	// Quantized are the quantised operators that occur, sorted: MatMulNBits, ...
	Quantized []string
	// Metadata is what the exporter noted, values cut after 64 KiB.
	Metadata map[string]string
}

// Port is an input or output of a model. A dimension is a number, a name or a
// question mark.
type Port struct {
	Name  string
	DType DType
	Shape []string
}

// onnxDTypes is by TensorProto.DataType.
var onnxDTypes = [...]DType{"", F32, U8, I8, "U16", "I16", I32, I64, "STRING", Bool, F16, F64, U32, "U64", "C64", "C128", BF16,
	F8E4M3, "F8_E4M3FNUZ", F8E5M2, "F8_E5M2FNUZ", U4, I4, F4, F8E8M0, "U2", "I2"}

func onnxDType(n uint64) DType {
	if n < uint64(len(onnxDTypes)) {
		return onnxDTypes[n]
	}
	return ""
}

const (
	maxPorts     = 1 << 10 // inputs or outputs of a model
	maxExternal  = 1 << 12 // files with weights
	maxSubgraphs = 8       // how deeply they may be nested
	maxScales    = 1 << 18 // tensors that are known to be scales or packed
)

// ReadONNX reads an ONNX file. The bytes of the weights are jumped over; files
// with weights of their own are named and not opened.
func ReadONNX(r io.ReaderAt, size int64) (*ONNX, error) {
	o := onnxReader{
		source: newSource("ONNX", r, size),
		model:  ONNX{Domains: make(map[string]int64), ByDType: make(map[DType]int64), Metadata: make(map[string]string)},
		seed:   maphash.MakeSeed(), roles: make(map[uint64]role),
		external: make(map[string]bool), quantized: make(map[string]bool),
	}
	graph := false
	err := o.message(func(f field) error {
		graph = graph || f.number == 7
		return o.top(f)
	})
	if err == nil && (!graph || o.model.IRVersion == 0) {
		err = o.errorf(0, "there is no version or no graph")
	}
	if err != nil {
		return nil, err
	}
	o.finish()
	return &o.model, nil
}

type onnxReader struct {
	*source
	model     ONNX
	depth     int
	seed      maphash.Seed
	roles     map[uint64]role // by the hash of a tensor's name
	external  map[string]bool
	quantized map[string]bool
	kept      int
}

// role is what an operator says of a tensor that it uses. Operators come before
// the tensors in a file.
type role struct {
	scale  bool  // it holds scales or zero points
	packed int64 // it holds so many parameters
	bits   int64
	port   bool // it is a weight, which old files list among the inputs
}

func (o *onnxReader) finish() {
	for _, p := range o.roles {
		if p.packed > 0 {
			o.count(DType("I"+strconv.FormatInt(p.bits, 10)), p.packed)
		}
	}
	o.model.External = sortedKeys(o.external)
	o.model.Quantized = sortedKeys(o.quantized)
}

func (o *onnxReader) top(f field) (err error) {
	switch f.number {
	case 1:
		o.model.IRVersion = int64(f.value)
	case 2:
		o.model.Producer, err = o.rest(256)
	case 3:
		o.model.ProducerVersion, err = o.rest(256)
	case 7:
		err = o.graph()
	case 8:
		err = o.opset()
	case 14:
		err = o.metadata()
	}
	return err
}

func (o *onnxReader) opset() error {
	var domain string
	var version int64
	err := o.message(func(f field) (err error) {
		switch f.number {
		case 1:
			domain, err = o.rest(256)
		case 2:
			version = int64(f.value)
		}
		return err
	})
	if domain == "" || domain == "ai.onnx" {
		o.model.Opset = version
	} else if len(o.model.Domains) < 256 {
		o.model.Domains[domain] = version
	}
	return err
}

// entry reads a pair of strings.
func (o *onnxReader) entry() (key, value string, err error) {
	err = o.message(func(f field) (err error) {
		switch f.number {
		case 1:
			key, err = o.rest(maxName)
		case 2:
			value, err = o.rest(maxValue)
		}
		return err
	})
	return key, value, err
}

func (o *onnxReader) metadata() error {
	key, value, err := o.entry()
	if o.kept += len(key) + len(value) + 64; o.kept <= maxMeta {
		o.model.Metadata[key] = value
	}
	return err
}

func (o *onnxReader) graph() error {
	if o.depth++; o.depth > maxSubgraphs {
		return o.errorf(o.offset(), "graphs are nested more than %d deep", maxSubgraphs)
	}
	defer func() { o.depth-- }()
	return o.message(func(f field) error {
		switch f.number {
		case 1:
			return o.node()
		case 5:
			return o.tensor()
		case 15: // sparse: values, indices, dims
			return o.message(func(f field) error {
				if f.number == 1 {
					return o.tensor()
				}
				return nil
			})
		case 11:
			return o.port(&o.model.Inputs)
		case 12:
			return o.port(&o.model.Outputs)
		}
		return nil
	})
}

func sortedKeys(m map[string]bool) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// count adds n parameters.
func (o *onnxReader) count(d DType, n int64) {
	o.model.Params = addSat(o.model.Params, n)
	o.model.ByDType[d] = addSat(o.model.ByDType[d], n)
}

// tensor reads a weight, all but its bytes.
func (o *onnxReader) tensor() error {
	at := o.offset()
	n, rank := int64(1), 0
	var d DType
	var name string
	err := o.message(func(f field) (err error) {
		switch f.number {
		case 1:
			return o.numbers(f, func(dim uint64) error {
				if rank++; rank > maxRank || int64(dim) < 0 || dim != 0 && n > maxInt64/int64(dim) {
					return o.errorf(at, "a tensor with too many dimensions, or beyond 64 bits")
				}
				n *= int64(dim)
				return nil
			})
		case 2:
			d = onnxDType(f.value)
		case 8:
			name, err = o.rest(maxName)
		case 13:
			err = o.location(at)
		}
		return err
	})
	if err != nil {
		return err
	}
	o.model.Tensors++
	hash := maphash.String(o.seed, name)
	role := o.roles[hash]
	if o.model.IRVersion < 4 && o.depth == 1 {
		withPort := role
		withPort.port = true
		o.setRole(hash, withPort)
	}
	if rank > 0 && d.counts() && d != I32 && !role.scale && role.packed == 0 && !onnxScale(name) {
		o.count(d, n)
	}
	return nil
}

// onnxScale knows scales and zero points by the names that quantisers give them.
func onnxScale(name string) bool {
	for _, end := range [...]string{"_scale", "_zero_point", "_scales", "_zero_points", "_scale_quantized", "_zp", "_absmax"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

func (o *onnxReader) location(at int64) error {
	key, value, err := o.entry()
	switch {
	case err != nil || key != "location" || o.external[value]:
		return err
	case len(value) > maxName || len(o.external) == maxExternal:
		return o.errorf(at, "more than %d files with weights, or one with too long a name", maxExternal)
	}
	o.external[value] = true
	return nil
}

func (o *onnxReader) port(ports *[]Port) error {
	if o.depth > 1 || len(*ports) == maxPorts {
		return nil
	}
	var p Port
	err := o.message(func(f field) (err error) {
		switch f.number {
		case 1:
			p.Name, err = o.rest(maxName)
		case 2:
			err = o.message(func(f field) error {
				if f.number != 1 { // only tensors have elements
					return nil
				}
				return o.portType(&p)
			})
		}
		return err
	})
	if !o.roles[maphash.String(o.seed, p.Name)].port {
		*ports = append(*ports, p)
	}
	return err
}

// portType reads a TypeProto.Tensor.
func (o *onnxReader) portType(p *Port) error {
	return o.message(func(f field) error {
		switch f.number {
		case 1:
			p.DType = onnxDType(f.value)
		case 2:
			return o.message(func(f field) error {
				if f.number != 1 || len(p.Shape) == maxRank {
					return nil
				}
				p.Shape = append(p.Shape, "?")
				return o.dim(&p.Shape[len(p.Shape)-1])
			})
		}
		return nil
	})
}

func (o *onnxReader) dim(into *string) error {
	return o.message(func(f field) (err error) {
		switch f.number {
		case 1:
			*into = strconv.FormatInt(int64(f.value), 10)
		case 2:
			*into, err = o.rest(64)
		}
		return err
	})
}
