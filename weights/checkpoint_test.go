package weights_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/families"
	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/weights"
)

func TestReadCheckpoint(t *testing.T) {
	f := weightstest.Checkpoint(3,
		weightstest.T("dense/kernel", "F32", 10, 20), weightstest.T("dense/bias", "F32", 20), weightstest.T("embedding", "BF16", 100, 8),
		weightstest.T("global_step", "I64"), weightstest.T("_CHECKPOINTABLE_OBJECT_GRAPH", "STRING"))
	var got []weights.Tensor
	c, err := weights.ReadCheckpoint(f, f.Size(), func(t weights.Tensor) {
		t.Shape = slices.Clone(t.Shape)
		got = append(got, t)
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := (weights.Checkpoint{Shards: 3, Tensors: 5, Bytes: 800 + 80 + 1600 + 8}); *c != want {
		t.Errorf("got %+v, want %+v", *c, want)
	}
	want := []weights.Tensor{
		{Name: "_CHECKPOINTABLE_OBJECT_GRAPH", DType: "STRING", Elements: 1}, {Name: "dense/bias", DType: weights.F32, Shape: []int64{20}, Elements: 20},
		{Name: "dense/kernel", DType: weights.F32, Shape: []int64{10, 20}, Elements: 200}, {Name: "embedding", DType: weights.BF16, Shape: []int64{100, 8}, Elements: 800},
		{Name: "global_step", DType: weights.I64, Elements: 1},
	}
	for i := range got {
		if len(got[i].Shape) == 0 {
			got[i].Shape = nil
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if match, err := weights.Sniff(f, f.Size()); err != nil || match.Kind != weights.KindTFCheckpoint {
		t.Errorf("the file is %+v, %v", match, err)
	}
}

// TestReadCheckpointKnown counts published models as they are after their training;
// the statistics of their normalisation are no parameters.
func TestReadCheckpointKnown(t *testing.T) {
	for name, want := range map[string]int64{"efficientnet-b0": 5_288_548, "resnet-50": 25_583_592} {
		tensors, _ := families.Named(name)
		f := weightstest.Checkpoint(1, families.Trained(tensors)...)
		model := weights.NewModel(weights.Options{})
		c, err := weights.ReadCheckpoint(f, f.Size(), model.Add)
		if s := model.Summary(); err != nil || s.Params != want || c.Tensors != 3*len(tensors)+5 {
			t.Errorf("%s: got %+v, %+v, %v, want %d parameters", name, c, s, err, want)
		}
	}
}

func TestTrainingState(t *testing.T) {
	for name, want := range map[string]int64{
		"dense/kernel": 4, "resnet/conv_1/weights": 4, "layer_with_weights-0/gamma/.ATTRIBUTES/VARIABLE_VALUE": 4, "bert/embeddings/word_embeddings": 4,
		"model/optimizer_head/kernel": 4, "Adam_net/kernel": 4, "momentum_encoder/kernel": 4,
		"dense/kernel/Adam": 0, "dense/kernel/Adam_1": 0, "dense/kernel/Momentum": 0, "dense/kernel/ExponentialMovingAverage": 0, "dense/kernel/RMSProp_12": 0, "dense/kernel/Adafactor_1": 0,
		"dense/kernel/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE": 0, "optimizer/_variables/3/.ATTRIBUTES/VARIABLE_VALUE": 0,
		"training/Adam/dense/kernel/m": 0, "bert/pooler/dense/kernel/adam_v": 0, "encoder/block_000/layer_000/SelfAttention/q_slot_vr": 0,
		"beta1_power": 0, "beta2_power_1": 0, "global_step": 0, "save_counter/.ATTRIBUTES/VARIABLE_VALUE": 0,
		strings.Repeat("a/", 60) + "Adam": 0, strings.Repeat("/", 4000) + "moving_mean": 0, strings.Repeat("/", 4000) + "Adam": 4, // after more parts than are looked at
		"bn/moving_mean": 0, "layer_with_weights-1/moving_variance/.ATTRIBUTES/VARIABLE_VALUE": 0, "keras_api/metrics/0/total/.ATTRIBUTES/VARIABLE_VALUE": 0,
	} {
		model := weights.NewModel(weights.Options{})
		model.Add(tensor(name, weights.F32, 2, 2))
		if got := model.Summary().Params; got != want {
			t.Errorf("%s: got %d parameters, want %d", name, got, want)
		}
	}
}

// TestReadCheckpointSliced wants a variable that is stored in parts to count once.
func TestReadCheckpointSliced(t *testing.T) {
	entries := weightstest.CheckpointEntries(2, weightstest.T("w", "F32", 4))
	const noBytes, slice = "\x08\x01\x12\x04\x12\x02\x08\x04", "\x3a\x04\x0a\x02\x10\x02"
	entries[1].Value = noBytes + slice + slice
	part := weightstest.TableEntry{Key: "\x00w\x00\x01\x01\x01\x80\x82", Value: "\x08\x01\x12\x04\x12\x02\x08\x02\x28\x08"}
	f := weightstest.Table(2, entries[0], part, entries[1])
	model := weights.NewModel(weights.Options{})
	c, err := weights.ReadCheckpoint(f, f.Size(), model.Add)
	if s := model.Summary(); err != nil || c.Tensors != 1 || !maps.Equal(s.ByDType, map[weights.DType]int64{weights.F32: 4}) {
		t.Errorf("got %+v, %+v, %v", c, s, err)
	}
}

func TestReadCheckpointRefuses(t *testing.T) {
	good := weightstest.CheckpointEntries(2, weightstest.T("a", "F32", 3), weightstest.T("b", "F32", 3))
	changed := func(i int, e weightstest.TableEntry) []byte {
		entries := slices.Clone(good)
		entries[i] = e
		return weightstest.Table(2, entries...).Bytes()
	}
	tensor := func(value string) []byte { return changed(2, weightstest.TableEntry{Key: "b", Value: value}) }
	whole := weightstest.Table(2, good...).Bytes()
	packed := func(kind byte, pack func([]byte) []byte) []byte {
		return weightstest.PackedTable(pack, kind, 2, good...).Bytes()
	}
	as := func(text string) func([]byte) []byte { return func([]byte) []byte { return []byte(text) } }
	badEntry := weightstest.SnappyTable(2, good[0], good[2], good[1]).Bytes()
	for name, tt := range map[string]struct {
		content []byte
		want    string
	}{
		"nothing":     {nil, "too few"},
		"no end":      {whole[:len(whole)-1], "not that of a table"},
		"cut off":     {whole[len(whole)-100:], ""},
		"empty table": {weightstest.Table(1).Bytes(), "no header"},
		"no header":   {changed(0, weightstest.TableEntry{Key: "A"}), "no header"},
		"no shards":   {changed(0, weightstest.TableEntry{}), "0 shards"},
		"many shards": {changed(0, weightstest.TableEntry{Value: "\x08\xff\xff\xff\xff\x0f"}), "4294967295 shards"},
		"damaged":     {packed(1, as("\x40abcdefgh")), "damaged block"},
		"bomb":        {packed(1, as("\x80\x80\x80\x80\x08abcdefgh")), "too large"},
		"packed":      {badEntry, "in the compressed block: at byte"},
		"other":       {packed(9, as("abcdefgh")), "not known: 9"},
		"name twice":  {changed(2, good[1]), "after the one before"},
		"order":       {changed(2, weightstest.TableEntry{Key: "A"}), "after the one before"},
		"long name":   {changed(2, weightstest.TableEntry{Key: strings.Repeat("c", 5000)}), "more than 4096"},
		"type":        {tensor("\x08\x63"), "type 99"},
		"shard":       {tensor("\x08\x01\x18\x02\x28\x04"), "shard 2 of 2"},
		"size":        {tensor("\x08\x01\x12\x04\x12\x02\x08\x03\x28\x0b"), "has 11 bytes"},
		"negative":    {tensor("\x08\x01\x12\x0d\x12\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "beyond 64"},
		"dimensions":  {tensor(fmt.Sprintf("\x08\x01\x12\xc8\x01%s", strings.Repeat("\x12\x00", 100))), "more than 64 dim"},
		"no message":  {tensor("\xff"), ""},
		"long value":  {[]byte("\x00\x00\x7f" + string(whole[3:])), "127 bytes are announced"},
		"shared":      {[]byte("\x05" + string(whole[1:])), "shares 5 bytes"},
	} {
		f := weightstest.NewFile(tt.content)
		_, err := weights.ReadCheckpoint(f, f.Size(), nil)
		if _, ok := errors.AsType[*weights.FormatError](err); !ok || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v", name, err)
		}
		checkError(t, err, f.Size())
	}
}

// TestReadCheckpointManyBlocks wants an index to be read across its blocks, and not
// one block again and again.
func TestReadCheckpointManyBlocks(t *testing.T) {
	var tensors []weightstest.Tensor
	for i := range 5000 {
		tensors = append(tensors, weightstest.T(fmt.Sprintf("model/layer_%d/kernel", i), "F32", 2))
	}
	entries := weightstest.CheckpointEntries(1, tensors...)
	for _, each := range []int{1, 7, 10_000} {
		for _, f := range []*weightstest.File{weightstest.Table(each, entries...), weightstest.SnappyTable(each, entries...)} {
			if c, err := weights.ReadCheckpoint(f, f.Size(), nil); err != nil || c.Tensors != 5000 {
				t.Errorf("%d a block: got %+v, %v", each, c, err)
			}
		}
	}
}

// TestReadCheckpointLongKeys wants keys that only say how they differ from those before
// them to cost no more than if they were written out.
func TestReadCheckpointLongKeys(t *testing.T) {
	for name, start := range map[string]string{"tensors": "x", "parts of tensors": "\x00"} {
		entries := weightstest.CheckpointEntries(1, weightstest.T("w", "F32"))[:1]
		for i := range 20_000 {
			key := start + strings.Repeat("x", 4000) + fmt.Sprintf("%05d", i)
			entries = append(entries, weightstest.TableEntry{Key: key, Value: "\x08\x01\x28\x04"})
		}
		f := weightstest.Table(len(entries), entries...)
		_, err := weights.ReadCheckpoint(f, f.Size(), nil)
		if err == nil || !strings.Contains(err.Error(), "the keys come to more than 64 MiB") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzCheckpoint(f *testing.F) {
	f.Add(weightstest.Checkpoint(2, weightstest.T("dense/kernel", "F32", 2, 3), weightstest.T("dense/bias", "F32", 3)).Bytes())
	f.Add(weightstest.Table(1, weightstest.CheckpointEntries(1, weightstest.T("a", "I8", 2), weightstest.T("ab", "STRING"))...).Bytes())
	f.Add(weightstest.SnappyTable(2, weightstest.CheckpointEntries(1, weightstest.T("a", "I8", 2), weightstest.T("ab", "STRING"))...).Bytes())
	entries := weightstest.CheckpointEntries(1, weightstest.T("w", "F32", 4, 5))
	f.Add([]byte(entries[1].Value))
	f.Fuzz(func(t *testing.T, data []byte) {
		entry := weightstest.TableEntry{Key: "w", Value: string(data)}
		for _, file := range []*weightstest.File{weightstest.NewFile(data), weightstest.Table(2, entries[0], entry)} {
			model := weights.NewModel(weights.Options{})
			c, err := weights.ReadCheckpoint(file, file.Size(), model.Add)
			checkError(t, err, file.Size())
			if s := model.Summary(); s.Params < 0 || err == nil && s.Tensors != c.Tensors {
				t.Errorf("got %+v of %+v", s, c)
			}
		}
	})
}
