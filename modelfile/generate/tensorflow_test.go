package generate

import (
	"testing"

	"github.com/tareml/tare/internal/families"
	"github.com/tareml/tare/internal/weightstest"
)

// savedModelHead starts as saved_model.pb does.
const savedModelHead = "\x08\x01\x12\x06\x0a\x04abcd"

type liteTensor = weightstest.TFLiteTensor

func TestDescribeSavedModel(t *testing.T) {
	net := families.Trained(families.EfficientNet())
	index := func(shards int) *weightstest.File { return weightstest.Checkpoint(shards, net...) }
	shard := func(no, shards int) *weightstest.File { return weightstest.CheckpointShard(no, shards, net...) }
	small := weightstest.Checkpoint(1, tensor("w", "F32", 3000))
	for name, tt := range map[string]struct {
		files model
		want  string
	}{
		"whole": {model{
			"saved_model.pb": savedModelHead, "variables/variables.index": index(2),
			"variables/variables.data-00000-of-00002": shard(0, 2), "variables/variables.data-00001-of-00002": shard(1, 2),
		}, `
			NAME efficientnet
			FORMAT tensorflow
			PARAMSIZE 5.3M
			PRECISION float32`},
		"without a shard": {model{
			"1/saved_model.pb": savedModelHead, "1/variables/variables.index": index(2), "1/variables/variables.data-00000-of-00002": shard(0, 2),
		}, `
			NAME efficientnet
			FORMAT tensorflow
			PARAMSIZE 5.3M
			PRECISION float32
			- missing: 1 shard that "1/variables/variables.index" names: "1/variables/variables.data-00001-of-00002"`},
		"without any shard": {model{"saved_model.pb": savedModelHead, "variables/variables.index": index(2)}, `
			NAME efficientnet
			FORMAT tensorflow
			PARAMSIZE 5.3M
			PRECISION float32
			- none of the 2 shards that "variables/variables.index" names is here`},
		"without an index": {model{"saved_model.pb": savedModelHead, "variables/variables.data-00000-of-00001": shard(0, 1)}, `
			NAME efficientnet
			FORMAT tensorflow
			- the parameters were not counted: "variables/variables.index" is missing`},
		"frozen": {model{"saved_model.pb": savedModelHead}, `
			NAME efficientnet
			FORMAT tensorflow
			- PARAMSIZE is left out: of TensorFlow only SavedModels and checkpoints are read`},
		"two versions": {model{
			"1/saved_model.pb": savedModelHead, "1/variables/variables.index": index(1), "1/variables/variables.data-00000-of-00001": shard(0, 1),
			"2/saved_model.pb": savedModelHead, "2/variables/variables.index": index(1), "2/variables/variables.data-00000-of-00001": shard(0, 1),
		}, `
			NAME efficientnet
			FORMAT tensorflow
			- the parameters were not counted: there are 2 SavedModels: "1/saved_model.pb", "2/saved_model.pb"`},
		"checkpoint": {model{"model.ckpt-10.index": small, "model.ckpt-10.data-00000-of-00001": "zeros", "checkpoint": "model_checkpoint_path: \"model.ckpt-10\"\n"}, `
			NAME efficientnet
			FORMAT tensorflow
			PARAMSIZE 3K
			PRECISION float32`},
		"two checkpoints": {model{
			"model.ckpt-10.index": small, "model.ckpt-10.data-00000-of-00001": "zeros", "model.ckpt-20.index": small, "model.ckpt-20.data-00000-of-00001": "zeros",
		}, `
			NAME efficientnet
			FORMAT tensorflow
			- the parameters were not counted: there are 2 checkpoints: "model.ckpt-10.index", "model.ckpt-20.index"`},
		"beside safetensors": {model{
			"model.safetensors": safetensors(nil, tensor("w.weight", "F16", 2000, 1000)), "saved_model/saved_model.pb": savedModelHead,
			"saved_model/variables/variables.index": index(1), "saved_model/variables/variables.data-00000-of-00001": shard(0, 1),
		}, `
			NAME efficientnet
			FORMAT safetensors
			PARAMSIZE 2M
			PRECISION float16
			- took safetensors for FORMAT; there is tensorflow too`},
		"broken": {model{
			"saved_model.pb": savedModelHead, "variables/variables.index": string(make([]byte, 40)) + "\x57\xfb\x80\x8b\x24\x75\x47\xdb", "variables/variables.data-00000-of-00001": "zeros",
		}, `
			NAME efficientnet
			FORMAT tensorflow
			- the shards were not checked: "variables/variables.index": TensorFlow checkpoint: at byte 0: a block of 0 bytes at 0 does not fit in
			- the parameters were not counted: "variables/variables.index": TensorFlow checkpoint: at byte 0: a block of 0 bytes at 0 does not fit in`},
	} {
		t.Run(name, func(t *testing.T) { expect(t, tt.files.write(t, "efficientnet"), tt.want) })
	}
}

func TestDescribeTFLite(t *testing.T) {
	float := weightstest.TFLite(weightstest.TFLiteWeights(liteTensor{Shape: []int32{1280, 1000}}, liteTensor{Shape: []int32{1000}}))
	int8s := weightstest.TFLite(weightstest.TFLiteWeights(liteTensor{Type: 9, Shape: []int32{1280, 1000}}, liteTensor{Type: 2, Shape: []int32{1000}}))
	for name, tt := range map[string]struct {
		files model
		want  string
	}{
		"float": {model{"model.tflite": float}, `
			NAME net
			FORMAT tflite
			PARAMSIZE 1.3M
			PRECISION float32`},
		"int8": {model{"model.tflite": int8s}, `
			NAME net
			FORMAT tflite
			PARAMSIZE 1.3M
			PRECISION int8`},
		"versions": {model{"net.tflite": float, "net_int8.tflite": int8s, "net_full_integer_quant.tflite": int8s, "net_dynamic_range_quant.tflite": int8s}, `
			NAME net
			FORMAT tflite
			PARAMSIZE 1.3M
			PRECISION float32`},
		"parts": {model{"encoder.tflite": int8s, "decoder.tflite": float}, `
			NAME net
			FORMAT tflite
			PARAMSIZE 2.6M
			PRECISION float32,int8`},
		"other models": {model{"cat.tflite": float, "dog.tflite": float}, `
			NAME net
			FORMAT tflite
			- the parameters were not counted: 2 files may be parts of one model or models of their own: "cat.tflite", "dog.tflite"`},
		"other name": {model{"model.lite": int8s}, `
			NAME net
			FORMAT tflite
			PARAMSIZE 1.3M
			PRECISION int8`},
		"bundle": {model{"model.task": "PK\x03\x04"}, `
			NAME net
			FORMAT tflite
			- PARAMSIZE is left out: of TensorFlow Lite only .tflite files are read`},
		"cut off": {model{"model.tflite": "\x20\x00\x00\x00TFL3"}, `
			NAME net
			FORMAT tflite
			- the parameters were not counted: "model.tflite": TensorFlow Lite: at byte 8: what is referred to is outside of the file`},
	} {
		t.Run(name, func(t *testing.T) { expect(t, tt.files.write(t, "net"), tt.want) })
	}
}
