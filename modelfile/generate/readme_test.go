package generate

import (
	"reflect"
	"strings"
	"testing"
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
		for _, url := range datasetURLs(meta["datasets"]) {
			if strings.ContainsAny(url, " \n\"") {
				t.Errorf("URL %q", url)
			}
		}
		if id := licenseID(meta.first("license"), meta.first("license_name")); strings.ContainsAny(id, " \n\"") {
			t.Errorf("licence %q", id)
		}
		_ = relation(meta)
	})
}

func TestLanguageCodes(t *testing.T) {
	got := languageCodes([]string{"en", "EN", "English", "zh-CN", "pt_BR", "multilingual", "code", "jp", "cmn", "no", "mul", "python", "", "yue"})
	if want := []string{"en", "zh", "pt", "cmn", "no", "yue"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDatasetURLs(t *testing.T) {
	got := datasetURLs([]string{"org/set", "squad", "https://huggingface.co/datasets/a/b", "our own data", "a/b/c", "../x", "a/..", "https://example.com/x"})
	want := []string{"https://huggingface.co/datasets/org/set", "https://huggingface.co/datasets/squad", "https://huggingface.co/datasets/a/b"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
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
	} {
		if got := description(tt.text); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRelation(t *testing.T) {
	for _, tt := range []struct {
		meta front
		want string
	}{
		{front{"base_model": {"Qwen/Qwen3-8B"}, "base_model_relation": {"quantized"}}, "quantised from Qwen/Qwen3-8B"},
		{front{"base_model": {"https://huggingface.co/a/b", "c/d"}, "base_model_relation": {"merge"}}, "merged from a/b and c/d"},
		{front{"base_model": {"Qwen/Qwen3-8B"}}, "based on Qwen/Qwen3-8B"},
		{front{"base_model": {"/home/me/model"}, "base_model_relation": {"finetune"}}, ""},
	} {
		if got := relation(tt.meta); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.meta, got, tt.want)
		}
	}
}
