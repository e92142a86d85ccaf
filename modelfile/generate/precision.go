package generate

import (
	"slices"
	"strings"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/weights"
)

// otherDTypes are what configs call the precisions of the model spec, where that
// is not the spec's own word.
var otherDTypes = map[string]string{
	"float": "float32", "fp32": "float32", "f32": "float32", "double": "float64", "fp64": "float64",
	"half": "float16", "fp16": "float16", "f16": "float16", "bf16": "bfloat16",
	"float8_e4m3fn": "float8_e4m3", "float8_e4m3fnuz": "float8_e4m3", "float8_e5m2fnuz": "float8_e5m2",
}

// precision is the model spec's word for a dtype as configs write it, or empty.
func precision(dtype string) string {
	dtype = strings.ToLower(strings.TrimPrefix(dtype, "torch."))
	if word := otherDTypes[dtype]; word != "" {
		return word
	}
	if slices.Contains(modelfile.Precisions(), dtype) {
		return dtype
	}
	return ""
}

// leastShare is the part of the parameters that a type must have to be worth
// saying: a few norms in another type do not make a model of mixed precision.
const leastShare = 0.01

// precisionOf is the value of PRECISION for parameters by type. Types below 8 bits
// have no word in the model spec: for them it is the type that they are unpacked
// to, compute, or else the most common float that is as good.
func precisionOf(byDType map[weights.DType]int64, compute string) string {
	if compute == "" {
		compute = unpackedTo(byDType)
	}
	total, byWord := 0.0, make(map[string]float64)
	for d, n := range byDType {
		word := d.Precision()
		if word == "" {
			word = compute
		}
		byWord[word] += float64(n)
		total += float64(n)
	}
	var words []string
	for word, n := range byWord {
		if word != "" && n >= leastShare*total {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return strings.Join(sortedBy(words, func(w string) float64 { return -byWord[w] }), ",")
}

func unpackedTo(byDType map[weights.DType]int64) string {
	for _, share := range weights.Shares(byDType) {
		if share.DType.Float() && share.DType.Bits() >= 16 {
			return share.DType.Precision()
		}
	}
	return ""
}
