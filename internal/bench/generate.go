package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tareml/tare/internal/families"
	"github.com/tareml/tare/internal/weightstest"
)

const (
	// manyShards is how many files the large model comes in, which has 91,991
	// tensors.
	manyShards = 163
	// allHeaders is more than the headers of those files.
	allHeaders = 64 << 20
)

// generateStep describes a model of 700 GB, of which there are only the headers.
// It is held against reading as much of each file.
func (b *bench) generateStep() step {
	dir := b.path("large")
	return step{
		name:    "generate",
		needs:   "modelfile generate --dedupe-formats",
		mayRead: allHeaders,
		prepare: []action{b.makeLarge},
		tare:    side{home: b.path("home"), commands: [][]string{{b.tare, "modelfile", "generate", "--overwrite", dir}}},
		floor:   side{home: b.path("floor-home"), commands: [][]string{shell(`head -q -c 128K "$1"/*.safetensors | wc -c`, dir)}},
	}
}

// makeLarge makes the files of DeepSeek-V3, with holes for the weights.
func (b *bench) makeLarge(ctx context.Context) error {
	dir := b.path("large")
	if exists(filepath.Join(dir, "config.json")) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := make(map[string][]families.Tensor)
	for i, tensors := range families.Shards(families.DeepSeekV3(), manyShards) {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := fmt.Sprintf("model-%05d-of-%06d.safetensors", i+1, manyShards)
		if err := weightstest.Safetensors(nil, tensors...).Write(filepath.Join(dir, name)); err != nil {
			return err
		}
		files[name] = tensors
	}
	if err := families.Index(files).Write(filepath.Join(dir, "model.safetensors.index.json")); err != nil {
		return err
	}
	const config = `{"architectures":["DeepseekV3ForCausalLM"],"model_type":"deepseek_v3","num_hidden_layers":61,"num_nextn_predict_layers":1,"torch_dtype":"bfloat16",` +
		`"quantization_config":{"fmt":"e4m3","quant_method":"fp8"}}`
	return os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644)
}
