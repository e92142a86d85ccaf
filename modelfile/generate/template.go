package generate

import (
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/weights"
)

// chatTemplate is a Jinja template that makes a prompt of a chat.
type chatTemplate struct{ name, text, file string }

// templates finds the chat templates of the model, from where libraries look
// first.
func (s *study) templates() []chatTemplate {
	const plain, tokenizer = "chat_template.jinja", "tokenizer_config.json"
	if s.paths[plain] {
		text, err := readBounded(s.fsys, plain, maxText)
		if err != nil {
			s.notes.add("nothing was taken from %s: %v", plain, err)
			return nil
		}
		return []chatTemplate{{text: string(text), file: plain}}
	}
	for _, file := range [...]string{"chat_template.json", "processor_config.json", tokenizer} {
		if o := s.object(file); o.has("chat_template") {
			return templatesIn(o, file)
		}
	}
	return s.ggufTemplates()
}

// templatesIn reads chat_template: a string, or a list of {"name", "template"}.
func templatesIn(o object, file string) []chatTemplate {
	if text := o.string("chat_template"); text != "" {
		return []chatTemplate{{text: text, file: file}}
	}
	var all []chatTemplate
	for _, item := range get[[]json.RawMessage](o, "chat_template") {
		var t struct{ Name, Template string }
		if json.Unmarshal(item, &t) == nil {
			all = append(all, chatTemplate{t.Name, t.Template, file})
		}
	}
	return all
}

// ggufTemplates takes the one of the first GGUF file: the others are the same
// model's.
func (s *study) ggufTemplates() []chatTemplate {
	files := s.weightFiles("gguf")
	for _, f := range files[:min(len(files), mostGGUF)] {
		var text string
		err := s.header(f.path, func(r io.ReaderAt, size int64) error {
			h, err := weights.ReadGGUF(r, size, nil)
			if err == nil {
				text = h.ChatTemplate()
			}
			return err
		})
		if err == nil && text != "" {
			return []chatTemplate{{text: text, file: f.path}}
		}
	}
	return nil
}

// baseModel knows the names of models that were not taught to chat. They often
// come with the template of those that were.
var baseModel = regexp.MustCompile(`(?i)[-_.](base|pt|pretrain|pretrained)$`)

// sayTemplate states what the chat template shows that a model can do. What it
// does not show is not denied.
func (s *study) sayTemplate() {
	if out := s.values(modelfile.Output); out != nil && !slices.Contains(out, "text") {
		return
	}
	if slices.ContainsFunc(s.values(modelfile.Name), baseModel.MatchString) {
		return
	}
	for _, t := range s.templates() {
		code := parseJinja(t.text)
		if code.reasons(t.text) {
			s.say(modelfile.Reasoning, "from the chat template in "+t.file, "true")
		}
		if code.usesTools() || t.name == "tool_use" {
			s.say(modelfile.ToolUsage, "from the chat template in "+t.file, "true")
		}
	}
}

// jinja is what matters of a template: the names that its code uses, and its
// strings.
type jinja struct {
	names   map[string]bool
	strings []string
}

// parseJinja takes a template apart, well enough to tell names from text.
func parseJinja(text string) jinja {
	j := jinja{names: make(map[string]bool)}
	for {
		open := strings.IndexByte(text, '{')
		if open < 0 || open+1 >= len(text) {
			return j
		}
		text = text[open+1:]
		switch text[0] {
		case '#':
			_, text, _ = strings.Cut(text, "#}")
		case '%':
			text = j.code(text[1:], "%}")
		case '{':
			text = j.code(text[1:], "}}")
		}
	}
}

// code reads up to the end of a block and returns what follows.
func (j *jinja) code(text, end string) string {
	for text != "" {
		c := text[0]
		switch {
		case strings.HasPrefix(text, end):
			return text[len(end):]
		case c == '\'' || c == '"':
			text = j.literal(text[1:], c)
		case isNameByte(c):
			n := 1
			for n < len(text) && isNameByte(text[n]) {
				n++
			}
			j.names[text[:n]] = true
			text = text[n:]
		default:
			text = text[1:]
		}
	}
	return ""
}

func (j *jinja) literal(text string, quote byte) string {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case quote:
			j.strings = append(j.strings, text[:i])
			return text[i+1:]
		}
	}
	return ""
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// thinkingSwitches are names by which templates let a caller say whether or how
// much the model is to think.
var thinkingSwitches = [...]string{"enable_thinking", "reasoning_effort", "thinking_budget", "thinking"}

// emptyThought is what a prompt ends with to keep a model from thinking.
var emptyThought = regexp.MustCompile(`<think>(\\n|\s)*</think>`)

// reasons says whether the template has a switch for thinking, or ends the prompt
// with the start of a thought. That it takes thoughts out of past answers is no
// sign: so do templates of models that have none.
func (j jinja) reasons(text string) bool {
	for _, name := range thinkingSwitches {
		if j.names[name] {
			return true
		}
	}
	at := strings.LastIndex(text, "add_generation_prompt")
	if at < 0 {
		return strings.Contains(text, "[THINK]")
	}
	prompt := emptyThought.ReplaceAllString(text[at:], "")
	return strings.Contains(prompt, "<think>") || strings.Contains(text, "[THINK]")
}

var toolRefusal = regexp.MustCompile(`(?i)tool.*(not|n't) support|(not|n't) support.*tool`)

// usesTools says whether the template tells the model which tools there are.
func (j jinja) usesTools() bool {
	return (j.names["tools"] || j.names["available_tools"]) && !slices.ContainsFunc(j.strings, toolRefusal.MatchString)
}
