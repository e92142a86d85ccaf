package generate

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/modelpack"
)

// classifyNames decides by names alone.
func classifyNames(entries []entry) []file { return classify(entries, make([]content, len(entries))) }

func TestClassifyByName(t *testing.T) {
	tests := map[modelpack.Kind]string{
		modelpack.Config: "config.json generation_config.json tokenizer.model tokenizer.model.v3 tekken.json spiece.model " +
			"sentencepiece.bpe.model source.spm qwen.tiktoken vocab.txt vocab.json merges.txt chat_template.jinja " +
			"preprocessor_config.json model.safetensors.index.json pytorch_model.bin.index.json flax_model.msgpack.index.json " +
			"config.pbtxt params.yaml other.xml 1/labels.txt added_tokens.json unet/config.json model.names adapter_config.json " +
			"ppocr_keys_v1.txt tokens.txt config_sentence_transformers.json 1_Pooling/config.json lone.meta",
		modelpack.Model: "model.safetensors model-00001-of-00002.safetensors MODEL.GGUF model.onnx model.onnx_data model.onnx_data_1 " +
			"pytorch_model.bin model.bin rank0.engine model.pt model.pth tf_model.h5 model.keras model.tflite saved_model.pb " +
			"variables/variables.data-00000-of-00001 variables/variables.index flax_model.msgpack model.mlmodel " +
			"X.mlpackage/Data/weights/weight.bin X.mlpackage/Manifest.json model.joblib model.pkl voices.npz openvino.xml.bin " +
			"net.param.bin optimizer.pt training_args.bin xgboost.model sd.ckpt __0_0.distcp model.nemo rust_model.ot resnet-0000.params " +
			"ckpt.meta ckpt.index ckpt.data-00000-of-00001 model.ckpt-7.meta det.data det.onnx",
		modelpack.Code: "run.py run.sh demo.ipynb kernel.cu requirements.txt requirements-dev.txt Dockerfile Makefile setup.py " +
			"pyproject.toml setup.cfg package.json lib.so lib.so.1 license_check.py handler.JS x/unknown x/what.ever docker-compose.yml",
		modelpack.Dataset: "train.jsonl train.jsonl.gz data.parquet data.arrow data.csv data.tsv data/voice.wav train/cat/1.JPG",
		modelpack.Doc: "README.md readme LICENSE LICENSE.txt LICENSE-MODEL Licence NOTICE USE_POLICY.md notes.txt paper.pdf " +
			"logo.png assets/figure.JPG COPYING train.log CITATION.cff samples/voice.wav trainer_log.jsonl bus.jpg",
	}
	var entries []entry
	var want []modelpack.Kind
	for kind, names := range tests {
		for name := range strings.FieldsSeq(names) {
			entries = append(entries, entry{path: name, size: 1})
			want = append(want, kind)
		}
	}
	for i, f := range classifyNames(entries) {
		if f.kind != want[i] {
			t.Errorf("%s: got %s (%s), want %s", f.path, f.kind, f.label, want[i])
		}
	}
}

// What the content says of a file, whatever its name would.
func TestClassifyByContent(t *testing.T) {
	bytesOf := func(f *weightstest.File) string { return string(f.Bytes()) }
	list := strings.Repeat("word\n", 10)
	for _, tt := range []struct {
		name, content string
		kind          modelpack.Kind
		format        string
	}{
		{"blob", bytesOf(weightstest.Safetensors(nil, weightstest.T("a", "F32", 2))), modelpack.Model, "safetensors"},
		{"weights.dat", bytesOf(weightstest.GGUF(weightstest.GGUFVersion{}, nil)), modelpack.Model, "gguf"},
		{"model.bin", bytesOf(weightstest.GGUF(weightstest.GGUFVersion{}, nil)), modelpack.Model, "gguf"},
		{"model.bin", bytesOf(weightstest.Torch("archive", 16)), modelpack.Model, "pt"},
		{"model.bin", "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02", modelpack.Model, "pt"},
		{"model.pkl", bytesOf(weightstest.Torch("archive", 16)), modelpack.Model, "pt"},
		{"best.pt", bytesOf(weightstest.TorchScript("best", 16)), modelpack.Model, "pt"},
		{"model.bin", "\x80\x02}q\x00.", modelpack.Model, "pickle"},
		{"ggml-base.bin", "lmgg\x01\x00", modelpack.Model, "ggml"},
		{"model.bin", "\x06\x00\x00\x00\x0c\x00WhisperSpec\x00\x03", modelpack.Model, "ctranslate2"},
		{"lid.176.bin", "\xba\x16\x4f\x2f\x0c\x00\x00\x00", modelpack.Model, "fasttext"},
		{"a/openvino_model.xml", "<?xml version=\"1.0\"?>\n<net name=\"m\" version=\"11\">\n<layers>\n", modelpack.Model, "openvino"},
		{"a/openvino_model.bin", "\x01\xff\x00", modelpack.Model, "openvino"},
		{"b/other.xml", "<?xml version=\"1.0\"?>\n<annotation/>", modelpack.Config, ""},
		{"b/other.bin", "\x01\xff\x00", modelpack.Model, ""},
		{"c/net.param", "7767517\n75 83\n", modelpack.Model, "ncnn"},
		{"c/net.bin", "\x01\xff\x00", modelpack.Model, "ncnn"},
		{"tok.model", "\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02\x0a\x05\x0a\x03abc", modelpack.Config, ""},
		{"xgb.model", `{"learner":{"attributes":{}`, modelpack.Model, "xgboost"},
		{"xgb.json", `{"learner": {"attributes":{}}, "version":[2,0,3]}`, modelpack.Model, "xgboost"},
		{"xgb.bin", "binf\x00\x00", modelpack.Model, "xgboost"},
		{"model.json", `{"format": "graph-model", "generatedBy": "2"}`, modelpack.Model, "tfjs"},
		{"group1-shard1of2.bin", "\x00\xff", modelpack.Model, "tfjs"},
		{"model.txt", "tree\nversion=v4\n", modelpack.Model, "lightgbm"},
		{"net-symbol.json", `{"nodes": [{"op": "null", "name": "data"}]}`, modelpack.Model, "mxnet"},
		{"some.params", `{"lr": 1}`, modelpack.Config, ""},
		{"net-0000.params", "\x12\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", modelpack.Model, "mxnet"},
		{"inference.json", `{"base_code":{"magic":"pir","trainable":false}}`, modelpack.Model, "paddle"},
		{"keys.txt", list, modelpack.Config, ""},
		{"keys", list, modelpack.Config, ""},
		{"notes.txt", strings.Repeat("This is a sentence of several words.\n", 10), modelpack.Doc, ""},
		{"links.txt", strings.Repeat("https://example.com/\n", 10), modelpack.Doc, ""},
		{"some.json", "{\"a\": 1}\n{\"a\": 2}\n", modelpack.Dataset, ""},
		{"train.json", `[{"instruction": "a"}]`, modelpack.Dataset, ""},
		{"data/x.json", `[{"instruction": "a"}]`, modelpack.Dataset, ""},
		{"modules.json", `[{"idx": 0}]`, modelpack.Config, ""},
		{"routes.json", `[{"idx": 0}]`, modelpack.Config, ""},
		{"train.h5", "\x89HDF\r\n\x1a\n", modelpack.Model, "keras"},
		{"x.mat", "\x89HDF\r\n\x1a\n", modelpack.Dataset, ""},
		{"part-0", "PAR1\x00\x00PAR1", modelpack.Dataset, ""},
		{"run", "#!/bin/sh\n", modelpack.Code, ""},
		{"server", "\x7fELF\x02\x01", modelpack.Code, ""},
		{"x.llamafile", "MZqFpD='\n", modelpack.Model, "llamafile"},
		{"picture", "\x89PNG\r\n\x1a\n\x00", modelpack.Doc, ""},
		{"settings", `{"a": 1}`, modelpack.Config, ""},
		{"public.pem", "-----BEGIN CERTIFICATE-----\nMII\n", modelpack.Config, ""},
	} {
		fsys := fstest.MapFS{tt.name: {Data: []byte(tt.content)}}
		for _, beside := range []string{"a/openvino_model.xml", "b/other.xml"} {
			xml := "<?xml version=\"1.0\"?><annotation/>"
			if beside[0] == 'a' {
				xml = "<net name=\"m\"><layers>"
			}
			if tt.name != beside {
				fsys[beside] = &fstest.MapFile{Data: []byte(xml)}
			}
		}
		if tt.name != "c/net.param" {
			fsys["c/net.param"] = &fstest.MapFile{Data: []byte("7767517\n75 83\n")}
		}
		found, err := walk(fsys, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range classify(found.files, sniffAll(fsys, found.files)) {
			if f.path == tt.name && (f.kind != tt.kind || f.format != tt.format) {
				t.Errorf("%s of %.20q: got %s %q (%s), want %s %q", tt.name, tt.content, f.kind, f.format, f.label, tt.kind, tt.format)
			}
		}
	}
}

// Weights are found under names that are anything but theirs, which is noted.
func TestClassifyMisnamedWeights(t *testing.T) {
	large := tensor("a", "F32", pointerLen)
	sizes := map[string]*weightstest.File{
		"safetensors": weightstest.Safetensors(nil, large), "gguf": weightstest.GGUF(weightstest.GGUFVersion{}, nil, large),
		"onnx": weightstest.ONNX(weightstest.ONNXModel{Weights: []weightstest.ONNXTensor{{Name: "w", DType: 1, Dims: []int64{pointerLen}, Raw: 4}}}),
		"pt":   weightstest.Torch("archive", 4*pointerLen),
	}
	for format, in := range sizes {
		for _, name := range []string{"weights.yaml", "data.csv", "tokenizer.json", "README.md", "config.json", "data/train.jsonl", "LICENSE", "run.py", "vocab.txt", "figure.png"} {
			fsys := fstest.MapFS{name: {Data: in.Bytes()}}
			f := classified(fsys, []entry{{name, in.Size()}})[0]
			if f.kind != modelpack.Model || f.format != format {
				t.Errorf("%s in %s is %s %q (%s)", format, name, f.kind, f.format, f.label)
			}
			want := fmt.Sprintf("took 1 file for weights by content, whatever the name says: %q", name)
			if got := classNotes([]file{f}); len(got) != 1 || got[0] != want {
				t.Errorf("got notes %q, want %q", got, want)
			}
		}
	}
}

// Other content does not change what names like these say.
func TestClassifyLargeFilesByName(t *testing.T) {
	fill := func(start string) []byte { return append([]byte(start), make([]byte, pointerLen)...) }
	for name, tt := range map[string]struct {
		data []byte
		kind modelpack.Kind
	}{
		"tokenizer.json":     {fill("{\"a\": 1,"), modelpack.Config},
		"vocabulary.pkl":     {append(fill("\x80\x04\x95"), '.'), modelpack.Config},
		"x.mat":              {fill("\x89HDF\r\n\x1a\n"), modelpack.Dataset},
		"train.csv":          {fill("\x80\x02}q\x00."), modelpack.Dataset},
		"data/a.png":         {fill("\x89PNG\r\n\x1a\n"), modelpack.Dataset},
		"X.mlpackage/a.yaml": {weightstest.Safetensors(nil, tensor("a", "F32", pointerLen)).Bytes(), modelpack.Model},
	} {
		f := classified(fstest.MapFS{name: {Data: tt.data}}, []entry{{name, int64(len(tt.data))}})[0]
		if f.kind != tt.kind || f.misnamed {
			t.Errorf("%s: got %s (%s), want %s", name, f.kind, f.label, tt.kind)
		}
	}
}

func TestClassifyUnrecognisedBySize(t *testing.T) {
	files := classifyNames([]entry{{"small", largeFile}, {"large", largeFile + 1}})
	if files[0].kind != modelpack.Code || files[1].kind != modelpack.Model {
		t.Errorf("got %s and %s", files[0].kind, files[1].kind)
	}
	want := `took 1 unrecognised file over 128 MiB for weights: "large"`
	if got := classNotes(files); len(got) != 2 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRowsAreWellFormed(t *testing.T) {
	for _, r := range rows {
		if r.label == "" || r.match == "" && r.content == nil || r.sure && r.content != nil || r.format != "" && r.kind != modelpack.Model {
			t.Errorf("row is not complete: %+v", r)
		}
		for pattern := range strings.FieldsSeq(r.match) {
			if !doublestar.ValidatePattern(pattern) || strings.ToLower(pattern) != pattern {
				t.Errorf("pattern %q can never match", pattern)
			}
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
