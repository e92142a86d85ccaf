package weights

// dataspace reads a shape; empty if there are no elements at all.
func (h *hdf5) dataspace(r *region) (shape []int64, empty bool) {
	at := r.at
	version, rank, flags := r.uint(1), r.uint(1), r.uint(1)
	const null = 2
	switch {
	case version == 1:
		r.skip(1 + 4)
	case version == 2:
		empty = r.uint(1) == null
	default:
		h.fail(at, "a shape of version %d, which is not known", version)
	}
	_ = flags // whether it may grow, and whether dimensions are permuted, which they never are
	if rank > maxRank {
		h.fail(at, "a shape of %d dimensions", rank)
		return nil, false
	}
	shape = h.dims[:rank]
	for i := range shape {
		shape[i] = h.length(r)
	}
	return shape, empty
}

// Classes of types.
const (
	hdf5Integer  = 0
	hdf5Float    = 1
	hdf5String   = 3
	hdf5Opaque   = 5
	hdf5Enum     = 8
	hdf5Variable = 9
)

// hdf5Type is a type of elements, as far as it matters.
type hdf5Type struct {
	class, flags uint64
	size         int64
	dtype        DType
}

// datatypeOf reads a type from a message, or from the object that has it.
func (h *hdf5) datatypeOf(m hdf5Message) (dtype DType) {
	if !m.shared {
		return h.datatype(&m.data).dtype
	}
	at := m.data.at
	version, kind := m.data.uint(1), m.data.uint(1)
	const inHeader = 2
	if version != 2 && (version != 3 || kind != inHeader) {
		h.fail(at, "a type that is kept in a way that is not read")
		return ""
	}
	h.header(h.pointer(&m.data), func(named hdf5Message) {
		if named.kind == hdf5Datatype && !named.shared {
			dtype = h.datatype(&named.data).dtype
		}
	})
	return dtype
}

// datatype reads a type.
func (h *hdf5) datatype(r *region) hdf5Type {
	head := r.uint(1)
	t := hdf5Type{class: head & 15, flags: r.uint(3), size: r.int(4)}
	switch t.class {
	case hdf5Integer:
		t.dtype = integerOf(t.size, t.flags&8 != 0)
	case hdf5Float:
		r.skip(2 + 2 + 1)
		t.dtype = floatOf(t.size, r.uint(1))
	case hdf5Enum:
		if t.size == 1 { // NumPy's truth values
			t.dtype = Bool
		}
	case hdf5Opaque:
		if t.size == 2 { // Keras has bfloat16 as a type that nobody else knows
			t.dtype = BF16
		}
	}
	return t
}

func integerOf(size int64, signed bool) DType {
	switch {
	case size == 1 && signed:
		return I8
	case size == 1:
		return U8
	case size == 2 && signed:
		return "I16"
	case size == 2:
		return "U16"
	case size == 4 && signed:
		return I32
	case size == 4:
		return U32
	case size == 8 && signed:
		return I64
	case size == 8:
		return "U64"
	}
	return ""
}

// floatOf tells floats of one size by the bits of their exponents.
func floatOf(size int64, exponent uint64) DType {
	switch {
	case size == 8:
		return F64
	case size == 4:
		return F32
	case size == 2 && exponent == 8:
		return BF16
	case size == 2:
		return F16
	case size == 1 && exponent == 4:
		return F8E4M3
	case size == 1 && exponent == 5:
		return F8E5M2
	}
	return ""
}

// attribute keeps a text.
func (h *hdf5) attribute(r *region) {
	version, flags := r.uint(1), r.uint(1)
	nameLen, typeLen, spaceLen := r.int(2), r.int(2), r.int(2)
	if version == 3 {
		r.skip(1) // how the name is encoded
	}
	if version == 1 {
		nameLen, typeLen, spaceLen = roundUp(nameLen), roundUp(typeLen), roundUp(spaceLen)
	} else if flags != 0 { // its type or shape is kept elsewhere
		return
	}
	name := r.text(nameLen, maxName)
	typeOf, space := r.take(typeLen), r.take(spaceLen)
	t := h.datatype(&typeOf)
	shape, empty := h.dataspace(&space)
	if n, _ := product(shape); n != 1 || empty || h.err != nil {
		return
	}
	const text = 1
	switch {
	case t.class == hdf5String:
		h.keep(name, r.text(min(t.size, r.left()), maxValue))
	case t.class == hdf5Variable && t.flags&15 == text:
		length := r.int(4)
		if at := h.address(r); at != nowhere {
			h.keep(name, h.global(at, r.uint(4), length))
		}
	}
}

// roundUp gives the next multiple of 8.
func roundUp(n int64) int64 { return (n + 7) &^ 7 }

func (h *hdf5) keep(name, value string) {
	if h.kept += len(name) + len(value); h.kept > maxMeta || h.err != nil {
		return
	}
	if h.file.Attributes == nil {
		h.file.Attributes = make(map[string]string)
	}
	h.file.Attributes[name] = value
}

// global reads a text from a heap that many objects share.
func (h *hdf5) global(at int64, index uint64, length int64) string {
	r := h.region(at, h.size-at)
	r.magic("GCOL")
	r.skip(4)
	r.end = min(r.end, addSat(at, h.length(&r)))
	align := func() { r.skip(roundUp(r.at-at) - (r.at - at)) }
	for align(); r.more(); align() {
		this := r.uint(2)
		r.skip(2 + 4)
		size := h.length(&r)
		align()
		switch {
		case this == index && h.err == nil:
			return r.text(min(size, length), maxValue)
		case this == 0: // what is left is free
			return ""
		}
		r.skip(size)
	}
	return ""
}
