package weights_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/weights"
)

// tensors collects what a reader hands over.
type tensors []weights.Tensor

func (all *tensors) add(t weights.Tensor) {
	t.Shape = append([]int64(nil), t.Shape...)
	*all = append(*all, t)
}

func tensor(name string, dtype weights.DType, shape ...int64) weights.Tensor {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return weights.Tensor{Name: name, DType: dtype, Shape: shape, Elements: n}
}

func TestReadSafetensors(t *testing.T) {
	f := weightstest.Safetensors(map[string]string{"format": "mlx", "note": "\"\u00e9\n\U0001f600"},
		weightstest.T("a", "BF16", 3, 5), weightstest.T("b.\u00fc", "F32"), weightstest.T("empty", "I64", 0, 9),
		weightstest.T("c", "F8_E4M3", 7), weightstest.T("d", "F4", 2, 8))
	var got tensors
	h, err := weights.ReadSafetensors(f, f.Size(), got.add)
	if err != nil {
		t.Fatal(err)
	}
	want := tensors{
		tensor("a", weights.BF16, 3, 5), tensor("b.\u00fc", weights.F32), tensor("empty", weights.I64, 0, 9),
		tensor("c", weights.F8E4M3, 7), tensor("d", weights.F4, 2, 8),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if h.Tensors != 5 || h.Bytes != 30+4+7+8 || h.Metadata["format"] != "mlx" || h.Metadata["note"] != "\"\u00e9\n\U0001f600" {
		t.Errorf("got header %+v", h)
	}
}

func TestReadSafetensorsRefuses(t *testing.T) {
	one := `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	for _, tt := range []struct {
		header string
		data   int64
		want   string
	}{
		{one + `,"b":{"dtype":"F32","shape":[1],"data_offsets":[3,7]}}`, 8, "overlaps"},
		{one + `,"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8, "the name of another"},
		{one + `}`, 3, "the file has 3 more"},
		{one + `,"b":{"dtype":"F33","shape":[1],"data_offsets":[4,8]}}`, 8, `dtype "F33"`},
		{one + `,"b":{"dtype":"F32","shape":[2],"data_offsets":[4,8]}}`, 8, "has 4 bytes"},
		{one + `,"b":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[4,8]}}`, 8, "beyond 64 bits"},
		{one + `,"b":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[4,8]}}`, 8, "beyond 64 bits"},
		{one + `,"b":{"dtype":"F32","shape":[-1],"data_offsets":[4,8]}}`, 8, "not a whole number"},
		{one + `,"b":{"dtype":"F32","shape":[1.0],"data_offsets":[4,8]}}`, 8, "not a whole number"},
		{one + `,"b":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}`, 8, "not a start and an end"},
		{one + `,"b":{"dtype":"F32","shape":[1]}}`, 8, "no data_offsets"},
		{one + `,"b":{"shape":[1],"data_offsets":[4,8]}}`, 8, "no dtype"},
		{one + `,"b":{"dtype":"F32","shape":[` + strings.Repeat("1,", 99) + `1],"data_offsets":[4,8]}}`, 8, "more than 64 numbers"},
		{one + `,}`, 8, "comma"},
		{one, 8, "ends in the middle"},
		{`[]`, 0, `'[' where JSON has to have '{'`},
		{`{"a":` + strings.Repeat("[", 200), 0, `'['`},
		{`{"__metadata__":{"x":` + strings.Repeat("[", 200), 0, "nested"},
		{`{"` + strings.Repeat("n", 5000) + `":{}}`, 0, "a name of more than"},
		{`{"a\q":{}}`, 0, "escape"},
	} {
		f := weightstest.SafetensorsRaw(tt.header)
		f.Truncate(f.Size() + tt.data)
		_, err := weights.ReadSafetensors(f, f.Size(), nil)
		e, ok := errors.AsType[*weights.FormatError](err)
		if !ok || !strings.Contains(e.Msg, tt.want) || e.Format != "safetensors" || e.Offset < 8 || e.Offset > f.Size() {
			t.Errorf("%.80s: got %v, want %q", tt.header, err, tt.want)
		}
	}
}

func TestReadSafetensorsLengths(t *testing.T) {
	for _, start := range []string{"", "1234567", "\xff\xff\xff\xff\xff\xff\xff\xff{}", "\x03\x00\x00\x00\x00\x00\x00\x00{}", "\x00\x00\x00\x00\x00\x00\x00\x00"} {
		f := weightstest.NewFile([]byte(start))
		if _, err := weights.ReadSafetensors(f, f.Size(), nil); err == nil {
			t.Errorf("%q was taken", start)
		}
	}
	huge := weightstest.NewFile([]byte("\x00\x00\x00\x00\x01\x00\x00\x00{}"))
	huge.Truncate(1 << 40)
	if _, err := weights.ReadSafetensors(huge, huge.Size(), nil); err == nil || !strings.Contains(err.Error(), "64 MiB") {
		t.Errorf("got %v for a header of 4 GiB", err)
	}
}

// TestReadSafetensorsErrors wants the errors of the disk as they are.
func TestReadSafetensorsErrors(t *testing.T) {
	if _, err := weights.ReadSafetensors(broken{}, 1<<20, nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

func TestReadIndex(t *testing.T) {
	f := weightstest.Index(123, map[string][]weightstest.Tensor{
		"model-00001-of-00002.safetensors": {weightstest.T("a", "F32"), weightstest.T("b", "F32")},
		"model-00002-of-00002.safetensors": {weightstest.T("c", "F32")},
	})
	x, err := weights.ReadIndex(f, f.Size())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"model-00001-of-00002.safetensors": 2, "model-00002-of-00002.safetensors": 1}
	if !maps.Equal(x.Shards, want) || x.TotalSize != 123 {
		t.Errorf("got %+v", x)
	}
	for text, want := range map[string]string{
		`{"metadata":{"total_size":1.5e9,"total_parameters":7},"weight_map":{}}`: "whole number",
		`{"weight_map":{"a":3}}`: `'3'`,
		`{"weight_map":`:         "ends in the middle",
		``:                       "ends in the middle",
	} {
		f := weightstest.NewFile([]byte(text))
		if _, err := weights.ReadIndex(f, f.Size()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func FuzzSafetensors(f *testing.F) {
	f.Add(weightstest.Safetensors(map[string]string{"a": "b"}, weightstest.T("a.weight", "F32", 1)).Bytes())
	f.Add(weightstest.SafetensorsRaw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":[null,true,-1.5e3,"\ud83d\ude00"]}}`).Bytes())
	f.Add(weightstest.Index(1, map[string][]weightstest.Tensor{"f": {weightstest.T("a", "F32")}}).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		file := weightstest.NewFile(data)
		model := weights.NewModel(weights.Options{Tied: true})
		h, err := weights.ReadSafetensors(file, file.Size(), model.Add)
		checkError(t, err, file.Size())
		if s := model.Summary(); s.Params < 0 || err == nil && s.Tensors != h.Tensors {
			t.Errorf("got %+v of %+v", s, h)
		}
		_, err = weights.ReadIndex(file, file.Size())
		checkError(t, err, file.Size())
	})
}

// checkError wants errors that say where in the file they are.
func checkError(t *testing.T, err error, size int64) {
	t.Helper()
	if err == nil {
		return
	}
	e, ok := errors.AsType[*weights.FormatError](err)
	if !ok || e.Offset < 0 || e.Offset > size || e.Msg == "" || e.Format == "" {
		t.Errorf("got error %#v", err)
	}
}

// manyTensors is a model like DeepSeek-V3: 163 files, 91,991 tensors.
func manyTensors() []*weightstest.File {
	var files []*weightstest.File
	for i := range 163 {
		var all []weightstest.Tensor
		for j := range 91991/163 + 1 {
			name := fmt.Sprintf("model.layers.%d.mlp.experts.%d.gate_proj.weight", i/3, j)
			if j%2 == 1 {
				all = append(all, weightstest.T(name+"_scale_inv", "F32", 16, 56))
				continue
			}
			all = append(all, weightstest.T(name, "F8_E4M3", 2048, 7168))
		}
		files = append(files, weightstest.Safetensors(nil, all...))
	}
	return files
}

func BenchmarkSafetensors163(b *testing.B) {
	files := manyTensors()
	b.ReportAllocs()
	for b.Loop() {
		model := weights.NewModel(weights.Options{})
		for _, f := range files {
			if _, err := weights.ReadSafetensors(f, f.Size(), model.Add); err != nil {
				b.Fatal(err)
			}
		}
		if model.Summary().Params == 0 {
			b.Fatal("nothing counted")
		}
	}
}
