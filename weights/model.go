package weights

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Options are what is known of a model from elsewhere, mostly its config.json.
// What is not known is worked out from the tensors where they tell it.
type Options struct {
	// Bits is how many bits a packed weight has, 0 if that is not known.
	Bits int
	// GroupSize is how many weights share a scale, 0 if that is not known.
	GroupSize int
	// Tied says that the output layer is the embedding (tie_word_embeddings).
	Tied bool
	// Layers is num_hidden_layers and NextLayers num_nextn_predict_layers: the
	// layers that follow the model's own and predict further tokens.
	Layers, NextLayers int
}

// Model counts the parameters of a model over all of its files.
type Model struct {
	opts    Options
	total   Summary
	draft   int64
	modules map[string]*module // packed ones of which not all was seen
	methods map[string]int64   // parameters by how they were packed
	heads   []shaped           // output layers and embeddings
	shared  []string           // variables of TensorFlow that several layers may have
}

// NewModel starts to count.
func NewModel(opts Options) *Model {
	return &Model{
		opts: opts, total: Summary{ByDType: make(map[DType]int64)},
		modules: make(map[string]*module), methods: make(map[string]int64),
	}
}

// Summary is what the tensors of a model come to.
type Summary struct {
	// Tensors is how many there were, of any kind.
	Tensors int
	// Params is the number of parameters: packed weights as what they unpack to,
	// without scales, zero points, buffers and tied copies, and without Draft.
	Params int64
	// Draft is the number of parameters in layers that only predict further
	// tokens, as DeepSeek's models have them.
	Draft int64
	// ByDType has Params by how they are stored; I4, F4 and so on are packed ones.
	ByDType map[DType]int64
	// Method is how most of the packed weights are packed: awq, gptq,
	// bitsandbytes, compressed-tensors, mxfp4, nvfp4 or mlx; fp8 if most are
	// floats of 8 bits; else empty.
	Method string
	// Assumed says that the bits of packed weights were neither given nor to be
	// seen, and taken to be 4.
	Assumed bool
	// Adapters is how many tensors belong to an adapter, such as LoRA.
	Adapters int
}

// Share is the part of the parameters that have a type.
type Share struct {
	DType  DType
	Params int64
	Part   float64 // of all, up to 1
}

// Shares sorts parameters by type, the one with most of them first.
func Shares(byDType map[DType]int64) []Share {
	var all []Share
	var total float64
	for d, n := range byDType {
		if n > 0 {
			all = append(all, Share{DType: d, Params: n})
			total += float64(n)
		}
	}
	for i := range all {
		all[i].Part = float64(all[i].Params) / total
	}
	slices.SortFunc(all, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Params, a.Params), cmp.Compare(a.DType, b.DType))
	})
	return all
}

// Add takes a tensor of the model.
func (m *Model) Add(t Tensor) {
	m.total.Tensors++
	if isAdapter(t.Name) {
		m.total.Adapters++
	}
	if isBuffer(t) || !t.DType.counts() || m.packed(t) || m.repeated(t) {
		return
	}
	m.noteHead(t)
	m.count(t.Name, t.DType, t.Elements)
}

// count adds n parameters that are stored as d.
func (m *Model) count(name string, d DType, n int64) {
	if m.isDraft(name) {
		m.draft = addSat(m.draft, n)
		return
	}
	m.total.ByDType[d] = addSat(m.total.ByDType[d], n)
	if d == F8E4M3 || d == F8E5M2 {
		m.methods["fp8"] = addSat(m.methods["fp8"], n)
	}
}

// Summary is what the tensors come to so far. The model may be added to
// afterwards.
func (m *Model) Summary() Summary {
	done := *m
	done.total.ByDType = maps.Clone(m.total.ByDType)
	done.methods = maps.Clone(m.methods)
	for name, mod := range m.modules {
		done.settle(name, mod)
	}
	if m.opts.Tied {
		done.untie()
	}
	s := done.total
	s.Draft = done.draft
	for _, n := range s.ByDType {
		s.Params = addSat(s.Params, n)
	}
	s.Method = done.method(s.Params)
	return s
}

// method is what the packed weights have in common, if they are a good part.
func (m *Model) method(params int64) string {
	best := ""
	for name, n := range m.methods {
		if k := m.methods[best]; best == "" || n > k || n == k && name < best {
			best = name
		}
	}
	if m.methods[best] < params/8 {
		return ""
	}
	return best
}

// isDraft knows the layers beyond the model's own.
func (m *Model) isDraft(name string) bool {
	if strings.HasPrefix(name, "mtp.") || strings.HasPrefix(name, "model.mtp.") {
		return true
	}
	if m.opts.NextLayers <= 0 || m.opts.Layers <= 0 {
		return false
	}
	n, ok := layer(name)
	return ok && n >= m.opts.Layers && n < m.opts.Layers+m.opts.NextLayers
}

// layer is the number in model.layers.61.mlp...
func layer(name string) (int, bool) {
	const sign = "layers."
	i := strings.Index(name, sign)
	if i < 0 || i > 0 && name[i-1] != '.' {
		return 0, false
	}
	n, digits := 0, 0
	for _, c := range name[i+len(sign):] {
		if c < '0' || c > '9' || digits == 6 {
			break
		}
		n = 10*n + int(c-'0')
		digits++
	}
	return n, digits > 0
}

// shaped is an embedding, or an output layer that could be its copy.
type shaped struct {
	output     bool
	rows, cols int64
	dtype      DType
}

// Names of embeddings and of output layers, at the end of a tensor's name.
var (
	embeddings = [...]string{"embed_tokens.weight", "wte.weight", "word_embeddings.weight", "shared.weight", "tok_embeddings.weight", "embed_in.weight"}
	outputs    = [...]string{"lm_head.weight", "proj_out.weight", "predictions.decoder.weight", "lm_head.decoder.weight", "embed_out.weight"}
)

// maxHeads bounds the embeddings that are kept; models have one or two.
const maxHeads = 64

func (m *Model) noteHead(t Tensor) {
	if len(t.Shape) != 2 || len(m.heads) == maxHeads || m.isDraft(t.Name) {
		return
	}
	isOutput := endsWithAny(t.Name, outputs[:])
	if isOutput || endsWithAny(t.Name, embeddings[:]) {
		m.heads = append(m.heads, shaped{isOutput, t.Shape[0], t.Shape[1], t.DType})
	}
}

// repeated knows the embedding that the TensorFlow models of transformers save with
// each layer that uses it: bert/tf_bert_model/bert/embeddings/word_embeddings/weight:0
// is there again below mlm___cls, the output layer.
func (m *Model) repeated(t Tensor) bool {
	_, variable, _ := strings.Cut(t.Name, "/")
	if len(t.Shape) != 2 || !strings.HasPrefix(variable, "tf_") || !strings.HasSuffix(variable, ":0") {
		return false
	}
	switch {
	case slices.Contains(m.shared, variable):
		return true
	case len(m.shared) < maxHeads && (strings.Contains(variable, "embed") || strings.Contains(variable, "/shared/") || strings.Contains(variable, "/wte/")):
		m.shared = append(m.shared, variable)
	}
	return false
}

// untie takes off the output layers that are copies of an embedding.
func (m *Model) untie() {
	for _, out := range m.heads {
		copied := slices.ContainsFunc(m.heads, func(in shaped) bool {
			return !in.output && in.rows == out.rows && in.cols == out.cols
		})
		if out.output && copied {
			m.total.ByDType[out.dtype] -= min(mulSat(out.rows, out.cols), m.total.ByDType[out.dtype])
		}
	}
}

func endsWithAny(name string, ends []string) bool {
	return slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(name, end) })
}

// adapterParts are in the names of the tensors of LoRA and its relatives.
var adapterParts = [...]string{"lora_", ".lora", "hada_w", "lokr_w", "ia3_l", "oft_"}

func isAdapter(name string) bool {
	return slices.ContainsFunc(adapterParts[:], func(part string) bool { return strings.Contains(name, part) })
}

// buffers are the ends of names of tensors that are stored with the parameters
// and are none.
var buffers = [...]string{"num_batches_tracked", "running_mean", "running_var", "moving_mean", "moving_variance", "inv_freq", "position_ids",
	"relative_position_index", ".attn.masked_bias", ".attention.masked_bias", "rope_freqs.weight"}

func isBuffer(t Tensor) bool {
	if isKerasState(t.Name) {
		return true
	}
	if strings.HasSuffix(t.Name, ".attn.bias") || strings.HasSuffix(t.Name, ".attention.bias") {
		return len(t.Shape) == 4 // GPT's causal mask
	}
	name := strings.TrimSuffix(t.Name, "/.ATTRIBUTES/VARIABLE_VALUE") // of TensorFlow's objects
	name = strings.TrimSuffix(name, ":0")                             // of Keras 2
	return endsWithAny(name, buffers[:]) || isTraining(name)
}

// trainingParts are the parts of names, between slashes, of what TensorFlow keeps
// of a training: optimizers and what they have for each weight, counters, metrics.
// Of the second such optimizer there are Adam_1 and so on.
var trainingParts = map[string]bool{
	".OPTIMIZER_SLOT": true, "optimizer": true, "_optimizer": true, "optimizers": true, "OptimizeLoss": true, "keras_api": true,
	"Adam": true, "AdamW": true, "Adamax": true, "Momentum": true, "RMSProp": true, "Adagrad": true, "Adadelta": true, "Adafactor": true, "Ftrl": true,
	"LARS": true, "LAMB": true, "ExponentialMovingAverage": true, "adam_m": true, "adam_v": true, "beta1_power": true, "beta2_power": true,
	"global_step": true, "save_counter": true, "learning_rate": true, "loss_scale": true,
}

// maxParts is how many parts of a name are looked at: no name has so many, unless it
// is there to keep us busy.
const maxParts = 64

// slotEnds are the ends of names that Mesh TensorFlow gives to the same.
var slotEnds = [...]string{"_slot_m", "_slot_v", "_slot_vc", "_slot_vr"}

// isTraining knows the names of TensorFlow's training state.
func isTraining(name string) bool {
	for range maxParts {
		part, rest, more := strings.Cut(name, "/")
		if stem, number, ok := cutLast(part, "_"); ok && strings.Trim(number, "0123456789") == "" {
			part = stem
		}
		if trainingParts[part] {
			return true
		}
		if !more {
			break
		}
		name = rest
	}
	return endsWithAny(name, slotEnds[:])
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// kerasStates are the groups of a Keras file that training left there.
var kerasStates = [...]string{"optimizer", "optimizer_weights", "metrics", "_metrics", "compiled_metrics", "_compile_metrics", "loss_tracker", "_loss_tracker"}

// isKerasState knows what is no parameter by its path in a Keras file: the state
// of training and of random numbers, and what a layer keeps of the batches it saw.
// Keras 3 numbers the variables of such a layer and has them last, after a scale
// and an offset that may be missing: there is no telling then.
func isKerasState(path string) bool {
	first, below, ok := strings.Cut(path, "/")
	switch {
	case !ok:
		return false
	case slices.Contains(kerasStates[:], first):
		return true
	}
	if strings.Contains(below, "seed_generator") || strings.Contains(below, "random_generator") {
		return true
	}
	layer, variable, ok := strings.Cut(below, "/vars/")
	name := layer[strings.LastIndexByte(layer, '/')+1:]
	return ok && strings.HasPrefix(name, "batch_normalization") && (variable == "2" || variable == "3")
}
