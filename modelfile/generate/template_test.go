package generate

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestTemplate(t *testing.T) {
	const prompt = "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
	tests := []struct{ name, text, want string }{
		{"plain", "{% for message in messages %}{{ message['content'] }}{% endfor %}" + prompt + "{% endif %}", ""},
		{"a switch", prompt + "{% if enable_thinking is defined %}{{ '<think>\\n\\n</think>' }}{% endif %}{% endif %}", "REASONING"},
		{"a thought is begun", prompt + "{{ '<think>\\n' }}{% endif %}", "REASONING"},
		{"effort", "{{ reasoning_effort }}", "REASONING"},
		{"thinking is ended at once", prompt + "{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}", ""},
		{"old thoughts are taken out", "{% if '</think>' in content %}{{ content.split('</think>')[-1] }}{% endif %}" + prompt + "{% endif %}", ""},
		{"a mark of Mistral", "{{ '[THINK]' }}", "REASONING"},
		{"tools", "{%- if tools %}{{ tools | tojson }}{% endif %}", "TOOLUSAGE"},
		{"tools in prose", "You may use tools. {{ 'You have tools' }}{# tools #}{{ mytools }}", ""},
		{"tools are refused", "{% if tools %}{{ raise_exception('Tools are not supported') }}{% endif %}", ""},
		{"answers of tools only", "{% if message.tool_calls %}{% endif %}", ""},
		{"both", "{{ tools }}{% if thinking %}{% endif %}", "REASONING TOOLUSAGE"},
		{"a quote in a string", `{{ 'it\'s tools' }}`, ""},
		{"cut off", "{{ 'tools", ""},
		{"cut off in a block", "{% tools", "TOOLUSAGE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := said(t, model{"chat_template.jinja": tt.text}, "x"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// said lists the commands on templates that are stated.
func said(t *testing.T, files model, name string) string {
	t.Helper()
	files["m.h5"] = "x"
	facts, _ := described(t, files.write(t, name), Options{Format: "x"})
	var commands []string
	for _, f := range facts {
		if strings.HasPrefix(f.source, "from the chat template in ") {
			commands = append(commands, f.command)
		}
	}
	return strings.Join(commands, " ")
}

func TestWhereTemplatesAre(t *testing.T) {
	const both = "{{ tools }}{{ enable_thinking }}"
	quoted, _ := json.Marshal(both)
	inList := `{"chat_template": [{"name": "default", "template": ""}, {"name": "tool_use", "template": "x"}, 7]}`
	for _, tt := range []struct {
		name  string
		dir   string
		files model
		want  string
	}{
		{"of the tokenizer", "x", model{"tokenizer_config.json": `{"chat_template": ` + string(quoted) + `}`}, "REASONING TOOLUSAGE"},
		{"of the processor", "x", model{"chat_template.json": `{"chat_template": ` + string(quoted) + `}`, "tokenizer_config.json": `{"chat_template": "x"}`}, "REASONING TOOLUSAGE"},
		{"a list", "x", model{"tokenizer_config.json": inList}, "TOOLUSAGE"},
		{"a file of its own comes first", "x", model{"chat_template.jinja": "x", "tokenizer_config.json": `{"chat_template": ` + string(quoted) + `}`}, ""},
		{"a base model", "Qwen3-0.6B-Base", model{"chat_template.jinja": both}, ""},
		{"an embedding model", "x", model{"chat_template.jinja": both, "README.md": "---\npipeline_tag: feature-extraction\n---\n"}, ""},
		{"none", "x", model{"tokenizer_config.json": `{"chat_template": null}`}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := said(t, tt.files, tt.dir); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("{% if tools %}{{ 'a\\'b' }}{# x #}{% endif %}{{ add_generation_prompt }}<think>")
	f.Add("{{{{%%}}'")
	f.Fuzz(func(t *testing.T, text string) {
		j := parseJinja(text)
		j.reasons(text)
		if j.usesTools() && !strings.Contains(text, "tools") {
			t.Error("tools from nowhere")
		}
		for name := range j.names {
			if name == "" || !strings.Contains(text, name) {
				t.Errorf("name %q from nowhere", name)
			}
		}
	})
}
