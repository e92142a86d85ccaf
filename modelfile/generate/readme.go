package generate

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tareml/tare/modelfile"
)

// card is what a model card says: the front matter of README.md, and its text.
type card struct {
	file string
	meta front
	text string // in Markdown
}

// front is the front matter, a list of values for each key.
type front map[string][]string

// first is the first value of a key, or empty.
func (f front) first(key string) string {
	if values := f[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Bounds on what is used of front matter.
const (
	maxFront  = 64 << 10
	maxValues = 256
	maxProse  = 64 << 10 // of the text behind it, in bytes
)

// readCard reads the model card. It never fails: one that cannot be used is a
// note.
func (s *study) readCard() card {
	i := slices.IndexFunc(s.files, func(f file) bool { return strings.EqualFold(f.path, "README.md") })
	if i < 0 {
		return card{}
	}
	c := card{file: s.files[i].path}
	data, err := readBounded(s.fsys, c.file, maxText)
	if err != nil {
		s.notes.add("nothing was taken from %s: %v", c.file, err)
		return c
	}
	yaml, text := splitFront(data)
	c.text = string(text[:min(len(text), maxProse)])
	if c.meta, err = parseFront(yaml); err != nil {
		s.notes.add("nothing was taken from the front matter of %s: %v", c.file, err)
	}
	return c
}

// splitFront takes the YAML between two lines of dashes off the start of a text.
func splitFront(data []byte) (front, text []byte) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	rest, ok := bytes.CutPrefix(data, []byte("---\n"))
	if !ok {
		return nil, data
	}
	for at := 0; at < len(rest); {
		line, _, _ := bytes.Cut(rest[at:], []byte("\n"))
		if string(bytes.TrimRight(line, " \t")) == "---" {
			return rest[:at], rest[min(at+len(line)+1, len(rest)):]
		}
		at += len(line) + 1
	}
	return nil, data
}

// frontKeys are the ones that are used.
var frontKeys = []string{"license", "license_name", "license_link", "language", "languages", "base_model", "base_model_relation",
	"pipeline_tag", "datasets", "library_name", "tags"}

// usedLines keeps the lines of the keys that are used. The rest, mostly results of
// benchmarks, can be hundreds of KiB, and often is no YAML that a parser takes.
func usedLines(data []byte) []byte {
	var out []byte
	used := false
	for line := range bytes.Lines(data) {
		if key, _, ok := bytes.Cut(line, []byte(":")); ok && !bytes.ContainsAny(line[:1], " \t#-[]{},") {
			used = slices.Contains(frontKeys, strings.Trim(string(bytes.TrimSpace(key)), `"'`))
		}
		if used {
			out = append(out, line...)
		}
	}
	return out
}

// parseFront keeps what front matter says of the keys that are used: strings and
// lists of strings. Aliases are not followed.
func parseFront(data []byte) (front, error) {
	data = usedLines(data)
	if len(data) == 0 {
		return nil, nil
	}
	if len(data) > maxFront {
		return nil, fmt.Errorf("it is larger than %d KiB", maxFront>>10)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%.200w", err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("it is no list of keys and values")
	}
	meta := make(front)
	pairs := doc.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		if key := pairs[i].Value; slices.Contains(frontKeys, key) && meta[key] == nil {
			meta[key] = scalars(pairs[i+1])
		}
	}
	return meta, nil
}

// scalars are the values of a node: one, or those of a list.
func scalars(node *yaml.Node) []string {
	nodes := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		nodes = node.Content
	}
	var values []string
	for _, n := range nodes[:min(len(nodes), maxValues)] {
		if n.Kind == yaml.ScalarNode && n.Tag != "!!null" && n.Value != "" {
			values = append(values, strings.TrimSpace(n.Value))
		}
	}
	return values
}

// sayCard states what a card says, but for licences and modalities.
func (s *study) sayCard(c card) {
	from := "from " + c.file
	s.say(modelfile.Language, from, languageCodes(append(c.meta["language"], c.meta["languages"]...))...)
	s.say(modelfile.DatasetURL, from, s.datasetURLs(from, c.meta["datasets"])...)
	if c.meta.first("library_name") == "diffusers" {
		s.say(modelfile.Arch, from, "diffusion")
	}
	s.sayAbout(from, description(c.text))
	s.sayBase(from, cardBase(c.meta))
}

// relations are how a model was made from its base.
var relations = map[string]string{"quantized": "quantised from", "finetune": "fine-tuned from", "merge": "merged from", "adapter": "adapter for"}

// cardBase is what the model was made from, and how if the card says so.
func cardBase(meta front) relation {
	r := relation{how: cmp.Or(relations[meta.first("base_model_relation")], "based on")}
	for _, base := range meta["base_model"] {
		if repo, ok := repoID(base); ok && !slices.Contains(r.bases, repo) {
			r.bases = append(r.bases, repo)
		}
	}
	return r
}

// repoPattern is what Hugging Face allows for ORG/NAME.
var repoPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`)

// repoID takes the name of a repository from what people write, which may be its
// address.
func repoID(s string) (string, bool) {
	for _, host := range [...]string{"https://huggingface.co/", "https://hf.co/", "https://modelscope.cn/models/", "https://www.modelscope.cn/models/"} {
		s = strings.TrimPrefix(s, host)
	}
	s = strings.TrimSuffix(s, "/")
	return s, repoPattern.MatchString(s) && !strings.Contains(s, "..") && !hasToken(s)
}

var datasetPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$`)

// datasetURLs makes addresses of the identifiers that Hugging Face's cards have, and
// keeps addresses of the web. The source reads "from FILE".
func (s *study) datasetURLs(source string, ids []string) []string {
	var urls []string
	for _, id := range ids {
		const base = "https://huggingface.co/datasets/"
		name := strings.TrimPrefix(id, base)
		if datasetPattern.MatchString(name) && !strings.Contains(name, "..") && !hasToken(name) {
			urls = append(urls, base+path.Clean(name))
		} else if address := s.address("a data set "+source, id); address != "" {
			urls = append(urls, address)
		}
	}
	return urls
}
