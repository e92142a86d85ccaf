package generate

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tareml/tare/weights"
)

func TestQuant(t *testing.T) {
	tests := []struct{ name, file, content, want string }{
		{"awq", "config.json", `{"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"}}`,
			"awq from config.json: gemm, 4 bits, groups of 128"},
		{"fp8", "config.json", `{"quantization_config": {"quant_method": "fp8", "fmt": "e4m3"}}`, "fp8 from config.json: e4m3"},
		{"bitsandbytes", "config.json", `{"quantization_config": {"load_in_4bit": true, "bnb_4bit_quant_type": "nf4", "quant_method": "bitsandbytes"}}`,
			"bitsandbytes from config.json: nf4, 4 bits"},
		{"bitsandbytes of old", "config.json", `{"quantization_config": {"load_in_8bit": true}}`, "bitsandbytes from config.json: 8 bits"},
		{"compressed-tensors", "config.json", `{"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized",
			"config_groups": {"group_1": {"weights": {"num_bits": 8}}, "group_0": {"weights": {"num_bits": 4, "group_size": 64}}}}}`,
			"compressed-tensors from config.json: pack-quantized, 4 bits, groups of 64"},
		{"compressed-tensors of old", "config.json", `{"compression_config": {"format": "float-quantized", "config_groups": {}}}`,
			"compressed-tensors from config.json: float-quantized"},
		{"hqq", "config.json", `{"quantization_config": {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}}}`,
			"hqq from config.json: 4 bits, groups of 64"},
		{"mlx", "config.json", `{"quantization": {"group_size": 64, "bits": 4}}`, "mlx from config.json: 4 bits, groups of 64"},
		{"nested", "config.json", `{"text_config": {"quantization_config": {"quant_method": "mxfp4"}}}`, "mxfp4 from config.json"},
		{"modelopt", "hf_quant_config.json", `{"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4", "group_size": 16}}`,
			"modelopt from hf_quant_config.json: nvfp4, groups of 16"},
		{"AutoGPTQ", "quantize_config.json", `{"bits": 4, "group_size": 128, "desc_act": false}`, "gptq from quantize_config.json: 4 bits, groups of 128"},
		{"AutoAWQ", "quant_config.json", `{"w_bit": 4, "q_group_size": 128, "version": "GEMM"}`, "awq from quant_config.json: gemm, 4 bits, groups of 128"},
		{"none", "config.json", `{"quantization_config": {"quant_method": "none"}}`, ""},
		{"null", "config.json", `{"quantization_config": null}`, ""},
		{"absurd", "config.json", `{"quantization_config": {"quant_method": "x", "bits": 99999, "group_size": -5}}`, "x from config.json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			facts, _ := described(t, model{tt.file: tt.content, "m.h5": "x"}.write(t, "x"), Options{})
			got := ""
			for _, f := range facts {
				if f.command == "QUANTIZATION" {
					got = f.value + " " + f.source
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPrecisionOf(t *testing.T) {
	type counts = map[weights.DType]int64
	for _, tt := range []struct {
		counts  counts
		compute string
		want    string
	}{
		{counts{weights.BF16: 1000, weights.F32: 9}, "", "bfloat16"},
		{counts{weights.BF16: 1000, weights.F32: 90}, "", "bfloat16,float32"},
		{counts{weights.F8E4M3: 90, weights.BF16: 910}, "", "bfloat16,float8_e4m3"},
		{counts{weights.I4: 900, weights.F16: 100}, "", "float16"},
		{counts{weights.I4: 900, weights.F16: 100}, "bfloat16", "bfloat16,float16"},
		{counts{weights.I4: 900}, "", ""},
		{counts{weights.I8: 500, weights.F16: 500}, "", "float16,int8"},
		{counts{}, "float16", ""},
		{nil, "", ""},
	} {
		if got := precisionOf(tt.counts, tt.compute); got != tt.want {
			t.Errorf("%v, %q: got %q, want %q", tt.counts, tt.compute, got, tt.want)
		}
	}
}

func TestArchOf(t *testing.T) {
	for family, want := range map[string]string{
		"resnet": "cnn", "resnet50": "cnn", "convnextv2": "cnn", "mamba2": "mamba", "mamba": "mamba", "rwkv6": "rnn", "bert": "", "llama": "", "": "",
		"fluxus": "", "flux": "diffusion", "van": "cnn", "vanilla": "",
	} {
		if got := archOf(family); got != want {
			t.Errorf("%s: got %q, want %q", family, got, want)
		}
	}
}

func TestPipelineFamily(t *testing.T) {
	for class, want := range map[string]string{
		"FluxPipeline": "flux", "StableDiffusionXLPipeline": "stable-diffusion-xl", "StableDiffusion3Pipeline": "stable-diffusion-3",
		"StableDiffusionXLImg2ImgPipeline": "stable-diffusion-xl", "WanPipeline": "wan", "QwenImagePipeline": "qwen-image", "Odd": "", "": "",
	} {
		if got := pipelineFamily(class); got != want {
			t.Errorf("%s: got %q, want %q", class, got, want)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(`{"model_type": "llama", "text_config": {"dtype": "float16"}, "quantization_config": {"bits": 4}}`)
	f.Add(`{"_class_name": "FluxPipeline", "vae": ["a", "b"], "chat_template": [{"name": 1}]}`)
	f.Add(`{"thinker_config": {"text_config": {"text_config": {}}}, "quantization_config": {"config_groups": {"a": null}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var top object
		if json.Unmarshal([]byte(text), &top) != nil {
			return
		}
		var said notes
		s := newStudy(nil, "", nil, &said, &said)
		c := config{file: "config.json", top: top, parts: languageParts(top)}
		c.family = s.word(c, "model_type")
		c.quant = s.quantOf("config.json", top.object("quantization_config"), "")
		for _, value := range []string{c.family, c.quant.method, c.quant.detail, c.arch(), pipelineFamily(top.string("_class_name"))} {
			if strings.ContainsAny(value, "\n\"\x00") {
				t.Errorf("value %q", value)
			}
		}
		c.modalities()
		c.counting()
		templatesIn(top, "x")
	})
}
