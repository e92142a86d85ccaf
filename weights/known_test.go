package weights_test

import (
	"fmt"
	"testing"

	"github.com/tareml/tare/weights"
)

// TestModelKnown counts public models from the shapes of their tensors; what they
// come to is what their makers say, to the last parameter.
func TestModelKnown(t *testing.T) {
	for name, tt := range map[string]struct {
		opts   weights.Options
		add    func(*weights.Model)
		params int64
		words  string
	}{
		"DeepSeek-V3": {weights.Options{Layers: 61, NextLayers: 1}, deepSeekV3, 671_026_419_200, "671B"},
		"gpt-oss-20b": {weights.Options{}, gptOSS, 20_914_757_184, "20.9B"},
	} {
		m := weights.NewModel(tt.opts)
		tt.add(m)
		if s := m.Summary(); s.Params != tt.params || weights.FormatParams(s.Params) != tt.words {
			t.Errorf("%s: got %d, want %d", name, s.Params, tt.params)
		}
	}
}

func deepSeekV3(m *weights.Model) {
	fp8 := func(name string, rows, cols int64) {
		m.Add(tensor(name+".weight", weights.F8E4M3, rows, cols))
		m.Add(tensor(name+".weight_scale_inv", weights.F32, (rows+127)/128, (cols+127)/128))
	}
	plain := func(name string, shape ...int64) { m.Add(tensor(name, weights.BF16, shape...)) }
	mlp := func(name string, width int64) {
		fp8(name+".gate_proj", width, 7168)
		fp8(name+".up_proj", width, 7168)
		fp8(name+".down_proj", 7168, width)
	}
	plain("model.embed_tokens.weight", 129280, 7168)
	plain("lm_head.weight", 129280, 7168)
	plain("model.norm.weight", 7168)
	for i := range 62 {
		layer := fmt.Sprintf("model.layers.%d.", i)
		plain(layer+"input_layernorm.weight", 7168)
		plain(layer+"post_attention_layernorm.weight", 7168)
		fp8(layer+"self_attn.q_a_proj", 1536, 7168)
		plain(layer+"self_attn.q_a_layernorm.weight", 1536)
		fp8(layer+"self_attn.q_b_proj", 24576, 1536)
		fp8(layer+"self_attn.kv_a_proj_with_mqa", 576, 7168)
		plain(layer+"self_attn.kv_a_layernorm.weight", 512)
		fp8(layer+"self_attn.kv_b_proj", 32768, 512)
		fp8(layer+"self_attn.o_proj", 7168, 16384)
		if i < 3 {
			mlp(layer+"mlp", 18432)
			continue
		}
		plain(layer+"mlp.gate.weight", 256, 7168)
		m.Add(tensor(layer+"mlp.gate.e_score_correction_bias", weights.F32, 256))
		mlp(layer+"mlp.shared_experts", 2048)
		for e := range 256 {
			mlp(fmt.Sprintf("%smlp.experts.%d", layer, e), 2048)
		}
	}
	plain("model.layers.61.embed_tokens.weight", 129280, 7168)
	plain("model.layers.61.shared_head.head.weight", 129280, 7168)
	plain("model.layers.61.eh_proj.weight", 7168, 14336)
}

func gptOSS(m *weights.Model) {
	plain := func(name string, shape ...int64) { m.Add(tensor(name, weights.BF16, shape...)) }
	linear := func(name string, rows, cols int64) {
		plain(name+".weight", rows, cols)
		plain(name+".bias", rows)
	}
	experts := func(name string, rows int64) {
		m.Add(tensor(name+"_blocks", weights.U8, 32, rows, 90, 16))
		m.Add(tensor(name+"_scales", weights.U8, 32, rows, 90))
		plain(name+"_bias", 32, rows)
	}
	plain("model.embed_tokens.weight", 201088, 2880)
	plain("lm_head.weight", 201088, 2880)
	plain("model.norm.weight", 2880)
	for i := range 24 {
		layer := fmt.Sprintf("model.layers.%d.", i)
		plain(layer+"input_layernorm.weight", 2880)
		plain(layer+"post_attention_layernorm.weight", 2880)
		linear(layer+"self_attn.q_proj", 4096, 2880)
		linear(layer+"self_attn.k_proj", 512, 2880)
		linear(layer+"self_attn.v_proj", 512, 2880)
		linear(layer+"self_attn.o_proj", 2880, 4096)
		plain(layer+"self_attn.sinks", 64)
		linear(layer+"mlp.router", 32, 2880)
		experts(layer+"mlp.experts.gate_up_proj", 5760)
		experts(layer+"mlp.experts.down_proj", 2880)
	}
}
