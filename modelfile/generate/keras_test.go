package generate

import (
	"strconv"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
)

func TestDescribeKeras(t *testing.T) {
	const m = 1_000_000
	older := weightstest.HDF5([]weightstest.Attribute{{Name: "keras_version", Value: "2.15.0"},
		{Name: "model_config", Value: `{"class_name": "Functional", "config": {"name": "resnet50", "layers": []}}`}},
		tensor("model_weights/dense/dense/kernel:0", "F32", 1000, 2000), tensor("model_weights/dense/dense/bias:0", "F32", 2000),
		tensor("model_weights/bn/bn/moving_mean:0", "F32", 300_000),
		tensor("optimizer_weights/Adam/m/dense/kernel:0", "F32", 1000, 2000), tensor("optimizer_weights/iteration:0", "I64"))
	newer := func(config, dtype string) *weightstest.File {
		return weightstest.Keras("3.4.1", config, weightstest.HDF5(nil, tensor("layers/dense/vars/0", dtype, 1000, 400), tensor("layers/dense/vars/1", dtype, 400),
			tensor("layers/dropout/seed_generator/vars/0", "U32", 2), tensor("optimizer/vars/2", "F32", 1000, 400)))
	}
	const plain = `{"class_name": "Sequential", "config": {"name": "sequential_1"}}`
	broken := weightstest.NewFile(older.Bytes()[:4000])
	for name, tt := range map[string]struct {
		files model
		want  string
	}{
		"Keras 2": {model{"model.h5": older}, `NAME x
			ARCH cnn
			FAMILY resnet50
			FORMAT keras
			PARAMSIZE 2M
			PRECISION float32`},
		"Keras 3": {model{"model.keras": newer(plain, "BF16")}, `NAME x
			FORMAT keras
			PARAMSIZE 400K
			PRECISION bfloat16`},
		"both": {model{"model.h5": older, "model.keras": newer(plain, "F16")}, `NAME x
			FORMAT keras
			PARAMSIZE 400K
			PRECISION float16`},
		"transformers": {model{"tf_model.h5": weightstest.HDF5(nil, tensor("bert/bert/encoder/layer_._0/kernel:0", "F32", 3, m)),
			"config.json": `{"model_type": "bert", "architectures": ["BertModel"]}`}, `NAME x
			ARCH transformer
			FAMILY bert
			FORMAT keras
			PARAMSIZE 3M
			PRECISION float32`},
		"several": {model{"a.h5": older, "b.keras": newer(plain, "F16")}, `NAME x
			FORMAT keras
			- the parameters were not counted: 2 files may be parts of one model or models of their own: "a.h5", "b.keras"`},
		"packed": {model{"model.keras": newer(`{"config": {"dtype": {"config": {"name": "int4_from_float32"}}}}`, "I8")}, `NAME x
			FORMAT keras
			- the parameters were not counted: "model.keras": weights packed by int4 do not show it`},
		"cut": {model{"model.h5": broken}, `NAME x
			FORMAT keras
			- the parameters were not counted: "model.h5": HDF5: at byte 40: the file has 4000 bytes and should have ` + strconv.FormatInt(older.Size(), 10)},
	} {
		t.Run(name, func(t *testing.T) { expect(t, tt.files.write(t, "x"), tt.want) })
	}
}
