package weights

import (
	"io"
	"strconv"
	"strings"
)

// OpenVINO is what the XML file of an OpenVINO model says. The weights are in a
// .bin file next to it, without a header of its own.
type OpenVINO struct {
	Name    string
	Version string // of the format
	Layers  int
	// Params is the number of parameters; ByDType has it by how they are stored.
	// Shapes, scales and zero points are not counted.
	Params  int64
	ByDType map[DType]int64
	// Bytes is how long the .bin file is at least.
	Bytes int64
}

var openVINODTypes = map[string]DType{
	"f64": F64, "f32": F32, "f16": F16, "bf16": BF16, "f8e4m3": F8E4M3, "f8e5m2": F8E5M2, "f8e8m0": F8E8M0, "f4e2m1": F4, "nf4": F4,
	"i64": I64, "i32": I32, "i16": "I16", "i8": I8, "i4": I4, "u64": "U64", "u32": U32, "u16": "U16", "u8": U8, "u4": U4, "u2": "U2",
	"u1": "I1", "boolean": Bool,
}

// ReadOpenVINO reads the XML file of an OpenVINO model of version 10 or later.
func ReadOpenVINO(r io.ReaderAt, size int64) (*OpenVINO, error) {
	o := openVINO{source: newSource("OpenVINO", r, size), model: OpenVINO{ByDType: make(map[DType]int64)}}
	for {
		more, err := o.nextTag()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		if err := o.element(); err != nil {
			return nil, err
		}
	}
	if !o.net {
		return nil, o.errorf(0, "there is no net")
	}
	return &o.model, nil
}

type openVINO struct {
	*source
	model OpenVINO
	at    int64  // where the tag is
	tag   []byte // without its angle brackets, cut after maxValue
	net   bool
	// weight says that the last layer is a constant with parameters.
	weight bool
}

// nextTag reads the next tag; false if there is none.
func (o *openVINO) nextTag() (bool, error) {
	for inside := false; o.left() > 0; {
		c, err := o.byte()
		switch {
		case err != nil:
			return false, err
		case c == '<':
			inside, o.at, o.tag = true, o.offset()-1, o.tag[:0]
		case c == '>' && inside:
			return true, nil
		case inside && len(o.tag) < maxValue:
			o.tag = append(o.tag, c)
		}
	}
	return false, nil
}

func (o *openVINO) element() error {
	name, attributes, _ := strings.Cut(string(o.tag), " ")
	switch name {
	case "net":
		o.net = true
		o.model.Name, o.model.Version = attribute(attributes, "name"), attribute(attributes, "version")
	case "layer":
		o.model.Layers++
		o.weight = attribute(attributes, "type") == "Const" && !openVINOScale(attribute(attributes, "name"))
	case "data":
		return o.data(attributes)
	}
	return nil
}

// data counts what a constant holds.
func (o *openVINO) data(attributes string) error {
	offset, err1 := strconv.ParseInt(attribute(attributes, "offset"), 10, 64)
	size, err2 := strconv.ParseInt(attribute(attributes, "size"), 10, 64)
	if err1 == nil && err2 == nil && offset >= 0 && size >= 0 {
		o.model.Bytes = max(o.model.Bytes, addSat(offset, size))
	}
	d := openVINODTypes[attribute(attributes, "element_type")]
	if !o.weight || d == I32 || !d.counts() {
		return nil
	}
	n := int64(1)
	for field := range strings.SplitSeq(attribute(attributes, "shape"), ",") {
		dim, err := strconv.ParseInt(strings.TrimSpace(field), 10, 64)
		switch {
		case strings.TrimSpace(field) == "": // a scalar
		case err != nil || dim < 0 || dim > 0 && n > maxInt64/dim:
			return o.errorf(o.at, "a constant of the shape %.100q", attribute(attributes, "shape"))
		default:
			n *= dim
		}
	}
	o.weight = false
	o.model.Params = addSat(o.model.Params, n)
	o.model.ByDType[d] = addSat(o.model.ByDType[d], n)
	return nil
}

// openVINOScale knows the constants that compressed weights are decoded with.
func openVINOScale(name string) bool {
	return endsWithAny(name, []string{"/scale", "/zero_point", "/scale_compressed", "/zero_point_compressed", "_scale", "_zero_point"})
}

// attribute is the value of an attribute as it is written, or empty.
func attribute(attributes, name string) string {
	for rest := attributes; ; {
		key, after, ok := strings.Cut(rest, `="`)
		if !ok {
			return ""
		}
		value, next, ok := strings.Cut(after, `"`)
		if strings.TrimSpace(key) == name || !ok {
			return value
		}
		rest = next
	}
}
