package generate

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Names are of weights of 1000 bytes, or of as many as follow an equals sign.
func TestDuplicates(t *testing.T) {
	for _, tt := range []struct{ name, kept, gone, formats string }{
		{"one format", "model-00001-of-00002.safetensors model-00002-of-00002.safetensors config.json", "", ""},
		{"pytorch", "model.safetensors config.json", "pytorch_model.bin", "PyTorch"},
		{"shards and their index", "model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json",
			"pytorch_model-00001-of-00002.bin pytorch_model-00002-of-00002.bin pytorch_model.bin.index.json", "PyTorch"},
		{"all frameworks", "model.safetensors 1_Pooling/config.json",
			"pytorch_model.bin tf_model.h5 flax_model.msgpack rust_model.ot onnx/model.onnx onnx/model_O4.onnx onnx/config.json openvino/openvino_model.xml openvino/openvino_model.bin",
			"Flax,Keras,ONNX,OpenVINO,PyTorch"},
		{"original", "model-00001-of-00001.safetensors tokenizer.model", "original/consolidated.00.pth original/params.json original/tokenizer.model", "original/"},
		{"metal", "model.safetensors", "metal/model.bin original/model.safetensors original/dtypes.json", "metal/,original/"},
		{"consolidated", "model-00001-of-00002.safetensors model-00002-of-00002.safetensors params.json", "consolidated.safetensors", "consolidated"},
		{"consolidated alone", "consolidated.00.pth consolidated.01.pth", "", ""},
		{"no safetensors", "pytorch_model.bin colbert_linear.pt sparse_linear.pt", "onnx/model.onnx onnx/model.onnx_data", "ONNX"},
		{"onnx only", "onnx/model.onnx onnx/model_fp16.onnx onnx/model_q4.onnx", "", ""},
		{"components", "unet/diffusion_pytorch_model.safetensors vae/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.bin", "PyTorch"},
		{"variants", "unet/diffusion_pytorch_model.safetensors unet/diffusion_pytorch_model.fp16.safetensors",
			"unet/diffusion_pytorch_model.bin unet/diffusion_pytorch_model.fp16.bin", "PyTorch"},
		{"whisper", "model.safetensors model.fp32-00001-of-00002.safetensors model.fp32-00002-of-00002.safetensors model.safetensors.index.fp32.json",
			"pytorch_model.bin pytorch_model.fp32-00001-of-00002.bin pytorch_model.fp32-00002-of-00002.bin pytorch_model.bin.index.fp32.json", "PyTorch"},
		{"a variant that is nowhere else", "unet/diffusion_pytorch_model.fp16.safetensors unet/diffusion_pytorch_model.bin", "", ""},
		{"single files of a pipeline", "model_index.json transformer/model.safetensors vae/model.safetensors lora.safetensors", "flux.safetensors ae.safetensors", "single-file checkpoints"},
		{"a pipeline in parts", "model_index.json flux.safetensors=9000 vae/model.safetensors", "", ""},
		{"missing shards", "model-00001-of-00002.safetensors pytorch_model.bin", "", ""},
		{"shards from zero", "model-00000-of-00001.safetensors model-00001-of-00001.safetensors", "pytorch_model.bin", "PyTorch"},
		{"a stub", "model.safetensors=10 pytorch_model.bin", "", ""},
		{"other models", "yolov8n.pt yolov8s.pt yolov8m.onnx", "yolov8n.onnx", "ONNX"},
		{"det and rec", "det.onnx rec.onnx cls.pdiparams", "", ""},
		{"adapter beside its model", "model.safetensors adapter_model.bin", "", ""},
		{"adapter", "adapter_model.safetensors", "adapter_model.bin", "PyTorch"},
		{"one gguf", "model.safetensors", "gemma-7b.gguf", "GGUF"},
		{"quantizations", "model.safetensors gemma.Q4_K_M.gguf gemma.Q8_0.gguf", "", ""},
		{"quantizations alone", "gemma.Q4_K_M.gguf gemma.Q8_0.gguf mmproj-f16.gguf", "", ""},
		{"saved model", "model.safetensors", "saved_model.pb variables/variables.index variables/variables.data-00000-of-00001", "TensorFlow"},
		{"core ml", "model.safetensors", "coreml/model.mlpackage/Manifest.json coreml/model.mlpackage/Data/weight.bin", "Core ML"},
		{"training state", "model.safetensors optimizer.pt training_args.bin", "", ""},
		{"checkpoints", "model.safetensors checkpoint-500/model.safetensors checkpoint-500/optimizer.pt", "checkpoint-500/pytorch_model.bin", "PyTorch"},
		{"no main model", "a.pt b.pt onnx/c.onnx", "", ""},
	} {
		var entries []entry
		for name := range strings.FieldsSeq(tt.kept + " " + tt.gone) {
			size := int64(1000)
			if before, digits, ok := strings.Cut(name, "="); ok {
				name = before
				size, _ = strconv.ParseInt(digits, 10, 64)
			}
			entries = append(entries, entry{name, size})
		}
		slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.path, b.path) })
		got := duplicates(classifyNames(entries))
		want := slices.Sorted(strings.FieldsSeq(tt.gone))
		if paths := slices.Sorted(maps.Keys(got.paths)); !slices.Equal(paths, want) {
			t.Errorf("%s: left out %q, want %q", tt.name, paths, want)
		}
		if formats := strings.Join(got.formats, ","); formats != tt.formats {
			t.Errorf("%s: says %q, want %q", tt.name, formats, tt.formats)
		}
		if got.bytes != int64(len(want))*1000 {
			t.Errorf("%s: saves %d bytes", tt.name, got.bytes)
		}
	}
}
