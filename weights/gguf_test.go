package weights_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/weights"
)

func ggufPairs() []weightstest.KV {
	return weightstest.Pairs(
		"general.architecture", "qwen3", "general.name", "Qwen3 0.6B", "general.size_label", "0.6B",
		"general.file_type", uint32(15), "general.license", "apache-2.0", "general.languages", []string{"en", "zh"},
		"general.base_model.count", uint32(1), "general.base_model.0.name", "Qwen3 0.6B Base",
		"general.base_model.0.repo_url", "https://example.org/base", "general.quantized_by", "someone",
		"qwen3.context_length", uint32(40960), "qwen3.expert_count", uint32(128), "qwen3.expert_used_count", uint32(8),
		"qwen3.rope.freq_base", float32(1e6), "general.odd", int32(-2), "general.long", int64(-3), "general.flag", true, "general.big", uint64(1<<63),
		"tokenizer.ggml.model", "gpt2", "tokenizer.ggml.tokens", []string{"a", "b", ""}, "tokenizer.ggml.scores", []float32{1, 2},
		"tokenizer.ggml.token_type", []int32{1, 2}, "tokenizer.chat_template", "{% for m in messages %}",
		"split.no", uint32(0), "split.count", uint32(2), "split.tensors.count", int32(310),
	)
}

func TestReadGGUF(t *testing.T) {
	for _, v := range []weightstest.GGUFVersion{{}, {Version: 1}, {Version: 2}, {Version: 3, BigEndian: true}} {
		f := weightstest.GGUF(v, ggufPairs(), weightstest.T("token_embd.weight", "Q6_K", 1000, 256),
			weightstest.T("blk.0.ffn_up.weight", "Q4_K", 2000, 512), weightstest.T("output_norm.weight", "F32", 256))
		var got tensors
		g, err := weights.ReadGGUF(f, f.Size(), got.add)
		if err != nil {
			t.Fatalf("%+v: %v", v, err)
		}
		want := tensors{
			tensor("token_embd.weight", "Q6_K", 1000, 256), tensor("blk.0.ffn_up.weight", "Q4_K", 2000, 512),
			tensor("output_norm.weight", "F32", 256),
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: got %v, want %v", v, got, want)
		}
		checkGGUF(t, g)
		if g.BigEndian != v.BigEndian || g.Version != max(v.Version, 1) && g.Version != 3 {
			t.Errorf("got version %d, %v of %+v", g.Version, g.BigEndian, v)
		}
	}
}

func checkGGUF(t *testing.T, g *weights.GGUF) {
	t.Helper()
	all, used := g.Experts()
	no, count, tensors := g.Split()
	got := []any{g.Architecture(), g.FileType, g.MainType, g.ContextLength(), all, used, no, count, tensors, g.Tensors, g.ChatTemplate(),
		g.String("general.license"), g.Strings("general.languages"), g.BaseModels(), g.Int("general.odd"), g.Int("general.long"), g.Int("general.big")}
	want := []any{"qwen3", "Q4_K_M", weights.DType("Q4_K"), int64(40960), int64(128), int64(8), int64(0), int64(2), int64(310), 3,
		"{% for m in messages %}", "apache-2.0", []string{"en", "zh"},
		[]weights.BaseModel{{Name: "Qwen3 0.6B Base", RepoURL: "https://example.org/base"}}, int64(-2), int64(-3), int64(1<<63 - 1)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if tokens := g.Strings("tokenizer.ggml.tokens"); tokens != nil {
		t.Errorf("the vocabulary was kept: %q", tokens)
	}
}

func TestReadGGUFRefuses(t *testing.T) {
	whole := weightstest.GGUF(weightstest.GGUFVersion{}, ggufPairs(), weightstest.T("a", "F32", 256)).Bytes()
	for n := range len(whole) {
		f := weightstest.NewFile(whole[:n])
		if _, err := weights.ReadGGUF(f, f.Size(), nil); err == nil {
			t.Errorf("the first %d of %d bytes were taken", n, len(whole))
		} else {
			checkError(t, err, f.Size()+32)
		}
	}
	for start, want := range map[string]string{
		"GGUF\x04\x00\x00\x00" + strings.Repeat("\x00", 16):                                                           "version 4",
		"GGUX\x03\x00\x00\x00" + strings.Repeat("\x00", 16):                                                           "does not start",
		"GGUF\x03\x00\x00\x00" + strings.Repeat("\xff", 16):                                                           "tensors are announced",
		"GGUF\x03\x00\x00\x00" + strings.Repeat("\x00", 8) + strings.Repeat("\xff", 8):                                "pairs of metadata",
		"GGUF\x03\x00\x00\x00" + strings.Repeat("\x00", 8) + "\x01" + strings.Repeat("\x00", 7):                       "ends in the middle",
		"GGUF\x03\x00\x00\x00" + "\x01" + strings.Repeat("\x00", 15) + strings.Repeat("\x00", 8) + "\xff\xff\xff\xff": "dimensions",
	} {
		f := weightstest.NewFile([]byte(start))
		if _, err := weights.ReadGGUF(f, f.Size(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", start, err, want)
		}
	}
}

func TestReadGGUFOfTruncatedFile(t *testing.T) {
	f := weightstest.GGUF(weightstest.GGUFVersion{}, nil, weightstest.T("blk.0.w", "Q4_K", 256, 256))
	f.Truncate(f.Size() - 1)
	if _, err := weights.ReadGGUF(f, f.Size(), nil); err == nil || !strings.Contains(err.Error(), `"blk.0.w" ends`) {
		t.Errorf("got %v", err)
	}
}

func TestFileTypeName(t *testing.T) {
	for n, want := range map[int64]string{0: "F32", 1: "F16", 7: "Q8_0", 15: "Q4_K_M", 1024 + 15: "Q4_K_M", 19: "IQ2_XXS", 38: "MXFP4_MOE", 99: "", -1: ""} {
		if got := weights.FileTypeName(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func FuzzGGUF(f *testing.F) {
	for _, v := range []weightstest.GGUFVersion{{}, {Version: 1}, {Version: 3, BigEndian: true}} {
		f.Add(weightstest.GGUF(v, ggufPairs()[:8], weightstest.T("a", "F32", 2)).Bytes())
		f.Add(weightstest.GGUF(v, ggufPairs()).Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := weightstest.NewFile(data)
		model := weights.NewModel(weights.Options{})
		g, err := weights.ReadGGUF(file, file.Size(), model.Add)
		checkError(t, err, file.Size()+1<<20)
		if err == nil {
			g.BaseModels()
		}
		if s := model.Summary(); s.Params < 0 {
			t.Errorf("got %d parameters", s.Params)
		}
	})
}
