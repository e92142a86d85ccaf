package generate

import (
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tareml/tare/modelpack"
)

func TestClassify(t *testing.T) {
	tests := map[modelpack.Kind]string{
		modelpack.Config: "config.json generation_config.json tokenizer.model tokenizer.model.v3 tekken.json spiece.model " +
			"sentencepiece.bpe.model source.spm qwen.tiktoken vocab.txt vocab.json merges.txt chat_template.jinja " +
			"preprocessor_config.json model.safetensors.index.json pytorch_model.bin.index.json flax_model.msgpack.index.json " +
			"config.pbtxt params.yaml other.xml 1/labels.txt added_tokens.json unet/config.json model.names",
		modelpack.Model: "model.safetensors model-00001-of-00002.safetensors MODEL.GGUF model.onnx model.onnx_data model.onnx_data_1 " +
			"pytorch_model.bin model.bin rank0.engine model.pt model.pth tf_model.h5 model.keras model.tflite saved_model.pb " +
			"variables/variables.data-00000-of-00001 variables/variables.index flax_model.msgpack model.mlmodel " +
			"X.mlpackage/Data/weights/weight.bin X.mlpackage/Manifest.json model.joblib model.pkl voices.npz openvino.xml openvino.bin " +
			"net.param net.bin optimizer.pt training_args.bin xgboost.model sd.ckpt __0_0.distcp model.nemo",
		modelpack.Code: "run.py run.sh demo.ipynb kernel.cu requirements.txt requirements-dev.txt Dockerfile Makefile setup.py " +
			"pyproject.toml package.json lib.so lib.so.1 license_check.py handler.JS unknown what.ever",
		modelpack.Dataset: "train.jsonl train.jsonl.gz data.parquet data.arrow data.csv data.tsv voice.wav",
		modelpack.Doc: "README.md readme LICENSE LICENSE.txt LICENSE-MODEL Licence NOTICE USE_POLICY.md notes.txt paper.pdf " +
			"logo.png assets/figure.JPG COPYING events.out.tfevents.1 CITATION.cff",
	}
	var entries []entry
	var want []modelpack.Kind
	for kind, names := range tests {
		for name := range strings.FieldsSeq(names) {
			entries = append(entries, entry{path: name, size: 1})
			want = append(want, kind)
		}
	}
	for i, f := range classify(entries) {
		if f.kind != want[i] {
			t.Errorf("%s: got %s (%s), want %s", f.path, f.kind, f.reason, want[i])
		}
	}
}

func TestClassifyUnrecognisedBySize(t *testing.T) {
	files := classify([]entry{{"small", largeFile}, {"large", largeFile + 1}})
	if files[0].kind != modelpack.Code || files[1].kind != modelpack.Model {
		t.Errorf("got %s and %s", files[0].kind, files[1].kind)
	}
	want := `took 1 unrecognised file for weights, being over 128 MiB: "large"`
	if got := classNotes(files); len(got) != 2 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRowsAreWellFormed(t *testing.T) {
	for _, r := range rows {
		if r.reason == "" || r.match == "" || r.format != "" && r.kind != modelpack.Model {
			t.Errorf("row is not complete: %+v", r)
		}
		for pattern := range strings.FieldsSeq(r.match) {
			if !doublestar.ValidatePattern(pattern) || strings.ToLower(pattern) != pattern {
				t.Errorf("pattern %q can never match", pattern)
			}
		}
	}
}

func TestFormatOf(t *testing.T) {
	tests := []struct {
		entries []entry
		want    string
		notes   int
	}{
		{[]entry{{"a.json", 9}}, "", 0},
		{[]entry{{"a.gguf", 1}}, "gguf", 0},
		{[]entry{{"a.gguf", 0}}, "gguf", 0},
		{[]entry{{"a.gguf", 2}, {"a.safetensors", 1}, {"b.safetensors", 2}}, "safetensors", 1},
		{[]entry{{"b.onnx", 1}, {"a.gguf", 1}}, "gguf", 1},
		{[]entry{{"optimizer.pt", 9}, {"a.safetensors", 1}}, "safetensors", 0},
		{[]entry{{"some.bin", 9}, {"a.pt", 1}}, "pt", 0},
		{[]entry{{"some.bin", 9}, {"some.xml", 1}}, "openvino", 0},
	}
	for _, tt := range tests {
		var n notes
		if got := formatOf(classify(tt.entries), "", &n); got != tt.want || len(n) != tt.notes {
			t.Errorf("%v: got %q and notes %q, want %q and %d", tt.entries, got, n, tt.want, tt.notes)
		}
	}
}

func TestModelName(t *testing.T) {
	for abs, want := range map[string]string{
		"/m/Qwen3-0.6B":   "Qwen3-0.6B",
		"/m/Qwen3-0___6B": "Qwen3-0.6B",
		"/hub/models--Qwen--Qwen3-0.6B/snapshots/c1899de2": "Qwen3-0.6B",
		"/hub/models--gpt2/snapshots/607a30d7":             "gpt2",
		"/hub/models--Qwen--Qwen3-0.6B":                    "Qwen3-0.6B",
		"/m/snapshots/x":                                   "x",
		"C:/m/x y":                                         "x y",
		"C:/":                                              "",
		"/":                                                "",
	} {
		if got := modelName(abs); got != want {
			t.Errorf("%s: got %q, want %q", abs, got, want)
		}
	}
}
