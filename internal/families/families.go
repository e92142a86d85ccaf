// Package families lists the tensors of well-known models, with the names and
// shapes that the published files have. Tests and benchmarks make files of them.
package families

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tareml/tare/internal/weightstest"
)

// Tensor is a tensor of a test file.
type Tensor = weightstest.Tensor

// Decoder is a language model of the usual layout: attention and a gated MLP in
// each layer.
type Decoder struct {
	Vocab, Hidden, Inner, Layers int64
	Heads, KVHeads, HeadDim      int64
	Bias                         bool // of query, key and value
	QKNorm                       bool
	DType                        string // of all that Linear does not make, BF16 if empty
	// Linear makes the tensors of a matrix; nil makes one.
	Linear func(name string, out, in int64) []Tensor
}

// Tensors lists the tensors in the order of the layers.
func (d Decoder) Tensors() []Tensor {
	all := []Tensor{d.tensor("model.embed_tokens.weight", d.Vocab, d.Hidden)}
	for i := range d.Layers {
		all = append(all, d.layer(fmt.Sprintf("model.layers.%d.", i))...)
	}
	return append(all, d.tensor("model.norm.weight", d.Hidden), d.tensor("lm_head.weight", d.Vocab, d.Hidden))
}

func (d Decoder) layer(in string) []Tensor {
	q, kv := d.Heads*d.HeadDim, d.KVHeads*d.HeadDim
	all := []Tensor{d.tensor(in+"input_layernorm.weight", d.Hidden), d.tensor(in+"post_attention_layernorm.weight", d.Hidden)}
	if d.QKNorm {
		all = append(all, d.tensor(in+"self_attn.q_norm.weight", d.HeadDim), d.tensor(in+"self_attn.k_norm.weight", d.HeadDim))
	}
	if d.Bias {
		all = append(all, d.tensor(in+"self_attn.q_proj.bias", q), d.tensor(in+"self_attn.k_proj.bias", kv), d.tensor(in+"self_attn.v_proj.bias", kv))
	}
	return append(all, slices.Concat(
		d.linear(in+"self_attn.q_proj", q, d.Hidden), d.linear(in+"self_attn.k_proj", kv, d.Hidden),
		d.linear(in+"self_attn.v_proj", kv, d.Hidden), d.linear(in+"self_attn.o_proj", d.Hidden, q),
		d.linear(in+"mlp.gate_proj", d.Inner, d.Hidden), d.linear(in+"mlp.up_proj", d.Inner, d.Hidden),
		d.linear(in+"mlp.down_proj", d.Hidden, d.Inner))...)
}

func (d Decoder) linear(name string, out, in int64) []Tensor {
	if d.Linear != nil {
		return d.Linear(name, out, in)
	}
	return []Tensor{d.tensor(name+".weight", out, in)}
}

func (d Decoder) tensor(name string, shape ...int64) Tensor {
	return weightstest.T(name, cmp.Or(d.DType, "BF16"), shape...)
}

func bf16(name string, shape ...int64) Tensor { return weightstest.T(name, "BF16", shape...) }

// AWQ packs a matrix into 4 bits, in groups of 128.
func AWQ(name string, out, in int64) []Tensor {
	return []Tensor{
		weightstest.T(name+".qweight", "I32", in, out/8), weightstest.T(name+".qzeros", "I32", in/128, out/8),
		weightstest.T(name+".scales", "F16", in/128, out),
	}
}

// GPTQ does the same the other way.
func GPTQ(name string, out, in int64) []Tensor {
	return []Tensor{
		weightstest.T(name+".qweight", "I32", in/8, out), weightstest.T(name+".qzeros", "I32", in/128, out/8),
		weightstest.T(name+".scales", "F16", in/128, out), weightstest.T(name+".g_idx", "I32", in),
	}
}

// FP8 is a matrix of floats of 8 bits, with a scale for each block of 128 by 128.
func FP8(name string, out, in int64) []Tensor {
	return []Tensor{
		weightstest.T(name+".weight", "F8_E4M3", out, in),
		weightstest.T(name+".weight_scale_inv", "F32", (out+127)/128, (in+127)/128),
	}
}

// Named are the models that tests ask for by name.
func Named(name string) ([]Tensor, bool) {
	makers := map[string]func() []Tensor{
		"qwen3-0.6b":        Decoder{Vocab: 151936, Hidden: 1024, Inner: 3072, Layers: 28, Heads: 16, KVHeads: 8, HeadDim: 128, QKNorm: true}.Tensors,
		"llama-3.1-8b":      Decoder{Vocab: 128256, Hidden: 4096, Inner: 14336, Layers: 32, Heads: 32, KVHeads: 8, HeadDim: 128}.Tensors,
		"qwen2.5-7b-awq":    qwen7B("F16", AWQ).Tensors,
		"qwen2.5-7b-gptq":   qwen7B("F16", GPTQ).Tensors,
		"qwen2.5-vl-7b":     QwenVL,
		"gpt-oss-20b":       GPTOSS,
		"deepseek-v3":       DeepSeekV3,
		"whisper-large-v3":  func() []Tensor { return Whisper("F16") },
		"minilm":            MiniLM,
		"llama-3.1-8b-lora": LoRA,
		"efficientnet-b0":   EfficientNet,
		"resnet-50":         ResNet,
	}
	maker, ok := makers[name]
	if !ok {
		return nil, false
	}
	return maker(), true
}

func qwen7B(dtype string, linear func(string, int64, int64) []Tensor) Decoder {
	return Decoder{Vocab: 152064, Hidden: 3584, Inner: 18944, Layers: 28, Heads: 28, KVHeads: 4, HeadDim: 128, Bias: true, DType: dtype, Linear: linear}
}

// QwenVL is Qwen2.5-VL-7B.
func QwenVL() []Tensor {
	var all []Tensor
	add := func(name string, shape ...int64) { all = append(all, bf16(name, shape...)) }
	linear := func(name string, out, in int64) {
		add(name+".weight", out, in)
		add(name+".bias", out)
	}
	add("visual.patch_embed.proj.weight", 1280, 3, 2, 14, 14)
	for i := range 32 {
		in := fmt.Sprintf("visual.blocks.%d.", i)
		add(in+"norm1.weight", 1280)
		add(in+"norm2.weight", 1280)
		linear(in+"attn.qkv", 3840, 1280)
		linear(in+"attn.proj", 1280, 1280)
		linear(in+"mlp.gate_proj", 3420, 1280)
		linear(in+"mlp.up_proj", 3420, 1280)
		linear(in+"mlp.down_proj", 1280, 3420)
	}
	add("visual.merger.ln_q.weight", 1280)
	linear("visual.merger.mlp.0", 5120, 5120)
	linear("visual.merger.mlp.2", 3584, 5120)
	return append(all, qwen7B("BF16", nil).Tensors()...)
}

// GPTOSS is gpt-oss-20b, whose experts are packed into MXFP4.
func GPTOSS() []Tensor {
	const vocab, hidden, experts, q, kv = 201088, 2880, 32, 4096, 512
	var all []Tensor
	add := func(name, dtype string, shape ...int64) { all = append(all, weightstest.T(name, dtype, shape...)) }
	linear := func(name string, out, in int64) {
		add(name+".weight", "BF16", out, in)
		add(name+".bias", "BF16", out)
	}
	packed := func(name string, out int64) {
		add(name+"_blocks", "U8", experts, out, hidden/32, 16)
		add(name+"_scales", "U8", experts, out, hidden/32)
		add(name+"_bias", "BF16", experts, out)
	}
	add("model.embed_tokens.weight", "BF16", vocab, hidden)
	for i := range 24 {
		in := fmt.Sprintf("model.layers.%d.", i)
		add(in+"input_layernorm.weight", "BF16", hidden)
		add(in+"post_attention_layernorm.weight", "BF16", hidden)
		linear(in+"self_attn.q_proj", q, hidden)
		linear(in+"self_attn.k_proj", kv, hidden)
		linear(in+"self_attn.v_proj", kv, hidden)
		linear(in+"self_attn.o_proj", hidden, q)
		add(in+"self_attn.sinks", "BF16", 64)
		linear(in+"mlp.router", experts, hidden)
		packed(in+"mlp.experts.gate_up_proj", 2*hidden)
		packed(in+"mlp.experts.down_proj", hidden)
	}
	add("model.norm.weight", "BF16", hidden)
	add("lm_head.weight", "BF16", vocab, hidden)
	return all
}

// DeepSeekV3 is DeepSeek-V3 with its layer that predicts a further token: 91,991
// tensors.
func DeepSeekV3() []Tensor {
	const vocab, hidden, layers = 129280, 7168, 61
	all := []Tensor{bf16("model.embed_tokens.weight", vocab, hidden)}
	for i := range layers + 1 {
		in := fmt.Sprintf("model.layers.%d.", i)
		all = append(all, deepSeekAttention(in)...)
		if i < 3 {
			all = append(all, gated(in+"mlp.", 18432, hidden)...)
			continue
		}
		all = append(all, bf16(in+"mlp.gate.weight", 256, hidden), weightstest.T(in+"mlp.gate.e_score_correction_bias", "F32", 256))
		all = append(all, gated(in+"mlp.shared_experts.", 2048, hidden)...)
		for e := range 256 {
			all = append(all, gated(fmt.Sprintf("%smlp.experts.%d.", in, e), 2048, hidden)...)
		}
	}
	next := fmt.Sprintf("model.layers.%d.", layers)
	return append(all,
		bf16(next+"embed_tokens.weight", vocab, hidden), bf16(next+"enorm.weight", hidden), bf16(next+"hnorm.weight", hidden),
		bf16(next+"eh_proj.weight", hidden, 2*hidden), bf16(next+"shared_head.norm.weight", hidden), bf16(next+"shared_head.head.weight", vocab, hidden),
		bf16("model.norm.weight", hidden), bf16("lm_head.weight", vocab, hidden))
}

func deepSeekAttention(in string) []Tensor {
	const hidden, heads, qRank, kvRank = 7168, 128, 1536, 512
	return slices.Concat(
		[]Tensor{
			bf16(in+"input_layernorm.weight", hidden), bf16(in+"post_attention_layernorm.weight", hidden),
			bf16(in+"self_attn.q_a_layernorm.weight", qRank), bf16(in+"self_attn.kv_a_layernorm.weight", kvRank),
		},
		FP8(in+"self_attn.q_a_proj", qRank, hidden), FP8(in+"self_attn.q_b_proj", heads*192, qRank),
		FP8(in+"self_attn.kv_a_proj_with_mqa", kvRank+64, hidden), FP8(in+"self_attn.kv_b_proj", heads*256, kvRank),
		FP8(in+"self_attn.o_proj", hidden, heads*128))
}

func gated(in string, inner, hidden int64) []Tensor {
	return slices.Concat(FP8(in+"gate_proj", inner, hidden), FP8(in+"up_proj", inner, hidden), FP8(in+"down_proj", hidden, inner))
}

// Whisper is whisper-large-v3.
func Whisper(dtype string) []Tensor {
	const hidden, inner, vocab = 1280, 5120, 51866
	var all []Tensor
	add := func(name string, shape ...int64) { all = append(all, weightstest.T(name, dtype, shape...)) }
	linear := func(name string, out, in int64) {
		add(name+".weight", out, in)
		add(name+".bias", out)
	}
	norm := func(name string) {
		add(name+".weight", hidden)
		add(name+".bias", hidden)
	}
	attention := func(name string) {
		add(name+".k_proj.weight", hidden, hidden)
		for _, part := range []string{".v_proj", ".q_proj", ".out_proj"} {
			linear(name+part, hidden, hidden)
		}
		norm(name + "_layer_norm")
	}
	layer := func(in string, cross bool) {
		attention(in + "self_attn")
		if cross {
			attention(in + "encoder_attn")
		}
		linear(in+"fc1", inner, hidden)
		linear(in+"fc2", hidden, inner)
		norm(in + "final_layer_norm")
	}
	add("model.encoder.conv1.weight", hidden, 128, 3)
	add("model.encoder.conv1.bias", hidden)
	add("model.encoder.conv2.weight", hidden, hidden, 3)
	add("model.encoder.conv2.bias", hidden)
	add("model.encoder.embed_positions.weight", 1500, hidden)
	add("model.decoder.embed_tokens.weight", vocab, hidden)
	add("model.decoder.embed_positions.weight", 448, hidden)
	for i := range 32 {
		layer(fmt.Sprintf("model.encoder.layers.%d.", i), false)
		layer(fmt.Sprintf("model.decoder.layers.%d.", i), true)
	}
	norm("model.encoder.layer_norm")
	norm("model.decoder.layer_norm")
	return all
}

// MiniLM is all-MiniLM-L6-v2.
func MiniLM() []Tensor {
	const hidden, inner = 384, 1536
	var all []Tensor
	add := func(name string, shape ...int64) { all = append(all, weightstest.T(name, "F32", shape...)) }
	pair := func(name string, shape ...int64) {
		add(name+".weight", shape...)
		add(name+".bias", shape[0])
	}
	add("embeddings.word_embeddings.weight", 30522, hidden)
	add("embeddings.position_embeddings.weight", 512, hidden)
	add("embeddings.token_type_embeddings.weight", 2, hidden)
	pair("embeddings.LayerNorm", hidden)
	all = append(all, weightstest.T("embeddings.position_ids", "I64", 1, 512))
	for i := range 6 {
		in := fmt.Sprintf("encoder.layer.%d.", i)
		for _, part := range []string{"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"} {
			pair(in+part, hidden, hidden)
		}
		pair(in+"attention.output.LayerNorm", hidden)
		pair(in+"intermediate.dense", inner, hidden)
		pair(in+"output.dense", hidden, inner)
		pair(in+"output.LayerNorm", hidden)
	}
	pair("pooler.dense", hidden, hidden)
	return all
}

// LoRA is an adapter of rank 16 for Llama-3.1-8B, for the query and value
// matrices.
func LoRA() []Tensor {
	var all []Tensor
	for i := range 32 {
		in := fmt.Sprintf("base_model.model.model.layers.%d.self_attn.", i)
		for part, out := range map[string]int64{"q_proj": 4096, "v_proj": 1024} {
			all = append(all, weightstest.T(in+part+".lora_A.weight", "F32", 16, 4096), weightstest.T(in+part+".lora_B.weight", "F32", out, 16))
		}
	}
	slices.SortFunc(all, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Shards deals tensors out to n files of about the same size, in order.
func Shards(tensors []Tensor, n int) [][]Tensor {
	var total int64
	for _, t := range tensors {
		total += Size(t)
	}
	shards := make([][]Tensor, n)
	var before int64
	for _, t := range tensors {
		size := Size(t)
		i := min(int((before+size/2)/(total/int64(n)+1)), n-1)
		shards[i] = append(shards[i], t)
		before += size
	}
	return shards
}

// Size is how many bytes a tensor takes.
func Size(t Tensor) int64 {
	n := map[string]int64{"F32": 4, "I32": 4, "I64": 8, "F16": 2, "BF16": 2}[t.DType]
	n = max(n, 1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Index is the index of shards: what is in each file.
func Index(files map[string][]Tensor) *weightstest.File {
	var total int64
	for _, tensors := range files {
		for _, t := range tensors {
			total += Size(t)
		}
	}
	return weightstest.Index(total, files)
}
