package generate

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tareml/tare/modelfile"
)

// quant is how the weights of a model were quantised.
type quant struct {
	method  string // as loaders call it: awq, gptq, fp8, ...
	detail  string // its variant, in a few words
	bits    int    // of a weight, 0 if it is not said
	group   int    // weights that share a scale, 0 if it is not said
	compute string // the precision to unpack to, if it is said
	file    string // where this is from
}

func (q quant) source() string {
	if q.detail == "" {
		return "from " + q.file
	}
	return "from " + q.file + ": " + q.detail
}

// quantFiles are what quantisers write beside config.json, the first that is
// there counts. The method is for files that have none.
var quantFiles = [...]struct{ name, method string }{
	{"quantize_config.json", "gptq"},     // AutoGPTQ
	{"quant_config.json", "awq"},         // AutoAWQ
	{"hf_quant_config.json", "modelopt"}, // NVIDIA's Model Optimizer
}

// readQuant finds how the model in a folder was quantised.
func (s *study) readQuant(dir string, c config) quant {
	for _, o := range c.parts {
		for _, key := range [...]string{"quantization_config", "compression_config", "quantization"} {
			if inner := o.object(key); inner != nil {
				return s.quantOf(c.file, inner, mlxMethod(key, inner))
			}
		}
	}
	for _, f := range quantFiles {
		file := path.Join(dir, f.name)
		if o := s.object(file); o != nil {
			if inner := o.object("quantization"); inner != nil { // Model Optimizer
				o = inner
			}
			return s.quantOf(file, o, f.method)
		}
	}
	return quant{}
}

// mlxMethod knows what MLX writes: a key of its own, or no method at all.
func mlxMethod(key string, o object) string {
	if key == "quantization" && o.has("bits") {
		return "mlx"
	}
	return ""
}

// quantOf reads a quantization_config.
func (s *study) quantOf(file string, o object, method string) quant {
	q := quant{file: file, compute: precision(o.string("bnb_4bit_compute_dtype"))}
	said, err := plainWord(o.string("quant_method"))
	if err != nil {
		s.notes.add("quant_method of %s was not taken: %v", file, err)
	}
	q.method = cmp.Or(strings.ToLower(said), method, o.unnamedMethod())
	if q.method == "none" {
		return quant{}
	}
	o.widths(&q)
	q.detail = o.quantDetail(q)
	return q
}

// unnamedMethod is for configs from before there was quant_method.
func (o object) unnamedMethod() string {
	switch {
	case o.has("load_in_4bit", "load_in_8bit"):
		return "bitsandbytes"
	case o.has("quant_algo"):
		return "modelopt"
	case o.has("config_groups"):
		return "compressed-tensors"
	}
	return ""
}

// widths finds the bits of a weight and the group that shares a scale.
func (o object) widths(q *quant) {
	hqq := o.object("quant_config").object("weight_quant_params")
	group := o.firstGroup().object("weights")
	switch {
	case o.bool("load_in_4bit"):
		q.bits = 4
	case o.bool("load_in_8bit"):
		q.bits = 8
	default:
		q.bits = cmp.Or(o.int("bits", "w_bit", "nbits"), group.int("num_bits"), hqq.int("nbits"))
	}
	q.group = cmp.Or(o.int("group_size", "q_group_size"), group.int("group_size"), hqq.int("group_size"))
	if q.bits < 0 || q.bits > 32 {
		q.bits = 0
	}
	q.group = max(q.group, 0)
}

// firstGroup is the first of the groups that compressed-tensors has.
func (o object) firstGroup() object {
	groups := o.object("config_groups")
	var names []string
	for name := range groups {
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil
	}
	return groups.object(slices.Min(names))
}

// quantDetail says which variant of a method it is.
func (o object) quantDetail(q quant) string {
	var details []string
	for _, key := range [...]string{"quant_algo", "format", "fmt", "bnb_4bit_quant_type", "version", "checkpoint_format", "quant_type"} {
		w, err := plainWord(o.string(key))
		if w != "" && err == nil && !strings.EqualFold(w, q.method) {
			details = append(details, strings.ToLower(w))
		}
	}
	if q.bits > 0 {
		details = append(details, fmt.Sprintf("%d bits", q.bits))
	}
	if q.group > 1 {
		details = append(details, fmt.Sprintf("groups of %d", q.group))
	}
	return strings.Join(details, ", ")
}

// uncounted are methods that store weights so that their number cannot be told
// from the shapes of the tensors.
var uncounted = [...]string{"aqlm", "hqq", "higgs", "quip", "quip_sharp", "spqr", "vptq", "torchao", "exl2", "exl3", "bitnet"}

func (q quant) countable() bool { return !slices.Contains(uncounted[:], q.method) }

func (s *study) sayQuant(q quant) {
	if q.method != "" {
		s.say(modelfile.Quantization, q.source(), q.method)
	}
}
