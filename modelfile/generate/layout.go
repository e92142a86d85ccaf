package generate

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/tareml/tare/modelfile"
)

// member is a folder whose weights are a model, or one of those that a
// pipeline consists of.
type member struct {
	dir    string // empty for the directory itself
	config config
}

// layout is how a model repository is built.
type layout struct {
	main       config // of the directory itself
	components []member
	pipeline   string  // class of a diffusers pipeline
	sentences  bool    // sentence-transformers
	adapter    adapter // of PEFT
	original   bool    // params.json, as Llama and Mistral have it
}

// maxComponents bounds what a pipeline consists of; they have ten at most.
const maxComponents = 64

// adapter is what adapter_config.json says.
type adapter struct {
	kind string // LORA, IA3, ...
	base string // the model that it is for
}

const (
	pipelineName = "model_index.json"
	modulesName  = "modules.json"
	sentenceName = "config_sentence_transformers.json"
	adapterName  = "adapter_config.json"
	paramsName   = "params.json"
)

func (s *study) layout() layout {
	l := layout{main: s.member("").config}
	folders := s.weightFolders()
	l.readPipeline(s, folders)
	l.readModules(s, folders)
	if len(l.components) > maxComponents {
		s.notes.add("the components were not read: %d are more than any model has", len(l.components))
		l.components = nil
	}
	if o := s.object(adapterName); o != nil {
		l.adapter = adapter{kind: strings.ToUpper(s.plain(adapterName, o, "peft_type")), base: o.string("base_model_name_or_path")}
	}
	params := s.object(paramsName)
	l.original = params.has("dim") && params.has("n_layers")
	if l.components == nil {
		l.components = []member{{config: l.main}}
	}
	return l
}

// plain is a value that is a plain word; others are noted.
func (s *study) plain(file string, o object, key string) string {
	w, err := plainWord(o.string(key))
	if err != nil {
		s.notes.add("%s of %s was not taken: %v", key, file, err)
	}
	return w
}

func (s *study) member(dir string) member {
	c := s.readConfig(dir)
	c.quant = s.readQuant(dir, c)
	return member{dir, c}
}

// readPipeline takes the folders that model_index.json names and that have
// weights: {"_class_name": "FluxPipeline", "vae": ["diffusers", "AutoencoderKL"]}.
func (l *layout) readPipeline(s *study, folders map[string]bool) {
	index := s.object(pipelineName)
	if index == nil {
		return
	}
	l.pipeline = s.plain(pipelineName, index, "_class_name")
	for _, name := range slices.Sorted(maps.Keys(index)) {
		if folders[name] && get[[]json.RawMessage](index, name) != nil {
			l.components = append(l.components, s.member(name))
		}
	}
}

// readModules takes the folders that modules.json names. The first is mostly the
// directory itself.
func (l *layout) readModules(s *study, folders map[string]bool) {
	if !s.paths[modulesName] {
		return
	}
	var modules []struct{ Path string }
	data, err := readBounded(s.fsys, modulesName, maxText)
	if err == nil {
		err = json.Unmarshal(data, &modules)
	}
	if err != nil {
		s.notes.add("nothing was taken from %s: %v", modulesName, err)
		return
	}
	// A model that ranks pairs of texts has this file too and gives numbers.
	l.sentences = s.object(sentenceName).string("model_type") != "CrossEncoder"
	for _, m := range modules {
		if folders[m.Path] {
			l.components = append(l.components, s.member(m.Path))
			delete(folders, m.Path)
		}
	}
}

// weightFolders are the folders that weights are in.
func (s *study) weightFolders() map[string]bool {
	folders := make(map[string]bool)
	for _, f := range s.files {
		if formatOf(f) != "" {
			folders[folder(f.path)] = true
		}
	}
	return folders
}

// folder is where a file is, empty for the directory itself.
func folder(file string) string {
	if dir := path.Dir(file); dir != "." {
		return dir
	}
	return ""
}

// sayLayout states what the configs say.
func (s *study) sayLayout(l layout) {
	from := "from " + configName
	if l.pipeline != "" {
		from := "from " + pipelineName
		s.say(modelfile.Arch, from, "diffusion")
		s.say(modelfile.Family, from, pipelineFamily(l.pipeline))
	}
	s.say(modelfile.Arch, from, l.main.arch())
	s.say(modelfile.Family, from, l.main.family)
	if l.original {
		s.say(modelfile.Arch, "from "+paramsName, "transformer")
	}
	for _, c := range l.components {
		s.sayQuant(c.config.quant)
	}
	s.sayQuant(l.main.quant)
	s.sayAdapter(l.adapter)
}

// adapterKinds are what people call the adapters of PEFT.
var adapterKinds = map[string]string{"LORA": "LoRA", "ADALORA": "AdaLoRA", "LOHA": "LoHa", "LOKR": "LoKr", "IA3": "IA3", "OFT": "OFT", "VERA": "VeRA"}

// sayAdapter records the base model. A path on the machine that trained the
// adapter tells nobody else anything.
func (s *study) sayAdapter(a adapter) {
	if repo, ok := repoID(a.base); ok {
		kind := adapterKinds[a.kind]
		if kind != "" {
			kind += " "
		}
		s.sayBase("from "+adapterName, relation{how: kind + "adapter for", bases: []string{repo}})
	}
}

// pipelineFamily makes stable-diffusion-xl of StableDiffusionXLPipeline.
func pipelineFamily(class string) string {
	class, ok := strings.CutSuffix(class, "Pipeline")
	if !ok {
		return ""
	}
	for _, task := range [...]string{"Img2Img", "Inpaint", "ControlNet", "ImageToVideo", "Image2Video", "TextToImage"} {
		class = strings.TrimSuffix(class, task)
	}
	var out strings.Builder
	runes := []rune(class)
	for i, r := range runes {
		starts := unicode.IsUpper(r) || unicode.IsDigit(r) && !unicode.IsDigit(runes[max(i-1, 0)])
		follows := i > 0 && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if starts && follows {
			out.WriteByte('-')
		}
		out.WriteRune(unicode.ToLower(r))
	}
	return out.String()
}
