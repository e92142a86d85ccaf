package weights

import (
	"strconv"
	"strings"
)

// How quantisers store a weight of a module M, after unpacking Elements of M.weight:
//
//	AWQ, GPTQ            M.qweight I32, 32/bits each; M.scales, M.qzeros, M.g_idx
//	bitsandbytes, 4 bit  M.weight U8 [n/2, 1]; M.weight.absmax, .quant_map, .quant_state...
//	compressed-tensors   M.weight_packed I32, 32/bits each, or U8, two each
//	MXFP4 (gpt-oss)      M_blocks U8, two each; M_scales U8, one for 32
//	NVFP4                M.weight U8, two each; M.weight_scale F8_E4M3, one for 16
//	MLX                  M.weight U32, 32/bits each; M.scales, M.biases
//	FP8                  M.weight F8; M.weight_scale or M.weight_scale_inv
//
// The ones that need a second tensor to be understood wait in Model.modules until
// it comes, which mostly is in the same file.

// stored is what a module keeps of a tensor.
type stored struct {
	DType    DType
	Elements int64
}

// module is a packed weight and what goes with it, in either order.
type module struct {
	weight     stored
	rows, cols int64 // of the weight
	scale      stored
	scaleCols  int64
	inputs     int64 // how long M.g_idx is
	biases     stored
	seen       bool // the weight was
	quantized  bool // it is called qweight
	scaled     bool // the scales were
	biased     bool
	nested     bool // companions of bitsandbytes were seen
}

// maxModules bounds the packed weights that wait for their scales.
const maxModules = 1 << 16

// auxiliaries are the last parts of names of tensors that are never parameters.
var auxiliaries = map[string]bool{
	"qzeros": true, "g_idx": true, "weight_scale": true, "weight_scale_inv": true, "weight_scale_2": true, "weight_scales": true,
	"weight_zero_point": true, "weight_shape": true, "weight_g_idx": true, "weight_global_scale": true, "weight_format": true,
	"input_scale": true, "input_zero_point": true, "input_global_scale": true, "output_scale": true, "activation_scale": true,
	"k_scale": true, "v_scale": true, "q_scale": true, "prob_scale": true, "scale_weight": true, "scale_input": true, "scale_inv": true,
	"SCB": true, "absmax": true, "quant_map": true, "nested_absmax": true, "nested_quant_map": true,
	"bitsandbytes__nf4": true, "bitsandbytes__fp4": true,
}

// auxiliaryEnds are the ends of such names where experts are fused.
var auxiliaryEnds = []string{
	"_proj_scale", "_proj_scale_inv", "_proj_weight_scale", "_proj_weight_scale_inv", "_proj_weight_scale_2", "_proj_input_scale",
}

func isAuxiliary(t Tensor) bool {
	// Scales of powers of two are stored as nothing but exponents.
	return t.DType == F8E8M0 || auxiliaries[t.Name[strings.LastIndexByte(t.Name, '.')+1:]] || endsWithAny(t.Name, auxiliaryEnds)
}

// packed takes tensors that are or may be part of a packed weight, or are no
// parameters.
func (m *Model) packed(t Tensor) bool {
	dot := strings.LastIndexByte(t.Name, '.')
	base, last := t.Name[:max(dot, 0)], t.Name[dot+1:]
	switch {
	case strings.HasSuffix(last, "blocks") && t.DType == U8:
		m.unpack(t.Name, "mxfp4", F4, mulSat(t.Elements, 2))
	case strings.HasSuffix(last, "_scales") && t.DType == U8: // of blocks
	case last == "weight_packed":
		m.compressed(t)
	case last == "qweight" && t.DType == I32, last == "weight" && (t.DType == U8 || t.DType == I8 || t.DType == U32):
		m.wait(base, func(mod *module) { mod.setWeight(t) })
	case last == "scales":
		m.wait(base, func(mod *module) { mod.setScale(t) })
	case last == "biases":
		m.wait(base, func(mod *module) { mod.biases, mod.biased = bare(t), true })
	case last == "g_idx":
		if m.opts.Bits == 0 {
			m.wait(base, func(mod *module) { mod.inputs = t.Elements })
		}
	case last == "absmax":
		m.wait(strings.TrimSuffix(base, ".weight"), func(mod *module) { mod.nested = true })
	case (last == "weight_scale" || last == "scale") && (t.DType == F8E4M3 || t.DType == F8E8M0 || t.DType == U8):
		m.wait(base, func(mod *module) { mod.setScale(t) })
	default:
		return isAuxiliary(t)
	}
	return true
}

func bare(t Tensor) stored { return stored{t.DType, t.Elements} }

func (mod *module) setWeight(t Tensor) {
	mod.weight, mod.cols, mod.seen = bare(t), t.LastDim(), true
	mod.rows = 1
	if len(t.Shape) > 1 {
		mod.rows = t.Shape[len(t.Shape)-2]
	}
	mod.quantized = strings.HasSuffix(t.Name, "qweight")
}

func (mod *module) setScale(t Tensor) {
	mod.scale, mod.scaleCols, mod.scaled = bare(t), t.LastDim(), true
}

// wait notes a part of a packed weight, and settles it once all is there.
func (m *Model) wait(name string, note func(*module)) {
	mod := m.modules[name]
	if mod == nil {
		if len(m.modules) == maxModules {
			for old, waiting := range m.modules { // settled without what may still come
				m.settle(old, waiting)
			}
			clear(m.modules)
		}
		mod = new(module)
		m.modules[name] = mod
	}
	note(mod)
	if mod.complete(m.opts.Bits > 0) {
		m.settle(name, mod)
		delete(m.modules, name)
	}
}

// complete says that nothing that could come would change the count.
func (mod *module) complete(bitsGiven bool) bool {
	switch {
	case !mod.seen:
		return false
	case mod.quantized:
		return mod.scaled && (bitsGiven || mod.inputs > 0 || mod.scaleCols > mod.cols)
	case mod.weight.DType == U32:
		return mod.scaled && mod.biased
	}
	return mod.nested || mod.scaled
}

// settle counts a packed weight by what is known of it.
func (m *Model) settle(name string, mod *module) {
	w := mod.weight
	switch {
	case !mod.seen: // nobody packed anything: they are parameters of their own
		for _, t := range [...]stored{mod.scale, mod.biases} {
			if t.DType.Float() && t.DType.Bits() > 8 {
				m.count(name, t.DType, t.Elements)
			}
		}
	case mod.quantized:
		m.settleIntegers(name, mod)
	case w.DType == U32 && mod.scaled:
		m.settleMLX(name, mod)
	case w.DType == U8 && mod.nested:
		m.unpack(name, "bitsandbytes", F4, mulSat(w.Elements, 2))
	case mod.scaled && mod.cols == mulSat(mod.scaleCols, 8):
		m.unpack(name, "nvfp4", F4, mulSat(w.Elements, 2))
	case mod.scaled && mod.cols == mulSat(mod.scaleCols, 16):
		m.unpack(name, "mxfp4", F4, mulSat(w.Elements, 2))
	default:
		m.count(name, w.DType, w.Elements)
	}
}

// settleIntegers works out the bits of AWQ and GPTQ. GPTQ packs along the rows,
// of which M.g_idx has the true number; AWQ along the columns, of which the
// scales have it.
func (m *Model) settleIntegers(name string, mod *module) {
	method, bits := "gptq", int64(0)
	switch {
	case mod.scaled && mod.scaleCols > mod.cols && mod.cols > 0:
		method, bits = "awq", 32*mod.cols/mod.scaleCols
	case mod.inputs > 0 && mod.rows < maxInt64/32:
		bits = 32 * mod.rows / mod.inputs
	}
	m.integers(name, method, m.bits(bits), mod.weight.Elements)
}

// settleMLX works out the bits from the number of weights to a scale, which is
// MLX's default unless it was given.
func (m *Model) settleMLX(name string, mod *module) {
	group := int64(m.opts.GroupSize)
	switch {
	case group > 0:
	case mod.scale.DType == U8: // MXFP4 and MXFP8
		group = 32
	default:
		group = 64
	}
	bits := int64(m.opts.Bits)
	if per := mulSat(mod.scaleCols, group); per > 0 && mod.cols < maxInt64/32 {
		bits = 32 * mod.cols / per
	}
	m.integers(name, "mlx", m.bits(bits), mod.weight.Elements)
}

// bits are the ones that were found, else those given, else 4.
func (m *Model) bits(found int64) int {
	if found >= 1 && found <= 8 {
		return int(found)
	}
	if m.opts.Bits > 0 {
		return m.opts.Bits
	}
	m.total.Assumed = true
	return 4
}

func (m *Model) compressed(t Tensor) {
	if t.DType == U8 {
		m.unpack(t.Name, "compressed-tensors", F4, mulSat(t.Elements, 2))
		return
	}
	m.integers(t.Name, "compressed-tensors", m.bits(0), t.Elements)
}

// integers counts weights that are packed into integers of 32 bits.
func (m *Model) integers(name, method string, bits int, elements int64) {
	if bits < 1 || bits > 32 {
		bits = 4
	}
	n := mulSat(elements, 32) / int64(bits)
	m.unpack(name, method, DType("I"+strconv.Itoa(bits)), n)
}

func (m *Model) unpack(name, method string, d DType, n int64) {
	m.count(name, d, n)
	m.methods[method] = addSat(m.methods[method], n)
}
