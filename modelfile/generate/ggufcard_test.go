package generate

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/modelfile"
)

// gguf is a file of a million parameters, unless told otherwise.
func gguf(pairs ...any) *weightstest.File {
	return weightstest.GGUF(weightstest.GGUFVersion{}, weightstest.Pairs(pairs...), tensor("a.weight", "F16", 1000, 1000))
}

// fullCard is the metadata of a file that says all there is to say.
func fullCard(more ...any) []any {
	return append([]any{
		"general.architecture", "qwen3moe", "general.type", "model", "general.name", "Qwen3 Tiny 1M Instruct", "general.basename", "Qwen3-Tiny",
		"general.finetune", "Instruct", "general.version", "v1.1", "general.size_label", "1M", "general.author", "Jane  Doe", "general.organization", "Qwen",
		"general.description", "A model of **words** and little else.", "general.url", "https://qwen.example/tiny",
		"general.license", "other", "general.license.name", "qwen", "general.license.link", "https://qwen.example/LICENSE",
		"general.languages", []string{"en"}, "general.tags", []string{"chat", "text-generation"}, "general.datasets", []string{"org/set", "https://data.example/d"},
		"general.source.url", "https://huggingface.co/Qwen/Qwen3-Tiny", "general.base_model.count", uint32(1),
		"general.base_model.0.name", "Qwen3 Base", "general.base_model.0.organization", "Qwen", "general.base_model.0.repo_url", "https://huggingface.co/Qwen/Qwen3-Base",
		"qwen3moe.context_length", uint32(40960), "qwen3moe.expert_count", uint32(128), "qwen3moe.expert_used_count", uint32(8),
	}, more...)
}

func TestGGUFCard(t *testing.T) {
	const card = `
		ARCH transformer (from a.gguf: context length 40960, 128 experts, 8 of them used)
		FAMILY qwen3moe (from a.gguf: context length 40960, 128 experts, 8 of them used)
		PARAMSIZE 1M (from a.gguf)
		PRECISION float16 (from a.gguf)
		VERSION v1.1 (from a.gguf)
		TITLE Qwen3 Tiny 1M Instruct (from a.gguf)
		DESCRIPTION A model of words and little else. Based on Qwen/Qwen3-Base. (from a.gguf)
		AUTHOR Jane Doe (from a.gguf)
		VENDOR Qwen (from a.gguf)
		LICENSE LicenseRef-qwen (from a.gguf: its text is at https://qwen.example/LICENSE)
		DOCURL https://qwen.example/tiny (from a.gguf)
		SOURCEURL https://huggingface.co/Qwen/Qwen3-Tiny (from a.gguf)
		DATASETURL https://huggingface.co/datasets/org/set (from a.gguf)
		DATASETURL https://data.example/d (from a.gguf)
		LANGUAGE en (from a.gguf)
		INPUT text (from a.gguf)
		OUTPUT text (from a.gguf)`
	dir := model{"a.gguf": gguf(fullCard()...)}.write(t, "x")
	facts, said := described(t, dir, Options{Name: "x", Format: "x"})
	if got, want := withoutGiven(lines(facts, true)), outdent(card); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if len(said) > 0 {
		t.Errorf("got notes %q", said)
	}
}

func withoutGiven(facts string) string {
	var out strings.Builder
	for line := range strings.Lines(facts) {
		if !strings.Contains(line, "(as given)") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// valuesOf are those of a command, in the generated Modelfile.
func valuesOf(facts []fact, command string) (values []string) {
	for _, f := range facts {
		if f.command == command {
			values = append(values, f.value)
		}
	}
	return values
}

func TestGGUFCardDetails(t *testing.T) {
	token := "hf_" + strings.Repeat("a", 30)
	base := func(name, organization, url string) []any {
		return []any{"general.base_model.count", uint32(1), "general.base_model.0.name", name, "general.base_model.0.organization", organization, "general.base_model.0.repo_url", url}
	}
	readme := "---\nbase_model: org/nearer\nbase_model_relation: quantized\n---\n"
	tests := []struct {
		name    string
		files   model
		command string
		want    string
	}{
		{"a source by its repository", model{"a.gguf": gguf("general.source.huggingface.repository", "org/name")}, modelfile.SourceURL, "https://huggingface.co/org/name"},
		{"its own repository first", model{"a.gguf": gguf("general.source.url", "https://a.example/x", "general.repo_url", "https://b.example/y")}, modelfile.SourceURL, "https://b.example/y"},
		{"a source with a password", model{"a.gguf": gguf("general.repo_url", "https://me:secret@b.example/y?token=secret")}, modelfile.SourceURL, "https://b.example/y"},
		{"a source that is none", model{"a.gguf": gguf("general.repo_url", "file:///home/me/x")}, modelfile.SourceURL, ""},
		{"a source that runs backwards", model{"a.gguf": gguf("general.repo_url", "https://b.example/\u202ex")}, modelfile.SourceURL, ""},
		{"a commit of another repository", model{"a.gguf": gguf("general.repo_url", "https://b.example/y"),
			".cache/huggingface/download/a.gguf.metadata": commitA + "\n\"etag\"\n1700000000.0\n"}, modelfile.SourceURL, ""},
		{"authors", model{"a.gguf": gguf("general.authors", []string{"A", "B"})}, modelfile.Author, "A|B"},
		{"an author with escapes", model{"a.gguf": gguf("general.author", "A\x1b[31m")}, modelfile.Author, ""},
		{"an author who is a token", model{"a.gguf": gguf("general.author", "A "+token)}, modelfile.Author, ""},
		{"an author on two lines", model{"a.gguf": gguf("general.author", "A\nLICENSE MIT")}, modelfile.Author, "A LICENSE MIT"},
		{"a long vendor", model{"a.gguf": gguf("general.organization", strings.Repeat("a", mostWords+1))}, modelfile.Vendor, ""},
		{"a version without a number", model{"a.gguf": gguf("general.version", "Instruct")}, modelfile.Version, ""},
		{"a title that says nothing", model{"a.gguf": gguf("general.name", "Models")}, modelfile.Title, ""},
		{"a description with a token", model{"a.gguf": gguf("general.description", "To be had with the token "+token+" only.")}, modelfile.Description, ""},
		{"a base without an address", model{"a.gguf": gguf(base("Tiny Base", "Org", "")...)}, modelfile.Description, "based on Tiny Base (Org)"},
		{"a base elsewhere", model{"a.gguf": gguf(base("", "", "https://b.example/x?y")...)}, modelfile.Description, "based on https://b.example/x"},
		{"a base that is hostile", model{"a.gguf": gguf(base("a\x00b", "\u202e", "javascript:alert(1)")...)}, modelfile.Description, ""},
		{"the card knows a nearer base", model{"a.gguf": gguf(base("", "", "org/further")...), "README.md": readme}, modelfile.Description, "quantised from org/nearer"},
		{"an adapter", model{"a.gguf": gguf(append(base("", "", "https://huggingface.co/org/base"), "general.type", "adapter", "adapter.type", "lora")...)}, modelfile.Description, "LoRA adapter for org/base"},
		{"data sets of their own", model{"a.gguf": gguf("general.dataset.count", uint32(2), "general.dataset.0.repo_url", "https://huggingface.co/datasets/a/b", "general.dataset.1.name", "x")},
			modelfile.DatasetURL, "https://huggingface.co/datasets/a/b"},
		{"tags that disagree", model{"a.gguf": gguf("general.tags", []string{"text-generation", "text-to-image"})}, modelfile.Input, ""},
		{"files that disagree", model{"a.gguf": gguf("general.organization", "A"), "b.gguf": gguf("general.organization", "B")}, modelfile.Vendor, ""},
		{"files of which one is silent", model{"a.gguf": gguf("general.organization", "A"), "b.gguf": gguf()}, modelfile.Vendor, "A"},
		{"an absurd length of context", model{"a.gguf": gguf("general.architecture", "llama", "llama.context_length", uint64(1<<63))}, modelfile.Family, "llama"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			facts, said := described(t, tt.files.write(t, "x"), Options{Name: "x", Format: "x"})
			if got := strings.Join(valuesOf(facts, tt.command), "|"); got != tt.want {
				t.Errorf("got %s %q, want %q", tt.command, got, tt.want)
			}
			if all := lines(facts, true) + strings.Join(said, "\n"); strings.Contains(all, "secret") || strings.Contains(all, "1<<") || strings.Contains(all, "9223372036854775807") {
				t.Errorf("got\n%s", all)
			}
		})
	}
}

func TestGGUFSize(t *testing.T) {
	part := func(label string) *weightstest.File {
		return weightstest.GGUF(weightstest.GGUFVersion{}, weightstest.Pairs("general.size_label", label), tensor("a.weight", "F16", 1000, 1000))
	}
	const missing = `- 1 shard of 2 missing beside "m-00001-of-00002.gguf", number 2 first` + "\n"
	tests := []struct {
		name  string
		files model
		want  string
	}{
		{"close to the label", model{"m.gguf": part("1.2M")}, "PARAMSIZE 1M\n"},
		{"far from it", model{"m.gguf": part("7B")}, "PARAMSIZE 1M\n- \"m.gguf\" calls its size 7B, but its tensors have 1M parameters\n"},
		{"of an expert", model{"m.gguf": part("8x7B")}, "PARAMSIZE 1M\n"},
		{"a part", model{"m-00001-of-00002.gguf": part("0.6B")}, "PARAMSIZE 0.6B\n" + missing +
			"- not all tensors of \"m-00001-of-00002.gguf\" are here: PARAMSIZE is the size that its header names, 0.6B\n"},
		{"a part of no known size", model{"m-00001-of-00002.gguf": part("8x7B")}, missing +
			"- the parameters were not counted: \"m-00001-of-00002.gguf\" has only some of the tensors of the model, or none\n"},
		{"of the base", model{"m.gguf": gguf("general.type", "adapter", "general.size_label", "7B")}, "PARAMSIZE 1M\n"},
		{"words", model{"m-00001-of-00002.gguf": part("large\n")}, missing +
			"- the parameters were not counted: \"m-00001-of-00002.gguf\" has only some of the tensors of the model, or none\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			facts, said := described(t, tt.files.write(t, "x"), Options{Name: "x", Format: "x"})
			got := ""
			for _, v := range valuesOf(facts, modelfile.ParamSize) {
				got = "PARAMSIZE " + v + "\n"
			}
			for _, n := range said {
				got += "- " + n + "\n"
			}
			if got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

// The name of the directory counts, unless it is one that any directory could have.
func TestGGUFName(t *testing.T) {
	whole := gguf(fullCard()...)
	for _, tt := range []struct {
		dir  string
		file *weightstest.File
		want string
	}{
		{"My-Model", whole, "My-Model"},
		{"models", whole, "Qwen3-Tiny-1M-Instruct-v1.1"},
		{"tmp", gguf("general.name", "Some Model 2B"), "Some-Model-2B"},
		{"tmp", gguf("general.name", "tmp", "general.basename", "models"), "tmp"},
		{"gguf", gguf("general.name", "a\x1b[2J"), "gguf"},
		{"0123456789abcdef0123456789abcdef01234567", gguf("general.name", "Some Model"), "Some-Model"},
		{"models", gguf(), "models"},
	} {
		facts, _ := described(t, model{"a.gguf": tt.file}.write(t, tt.dir), Options{})
		if got := valuesOf(facts, modelfile.Name); !reflect.DeepEqual(got, []string{tt.want}) {
			t.Errorf("%s: got %q, want %q", tt.dir, got, tt.want)
		}
	}
}
