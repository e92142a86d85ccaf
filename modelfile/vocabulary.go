package modelfile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Formats are the words for FORMAT: those of the model spec and what is usual.
func Formats() []string {
	return strings.Fields("safetensors gguf onnx pt ggml executorch keras tflite tensorflow coreml tensorrt openvino rknn ncnn ctranslate2 " +
		"fasttext xgboost lightgbm catboost tfjs mxnet paddle pickle msgpack skops npz llamafile mnn")
}

// otherFormats are what people write for some of them, as fold has it.
var otherFormats = map[string]string{
	"pytorch": "pt", "torch": "pt", "torchscript": "pt", "libtorch": "pt", "pth": "pt", "safetensor": "safetensors", "tf": "tensorflow",
	"savedmodel": "tensorflow", "tensorflowlite": "tflite", "litert": "tflite", "tensorflowjs": "tfjs", "h5": "keras", "hdf5": "keras",
	"mlmodel": "coreml", "mlpackage": "coreml", "trt": "tensorrt", "openvinoir": "openvino", "flax": "msgpack", "numpy": "npz",
	"paddlepaddle": "paddle", "pte": "executorch", "ct2": "ctranslate2",
}

// architectures are the words for ARCH.
var architectures = []string{"transformer", "cnn", "rnn", "mamba", "diffusion"}

var otherArchitectures = map[string]string{"transformers": "transformer", "convnet": "cnn"}

// quantizations are the words for QUANTIZATION, besides those of GGUF.
var quantizations = strings.Fields("awq gptq bitsandbytes compressed-tensors modelopt mlx fp8 aqlm hqq higgs quip spqr vptq torchao exl2 exl3 bitnet")

var otherQuantizations = map[string]string{"bnb": "bitsandbytes", "autoawq": "awq", "autogptq": "gptq"}

// ggufQuantization is how GGUF calls its own, in capitals.
var ggufQuantization = regexp.MustCompile(`^[IT]?Q[1-8]_[0-9A-Z]+(_[0-9A-Z]+)*$`)

func adviseFormat(value string) (msg, hint string) {
	return adviseWord(value, usual(value, Formats(), otherFormats))
}

func adviseArch(value string) (msg, hint string) {
	return adviseWord(value, usual(value, architectures, otherArchitectures))
}

func adviseQuantization(value string) (msg, hint string) {
	for word := range strings.SplitSeq(value, ",") {
		as := usual(word, quantizations, otherQuantizations)
		if upper := strings.ToUpper(word); ggufQuantization.MatchString(upper) {
			as = upper
		}
		if msg, hint = adviseWord(word, as); msg != "" {
			return msg, hint
		}
	}
	return "", ""
}

// adviseWord is about a word that is usually written otherwise. If as is empty nobody
// knows: new words come up all the time.
func adviseWord(word, as string) (msg, hint string) {
	if as == "" || as == word {
		return "", ""
	}
	return fmt.Sprintf("%s is not the usual word for it", quoteShort(word)), "write " + as
}

// usual is the one of the words that a value is another spelling of, or that others
// has for it; empty if there is none.
func usual(value string, words []string, others map[string]string) string {
	folded := fold(value)
	if i := slices.IndexFunc(words, func(w string) bool { return fold(w) == folded }); i >= 0 {
		return words[i]
	}
	return others[folded]
}

// fold leaves of a word what counts.
func fold(word string) string {
	return strings.NewReplacer(" ", "", "-", "", "_", "", ".", "").Replace(strings.ToLower(word))
}
