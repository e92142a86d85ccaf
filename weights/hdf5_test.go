package weights_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/weights"
)

// listed reads a file and lists its tensors by name.
func listed(t *testing.T, content []byte) (string, *weights.HDF5) {
	t.Helper()
	var lines []string
	h, err := weights.ReadHDF5(bytes.NewReader(content), int64(len(content)), func(x weights.Tensor) {
		lines = append(lines, fmt.Sprintln(x.Name, x.DType, x.Shape, x.Elements))
	})
	if err != nil {
		t.Fatal(err)
	}
	if h.Tensors != len(lines) {
		t.Errorf("got %d tensors and %d in all", len(lines), h.Tensors)
	}
	slices.Sort(lines)
	return strings.Join(lines, ""), h
}

// TestReadHDF5OfH5py has what testdata/hdf5.py writes: arrays of numbers only, each
// once, however many links there are to it.
func TestReadHDF5OfH5py(t *testing.T) {
	const want = `model_weights/dense/kernel_0:0 F32 [4 5] 20
model_weights/dense/kernel_1:0 F32 [4 6] 24
model_weights/dense/kernel_2:0 F32 [4 7] 28
model_weights/dense/kernel_3:0 F32 [4 8] 32
model_weights/dense/kernel_4:0 F32 [4 9] 36
model_weights/dense/kernel_5:0 F32 [4 10] 40
model_weights/dense/kernel_6:0 F32 [4 11] 44
model_weights/dense/kernel_7:0 F32 [4 12] 48
numbers/>f4 F32 [3 1] 3
numbers/f2 F16 [3 0] 0
numbers/f8 F64 [3 2] 6
numbers/i1 I8 [3 3] 9
numbers/i4 I32 [3 4] 12
others/bfloat16 BF16 [7] 7
others/bool BOOL [2] 2
others/null F32 [] 0
others/of_named F16 [5 6] 30
shapes/chunks F32 [1048576 1048576] 1099511627776
shapes/many_attributes F32 [2 3] 6
shapes/scalar F32 [] 1
`
	for _, name := range []string{"earliest.h5", "latest.h5"} {
		content, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		got, h := listed(t, content)
		if got != want {
			t.Errorf("%s: got\n%s", name, got)
		}
		if v := h.Attributes["keras_version"] + " " + h.Attributes["backend"]; v != "2.15.0 tensorflow" || len(h.Attributes) != 4 {
			t.Errorf("%s: got attributes %q", name, h.Attributes)
		}
		if k := h.ModelConfig(); k.Class != "Sequential" || k.Name != "vgg16" || k.Version != "2.15.0" {
			t.Errorf("%s: got %+v", name, k)
		}
	}
}

// TestReadHDF5Trees has more members in a group than one node of its tree can
// lead to, and names from short to long.
func TestReadHDF5Trees(t *testing.T) {
	var all []weightstest.Tensor
	for i := range 1000 {
		all = append(all, weightstest.T(fmt.Sprintf("layers/%d%s/kernel:0", i, strings.Repeat("x", i)), "F16", 2, int64(i)))
	}
	f := weightstest.HDF5(nil, all...)
	seen := make(map[string]int64)
	_, err := weights.ReadHDF5(f, f.Size(), func(x weights.Tensor) { seen[x.Name] = x.Elements })
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range all {
		if n, ok := seen[x.Name]; !ok || n != 2*x.Shape[1] {
			t.Errorf("%.20s has %d elements", x.Name, n)
		}
	}
	if len(seen) != len(all) {
		t.Errorf("got %d tensors", len(seen))
	}
}

// TestKerasParams wants parameters counted, and nothing else that Keras stores.
func TestKerasParams(t *testing.T) {
	tt := weightstest.T
	for name, tensors := range map[string][]weightstest.Tensor{
		"Keras 2": {
			tt("model_weights/dense/dense/kernel:0", "F32", 10, 20), tt("model_weights/dense/dense/bias:0", "F32", 20),
			tt("model_weights/bn/bn/gamma:0", "F32", 20), tt("model_weights/bn/bn/moving_mean:0", "F32", 20), tt("model_weights/bn/bn/moving_variance:0", "F32", 20),
			tt("model_weights/dropout/seed_generator/seed_generator_state:0", "U32", 2), tt("model_weights/top_level_model_weights/token:0", "F32", 5),
			tt("optimizer_weights/Adam/m/dense/kernel:0", "F32", 10, 20), tt("optimizer_weights/iteration:0", "I64"),
		},
		"weights of Keras 2": {
			tt("dense/dense/kernel:0", "F32", 10, 20), tt("dense/dense/bias:0", "F32", 20), tt("bn/gamma:0", "F32", 20), tt("top_level_model_weights/token:0", "F32", 5),
		},
		"Keras 2.12": {
			tt("_layer_checkpoint_dependencies/dense/vars/0", "F32", 10, 20), tt("_layer_checkpoint_dependencies/dense/vars/1", "F32", 45),
			tt("optimizer/vars/1", "F32", 10, 20), tt("metrics/mean/vars/0", "F32"),
		},
		"Keras 3": {
			tt("layers/dense/vars/0", "F32", 10, 20), tt("layers/dense/vars/1", "F32", 20), tt("vars/0", "F32", 5),
			tt("layers/batch_normalization_1/vars/0", "F32", 10), tt("layers/batch_normalization_1/vars/1", "F32", 10),
			tt("layers/batch_normalization_1/vars/2", "F32", 10), tt("layers/batch_normalization_1/vars/3", "F32", 10),
			tt("layers/dropout/seed_generator/vars/0", "U32", 2), tt("optimizer/vars/0", "I64"), tt("optimizer/vars/2", "F32", 10, 20),
		},
	} {
		f := weightstest.HDF5(nil, tensors...)
		model := weights.NewModel(weights.Options{})
		if _, err := weights.ReadHDF5(f, f.Size(), model.Add); err != nil {
			t.Fatal(err)
		}
		if s := model.Summary(); s.Params != 245 || s.ByDType[f32] != 245 {
			t.Errorf("%s: got %+v", name, s)
		}
	}
}

// TestTiedTensorFlow wants the embedding counted once that the TensorFlow models of
// transformers save with each layer that uses it.
func TestTiedTensorFlow(t *testing.T) {
	tt := weightstest.T
	const below = "/tf_bert_for_pre_training/bert/embeddings/word_embeddings/weight:0"
	f := weightstest.HDF5(nil, tt("bert"+below, "F32", 100, 10), tt("mlm___cls"+below, "F32", 100, 10),
		tt("mlm___cls/tf_bert_for_pre_training/mlm___cls/predictions/bias:0", "F32", 100),
		tt("bert/tf_bert_for_pre_training/bert/pooler/dense/kernel:0", "F32", 10, 10), tt("nsp/tf_bert_for_pre_training/bert/pooler/dense/kernel:0", "F32", 10, 10),
		tt("one/net/embeddings/weight:0", "F32", 4, 10), tt("other/net/embeddings/weight:0", "F32", 4, 10)) // of layers with the same names
	model := weights.NewModel(weights.Options{})
	if _, err := weights.ReadHDF5(f, f.Size(), model.Add); err != nil {
		t.Fatal(err)
	}
	if got := model.Summary().Params; got != 1000+100+200+80 {
		t.Errorf("got %d", got)
	}
}

// TestReadHDF5Bounds wants files that have much for little to be refused.
func TestReadHDF5Bounds(t *testing.T) {
	for want, content := range map[string][]byte{
		"more than the 64 MiB":     hdf5Of(strings.Repeat("x", 4000), 1, 20_000),
		"more than 524288 objects": hdf5Of("x", 10, 60_000),
	} {
		if _, err := weights.ReadHDF5(bytes.NewReader(content), int64(len(content)), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// hdf5Of is a file with groups in each other, the first of which has a name. In each
// there are n empty objects.
func hdf5Of(name string, groups, n int) []byte {
	b := make([]byte, 96, 96+16*n+24*groups*(n+1)) // the superblock
	for range n {
		b = append(b, hdf5Header(nil)...)
	}
	inner := int64(96)
	for range groups {
		links := hdf5LinkTo("x", inner)
		for i := range n {
			links = append(links, hdf5LinkTo("x", int64(96+16*i))...)
		}
		inner = int64(len(b))
		b = append(b, hdf5Header(links)...)
	}
	root := int64(len(b))
	b = append(b, hdf5Header(hdf5LinkTo(name, inner))...)
	super := []byte("\x89HDF\r\n\x1a\n\x00\x00\x00\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for _, v := range [...]int64{0, -1, int64(len(b)), -1, 0, root} {
		super = binary.LittleEndian.AppendUint64(super, uint64(v))
	}
	copy(b, super)
	return b
}

// hdf5Header is the header of an object that has some messages.
func hdf5Header(messages []byte) []byte {
	h := binary.LittleEndian.AppendUint32([]byte{1, 0, 1, 0, 1, 0, 0, 0}, uint32(len(messages)))
	return append(append(h, 0, 0, 0, 0), messages...)
}

// hdf5LinkTo is the message that an object is a member of a group.
func hdf5LinkTo(name string, address int64) []byte {
	data := append([]byte{1, 1, byte(len(name)), byte(len(name) >> 8)}, name...)
	data = binary.LittleEndian.AppendUint64(data, uint64(address))
	data = append(data, make([]byte, -len(data)&7)...)
	return append([]byte{6, 0, byte(len(data)), byte(len(data) >> 8), 0, 0, 0, 0}, data...)
}

func TestReadHDF5Refuses(t *testing.T) {
	whole := weightstest.HDF5([]weightstest.Attribute{{Name: "backend", Value: "jax"}}, weightstest.T("a/b", "F32", 3), weightstest.T("c", "F32", 4)).Bytes()
	// with returns the file with bytes changed that follow the nth of a magic.
	with := func(magic string, nth, after int, change string) []byte {
		b, at := bytes.Clone(whole), -1
		for ; nth >= 0; nth-- {
			at += 1 + bytes.Index(b[at+1:], []byte(magic))
		}
		copy(b[at+after:], change)
		return b
	}
	tree := binary.LittleEndian.AppendUint64(nil, uint64(bytes.LastIndex(whole, []byte("TREE"))))
	for name, tt := range map[string]struct {
		want    string
		content []byte
	}{
		"another file":      {"there has to be", []byte("\x89PNG\r\n\x1a\n" + strings.Repeat("x", 100))},
		"cut":               {fmt.Sprintf("the file has 500 bytes and should have %d", len(whole)), whole[:500]},
		"cut in its start":  {"50 bytes", whole[:50]},
		"version":           {"version 4, which is not known", with("\x89HDF", 0, 8, "\x04")},
		"widths":            {"addresses of 3 bytes", with("\x89HDF", 0, 13, "\x03")},
		"root":              {"an address is missing", with("\x89HDF", 0, 64, "\xff\xff\xff\xff\xff\xff\xff\xff")},
		"tree of chunks":    {"B-tree of chunks", with("TREE", 0, 4, "\x01")},
		"tree to nowhere":   {"the address 72057594037927935", with("TREE", 0, 32, "\xff\xff\xff\xff\xff\xff\xff\x00")},
		"tree to itself":    {"belongs to several others, or to itself", with("TREE", 1, 5, "\x01\x01\x00"+strings.Repeat("\xff", 16)+strings.Repeat("\x00", 8)+string(tree))},
		"no table":          {`where there has to be "SNOD"`, with("SNOD", 0, 0, "SNOB")},
		"name":              {"a name at byte 255 of a heap", with("SNOD", 0, 8, "\xff")},
		"no name":           {"a member without a name", with("SNOD", 0, 8, "\x00")},
		"heap":              {"bytes are announced", with("HEAP", 0, 8, "\xff\xff")},
		"header":            {"the header of an object of version 2", with("SNOD", 0, -64, "")},
		"fractal heap":      {`the group "/model_weights" has its members in a fractal heap`, nil},
		"too many elements": {"has more elements than there can be", nil},
	} {
		switch name {
		case "header":
			at := binary.LittleEndian.Uint64(with("SNOD", 0, 0, "")[bytes.Index(whole, []byte("SNOD"))+16:])
			tt.content = bytes.Clone(whole)
			tt.content[at] = 2
		case "fractal heap": // of a group that has none
			content, err := os.ReadFile("testdata/latest.h5")
			if err != nil {
				t.Fatal(err)
			}
			none := "\x02\x12\x00\x00\x00\x00" + strings.Repeat("\xff", 16)
			tt.content = bytes.Replace(content, []byte(none), []byte(none[:6]+"\x40"+strings.Repeat("\x00", 7)+none[14:]), 1)
		case "too many elements":
			f := weightstest.HDF5(nil, weightstest.T("x", "U8", 1<<62, 0, 5))
			tt.content = bytes.Replace(f.Bytes(), binary.LittleEndian.AppendUint64(nil, 1<<62), []byte{0, 0, 0, 0, 0, 0, 0, 0x40}, 1)
			i := bytes.Index(tt.content, []byte{0, 0, 0, 0, 0, 0, 0, 0x40})
			tt.content[i+8] = 9
		}
		_, err := weights.ReadHDF5(bytes.NewReader(tt.content), int64(len(tt.content)), nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
		checkError(t, err, int64(len(tt.content)))
	}
}

func FuzzHDF5(f *testing.F) {
	f.Add(weightstest.HDF5([]weightstest.Attribute{{Name: "backend", Value: "jax"}, {Name: "a", Value: "b", Fixed: true}},
		weightstest.T("a/b", "F32", 3), weightstest.T("c", "BF16", 4)).Bytes())
	for _, name := range []string{"earliest.h5", "latest.h5"} {
		content, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		h, err := weights.ReadHDF5(bytes.NewReader(data), int64(len(data)), func(x weights.Tensor) {
			n++
			if x.Elements < 0 || x.Name == "" && len(data) < 8 {
				t.Errorf("got %+v", x)
			}
		})
		checkError(t, err, int64(len(data)))
		if err == nil && h.Tensors != n {
			t.Errorf("got %d tensors of %d", n, h.Tensors)
		}
	})
}
