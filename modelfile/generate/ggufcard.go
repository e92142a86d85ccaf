package generate

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/weights"
)

// ggufCard is what the metadata of GGUF files say as a model card does. What is said
// is what the first of them says, unless another one says otherwise.
type ggufCard []ggufModel

// withoutStray leaves out the models whose words would get from elsewhere into the
// Modelfile, as links lead out of the directory.
func (c ggufCard) withoutStray(dir string) ggufCard {
	var files []string
	for _, m := range c {
		files = append(files, m.tally.files[0])
	}
	stray := strayLinks(dir, files)
	return slices.DeleteFunc(slices.Clone(c), func(m ggufModel) bool { return slices.Contains(stray, m.tally.files[0]) })
}

// shared is a value of the first model that no other contradicts.
func shared[T any](c ggufCard, value func(*weights.GGUF) []T, equal func(a, b []T) bool) []T {
	if len(c) == 0 {
		return nil
	}
	first := value(c[0].header)
	for _, m := range c[1:] {
		if other := value(m.header); other != nil && !equal(first, other) {
			return nil
		}
	}
	return first
}

func (c ggufCard) strings(key string) []string {
	return shared(c, func(h *weights.GGUF) []string { return h.Strings(key) }, slices.Equal)
}

func (c ggufCard) string(key string) string {
	if values := c.strings(key); len(values) == 1 {
		return strings.TrimSpace(values[0])
	}
	return ""
}

// int is a whole number, 0 if it is not one that could be meant.
func (c ggufCard) int(key func(*weights.GGUF) int64) int64 {
	const most = 1 << 32
	n := shared(c, func(h *weights.GGUF) []int64 { return []int64{key(h)} }, slices.Equal)
	if len(n) == 0 || n[0] < 0 || n[0] > most {
		return 0
	}
	return n[0]
}

func (c ggufCard) from() string {
	if len(c) == 0 {
		return ""
	}
	return "from " + c[0].tally.files[0]
}

// fromDetailed names the file and what it says of the network that no command is
// there for.
func (c ggufCard) fromDetailed() string {
	var parts []string
	if n := c.int((*weights.GGUF).ContextLength); n > 0 {
		parts = append(parts, "context length "+strconv.FormatInt(n, 10))
	}
	all := c.int(func(h *weights.GGUF) int64 { all, _ := h.Experts(); return all })
	if all > 0 {
		parts = append(parts, fmt.Sprintf("%d experts", all))
	}
	if used := c.int(func(h *weights.GGUF) int64 { _, used := h.Experts(); return used }); all > 0 && used > 0 {
		parts = append(parts, fmt.Sprintf("%d of them used", used))
	}
	if parts == nil {
		return c.from()
	}
	return c.from() + ": " + strings.Join(parts, ", ")
}

// sayGGUFCard states what a card would, which it comes before: the file is nearer.
func (s *study) sayGGUFCard() {
	c, from := s.gguf, s.gguf.from()
	s.say(modelfile.Name, from, c.name())
	s.say(modelfile.Title, from, telling(plainText(c.string("general.name"))))
	s.say(modelfile.Version, from, versionPattern.FindString(c.string("general.version")))
	s.say(modelfile.Vendor, from, plainText(c.string("general.organization")))
	s.say(modelfile.DocURL, from, s.address("the homepage in "+strings.TrimPrefix(from, "from "), c.string("general.url")))
	var authors []string
	for _, key := range [...]string{"general.author", "general.authors"} {
		for _, author := range c.strings(key) {
			authors = append(authors, plainText(author))
		}
	}
	s.say(modelfile.Author, from, authors...)
	s.sayAbout(from, description(c.string("general.description")))
	id := licenseID(c.string("general.license"), c.string("general.license.name"))
	s.say(modelfile.License, s.licenseSource(from, c.string("general.license.link"), id), id)
	s.say(modelfile.Language, from, languageCodes(c.strings("general.languages"))...)
	s.say(modelfile.DatasetURL, from, s.datasetURLs(from, c.datasets())...)
	if c.int(func(h *weights.GGUF) int64 { return h.Int(h.Architecture() + ".pooling_type") }) > 0 {
		s.say(modelfile.Output, from, "embedding")
	}
}

// sayGGUFOrigin states where the file was converted from, unless it is known where
// the directory is from: a commit of one repository says nothing of another one.
func (s *study) sayGGUFOrigin() {
	if s.knows(modelfile.SourceURL) || s.knows(modelfile.Revision) {
		return
	}
	c, from := s.gguf, s.gguf.from()
	for _, key := range [...]string{"general.repo_url", "general.source.url", "general.source.repo_url", "general.source.huggingface.repository"} {
		value := c.string(key)
		if repo, ok := repoID(value); ok && !strings.Contains(value, "://") {
			value = "https://huggingface.co/" + repo
		}
		s.say(modelfile.SourceURL, from, s.address(key+" of "+strings.TrimPrefix(from, "from "), value))
	}
}

// sayGGUFTags takes the kinds of input and output from the tags, which the task of
// the card that the file was made with is among.
func (s *study) sayGGUFTags() {
	in, out := tagged(s.gguf.strings("general.tags"))
	s.say(modelfile.Input, s.gguf.from(), in...)
	s.say(modelfile.Output, s.gguf.from(), out...)
}

// name is made as llama.cpp names files, without the quantisation; else it is the
// title.
func (c ggufCard) name() string {
	var parts []string
	for _, key := range [...]string{"basename", "size_label", "finetune", "version"} {
		if v := c.string("general." + key); v != "" {
			parts = append(parts, v)
		}
	}
	if c.string("general.basename") == "" {
		parts = nil
	}
	return cmp.Or(telling(modelWord(strings.Join(parts, "-"))), telling(modelWord(c.string("general.name"))))
}

// base is what the model was made from: the model that an adapter is for, or one
// that was trained on.
func (c ggufCard) base() relation {
	all := shared(c, (*weights.GGUF).BaseModels, slices.Equal)
	r := relation{how: "based on"}
	if len(c) > 0 && c[0].role() == "adapter" {
		r.how = strings.TrimSpace(adapterKinds[strings.ToUpper(c.string("adapter.type"))] + " adapter for")
	}
	for _, b := range all {
		if name := baseName(b); name != "" && !slices.Contains(r.bases, name) {
			r.bases = append(r.bases, name)
		}
	}
	return r
}

// baseName is the repository if it is one that has a name, else what the model is
// called and whose it is.
func baseName(b weights.BaseModel) string {
	if repo, ok := repoID(b.RepoURL); ok {
		return repo
	}
	name, organization := plainText(b.Name), plainText(b.Organization)
	if name != "" && organization != "" && !strings.Contains(name, organization) {
		name += " (" + organization + ")"
	}
	address, _ := webAddress(b.RepoURL)
	return cmp.Or(name, address)
}

// datasets are identifiers and addresses, as two versions of the format have them.
func (c ggufCard) datasets() []string {
	ids := slices.Clone(c.strings("general.datasets"))
	count := c.int(func(h *weights.GGUF) int64 { return h.Int("general.dataset.count") })
	for i := range min(count, maxValues) {
		prefix := fmt.Sprintf("general.dataset.%d.", i)
		ids = append(ids, cmp.Or(c.string(prefix+"repo_url"), c.string(prefix+"url")))
	}
	return ids
}

// versionPattern takes versions that have a number.
var versionPattern = regexp.MustCompile(`^v?[0-9][0-9A-Za-z.+_-]{0,31}$`)

// sizePattern knows the sizes that mean the whole model: 8x7B is the size of one
// expert.
var sizePattern = regexp.MustCompile(`^([0-9]{1,6}(?:\.[0-9]{1,3})?)([KMBT])$`)

// size is the number of parameters that the files say in words, 0 if they do not: an
// adapter has the words of its base.
func (c ggufCard) size() (label string, params int64) {
	label = c.string("general.size_label")
	m := sizePattern.FindStringSubmatch(label)
	if m == nil || c[0].role() != "" {
		return "", 0
	}
	n, _ := strconv.ParseFloat(m[1], 64) // as the pattern wants it
	unit := map[string]float64{"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}[m[2]]
	return label, int64(n * unit)
}
