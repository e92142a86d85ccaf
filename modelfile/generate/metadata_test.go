package generate

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tareml/tare/internal/weightstest"
)

// model is the files of a directory: strings or weightstest files.
type model map[string]any

// write lays the files out below a new directory.
func (m model) write(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), filepath.FromSlash(name))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for path, content := range m {
		full := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
			t.Fatal(err)
		}
		f, ok := content.(*weightstest.File)
		if !ok {
			f = weightstest.NewFile([]byte(content.(string)))
		}
		if err := f.Write(full); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// described is what describe says of a directory, a line for each fact and note.
func described(t *testing.T, dir string, opts Options) (facts []fact, said notes) {
	t.Helper()
	found, err := walk(os.DirFS(dir), opts)
	if err != nil {
		t.Fatal(err)
	}
	return describe(os.DirFS(dir), dir, classified(os.DirFS(dir), found.files), opts, &said, &said), said
}

// classified is the files that entries are.
func classified(fsys fs.FS, entries []entry) []file {
	return classify(entries, sniffAll(fsys, entries))
}

// lines joins the values of facts, and their sources where a test wants them.
func lines(facts []fact, sources bool) string {
	var out strings.Builder
	for _, f := range facts {
		out.WriteString(f.command + " " + f.value)
		if sources {
			out.WriteString(" (" + f.source + ")")
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// expect compares what describe says with want: facts and notes, one a line, the
// notes with a dash before them.
func expect(t *testing.T, dir, want string) {
	t.Helper()
	facts, said := described(t, dir, Options{})
	got := lines(facts, false)
	for _, n := range said {
		got += "- " + n + "\n"
	}
	if want = outdent(want); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func outdent(s string) string {
	var out strings.Builder
	for line := range strings.Lines(strings.TrimSpace(s)) {
		out.WriteString(strings.TrimSpace(line) + "\n")
	}
	return out.String()
}

var (
	tensor      = weightstest.T
	safetensors = weightstest.Safetensors
)

func TestDescribeTransformer(t *testing.T) {
	first := []weightstest.Tensor{tensor("model.embed_tokens.weight", "BF16", 1000, 600), tensor("model.norm.weight", "F32", 600)}
	second := []weightstest.Tensor{tensor("lm_head.weight", "BF16", 1000, 600), tensor("model.layers.0.mlp.up_proj.weight", "BF16", 2000, 600)}
	dir := model{
		"config.json":                      `{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "torch_dtype": "bfloat16", "tie_word_embeddings": true}`,
		"model-00001-of-00002.safetensors": safetensors(nil, first...),
		"model-00002-of-00002.safetensors": safetensors(nil, second...),
		"model.safetensors.index.json": weightstest.Index(2*(600_000*2+1_200_000)+4*600, map[string][]weightstest.Tensor{
			"model-00001-of-00002.safetensors": first, "model-00002-of-00002.safetensors": second}),
		"pytorch_model.bin":          weightstest.Torch("pytorch_model", 3_600_000),
		"original/consolidated.pth":  weightstest.Torch("consolidated", 3_600_000),
		"original/model.safetensors": safetensors(nil, first...),
		"tokenizer_config.json":      `{"chat_template": "{%- if tools %}{{ tools | tojson }}{% endif %}{% if add_generation_prompt %}{% if enable_thinking %}<think>{% endif %}{% endif %}"}`,
		"README.md":                  "---\nlicense: apache-2.0\nlanguage:\n- en\n- zh\npipeline_tag: text-generation\ndatasets: [org/set]\n---\n\n# Tiny\n\nTiny is a **very small** model of [Org](https://org.example) for tests.\n",
		"LICENSE":                    "Apache",
	}.write(t, "Tiny-0___6B")
	facts, said := described(t, dir, Options{})
	want := outdent(`
		NAME Tiny-0.6B (from the name of the directory)
		ARCH transformer (from config.json)
		FAMILY qwen3 (from config.json)
		FORMAT safetensors (from the weights)
		PARAMSIZE 1.8M (from model-00001-of-00002.safetensors and 1 more)
		PRECISION bfloat16 (from model-00001-of-00002.safetensors and 1 more)
		DESCRIPTION Tiny is a very small model of Org for tests. (from README.md)
		LICENSE Apache-2.0 (from README.md)
		DATASETURL https://huggingface.co/datasets/org/set (from README.md)
		LANGUAGE en (from README.md)
		LANGUAGE zh (from README.md)
		INPUT text (from README.md)
		OUTPUT text (from README.md)
		REASONING true (from the chat template in tokenizer_config.json)
		TOOLUSAGE true (from the chat template in tokenizer_config.json)`)
	if got := lines(facts, true); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := strings.Join(said, "\n"); got != "took safetensors for FORMAT; there is pt too" {
		t.Errorf("got notes\n%s", got)
	}
}

func TestDescribeModels(t *testing.T) {
	const m = 1_000_000
	const leftOut = "- PARAMSIZE is left out: PyTorch archives say it only in a pickle, which is not read"
	weight := func(dtype string, n int64) *weightstest.File { return safetensors(nil, tensor("a.weight", dtype, n)) }
	tests := []struct {
		name  string
		files model
		want  string
	}{
		{"fp8", model{
			"config.json": `{"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "num_hidden_layers": 1, "num_nextn_predict_layers": 1,
				"quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}}`,
			"model.safetensors": safetensors(nil, tensor("model.layers.0.up.weight", "F8_E4M3", 1000, 1000), tensor("model.layers.0.up.weight_scale_inv", "F32", 8, 8),
				tensor("model.embed_tokens.weight", "BF16", 1000, 100), tensor("model.norm.weight", "F32", 100), tensor("model.layers.1.up.weight", "BF16", 1000, 1000)),
		}, `NAME x
			ARCH transformer
			FAMILY deepseek_v3
			FORMAT safetensors
			PARAMSIZE 1.1M
			PRECISION float8_e4m3,bfloat16
			QUANTIZATION fp8
			INPUT text
			OUTPUT text`},
		{"awq", model{
			"config.json": `{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "torch_dtype": "float16",
				"quantization_config": {"bits": 4, "group_size": 128, "quant_method": "awq", "version": "gemm"}}`,
			"model.safetensors": safetensors(nil, tensor("a.qweight", "I32", 1024, 128), tensor("a.qzeros", "I32", 8, 128), tensor("a.scales", "F16", 8, 1024),
				tensor("model.embed_tokens.weight", "F16", 1000, 1024)),
		}, `NAME x
			ARCH transformer
			FAMILY llama
			FORMAT safetensors
			PARAMSIZE 2.1M
			PRECISION float16
			QUANTIZATION awq
			INPUT text
			OUTPUT text`},
		{"gptq beside the config", model{
			"config.json":          `{"model_type": "llama", "torch_dtype": "bfloat16"}`,
			"quantize_config.json": `{"bits": 8, "group_size": 128}`,
			"model.safetensors":    safetensors(nil, tensor("a.qweight", "I32", 256, 1024), tensor("a.scales", "F16", 8, 1024), tensor("a.g_idx", "I32", 1024)),
		}, `NAME x
			FAMILY llama
			FORMAT safetensors
			PARAMSIZE 1M
			PRECISION int8
			QUANTIZATION gptq`},
		{"mxfp4", model{
			"config.json": `{"model_type": "gpt_oss", "architectures": ["GptOssForCausalLM"], "quantization_config": {"quant_method": "mxfp4"}}`,
			"model.safetensors": safetensors(nil, tensor("a_blocks", "U8", 10, 100, 90, 16), tensor("a_scales", "U8", 10, 100, 90),
				tensor("model.embed_tokens.weight", "BF16", 1000, 1000)),
			"original/model.safetensors": weight("BF16", 100*m),
		}, `NAME x
			ARCH transformer
			FAMILY gpt_oss
			FORMAT safetensors
			PARAMSIZE 3.9M
			PRECISION bfloat16
			QUANTIZATION mxfp4
			INPUT text
			OUTPUT text`},
		{"vision", model{
			"config.json": `{"architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl", "video_token_id": 5, "vision_config": {},
				"text_config": {"model_type": "qwen2_5_vl_text", "dtype": "bfloat16"}}`,
			"model.safetensors": weight("BF16", 3*m),
		}, `NAME x
			ARCH transformer
			FAMILY qwen2_5_vl
			FORMAT safetensors
			PARAMSIZE 3M
			PRECISION bfloat16
			INPUT text
			INPUT image
			INPUT video
			OUTPUT text`},
		{"whisper with a variant", model{
			"config.json":                            `{"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", "torch_dtype": "float16"}`,
			"model.safetensors":                      weight("F16", 2*m),
			"model.fp32-00001-of-00002.safetensors":  weight("F32", m),
			"model.fp32-00002-of-00002.safetensors":  safetensors(nil, tensor("b.weight", "F32", m)),
			"model.safetensors.index.fp32.json":      `{"metadata": {"total_size": 8000000}, "weight_map": {"a.weight": "model.fp32-00001-of-00002.safetensors", "b.weight": "model.fp32-00002-of-00002.safetensors"}}`,
			"flax_model.msgpack":                     "x",
			"pytorch_model.fp32-00001-of-00002.bin":  "x",
			"pytorch_model.fp32-00002-of-00002.bin":  "x",
			"pytorch_model.bin.index.fp32.json":      `{"weight_map": {"a.weight": "pytorch_model.fp32-00001-of-00002.bin", "b.weight": "pytorch_model.fp32-00002-of-00002.bin"}}`,
			"training_args.bin":                      "x",
			"preprocessor_config.json":               `{}`,
			"special_tokens_map.json":                `{}`,
			"nested/deeper/model.safetensors":        weight("F16", 9*m),
			"model.fp32.safetensors.not.a.known.bin": "x",
		}, `NAME x
			ARCH transformer
			FAMILY whisper
			FORMAT safetensors
			PARAMSIZE 2M
			PRECISION float16
			INPUT audio
			OUTPUT text
			- took safetensors for FORMAT; there is msgpack, pt too`},
		{"diffusers", model{
			"model_index.json": `{"_class_name": "FluxPipeline", "_diffusers_version": "0.30", "text_encoder": ["transformers", "CLIPTextModel"],
				"transformer": ["diffusers", "FluxTransformer2DModel"], "vae": ["diffusers", "AutoencoderKL"], "scheduler": ["diffusers", "S"], "safety_checker": [null, null]}`,
			"flux1-dev.safetensors":                                          weight("BF16", 12*m),
			"ae.safetensors":                                                 weight("F32", m),
			"text_encoder/config.json":                                       `{"model_type": "clip_text_model", "torch_dtype": "bfloat16"}`,
			"text_encoder/model.safetensors":                                 weight("BF16", 4*m),
			"text_encoder/model.fp16.safetensors":                            weight("F16", 4*m),
			"transformer/config.json":                                        `{"_class_name": "FluxTransformer2DModel"}`,
			"transformer/diffusion_pytorch_model-00001-of-00002.safetensors": weight("BF16", 6*m),
			"transformer/diffusion_pytorch_model-00002-of-00002.safetensors": safetensors(nil, tensor("b.weight", "BF16", 6*m)),
			"vae/diffusion_pytorch_model.safetensors":                        weight("BF16", m/10),
			"scheduler/scheduler_config.json":                                `{}`,
		}, `NAME x
			ARCH diffusion
			FAMILY flux
			FORMAT safetensors
			PARAMSIZE 16.1M
			PRECISION bfloat16
			INPUT text
			OUTPUT image
			- PARAMSIZE is the sum of the components: transformer 12M, text_encoder 4M, vae 100K`},
		{"sentence-transformers", model{
			"config.json":                             `{"model_type": "bert", "architectures": ["BertModel"]}`,
			"modules.json":                            `[{"idx": 0, "path": ""}, {"idx": 1, "path": "1_Pooling"}, {"idx": 2, "path": "2_Dense"}]`,
			"config_sentence_transformers.json":       `{"__version__": {}}`,
			"1_Pooling/config.json":                   `{}`,
			"2_Dense/model.safetensors":               weight("F32", m),
			"model.safetensors":                       weight("F32", 20*m),
			"pytorch_model.bin":                       "x",
			"onnx/model.onnx":                         "x",
			"onnx/model_O1.onnx":                      "x",
			"openvino/openvino_model.xml":             `<?xml version="1.0"?><net name="m" version="11"><layers><layer id="0"/></layers></net>`,
			"openvino/openvino_model.bin":             "x",
			"tf_model.h5":                             "x",
			"rust_model.ot":                           "x",
			"README.md":                               "---\nlicense: apache-2.0\npipeline_tag: sentence-similarity\nlanguage: en\n---\n",
			"tokenizer_config.json":                   `{"chat_template": "{{ tools }}"}`,
			"sentence_bert_config.json":               `{}`,
			"train_script.py":                         "x",
			"sub/unrelated/ignored/model.safetensors": weight("F32", m),
		}, `NAME x
			ARCH transformer
			FAMILY bert
			FORMAT safetensors
			PARAMSIZE 21M
			PRECISION float32
			LICENSE Apache-2.0
			LANGUAGE en
			INPUT text
			OUTPUT embedding
			- took safetensors for FORMAT; there is keras, onnx, openvino, pt too
			- PARAMSIZE is the sum of the components: the main model 20M, 2_Dense 1M`},
		{"lora", model{
			"adapter_config.json":       `{"peft_type": "LORA", "base_model_name_or_path": "meta-llama/Llama-3.1-8B", "r": 16}`,
			"adapter_model.safetensors": safetensors(nil, tensor("base.q_proj.lora_A.weight", "F32", 16, 4096), tensor("base.q_proj.lora_B.weight", "F32", 4096, 16)),
		}, `NAME x
			FORMAT safetensors
			PARAMSIZE 131K
			PRECISION float32
			DESCRIPTION LoRA adapter for meta-llama/Llama-3.1-8B`},
		{"torch", model{
			"config.json":       `{"model_type": "xlm-roberta", "architectures": ["XLMRobertaModel"], "torch_dtype": "float32"}`,
			"pytorch_model.bin": weightstest.Torch("pytorch_model", 4*m, 4*m),
			"colbert_linear.pt": weightstest.Torch("colbert_linear", 400),
		}, `NAME x
			ARCH transformer
			FAMILY xlm-roberta
			FORMAT pt
			PARAMSIZE 2M
			PRECISION float32`},
		{"torch of unknown type", model{"yolo11n.pt": weightstest.Torch("yolo11n", 4*m)}, "NAME x\nFORMAT pt\n" + leftOut},
		{"packed so that it cannot be counted", model{
			"config.json":       `{"model_type": "llama", "torch_dtype": "float16", "quantization_config": {"quant_method": "aqlm"}}`,
			"model.safetensors": weight("I8", m),
		}, `NAME x
			FAMILY llama
			FORMAT safetensors
			PRECISION float16
			QUANTIZATION aqlm
			- the parameters were not counted: weights packed by aqlm do not show it`},
		{"names that tell nothing", model{"a.safetensors": weight("F16", m), "b.safetensors": weight("F16", m)}, `NAME x
			FORMAT safetensors
			- the parameters were not counted: 2 files may be parts of one model or models of their own: "a.safetensors", "b.safetensors"`},
		{"onnx of several parts", model{
			"det/model.onnx": onnxOf(m), "rec/model.onnx": onnxOf(2 * m), "rec/model_fp16.onnx": onnxOf(2 * m),
		}, `NAME x
			FORMAT onnx
			PARAMSIZE 3M
			PRECISION float32`},
		{"original Llama", model{"params.json": `{"dim": 4096, "n_layers": 32}`, "consolidated.00.pth": weightstest.Torch("consolidated", m)},
			"NAME x\nARCH transformer\nFORMAT pt\n" + leftOut},
		{"nothing is known", model{"model.joblib": "x"}, "NAME x\nFORMAT pickle\n- PARAMSIZE is left out: a pickle says it only when it is loaded, which runs code"},
		{"several copies that cannot be counted", model{"1/a.pte": "x", "b.pte": "x"}, "NAME x\nFORMAT executorch\n- PARAMSIZE is left out: it is not read from weights in executorch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expect(t, tt.files.write(t, "x"), tt.want) })
	}
}

func onnxOf(params int64) *weightstest.File {
	return weightstest.ONNX(weightstest.ONNXModel{Weights: []weightstest.ONNXTensor{{Name: "w", DType: 1, Dims: []int64{params}, Raw: 4}}})
}

func TestDescribeGGUF(t *testing.T) {
	file := func(fileType uint32, dtype string, more ...any) *weightstest.File {
		pairs := weightstest.Pairs(append([]any{"general.architecture", "qwen3", "general.file_type", fileType, "general.license", "apache-2.0",
			"general.languages", []string{"en"}, "tokenizer.chat_template", "{% if tools %}{% endif %}"}, more...)...)
		return weightstest.GGUF(weightstest.GGUFVersion{}, pairs, tensor("a.weight", dtype, 1000, 1024))
	}
	tests := []struct {
		name  string
		files model
		want  string
	}{
		{"one", model{"m-Q4_K_M.gguf": file(15, "Q4_K")}, `NAME x
			ARCH transformer
			FAMILY qwen3
			FORMAT gguf
			PARAMSIZE 1M
			PRECISION float16
			QUANTIZATION Q4_K_M
			LICENSE Apache-2.0
			LANGUAGE en
			TOOLUSAGE true`},
		{"plain", model{"m.gguf": file(32, "BF16")}, `NAME x
			ARCH transformer
			FAMILY qwen3
			FORMAT gguf
			PARAMSIZE 1M
			PRECISION bfloat16
			LICENSE Apache-2.0
			LANGUAGE en
			TOOLUSAGE true`},
		{"embeddings", model{"m.gguf": file(32, "BF16", "qwen3.pooling_type", uint32(3))}, `NAME x
			ARCH transformer
			FAMILY qwen3
			FORMAT gguf
			PARAMSIZE 1M
			PRECISION bfloat16
			LICENSE Apache-2.0
			LANGUAGE en
			OUTPUT embedding`},
		{"several, with a projector", model{
			"m-Q4_K_M.gguf": file(15, "Q4_K"), "m-Q8_0.gguf": file(7, "Q8_0"), "BF16/m-BF16-00001-of-00001.gguf": file(32, "BF16"),
			"mmproj-F16.gguf": weightstest.GGUF(weightstest.GGUFVersion{}, weightstest.Pairs("general.architecture", "clip", "general.type", "mmproj"),
				tensor("v.weight", "F16", 500, 1000)),
			"imatrix.gguf": weightstest.GGUF(weightstest.GGUFVersion{}, weightstest.Pairs("general.type", "imatrix"), tensor("v.weight", "F32", 500, 1000)),
		}, `NAME x
			ARCH transformer
			FAMILY qwen3
			FORMAT gguf
			PARAMSIZE 1.5M
			PRECISION bfloat16,float16
			QUANTIZATION Q8_0,Q4_K_M
			LICENSE Apache-2.0
			LANGUAGE en
			TOOLUSAGE true
			- there are 3 models in GGUF, and an artifact mostly has one: --exclude leaves out the others`},
		{"different models", model{"a.gguf": file(15, "Q4_K"), "b.gguf": weightstest.GGUF(weightstest.GGUFVersion{}, nil, tensor("a.weight", "Q4_K", 3000, 1024))}, `NAME x
			FORMAT gguf
			PRECISION float16
			QUANTIZATION Q4_K,Q4_K_M
			TOOLUSAGE true
			- there are 2 models in GGUF, and an artifact mostly has one: --exclude leaves out the others
			- the parameters were not counted: "b.gguf" and others are models of different sizes`},
		{"a part is missing", model{"m-Q4_K_M-00001-of-00003.gguf": file(15, "Q4_K"), "m-Q4_K_M-00003-of-00003.gguf": file(15, "Q4_K")}, `NAME x
			ARCH transformer
			FAMILY qwen3
			FORMAT gguf
			PRECISION float16
			QUANTIZATION Q4_K_M
			LICENSE Apache-2.0
			LANGUAGE en
			TOOLUSAGE true
			- 1 shard of 3 missing beside "m-Q4_K_M-00001-of-00003.gguf", number 2 first
			- the parameters were not counted: "m-Q4_K_M-00001-of-00003.gguf" has only some of the tensors of the model, or none`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expect(t, tt.files.write(t, "x"), tt.want) })
	}
}

func TestShardsAreChecked(t *testing.T) {
	a, b := tensor("a", "F16", 10), tensor("b", "F16", 10)
	one, two := safetensors(nil, a), safetensors(nil, b)
	tests := []struct {
		name  string
		files model
		want  string
	}{
		{"all there", model{"model.safetensors.index.json": weightstest.Index(40, map[string][]weightstest.Tensor{
			"model-1.safetensors": {a}, "odd name.safetensors": {b}}), "model-1.safetensors": one, "odd name.safetensors": two}, `
			PARAMSIZE 0.1K
			PRECISION float16`},
		{"one missing", model{"model.safetensors.index.json": shardIndexOf(40), "model-00001-of-00002.safetensors": one}, `
			- missing: 1 shard that "model.safetensors.index.json" names: "model-00002-of-00002.safetensors"
			- the parameters were not counted: 1 shard missing`},
		{"all missing", model{"model.safetensors.index.json": shardIndexOf(40), "m.dlc": "x"}, `
			- none of the 2 shards that "model.safetensors.index.json" names is here`},
		{"one too many", model{"model.safetensors.index.json": shardIndexOf(40), "model-00001-of-00002.safetensors": one,
			"model-00002-of-00002.safetensors": two, "model-00003-of-00003.safetensors": two}, `
			PARAMSIZE 0.1K
			PRECISION float16
			- 1 surplus shard that "model.safetensors.index.json" does not name: "model-00003-of-00003.safetensors"`},
		{"another size", model{"model.safetensors.index.json": shardIndexOf(41), "model-00001-of-00002.safetensors": one, "model-00002-of-00002.safetensors": two}, `
			PARAMSIZE 0.1K
			PRECISION float16
			- "model.safetensors.index.json" says that the tensors have 41 bytes, but its shards hold 40`},
		{"missing without an index", model{"model-00001-of-00002.safetensors": one}, `
			- 1 shard of 2 missing beside "model-00001-of-00002.safetensors", number 2 first
			- the parameters were not counted: 1 shard missing`},
		{"an absurd count", model{"model-00001-of-999999.safetensors": one}, `
			- 999998 shards of 999999 missing beside "model-00001-of-999999.safetensors", number 2 first
			- the parameters were not counted: 999998 shards missing`},
		{"a broken index", model{"model.safetensors.index.json": "{", "model.safetensors": one}, `
			PARAMSIZE 0.1K
			PRECISION float16
			- the shards were not checked: "model.safetensors.index.json": index: at byte 1: the file ends in the middle of its header`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			facts, said := described(t, tt.files.write(t, "x"), Options{Name: "x", Format: "x"})
			got := strings.TrimPrefix(lines(facts, false), "NAME x\nFORMAT x\n")
			for _, n := range said {
				got += "- " + n + "\n"
			}
			if got != outdent(tt.want) {
				t.Errorf("got\n%swant\n%s", got, outdent(tt.want))
			}
		})
	}
}

func shardIndexOf(total int64) *weightstest.File {
	return weightstest.Index(total, map[string][]weightstest.Tensor{
		"model-00001-of-00002.safetensors": {tensor("a", "F16", 10)}, "model-00002-of-00002.safetensors": {tensor("b", "F16", 10)}})
}

// TestFilesThatCannotBeOpened takes a filesystem whose files are gone by the time
// that they are read.
func TestFilesThatCannotBeOpened(t *testing.T) {
	var files []entry
	for _, name := range []string{"config.json", "model.safetensors", "README.md", "LICENSE", "chat_template.jinja", "modules.json", "a.gguf", "a.safetensors.index.json"} {
		files = append(files, entry{name, 1})
	}
	var said notes
	facts := describe(fstest.MapFS{}, "/x", classified(fstest.MapFS{}, files), Options{}, &said, &said)
	if got := lines(facts, false); got != "NAME x\nFORMAT safetensors\n" {
		t.Errorf("got\n%s", got)
	}
	for _, file := range []string{"config.json", "model.safetensors", "README.md", "LICENSE", "chat_template.jinja", "modules.json"} {
		if !strings.Contains(strings.Join(said, "\n"), file) {
			t.Errorf("no note on %s: %q", file, said)
		}
	}
}
