package weights_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tareml/tare/weights"
)

// add makes a model of tensors.
func add(opts weights.Options, all ...weights.Tensor) weights.Summary {
	m := weights.NewModel(opts)
	for _, t := range all {
		m.Add(t)
	}
	return m.Summary()
}

// counts is parameters by type.
type counts = map[weights.DType]int64

const (
	f32, f16, bf16, f8, e8m0 = weights.F32, weights.F16, weights.BF16, weights.F8E4M3, weights.F8E8M0
	i64, i32, i8, u32, u8    = weights.I64, weights.I32, weights.I8, weights.U32, weights.U8
)

// TestModelPacked has what each quantiser writes for a weight of 512 × 1024 and
// a norm of 512.
func TestModelPacked(t *testing.T) {
	const n = 512 * 1024
	norm := tensor("norm.weight", bf16, 512)
	for name, tt := range map[string]struct {
		opts    weights.Options
		tensors []weights.Tensor
		want    counts
		method  string
		assumed bool
	}{
		"plain": {tensors: []weights.Tensor{tensor("q.weight", bf16, 512, 1024)}, want: counts{bf16: n}},
		"gptq, bits known by g_idx": {tensors: []weights.Tensor{
			tensor("q.g_idx", i32, 1024), tensor("q.qweight", i32, 1024/8, 512), tensor("q.qzeros", i32, 8, 64), tensor("q.scales", f16, 8, 512),
		}, want: counts{"I4": n}, method: "gptq"},
		"gptq, 3 bits": {tensors: []weights.Tensor{
			tensor("q.g_idx", i32, 1024), tensor("q.qweight", i32, 1024*3/32, 512), tensor("q.scales", f16, 8, 512), tensor("q.qzeros", i32, 8, 48),
		}, want: counts{"I3": n}, method: "gptq"},
		"gptq, 8 bits by the configuration": {opts: weights.Options{Bits: 8}, tensors: []weights.Tensor{
			tensor("q.g_idx", i32, 1024), tensor("q.qweight", i32, 1024/4, 512), tensor("q.qzeros", i32, 8, 128), tensor("q.scales", f16, 8, 512),
		}, want: counts{"I8": n}, method: "gptq"},
		"gptq, nothing known": {tensors: []weights.Tensor{
			tensor("q.qweight", i32, 1024/8, 512), tensor("q.qzeros", i32, 8, 64), tensor("q.scales", f16, 8, 512),
		}, want: counts{"I4": n}, method: "gptq", assumed: true},
		"awq": {tensors: []weights.Tensor{
			tensor("q.qweight", i32, 1024, 512/8), tensor("q.qzeros", i32, 8, 64), tensor("q.scales", f16, 8, 512), tensor("q.bias", f16, 512),
		}, want: counts{"I4": n, f16: 512}, method: "awq"},
		"bitsandbytes, 4 bits": {tensors: []weights.Tensor{
			tensor("q.weight", u8, n/2, 1), tensor("q.weight.absmax", u8, n/64), tensor("q.weight.nested_absmax", f32, 32),
			tensor("q.weight.nested_quant_map", f32, 256), tensor("q.weight.quant_map", f32, 16), tensor("q.weight.quant_state.bitsandbytes__nf4", u8, 90),
		}, want: counts{"F4": n}, method: "bitsandbytes"},
		"bitsandbytes, 8 bits": {tensors: []weights.Tensor{
			tensor("q.SCB", f32, 512), tensor("q.weight", i8, 512, 1024), tensor("q.weight_format", u8),
		}, want: counts{i8: n}},
		"fp8 in blocks": {tensors: []weights.Tensor{
			tensor("q.weight", f8, 512, 1024), tensor("q.weight_scale_inv", f32, 4, 8),
		}, want: counts{f8: n}, method: "fp8"},
		"fp8 of compressed-tensors": {tensors: []weights.Tensor{
			tensor("q.weight", f8, 512, 1024), tensor("q.weight_scale", bf16, 512, 1), tensor("q.input_scale", f32, 1),
		}, want: counts{f8: n}, method: "fp8"},
		"fp8 with exponents for scales": {tensors: []weights.Tensor{
			tensor("q.weight", f8, 512, 1024), tensor("q.scale", e8m0, 4, 8),
		}, want: counts{f8: n}, method: "fp8"},
		"compressed-tensors": {opts: weights.Options{Bits: 4}, tensors: []weights.Tensor{
			tensor("q.weight_packed", i32, 512, 1024/8), tensor("q.weight_scale", bf16, 512, 8), tensor("q.weight_shape", i64, 2),
			tensor("q.weight_zero_point", i32, 64, 8), tensor("q.weight_g_idx", i32, 1024),
		}, want: counts{"I4": n}, method: "compressed-tensors"},
		"compressed-tensors, nvfp4": {tensors: []weights.Tensor{
			tensor("q.weight_packed", u8, 512, 512), tensor("q.weight_scale", f8, 512, 64), tensor("q.weight_global_scale", f32, 1),
			tensor("q.input_global_scale", f32, 1),
		}, want: counts{"F4": n}, method: "compressed-tensors"},
		"mxfp4 of gpt-oss": {tensors: []weights.Tensor{
			tensor("experts.gate_up_proj_blocks", u8, 4, 128, 32, 16), tensor("experts.gate_up_proj_scales", u8, 4, 128, 32),
			tensor("experts.gate_up_proj_bias", bf16, 4, 128),
		}, want: counts{"F4": n, bf16: 512}, method: "mxfp4"},
		"mxfp4 of DeepSeek": {tensors: []weights.Tensor{
			tensor("q.scale", e8m0, 512, 32), tensor("q.weight", i8, 512, 512),
		}, want: counts{"F4": n}, method: "mxfp4"},
		"nvfp4": {tensors: []weights.Tensor{
			tensor("q.weight", u8, 512, 512), tensor("q.weight_scale", f8, 512, 64), tensor("q.weight_scale_2", f32), tensor("q.input_scale", f32),
		}, want: counts{"F4": n}, method: "nvfp4"},
		"mlx": {tensors: []weights.Tensor{
			tensor("q.biases", bf16, 512, 16), tensor("q.scales", bf16, 512, 16), tensor("q.weight", u32, 512, 128),
		}, want: counts{"I4": n}, method: "mlx"},
		"mlx, 8 bits of 128": {opts: weights.Options{GroupSize: 128, Bits: 4}, tensors: []weights.Tensor{
			tensor("q.weight", u32, 512, 256), tensor("q.biases", bf16, 512, 8), tensor("q.scales", bf16, 512, 8),
		}, want: counts{"I8": n}, method: "mlx"},
		"mlx, mxfp4": {tensors: []weights.Tensor{
			tensor("q.weight", u32, 512, 128), tensor("q.scales", u8, 512, 32),
		}, want: counts{"I4": n}, method: "mlx"},
		"scales of nothing": {tensors: []weights.Tensor{
			tensor("q.weight", bf16, 512, 1024), tensor("rope.scales", f32, 7), tensor("rope.biases", f32, 3),
		}, want: counts{bf16: n, f32: 10}},
		"int8": {tensors: []weights.Tensor{
			tensor("q.weight", i8, 512, 1024), tensor("q.weight_scale", bf16, 512, 1),
		}, want: counts{i8: n}},
	} {
		backwards := slices.Clone(tt.tensors)
		slices.Reverse(backwards)
		for _, all := range [][]weights.Tensor{tt.tensors, backwards} {
			want := maps.Clone(tt.want)
			want[bf16] += 512
			s := add(tt.opts, append(slices.Clone(all), norm)...)
			if !maps.Equal(s.ByDType, want) || s.Method != tt.method || s.Assumed != tt.assumed {
				t.Errorf("%s: got %v by %q, assumed %v, want %v by %q", name, s.ByDType, s.Method, s.Assumed, want, tt.method)
			}
		}
	}
}

func TestModelTied(t *testing.T) {
	embed := tensor("model.embed_tokens.weight", bf16, 151936, 1024)
	head := tensor("lm_head.weight", bf16, 151936, 1024)
	body := tensor("model.layers.0.mlp.up_proj.weight", bf16, 3072, 1024)
	const e, b = 151936 * 1024, 3072 * 1024
	for name, tt := range map[string]struct {
		tied    bool
		tensors []weights.Tensor
		want    int64
	}{
		"copy":            {true, []weights.Tensor{head, embed, body}, e + b},
		"not tied":        {false, []weights.Tensor{head, embed, body}, 2*e + b},
		"no copy":         {true, []weights.Tensor{embed, body}, e + b},
		"other shape":     {true, []weights.Tensor{tensor("lm_head.weight", bf16, 3, 1024), embed}, e + 3*1024},
		"only the output": {true, []weights.Tensor{head, body}, e + b},
		"whisper":         {true, []weights.Tensor{tensor("model.decoder.embed_tokens.weight", f16, 9, 8), tensor("proj_out.weight", f16, 9, 8)}, 72},
	} {
		if got := add(weights.Options{Tied: tt.tied}, tt.tensors...).Params; got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
}

func TestModelDraftLayers(t *testing.T) {
	opts := weights.Options{Layers: 61, NextLayers: 1}
	s := add(opts, tensor("model.layers.60.mlp.w.weight", f8, 100), tensor("model.layers.61.mlp.w.weight", f8, 7),
		tensor("model.layers.61.mlp.w.weight_scale_inv", f32, 7), tensor("model.layers.62.w.weight", f8, 1), tensor("mtp.fc.weight", bf16, 3))
	if s.Params != 101 || s.Draft != 10 {
		t.Errorf("got %d and %d", s.Params, s.Draft)
	}
}

func TestModelBuffersAndAdapters(t *testing.T) {
	s := add(weights.Options{}, tensor("h.0.attn.bias", f32, 1, 1, 1024, 1024), tensor("h.0.attn.c_attn.bias", f32, 9), tensor("x.attn.bias", f32, 5),
		tensor("bn.running_mean", f32, 64), tensor("bn.num_batches_tracked", i64), tensor("embeddings.position_ids", i64, 1, 512),
		tensor("rotary_emb.inv_freq", f32, 64), tensor("q_proj.lora_A.weight", f32, 8, 100), tensor("mask", weights.Bool, 4))
	if s.Params != 9+5+800 || s.Adapters != 1 || s.Tensors != 9 {
		t.Errorf("got %+v", s)
	}
}

// TestModelOverflow wants sums to stop at the largest number.
func TestModelOverflow(t *testing.T) {
	most := weights.Tensor{Name: "a.weight", DType: u8, Shape: []int64{1<<63 - 1}, Elements: 1<<63 - 1}
	packed := weights.Tensor{Name: "b_blocks", DType: u8, Shape: most.Shape, Elements: most.Elements}
	word := weights.Tensor{Name: "c.qweight", DType: i32, Shape: most.Shape, Elements: most.Elements}
	mlx := weights.Tensor{Name: "d.weight", DType: u32, Shape: most.Shape, Elements: most.Elements}
	scales := weights.Tensor{Name: "d.scales", DType: u32, Shape: most.Shape, Elements: most.Elements}
	if s := add(weights.Options{GroupSize: 1 << 40}, most, most, packed, word, mlx, scales); s.Params != 1<<63-1 {
		t.Errorf("got %+v", s)
	}
}

// TestModelManyModules has more packed weights than may wait for their scales.
func TestModelManyModules(t *testing.T) {
	m := weights.NewModel(weights.Options{})
	name := []byte("aaaa.weight")
	for i := range 140_000 {
		for j := range 4 {
			name[j] = 'a' + byte(i>>(5*j)&31)
		}
		m.Add(tensor(string(name), u8, 10))
	}
	if s := m.Summary(); s.Params != 1_400_000 {
		t.Errorf("got %d parameters", s.Params)
	}
}

func TestShares(t *testing.T) {
	s := weights.Shares(add(weights.Options{}, tensor("a", bf16, 30), tensor("b", f32, 10), tensor("c", f8, 0)).ByDType)
	want := []weights.Share{{DType: bf16, Params: 30, Part: 0.75}, {DType: f32, Params: 10, Part: 0.25}}
	if !slices.Equal(s, want) {
		t.Errorf("got %v", s)
	}
}

func TestDType(t *testing.T) {
	for d, want := range map[weights.DType]struct {
		precision string
		bits      int
		float     bool
	}{
		bf16: {"bfloat16", 16, true}, f8: {"float8_e4m3", 8, true}, i8: {"int8", 8, false}, "I4": {"", 4, false}, "F4": {"", 4, true},
		"Q4_K": {"", 5, false}, "Q8_0": {"", 9, false}, "BOOL": {"bool", 8, false}, "C64": {"complex64", 64, true}, "": {}, "type 99": {},
	} {
		if d.Precision() != want.precision || d.Bits() != want.bits || d.Float() != want.float {
			t.Errorf("%s: got %q, %d, %v, want %+v", d, d.Precision(), d.Bits(), d.Float(), want)
		}
	}
}

func TestFormatParams(t *testing.T) {
	for n, want := range map[int64]string{
		0: "", -5: "", 1: "0.1K", 512: "0.5K", 1000: "1K", 22_713_216: "22.7M", 109_482_240: "109M", 331_200_000: "331M",
		494_032_768: "0.5B", 596_049_920: "0.6B", 567_754_752: "0.6B", 999_960_000: "1B", 1_543_714_304: "1.5B", 7_615_616_512: "7.6B",
		8_030_261_248: "8B", 70_553_706_496: "70.6B", 99_960_000_000: "100B", 671_026_419_200: "671B", 999_600_000_000: "1T",
		1_026_000_000_000: "1T", 2_345_000_000_000_000: "2.3Q", 999_600: "1M", 999_960: "1M", 1 << 62: "4612Q",
	} {
		if got := weights.FormatParams(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
		if strings.Contains(want, ".0") {
			t.Errorf("%q has a decimal that says nothing", want)
		}
	}
}
