package generate

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/tareml/tare/modelfile"
)

func TestParseFront(t *testing.T) {
	bomb := "tags: &a [x,x,x,x,x,x,x,x,x]\ndatasets: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nlanguage: [*b,*b,*b,en]\nlicense: *a\n"
	tests := []struct {
		name, text string
		want       front
		err        string
	}{
		{"nothing", "", nil, ""},
		{"lists and words", "license: mit\nlanguage:\n- en\n- \"zh\"\n", front{"license": {"mit"}, "language": {"en", "zh"}}, ""},
		{"Norwegian is no boolean", "language: [no, yes]\n", front{"language": {"no", "yes"}}, ""},
		{"other keys", "model-index:\n- name: x\n", nil, ""},
		{"other keys that are broken", "a: [\nlicense: mit\nmodel-index: {\n", front{"license": {"mit"}}, ""},
		{"a list over lines", "language: [en,\n  zh\n]\ntags:\n- a:b\n# c: d\n- e\n", front{"language": {"en", "zh"}, "tags": {"a:b", "e"}}, ""},
		{"null and maps", "license: ~\nlanguage: {a: b}\ndatasets: [{a: b}, c, null]\n", front{"license": nil, "language": nil, "datasets": {"c"}}, ""},
		{"the first of two", "license: mit\nlicense: apache-2.0\n", front{"license": {"mit"}}, ""},
		{"aliases are not followed", bomb, front{"tags": {"x", "x", "x", "x", "x", "x", "x", "x", "x"}, "datasets": nil, "language": {"en"}, "license": nil}, ""},
		{"no map", "- a\n", nil, ""},
		{"broken", "license: [\n", nil, "did not find expected"},
		{"large", "license: " + strings.Repeat("x", maxFront), nil, "it is larger than 64 KiB"},
		{"nested", "license: " + strings.Repeat("[", maxFront/2), nil, "exceeded max depth"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseFront([]byte(tt.text))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("got error %v, want %q", err, tt.err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSplitFront(t *testing.T) {
	for _, tt := range []struct{ data, front, text string }{
		{"---\na: b\n---\ntext\n", "a: b\n", "text\n"},
		{"\xef\xbb\xbf---\r\na: b\r\n---\r\ntext", "a: b\n", "text"},
		{"---\n---", "", ""},
		{"---\na: b\n--- \nx", "a: b\n", "x"},
		{"---\na: b\n", "", "---\na: b\n"},
		{"# title\n---\na: b\n---\n", "", "# title\n---\na: b\n---\n"},
		{"", "", ""},
	} {
		front, text := splitFront([]byte(tt.data))
		if string(front) != tt.front || string(text) != tt.text {
			t.Errorf("%q: got %q and %q", tt.data, front, text)
		}
	}
}

func FuzzParseFront(f *testing.F) {
	f.Add("license: mit\nlanguage: [en, zh]\n")
	f.Add("a: &a [*a]\nlanguage: *a\n")
	f.Add("base_model:\n  - x/y\n? {a: b}\n: c\n")
	f.Fuzz(func(t *testing.T, text string) {
		yaml, _ := splitFront([]byte("---\n" + text + "\n---\n"))
		meta, err := parseFront(yaml)
		if err != nil {
			return
		}
		for _, code := range languageCodes(meta["language"]) {
			if len(code) < 2 || len(code) > 3 {
				t.Errorf("language %q", code)
			}
		}
		for _, url := range new(study).datasetURLs("", meta["datasets"]) {
			if strings.ContainsAny(url, " \n\"") {
				t.Errorf("URL %q", url)
			}
		}
		if id := licenseID(meta.first("license"), meta.first("license_name")); strings.ContainsAny(id, " \n\"") {
			t.Errorf("licence %q", id)
		}
		if base := cardBase(meta); base.bases != nil {
			_ = base.behind(text)
		}
	})
}

func TestLanguageCodes(t *testing.T) {
	got := languageCodes([]string{"en", "EN", "English", "zh-CN", "pt_BR", "multilingual", "code", "jp", "cmn", "no", "mul", "python", "", "yue"})
	if want := []string{"en", "zh", "pt", "cmn", "no", "yue"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDatasetURLs(t *testing.T) {
	for _, tt := range []struct{ id, want, note string }{
		{"org/set", "https://huggingface.co/datasets/org/set", ""},
		{"squad", "https://huggingface.co/datasets/squad", ""},
		{"https://huggingface.co/datasets/a/b", "https://huggingface.co/datasets/a/b", ""},
		{"https://example.com/d", "https://example.com/d", ""},
		{"http://example.com/d/", "http://example.com/d", ""},
		{"https://user:secret@example.com/d?key=secret", "https://example.com/d", "a user, a password or a query"},
		{"https://example.com/hf_" + strings.Repeat("a", 30), "", "a user, a password or a query"},
		{"our own data", "", ""},
		{"a/b/c", "", ""},
		{"../x", "", ""},
		{"a/..", "", ""},
		{"file:///home/me/data", "", ""},
		{"https://example.com/\u202egpj", "", ""},
		{"https://example.com/" + strings.Repeat("a", mostAddress), "", ""},
	} {
		var said notes
		s := study{notes: &said}
		got := strings.Join(s.datasetURLs("from README.md", []string{tt.id}), " ")
		if got != tt.want || !strings.Contains(strings.Join(said, ""), tt.note) || strings.Contains(strings.Join(said, ""), "secret") {
			t.Errorf("%.60q: got %q and notes %q, want %q and %q", tt.id, got, said, tt.want, tt.note)
		}
	}
}

func TestDescription(t *testing.T) {
	long := strings.Repeat("word ", 60)
	for _, tt := range []struct{ name, text, want string }{
		{"after a heading", "# Title\n\nA model of words and little else.\n\nMore.", "A model of words and little else."},
		{"below a heading", "# Title\nA model of words,\nand little else.\n", "A model of words, and little else."},
		{"after badges and HTML", "<p align=\"center\">\n<img src=\"x\">\n</p>\n\n[![x](y)](z)\n![a](b)\n\nA model of words and little else.", "A model of words and little else."},
		{"links and marks", "We made **this** model with [care](https://x.example/y) and `code`.", "We made this model with care and code."},
		{"the first sentence", "A model that knows words. Another thing: " + long, "A model that knows words."},
		{"long", long, ""},
		{"short", "Hello.", ""},
		{"a table", "| a | b |\n|---|---|\n| 1 | 2 |\n\nA model of words and little else.", ""},
		{"a list", "- this is an item of a list\n- and that one too", ""},
		{"HTML inside", "A model <b>of words</b> and little else.", ""},
		{"an address", "See https://example.com for all the details of this.", ""},
		{"an introduction to a list", "The models that are in this repository:", ""},
		{"code", "```python\nimport x\n```", ""},
		{"nothing", "", ""},
		{"control characters", "A model of words \x1b[31m and little else.", ""},
		{"text that runs backwards", "A model of words \u202eand little else.", ""},
		{"a token", "A model of words to be had with hf_" + strings.Repeat("a", 30) + " only.", ""},
	} {
		if got := description(tt.text); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestCardBase(t *testing.T) {
	for _, tt := range []struct {
		meta front
		want string
	}{
		{front{"base_model": {"Qwen/Qwen3-8B"}, "base_model_relation": {"quantized"}}, "quantised from Qwen/Qwen3-8B"},
		{front{"base_model": {"https://huggingface.co/a/b", "c/d", "a/b"}, "base_model_relation": {"merge"}}, "merged from a/b and c/d"},
		{front{"base_model": {"a/b", "c/d", "e/f", "g/h", "i/j"}, "base_model_relation": {"merge"}}, "merged from a/b, c/d, e/f and 2 more"},
		{front{"base_model": {"Qwen/Qwen3-8B"}}, "based on Qwen/Qwen3-8B"},
		{front{"base_model": {"/home/me/model"}, "base_model_relation": {"finetune"}}, ""},
	} {
		got := ""
		if r := cardBase(tt.meta); r.bases != nil {
			got = r.String()
		}
		if got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.meta, got, tt.want)
		}
	}
}

// What the model was made from is behind whatever else is said of it.
func TestDescriptionNamesTheBase(t *testing.T) {
	long := "A model that " + strings.Repeat("knows words and ", 13) + "little else"
	front := "---\nbase_model: [Qwen/Qwen3-8B]\n%s---\n# Title\n\n%s\n"
	adapter := `{"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen3-8B"}`
	for _, tt := range []struct {
		name  string
		files model
		want  string
	}{
		{"alone", model{"README.md": fmt.Sprintf(front, "", "")}, "based on Qwen/Qwen3-8B (from README.md)"},
		{"behind a text", model{"README.md": fmt.Sprintf(front, "", "A model of words and little else.")},
			"A model of words and little else. Based on Qwen/Qwen3-8B. (from README.md)"},
		{"a text without a full stop", model{"README.md": fmt.Sprintf(front, "base_model_relation: quantized\n", "A model of words and little else")},
			"A model of words and little else. Quantised from Qwen/Qwen3-8B. (from README.md)"},
		{"a text that names it", model{"README.md": fmt.Sprintf(front, "", "A model of words, made from Qwen/Qwen3-8B.")},
			"A model of words, made from Qwen/Qwen3-8B. (from README.md)"},
		{"an adapter", model{"adapter_config.json": adapter, "README.md": "---\nlicense: mit\n---\nA model of words and little else.\n"},
			"A model of words and little else. LoRA adapter for Qwen/Qwen3-8B. (from README.md and adapter_config.json)"},
		{"a long text", model{"README.md": strings.Replace(fmt.Sprintf(front, "", long), "Qwen/Qwen3-8B", "o/"+strings.Repeat("n", 96), 1)},
			long[:strings.LastIndex(long[:210], " ")] + "… Based on o/" + strings.Repeat("n", 96) + ". (from README.md)"},
		{"no base", model{"README.md": "A model of words and little else.\n"}, "A model of words and little else. (from README.md)"},
	} {
		tt.files["m.dlc"] = "x"
		facts, _ := described(t, tt.files.write(t, "x"), Options{Name: "x", Format: "x"})
		got := ""
		for _, f := range facts {
			if f.command == modelfile.Description {
				got = f.value + " (" + f.source + ")"
			}
		}
		if got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, tt := range []struct {
		text string
		most int
		want string
	}{
		{"short", 5, "short"},
		{"A model that knows words. It knows little else.", 40, "A model that knows words."},
		{"A model that knows words, and a number of other things.", 28, "A model that knows words…"},
		{strings.Repeat("字", 30), 10, strings.Repeat("字", 9) + "…"},
	} {
		if got := shorten(tt.text, tt.most); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

// Tags count where there is no pipeline_tag, and the library where nothing else tells.
func TestCardModalities(t *testing.T) {
	for _, tt := range []struct{ front, want string }{
		{"tags: [pytorch, text-to-image]", "INPUT text\nOUTPUT image\n"},
		{"tags: [text-generation, conversational]", "INPUT text\nOUTPUT text\n"},
		{"tags: [text-generation, text-to-image]", ""},
		{"tags: [text-to-image]\npipeline_tag: text-generation", "INPUT text\nOUTPUT text\n"},
		{"library_name: sentence-transformers", "INPUT text\nOUTPUT embedding\n"},
		{"library_name: sentence-transformers\npipeline_tag: text-ranking", "INPUT text\nOUTPUT other\n"},
		{"library_name: diffusers", "ARCH diffusion\n"},
		{"library_name: transformers", ""},
	} {
		files := model{"README.md": "---\n" + tt.front + "\n---\n", "m.dlc": "x"}
		facts, _ := described(t, files.write(t, "x"), Options{Name: "x", Format: "x"})
		if got := withoutGiven(lines(facts, true)); got != strings.ReplaceAll(tt.want, "\n", " (from README.md)\n") {
			t.Errorf("%s: got\n%s", tt.front, got)
		}
	}
}
