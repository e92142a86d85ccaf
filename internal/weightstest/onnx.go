package weightstest

import "encoding/binary"

// ONNXModel is an ONNX model to be made.
type ONNXModel struct {
	IRVersion       int64 // 8 if it is 0
	Producer        string
	Opset           int64
	Nodes           []ONNXNode
	Weights         []ONNXTensor
	Inputs, Outputs []ONNXTensor // their Location and Raw count for nothing
	Metadata        map[string]string
}

// ONNXNode is an operator.
type ONNXNode struct {
	Op     string
	Inputs []string
	Ints   map[string]int64 // attributes
	Tensor *ONNXTensor      // an attribute called value
	Graph  *ONNXModel       // an attribute called body, of which the graph counts
}

// ONNXTensor is a weight, an input or an output. DType is the number of
// TensorProto.DataType: 1 is a float, 3 an int8, 7 an int64, 10 a float16.
type ONNXTensor struct {
	Name     string
	DType    int64
	Dims     []int64
	Location string // the file that holds it, if that is another one
	Raw      int64  // bytes of zeros that it has in this file
}

// ONNX makes an ONNX file. Raw bytes of one weight at most may be large.
func ONNX(m ONNXModel) *File {
	if m.IRVersion == 0 {
		m.IRVersion = 8
	}
	var p proto
	p.varint(1, m.IRVersion)
	p.text(2, m.Producer)
	p.bytes(7, m.graph())
	p.bytes(8, proto{}.withVarint(2, m.Opset))
	for k, v := range m.Metadata {
		var entry proto
		entry.text(1, k)
		entry.text(2, v)
		p.bytes(14, entry)
	}
	return NewFile(p)
}

func (m ONNXModel) graph() proto {
	var g proto
	for _, n := range m.Nodes {
		g.bytes(1, n.proto())
	}
	g.text(2, "main")
	for _, t := range m.Weights {
		g.bytes(5, t.proto())
	}
	for _, t := range m.Inputs {
		g.bytes(11, t.port())
	}
	for _, t := range m.Outputs {
		g.bytes(12, t.port())
	}
	return g
}

func (n ONNXNode) proto() proto {
	var p proto
	for _, in := range n.Inputs {
		p.text(1, in)
	}
	p.text(4, n.Op)
	for name, v := range n.Ints {
		var a proto
		a.text(1, name)
		a.varint(3, v)
		p.bytes(5, a)
	}
	if n.Tensor != nil {
		var a proto
		a.text(1, "value")
		a.bytes(5, n.Tensor.proto())
		p.bytes(5, a)
	}
	if n.Graph != nil {
		var a proto
		a.text(1, "body")
		a.bytes(6, n.Graph.graph())
		p.bytes(5, a)
	}
	return p
}

func (t ONNXTensor) proto() proto {
	var p proto
	for _, d := range t.Dims {
		p.varint(1, d)
	}
	p.varint(2, t.DType)
	p.text(8, t.Name)
	if t.Raw > 0 {
		p.bytes(9, make(proto, t.Raw))
	}
	if t.Location != "" {
		var entry proto
		entry.text(1, "location")
		entry.text(2, t.Location)
		p.bytes(13, entry)
		p.varint(14, 1)
	}
	return p
}

// port is a ValueInfoProto. A dimension below 0 has a name.
func (t ONNXTensor) port() proto {
	var shape proto
	for _, d := range t.Dims {
		var dim proto
		if d < 0 {
			dim.text(2, "batch")
		} else {
			dim.varint(1, d)
		}
		shape.bytes(1, dim)
	}
	tensor := proto{}.withVarint(1, t.DType)
	tensor.bytes(2, shape)
	var kind, p proto
	kind.bytes(1, tensor)
	p.text(1, t.Name)
	p.bytes(2, kind)
	return p
}

// proto is a protocol buffer message.
type proto []byte

func (p *proto) key(field, wire int) { *p = binary.AppendUvarint(*p, uint64(field<<3|wire)) }

func (p *proto) varint(field int, v int64) {
	p.key(field, 0)
	*p = binary.AppendUvarint(*p, uint64(v))
}

func (p *proto) bytes(field int, v []byte) {
	p.key(field, 2)
	*p = binary.AppendUvarint(*p, uint64(len(v)))
	*p = append(*p, v...)
}

func (p *proto) text(field int, v string) { p.bytes(field, []byte(v)) }

func (p proto) withVarint(field int, v int64) proto {
	p.varint(field, v)
	return p
}
