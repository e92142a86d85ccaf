package families_test

import (
	"testing"

	"github.com/tareml/tare/internal/families"
)

// The numbers of parameters that the models are known for.
func TestParameters(t *testing.T) {
	for name, want := range map[string]struct{ tensors, elements int64 }{
		"qwen3-0.6b":       {311, 751_632_384},
		"llama-3.1-8b":     {291, 8_030_261_248},
		"qwen2.5-vl-7b":    {729, 8_292_166_656},
		"deepseek-v3":      {91_991, 684_531_386_000},
		"whisper-large-v3": {1259, 1_543_490_560},
		"minilm":           {104, 22_713_216 + 512},
		"efficientnet-b0":  {311, 5_330_571 - 7},
		"resnet-50":        {320, 25_636_712},
	} {
		tensors, ok := families.Named(name)
		var elements int64
		for _, tensor := range tensors {
			n := int64(1)
			for _, d := range tensor.Shape {
				n *= d
			}
			elements += n
		}
		if !ok || int64(len(tensors)) != want.tensors || elements != want.elements {
			t.Errorf("%s: %d tensors of %d elements, want %+v", name, len(tensors), elements, want)
		}
	}
}

func TestShards(t *testing.T) {
	tensors, _ := families.Named("qwen3-0.6b")
	n := 0
	for i, shard := range families.Shards(tensors, 5) {
		if len(shard) == 0 {
			t.Errorf("shard %d is empty", i)
		}
		n += len(shard)
	}
	if n != len(tensors) {
		t.Errorf("%d tensors of %d are in a shard", n, len(tensors))
	}
}
