package weights_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/weights"
)

const kerasConfig = `{"module": "keras", "class_name": "Functional", "config": {"name": "resnet50", "trainable": true, "layers": [{"config": {"name": "dense",
	"dtype": {"module": "keras", "class_name": "QuantizedDTypePolicy", "config": {"name": "int8_from_float32"}}, "max": 1.5e3, "none": null}}]}}`

func kerasWeights() *weightstest.File {
	return weightstest.HDF5(nil, weightstest.T("layers/dense/vars/0", "BF16", 10, 20), weightstest.T("optimizer/vars/2", "F32", 10, 20))
}

func TestReadKeras(t *testing.T) {
	for name, tt := range map[string]struct {
		config string
		want   weights.Keras
	}{
		"whole":  {kerasConfig, weights.Keras{Version: "3.4.1", Class: "Functional", Name: "resnet50", Quantized: "int8", Tensors: 2}},
		"gptq":   {`{"config": {"dtype": {"name": "gptq/4/128_from_float32"}}}`, weights.Keras{Version: "3.4.1", Quantized: "gptq", Tensors: 2}},
		"odd":    {`{"class_name": 5, "config": {"name": {}, "layers": NaN}}`, weights.Keras{Version: "3.4.1", Tensors: 2}},
		"no map": {`{"class_name": "C", "config": []}`, weights.Keras{Version: "3.4.1", Class: "C", Tensors: 2}},
	} {
		f := weightstest.Keras("3.4.1", tt.config, kerasWeights())
		model := weights.NewModel(weights.Options{})
		got, err := weights.ReadKeras(f, f.Size(), model.Add)
		if err != nil || *got != tt.want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		if s := model.Summary(); s.Params != 200 || s.ByDType[bf16] != 200 {
			t.Errorf("%s: got %+v", name, s)
		}
	}
}

// zipped makes an archive as other tools do, after some bytes of something else.
func zipped(t testing.TB, method uint16, before string, files ...string) []byte {
	t.Helper()
	buf := bytes.NewBufferString(before)
	w := zip.NewWriter(buf)
	for i := 0; i < len(files); i += 2 {
		f, err := w.CreateHeader(&zip.FileHeader{Name: files[i], Method: method})
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte(files[i+1]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestReadKerasArchives(t *testing.T) {
	whole := string(kerasWeights().Bytes())
	for name, tt := range map[string]struct {
		content []byte
		want    string // of the error
	}{
		"other tools":   {zipped(t, zip.Store, "", "assets/x", "y", "model.weights.h5", whole), ""},
		"bytes before":  {zipped(t, zip.Store, "#!/bin/sh\n", "model.weights.h5", whole), ""},
		"compressed":    {zipped(t, zip.Deflate, "", "model.weights.h5", whole), `"model.weights.h5" is compressed or encrypted`},
		"no weights":    {zipped(t, zip.Store, "", "config.json", "{}"), "there is no model.weights.h5"},
		"cut weights":   {zipped(t, zip.Store, "", "model.weights.h5", whole[:900]), "the file has 900 bytes"},
		"other weights": {zipped(t, zip.Store, "", "model.weights.h5", "weights!"), "there has to be"},
	} {
		n := 0
		_, err := weights.ReadKeras(bytes.NewReader(tt.content), int64(len(tt.content)), func(weights.Tensor) { n++ })
		if tt.want == "" && (err != nil || n != 2) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %d tensors, %v, want %q", name, n, err, tt.want)
		}
		checkError(t, err, int64(len(tt.content)))
	}
}

// TestReadKerasOffsets wants errors to say where they are in the archive.
func TestReadKerasOffsets(t *testing.T) {
	content := bytes.Replace(weightstest.Keras("3", "{}", kerasWeights()).Bytes(), []byte("SNOD"), []byte("SNOB"), 1)
	_, err := weights.ReadKeras(bytes.NewReader(content), int64(len(content)), nil)
	e, ok := errors.AsType[*weights.FormatError](err)
	if want := int64(bytes.Index(content, []byte("SNOB"))); !ok || e.Offset != want {
		t.Errorf("got %v, want byte %d", err, want)
	}
}

func FuzzKeras(f *testing.F) {
	f.Add(weightstest.Keras("3", kerasConfig, kerasWeights()).Bytes())
	f.Add(zipped(f, zip.Deflate, "x", "model.weights.h5", "y"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := weights.ReadKeras(bytes.NewReader(data), int64(len(data)), nil)
		checkError(t, err, int64(len(data)))
	})
}
