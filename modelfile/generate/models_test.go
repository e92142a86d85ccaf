package generate_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tareml/tare/internal/families"
	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/modelfile/generate"
	"github.com/tareml/tare/modelpack"
)

var update = flag.Bool("update", false, "write what is generated for testdata/models back to it")

// Each archive in testdata/models is a published model: its files as they are
// listed where it is published, its small ones, and what is to be made of them.
// The first line of its comment is the name of the directory, and an option may
// follow. The listing has a file a line:
//
//	PATH SIZE                       zeros, or what the extension promises, of about that size
//	PATH @st FAMILY                 safetensors with the tensors of package families
//	PATH @st DTYPE NAME:2x3 ...     safetensors with these
//	PATH @shards N FIRST FAMILY     N safetensors, counted from FIRST, with an index beside them
//	PATH @tf FAMILY                 the index of a checkpoint in one shard
//	PATH @torch SIZE                what torch.save writes; also @pickle, @hdf5, @onnx, @openvino
//	PATH @gguf TYPE FILETYPE        Llama 3.1 8B as GGUF, its tensors of one type
//	PATH @gguf TYPE FILETYPE NO OF  one of the parts that this is split into
//	PATH @modelscope ID             what ModelScope's tools write into .mdl
//
// Files that the archive has are not in the listing. go test -run Models -update
// writes Modelfile and notes.
func TestModels(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files of many gigabytes have no holes here")
	}
	names, err := filepath.Glob("testdata/models/*.txtar")
	if err != nil || len(names) < 16 {
		t.Fatalf("%d models, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { testModel(t, name) })
	}
}

func testModel(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	title, option, _ := strings.Cut(strings.SplitN(string(archive.Comment), "\n", 2)[0], " ")
	dir := tree(t, title, nil)
	var made []string
	sections := make(map[string]*txtar.File)
	for i := range archive.Files {
		f := &archive.Files[i]
		switch f.Name {
		case "listing":
			for line := range strings.Lines(string(f.Data)) {
				made = append(made, writeListed(t, dir, strings.Fields(line))...)
			}
		case "want/Modelfile", "want/notes":
			sections[f.Name] = f
		default:
			writeModelFile(t, dir, f.Name, weightstest.NewFile(f.Data))
			made = append(made, f.Name)
		}
	}
	result := run(t, dir, generate.Options{DedupeFormats: option == "dedupe", Modctl: option == "modctl"})
	got := map[string]string{"want/Modelfile": string(result.File.Format()), "want/notes": lines(result.Warnings, result.Notes, result.Counts)}
	if *update {
		archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return sections[f.Name] != nil })
		for _, name := range slices.Sorted(maps.Keys(got)) {
			f := txtar.File{Name: name, Data: []byte(got[name])}
			archive.Files = append(archive.Files, f)
			sections[name] = &f
		}
		if err := os.WriteFile(name, txtar.Format(archive), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if sections[name] == nil || string(sections[name].Data) != got[name] {
			t.Errorf("%s is\n%s", name, got[name])
		}
	}
	taken := survey(t, dir, reparsed(t, result.File))
	for kind, paths := range taken {
		if want := result.Counts[kind].Files; len(paths) != want {
			t.Errorf("%d files are taken as %s, not %d", len(paths), kind, want)
		}
	}
	if all := slices.Concat(slices.Collect(maps.Values(taken))...); option == "" && len(all) > len(made) {
		t.Errorf("%d files are taken of %d", len(all), len(made))
	}
}

func lines(warnings, notes []string, counts map[modelpack.Kind]generate.Count) string {
	var out strings.Builder
	for _, w := range warnings {
		fmt.Fprintf(&out, "warning: %s\n", w)
	}
	for _, n := range notes {
		fmt.Fprintf(&out, "note: %s\n", n)
	}
	for _, kind := range modelpack.Kinds() {
		if c := counts[kind]; c.Files > 0 {
			fmt.Fprintf(&out, "%s: %d files, %d bytes\n", kind, c.Files, c.Bytes)
		}
	}
	return out.String()
}

func writeModelFile(t *testing.T, dir, name string, f *weightstest.File) {
	t.Helper()
	full := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(full); err != nil {
		t.Fatal(err)
	}
}

// writeListed makes the files of a line of the listing and says which.
func writeListed(t *testing.T, dir string, fields []string) []string {
	t.Helper()
	if len(fields) < 2 {
		t.Fatalf("listing: %q is no file", fields)
	}
	name, maker, args := fields[0], fields[1], fields[2:]
	if maker == "@shards" {
		return writeShards(t, dir, name, args)
	}
	writeModelFile(t, dir, name, makeFile(t, name, maker, args))
	return []string{name}
}

func makeFile(t *testing.T, name, maker string, args []string) *weightstest.File {
	t.Helper()
	size := int64(0)
	if len(args) > 0 {
		size, _ = strconv.ParseInt(args[0], 10, 64)
	}
	switch maker {
	case "@st":
		return weightstest.Safetensors(map[string]string{"format": "pt"}, tensorsOf(t, args)...)
	case "@tf":
		return weightstest.Checkpoint(1, tensorsOf(t, args)...)
	case "@gguf":
		return ggufFile(t, args[0], args[1], args[2:])
	case "@modelscope":
		return weightstest.NewFile(fmt.Appendf(nil, "\x80\x04\x95%s}\x94\x8c\x02id\x94\x8c%c%s\x94s.",
			binary.LittleEndian.AppendUint64(nil, uint64(len(args[0])+12)), len(args[0]), args[0]))
	case "@torch":
		return weightstest.Torch("archive", size)
	case "@onnx":
		return onnxFile(size)
	case "@openvino":
		return weightstest.NewFile([]byte("<?xml version=\"1.0\"?>\n<net name=\"Model0\" version=\"11\">\n\t<layers>\n\t\t<layer id=\"0\" name=\"input_ids\" type=\"Parameter\" version=\"opset1\"/>\n\t</layers>\n</net>\n"))
	}
	heads := map[string]string{"@pickle": "\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94.", "@hdf5": "\x89HDF\r\n\x1a\n"}
	f := weightstest.NewFile([]byte(heads[maker]))
	if heads[maker] == "" {
		f = plainFile(filepath.Ext(name))
		var err error
		if size, err = strconv.ParseInt(maker, 10, 64); err != nil {
			t.Fatalf("listing: %s has no size", name)
		}
	}
	f.Truncate(max(size, f.Size()))
	return f
}

// plainFile starts as files with an extension do.
func plainFile(ext string) *weightstest.File {
	heads := map[string]string{
		".json": "{}", ".md": "# Model\n", ".txt": "text\n", ".py": "pass\n", ".png": "\x89PNG\r\n\x1a\n", ".jpg": "\xff\xd8\xff", ".wav": "RIFF\x00\x01\x00\x00WAVEfmt ",
		".pb":    "\x08\x01\x12\x06\x0a\x04abcd",
		".model": "\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02\x0a\x05\x0a\x03abc", ".metal": "#\n", ".gitattributes": "*.bin filter=lfs\n",
	}
	return weightstest.NewFile([]byte(heads[ext]))
}

// tensorsOf are those of a family, or those that are spelt out.
func tensorsOf(t *testing.T, args []string) []weightstest.Tensor {
	t.Helper()
	if tensors, ok := families.Named(args[0]); ok {
		return tensors
	}
	var tensors []weightstest.Tensor
	for _, arg := range args[1:] {
		name, dims, _ := strings.Cut(arg, ":")
		tensor := weightstest.T(name, args[0])
		for dim := range strings.SplitSeq(dims, "x") {
			n, err := strconv.ParseInt(dim, 10, 64)
			if err != nil {
				t.Fatalf("listing: %q is no tensor", arg)
			}
			tensor.Shape = append(tensor.Shape, n)
		}
		tensors = append(tensors, tensor)
	}
	return tensors
}

func writeShards(t *testing.T, dir, name string, args []string) []string {
	t.Helper()
	n, err := strconv.Atoi(args[0])
	first, err2 := strconv.Atoi(args[1])
	if err != nil || err2 != nil {
		t.Fatalf("listing: %s has no number of shards", name)
	}
	files := make(map[string][]weightstest.Tensor)
	var names []string
	stem := strings.TrimSuffix(filepath.Base(name), ".safetensors")
	for i, tensors := range families.Shards(tensorsOf(t, args[2:]), n) {
		shard := fmt.Sprintf("%s-%05d-of-%05d.safetensors", stem, i+first, n+first-1)
		if n > 100 { // as DeepSeek has it
			shard = fmt.Sprintf("%s-%05d-of-%06d.safetensors", stem, i+first, n+first-1)
		}
		files[shard] = tensors
		in := filepath.ToSlash(filepath.Join(filepath.Dir(name), shard))
		writeModelFile(t, dir, in, weightstest.Safetensors(map[string]string{"format": "pt"}, tensors...))
		names = append(names, in)
	}
	index := name + ".index.json"
	writeModelFile(t, dir, index, families.Index(files))
	return append(names, index)
}

// onnxFile is an ONNX model of about a size: a weight of floats in bytes of zeros.
func onnxFile(size int64) *weightstest.File {
	message := func(field byte, length int64, start []byte) []byte {
		return append(varint([]byte{field<<3 | 2}, length), start...)
	}
	raw := (size - 100) / 4 * 4
	tensor := slices.Concat(varint([]byte{1 << 3}, raw/4), []byte{2 << 3, 1, 8<<3 | 2, 1, 'w'}, message(9, raw, nil))
	graph := slices.Concat(message(2, 4, []byte("main")), message(5, int64(len(tensor))+raw, tensor))
	file := slices.Concat([]byte{1 << 3, 8}, message(8, 2, []byte{2 << 3, 17}), message(7, int64(len(graph))+raw, graph))
	f := weightstest.NewFile(file)
	f.Truncate(f.Size() + raw)
	return f
}

func varint(b []byte, n int64) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// ggufFile is Llama 3.1 8B with tensors of one type, or a part of it: which one,
// from 0, and of how many.
func ggufFile(t *testing.T, dtype, fileType string, part []string) *weightstest.File {
	t.Helper()
	numbers := []int{0, 1}
	for i, s := range slices.Concat([]string{fileType}, part) {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("listing: %q is no number", s)
		}
		if i > 0 {
			numbers[i-1] = n
		}
	}
	number, _ := strconv.ParseUint(fileType, 10, 32)
	no, of := numbers[0], numbers[1]
	pairs := weightstest.Pairs(
		"general.architecture", "llama", "general.type", "model", "general.name", "Meta Llama 3.1 8B Instruct", "general.finetune", "Instruct",
		"general.basename", "Meta-Llama-3.1", "general.size_label", "8B", "general.license", "llama3.1", "general.languages", []string{"en", "de", "fr"},
		"llama.block_count", uint32(32), "llama.context_length", uint32(131072), "llama.embedding_length", uint32(4096),
		"general.file_type", uint32(number), "general.quantization_version", uint32(2), "tokenizer.ggml.model", "gpt2")
	tensors := ggufTensors(dtype)
	if of > 1 {
		if no > 0 {
			pairs = nil // the first part has them
		}
		pairs = append(pairs, weightstest.Pairs("split.no", uint32(no), "split.count", uint32(of), "split.tensors.count", int32(len(tensors)))...)
		tensors = families.Shards(tensors, of)[no]
	}
	return weightstest.GGUF(weightstest.GGUFVersion{}, pairs, tensors...)
}

func ggufTensors(dtype string) []weightstest.Tensor {
	output := "Q6_K"
	if dtype == "F32" || dtype == "Q8_0" {
		output = dtype
	}
	tensors := []weightstest.Tensor{weightstest.T("token_embd.weight", dtype, 128256, 4096), weightstest.T("output.weight", output, 128256, 4096), weightstest.T("output_norm.weight", "F32", 4096)}
	for i := range 32 {
		in := fmt.Sprintf("blk.%d.", i)
		tensors = append(tensors,
			weightstest.T(in+"attn_norm.weight", "F32", 4096), weightstest.T(in+"ffn_norm.weight", "F32", 4096),
			weightstest.T(in+"attn_q.weight", dtype, 4096, 4096), weightstest.T(in+"attn_k.weight", dtype, 1024, 4096),
			weightstest.T(in+"attn_v.weight", dtype, 1024, 4096), weightstest.T(in+"attn_output.weight", dtype, 4096, 4096),
			weightstest.T(in+"ffn_gate.weight", dtype, 14336, 4096), weightstest.T(in+"ffn_up.weight", dtype, 14336, 4096),
			weightstest.T(in+"ffn_down.weight", dtype, 4096, 14336))
	}
	return tensors
}
