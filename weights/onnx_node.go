package weights

import "hash/maphash"

// onnxQuantized are the operators that only quantised models have.
var onnxQuantized = map[string]bool{
	"QLinearConv": true, "QLinearMatMul": true, "QLinearAdd": true, "QGemm": true, "QAttention": true, "QMoE": true,
	"MatMulInteger": true, "ConvInteger": true, "MatMulIntegerToFloat": true, "DynamicQuantizeMatMul": true,
	"DynamicQuantizeLSTM": true, "DynamicQuantizeLinear": true, "QuantizeLinear": true, "DequantizeLinear": true,
	"MatMulNBits": true, "MatMulBnb4": true, "MatMulFpQ4": true, "GatherBlockQuantized": true,
}

// node is what is kept of an operator until its end.
type node struct {
	op     string
	inputs [8]uint64 // hashes of their names
	n      int
	k, m   int64 // the matrix of a packed operator
	bits   int64
}

func (o *onnxReader) node() error {
	var nd node
	err := o.message(func(f field) (err error) {
		switch f.number {
		case 1:
			var name string
			if name, err = o.rest(maxName); nd.n < len(nd.inputs) {
				nd.inputs[nd.n] = maphash.String(o.seed, name)
				nd.n++
			}
		case 4:
			nd.op, err = o.rest(64)
		case 5:
			err = o.attribute(&nd)
		}
		return err
	})
	if err != nil {
		return err
	}
	o.model.Nodes++
	if onnxQuantized[nd.op] {
		o.quantized[nd.op] = true
		o.learn(nd)
	}
	return nil
}

// attribute reads the tensors, graphs and numbers among an operator's attributes.
func (o *onnxReader) attribute(nd *node) error {
	var name string
	return o.message(func(f field) (err error) {
		switch f.number {
		case 1:
			name, err = o.rest(64)
		case 3:
			switch name {
			case "K":
				nd.k = int64(f.value)
			case "N":
				nd.m = int64(f.value)
			case "bits":
				nd.bits = int64(f.value)
			}
		case 5:
			err = o.tensor()
		case 6, 11:
			err = o.graph()
		}
		return err
	})
}

// learn notes which inputs of a quantised operator are no parameters or packed
// ones.
func (o *onnxReader) learn(nd node) {
	scales := nd.inputs[:nd.n]
	switch nd.op {
	case "QuantizeLinear", "DequantizeLinear":
		scales = scales[min(1, nd.n):]
	case "MatMulNBits":
		scales = scales[min(2, nd.n):min(4, nd.n)]
	case "MatMulBnb4", "GatherBlockQuantized":
		scales = scales[min(2, nd.n):]
	default:
		return // what else they use is small
	}
	for _, name := range scales {
		o.setRole(name, role{scale: true})
	}
	if nd.op == "MatMulNBits" && nd.n > 1 && nd.k > 0 && nd.m > 0 {
		bits := nd.bits
		if bits < 1 || bits > 8 {
			bits = 4
		}
		o.setRole(nd.inputs[1], role{packed: mulSat(nd.k, nd.m), bits: bits})
	}
}

func (o *onnxReader) setRole(name uint64, r role) {
	if len(o.roles) < maxScales {
		o.roles[name] = r
	}
}
