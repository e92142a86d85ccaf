package weights_test

import (
	"encoding/binary"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/weights"
)

type lite = weightstest.TFLiteTensor

func TestReadTFLite(t *testing.T) {
	f := weightstest.TFLite(weightstest.TFLiteModel{
		Description: "MLIR Converted.",
		Buffers:     []int64{4 * 3 * 3 * 3 * 16, 64, 8, 4, 40},
		Subgraphs: [][]lite{
			{
				{Name: "input", Shape: []int32{1, 224, 224, 3}},
				{Name: "conv", Buffer: 1, Shape: []int32{16, 3, 3, 3}}, {Name: "bias", Buffer: 2, Shape: []int32{16}},
				{Name: "shape", Type: 2, Buffer: 3, Shape: []int32{2}}, {Name: "epsilon", Buffer: 4},
			},
			{{Name: "conv again", Buffer: 1, Shape: []int32{16, 3, 3, 3}}, {Name: "half", Type: 1, Buffer: 5, Shape: []int32{4, 5}}},
		},
	})
	m, err := weights.ReadTFLite(f, f.Size())
	if err != nil {
		t.Fatal(err)
	}
	want := &weights.TFLite{
		Version: 3, Description: "MLIR Converted.", Subgraphs: 2, Tensors: 5,
		Params: 432 + 16 + 20, ByDType: map[weights.DType]int64{weights.F32: 448, weights.F16: 20},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got %+v, want %+v", m, want)
	}
	if match, err := weights.Sniff(f, f.Size()); err != nil || match.Kind != weights.KindTFLite {
		t.Errorf("the file is %+v, %v", match, err)
	}
}

func TestReadTFLiteTypes(t *testing.T) {
	behind := weightstest.TFLiteWeights(lite{Shape: []int32{10, 10}}, lite{Type: 9, Shape: []int32{7}})
	behind.Behind = true
	sparse := weightstest.TFLiteWeights(lite{Type: 1, Shape: []int32{10, 10}})
	sparse.Buffers[0] = 2 * 30
	for name, tt := range map[string]struct {
		model weightstest.TFLiteModel
		want  map[weights.DType]int64
	}{
		"quantised to 8 bits": {weightstest.TFLiteWeights(lite{Type: 9, Shape: []int32{8, 3, 3, 3}}, lite{Type: 2, Shape: []int32{8}}), map[weights.DType]int64{weights.I8: 216}},
		"unsigned":            {weightstest.TFLiteWeights(lite{Type: 3, Shape: []int32{5}}), map[weights.DType]int64{weights.U8: 5}},
		"4 bits":              {weightstest.TFLiteWeights(lite{Type: 17, Shape: []int32{6, 4}}, lite{Type: 20, Shape: []int32{2}}), map[weights.DType]int64{weights.I4: 24, weights.U4: 2}},
		"brain floats":        {weightstest.TFLiteWeights(lite{Type: 18, Shape: []int32{3}}), map[weights.DType]int64{weights.BF16: 3}},
		"no weights":          {weightstest.TFLiteWeights(lite{Type: 4, Shape: []int32{3}}, lite{Type: 6, Shape: []int32{3}}, lite{Type: 5, Shape: []int32{3}}), map[weights.DType]int64{}},
		"behind the tables":   {behind, map[weights.DType]int64{weights.F32: 100, weights.I8: 7}},
		"sparse":              {sparse, map[weights.DType]int64{weights.F16: 30}},
	} {
		f := weightstest.TFLite(tt.model)
		m, err := weights.ReadTFLite(f, f.Size())
		if err != nil || !maps.Equal(m.ByDType, tt.want) {
			t.Errorf("%s: got %+v, %v, want %v", name, m, err, tt.want)
		}
	}
}

// TestReadTFLiteJumps wants the weights not to be read, wherever they are.
func TestReadTFLiteJumps(t *testing.T) {
	var tensors []lite
	for range 100 {
		tensors = append(tensors, lite{Shape: []int32{100, 100}})
	}
	model := weightstest.TFLiteWeights(tensors...)
	for _, behind := range []bool{false, true} {
		model.Behind = behind
		f := weightstest.TFLite(model)
		counted := &counter{r: f}
		m, err := weights.ReadTFLite(counted, f.Size())
		if err != nil || m.Params != 1_000_000 || counted.n > 300<<10 {
			t.Errorf("behind %v: got %+v, %v after %d of %d bytes", behind, m, err, counted.n, f.Size())
		}
	}
}

func TestReadTFLiteRefuses(t *testing.T) {
	whole := weightstest.TFLite(weightstest.TFLiteWeights(lite{Name: "w", Shape: []int32{10}})).Bytes()
	broken := func(m weightstest.TFLiteModel) []byte { return weightstest.TFLite(m).Bytes() }
	one := func(tensor lite) []byte { return broken(weightstest.TFLiteWeights(tensor)) }
	behind := weightstest.TFLiteWeights(lite{Shape: []int32{100}})
	behind.Behind = true
	for name, tt := range map[string]struct {
		content []byte
		want    string
	}{
		"half a file":     {whole[:len(whole)/2], "file"},
		"other kind":      {[]byte("\x08\x00\x00\x00ORTM\x00\x00\x00\x00"), "not TFL3"},
		"root outside":    {[]byte("\xff\xff\xff\xffTFL3"), "outside"},
		"no graphs":       {broken(weightstest.TFLiteModel{}), "0 subgraphs"},
		"no such buffer":  {broken(weightstest.TFLiteModel{Subgraphs: [][]lite{{{Buffer: 7}}}}), "buffer 7 of 1"},
		"type":            {one(lite{Type: 99, Shape: []int32{8}}), "type 99"},
		"negative":        {one(lite{Type: 9, Shape: []int32{-1, -8}}), "negative"},
		"beyond 64":       {broken(weightstest.TFLiteModel{Buffers: []int64{4}, Subgraphs: [][]lite{{{Buffer: 1, Shape: slices.Repeat([]int32{1 << 30}, 3)}}}}), "beyond 64"},
		"dimensions":      {broken(weightstest.TFLiteModel{Buffers: []int64{4}, Subgraphs: [][]lite{{{Buffer: 1, Shape: make([]int32, 100)}}}}), "more than 64 dim"},
		"weights cut off": {broken(behind)[:len(broken(behind))-100], "outside of the file"},
	} {
		f := weightstest.NewFile(tt.content)
		_, err := weights.ReadTFLite(f, f.Size())
		if _, ok := errors.AsType[*weights.FormatError](err); !ok || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestReadTFLiteBounds wants a file whose parts are the same part again and again to
// be refused, before it costs much.
func TestReadTFLiteBounds(t *testing.T) {
	for name, tt := range map[string]struct {
		graphs int
		want   string
	}{
		"graphs":  {1 << 18, "262144 subgraphs"},
		"tensors": {4000, "more than 524288 tensors"},
	} {
		file := repeating(tt.graphs)
		f := &counter{r: weightstest.NewFile(file)}
		_, err := weights.ReadTFLite(f, int64(len(file)))
		if err == nil || !strings.Contains(err.Error(), tt.want) || f.n > 4<<20 {
			t.Errorf("%s: got %v after %d bytes", name, err, f.n)
		}
	}
}

// repeating is a model with one graph n times, which has one tensor n times.
func repeating(n int) []byte {
	const layout, model = 8, 24
	graphs := model + 12
	graph := graphs + 4 + 4*n
	tensors := graph + 8
	tensor := tensors + 4 + 4*n
	buffers := tensor + 8
	buffer := buffers + 12
	file := make([]byte, buffer+12)
	put := func(at, v int) { binary.LittleEndian.PutUint32(file[at:], uint32(v)) }
	list := func(at, n, element int) {
		put(at, n)
		for i := range n {
			put(at+4+4*i, element-(at+4+4*i))
		}
	}
	put(0, model)
	copy(file[4:], "TFL3")
	for i, v := range []byte{14, 12, 4, 0, 4, 0, 8} { // of all tables: fields 0 and 2 come first, then 4
		file[layout+2*i] = v
	}
	for _, table := range []int{model, graph, tensor, buffer} {
		put(table, table-layout)
	}
	put(model+4, graphs-(model+4))
	put(model+8, buffers-(model+8))
	list(graphs, n, graph)
	put(graph+4, tensors-(graph+4))
	list(tensors, n, tensor)
	put(tensor+4, 1)
	list(buffers, 2, buffer)
	put(buffer+4, 4) // to nothing
	return file
}

func FuzzTFLite(f *testing.F) {
	f.Add(weightstest.TFLite(weightstest.TFLiteWeights(lite{Name: "w", Shape: []int32{2, 3}}, lite{Type: 9, Shape: []int32{4}})).Bytes())
	behind := weightstest.TFLiteWeights(lite{Type: 17, Shape: []int32{2, 3}})
	behind.Behind = true
	f.Add(weightstest.TFLite(behind).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		file := weightstest.NewFile(data)
		m, err := weights.ReadTFLite(file, file.Size())
		checkError(t, err, file.Size())
		if err == nil && (m.Params < 0 || m.Params > 4*int64(m.Tensors)*file.Size()) {
			t.Errorf("got %+v of %d bytes", m, len(data))
		}
	})
}
