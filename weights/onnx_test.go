package weights_test

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/weights"
)

func onnxModel() weightstest.ONNXModel {
	return weightstest.ONNXModel{
		Producer: "pytorch", Opset: 17,
		Nodes: []weightstest.ONNXNode{
			{Op: "Conv", Inputs: []string{"x", "w"}},
			{Op: "Constant", Tensor: &weightstest.ONNXTensor{Name: "c", DType: 1, Dims: []int64{4}, Raw: 16}},
			{Op: "If", Graph: &weightstest.ONNXModel{Weights: []weightstest.ONNXTensor{{Name: "inner", DType: 1, Dims: []int64{5}}},
				Inputs: []weightstest.ONNXTensor{{Name: "inner input", DType: 1}}}},
		},
		Weights: []weightstest.ONNXTensor{
			{Name: "w", DType: 1, Dims: []int64{64, 3, 7, 7}, Raw: 64 * 3 * 7 * 7 * 4},
			{Name: "half", DType: 10, Dims: []int64{100}, Location: "model.onnx_data"},
			{Name: "half2", DType: 10, Dims: []int64{100}, Location: "model.onnx_data"},
			{Name: "shape", DType: 7, Dims: []int64{4}},
		},
		Inputs:   []weightstest.ONNXTensor{{Name: "x", DType: 1, Dims: []int64{-1, 3, 224, 224}}},
		Outputs:  []weightstest.ONNXTensor{{Name: "y", DType: 10, Dims: []int64{-1, 1000}}},
		Metadata: map[string]string{"task": "detect"},
	}
}

func TestReadONNX(t *testing.T) {
	f := weightstest.ONNX(onnxModel())
	m, err := weights.ReadONNX(f, f.Size())
	if err != nil {
		t.Fatal(err)
	}
	want := &weights.ONNX{
		IRVersion: 8, Producer: "pytorch", Opset: 17, Domains: map[string]int64{}, Nodes: 3, Tensors: 6,
		Params: 64*3*7*7 + 200 + 4 + 5, ByDType: map[weights.DType]int64{weights.F32: 64*3*7*7 + 9, weights.F16: 200},
		Inputs:   []weights.Port{{Name: "x", DType: weights.F32, Shape: []string{"batch", "3", "224", "224"}}},
		Outputs:  []weights.Port{{Name: "y", DType: weights.F16, Shape: []string{"batch", "1000"}}},
		External: []string{"model.onnx_data"}, Metadata: map[string]string{"task": "detect"},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got %+v, want %+v", m, want)
	}
}

func TestReadONNXOldInputs(t *testing.T) {
	m := onnxModel()
	m.IRVersion = 3
	m.Inputs = append(m.Inputs, weightstest.ONNXTensor{Name: "w", DType: 1, Dims: []int64{64, 3, 7, 7}})
	f := weightstest.ONNX(m)
	got, err := weights.ReadONNX(f, f.Size())
	if err != nil || len(got.Inputs) != 1 || got.Inputs[0].Name != "x" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestReadONNXQuantized(t *testing.T) {
	f := weightstest.ONNX(weightstest.ONNXModel{
		Nodes: []weightstest.ONNXNode{
			{Op: "MatMulNBits", Inputs: []string{"a", "b", "s", "z"}, Ints: map[string]int64{"K": 256, "N": 100, "bits": 4, "block_size": 32}},
			{Op: "DequantizeLinear", Inputs: []string{"q", "q1", "q2"}},
		},
		Weights: []weightstest.ONNXTensor{
			{Name: "b", DType: 2, Dims: []int64{100, 8, 16}}, {Name: "s", DType: 1, Dims: []int64{800}}, {Name: "z", DType: 2, Dims: []int64{400}},
			{Name: "q", DType: 3, Dims: []int64{30, 2}}, {Name: "q1", DType: 1, Dims: []int64{30}}, {Name: "q2", DType: 3, Dims: []int64{30}},
			{Name: "x_scale", DType: 1, Dims: []int64{9}},
		},
	})
	m, err := weights.ReadONNX(f, f.Size())
	if err != nil {
		t.Fatal(err)
	}
	if want := map[weights.DType]int64{weights.I4: 25600, weights.I8: 60}; !maps.Equal(m.ByDType, want) || m.Params != 25660 {
		t.Errorf("got %v, %d parameters", m.ByDType, m.Params)
	}
	if want := []string{"DequantizeLinear", "MatMulNBits"}; !slices.Equal(m.Quantized, want) {
		t.Errorf("got %q", m.Quantized)
	}
}

// TestReadONNXJumps wants the weights not to be read.
func TestReadONNXJumps(t *testing.T) {
	m := onnxModel()
	m.Weights[0].Raw = 8 << 20
	f := weightstest.ONNX(m)
	counted := &counter{r: f}
	if _, err := weights.ReadONNX(counted, f.Size()); err != nil || counted.n > 64<<10 {
		t.Errorf("got %v after %d bytes", err, counted.n)
	}
}

func TestReadONNXRefuses(t *testing.T) {
	whole := weightstest.ONNX(onnxModel()).Bytes()
	f := weightstest.NewFile(whole[:len(whole)/2])
	if _, err := weights.ReadONNX(f, f.Size()); err == nil || !strings.Contains(err.Error(), "there are") {
		t.Errorf("got %v for half a file", err)
	}
	deep := weightstest.ONNXModel{}
	for range 20 {
		inner := deep
		deep = weightstest.ONNXModel{Nodes: []weightstest.ONNXNode{{Op: "If", Graph: &inner}}}
	}
	for name, content := range map[string][]byte{
		"no graph":     {0x08, 0x08},
		"nested graph": weightstest.ONNX(deep).Bytes(),
		"beyond 64":    weightstest.ONNX(weightstest.ONNXModel{Weights: []weightstest.ONNXTensor{{DType: 1, Dims: []int64{1 << 40, 1 << 40}}}}).Bytes(),
		"no version":   {0x3a, 0x00},
		"dimensions":   weightstest.ONNX(weightstest.ONNXModel{Weights: []weightstest.ONNXTensor{{DType: 1, Dims: make([]int64, 100)}}}).Bytes(),
		"kind 3":       {0x08, 0x08, 0x3b},
		"number 0":     {0x00},
		"more than 64": slices.Repeat([]byte{0xff}, 20),
	} {
		f := weightstest.NewFile(content)
		_, err := weights.ReadONNX(f, f.Size())
		if _, ok := errors.AsType[*weights.FormatError](err); !ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzONNX(f *testing.F) {
	m := onnxModel()
	m.Weights[0].Raw = 0
	f.Add(weightstest.ONNX(m).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		file := weightstest.NewFile(data)
		m, err := weights.ReadONNX(file, file.Size())
		checkError(t, err, file.Size())
		if err == nil && m.Params < 0 {
			t.Errorf("got %d parameters", m.Params)
		}
	})
}
