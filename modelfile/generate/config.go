package generate

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/tareml/tare/weights"
)

const configName = "config.json"

// config is what a config.json says of a model or of a component of one.
type config struct {
	file string // its path
	top  object
	// parts are top and the objects in it that describe a language model: models
	// of several modalities have it apart. The outermost is first.
	parts         []object
	family        string
	dtype         string // the word of the model spec
	architectures []string
	quant         quant
}

// languageModels are the keys below which configs describe a language model.
var languageModels = [...]string{"text_config", "llm_config", "language_config", "thinker_config", "decoder"}

// readConfig reads the config.json in a folder. It never fails: one that cannot be
// used is a note.
func (s *study) readConfig(dir string) config {
	c := config{file: path.Join(dir, configName)}
	if c.top = s.object(c.file); c.top == nil {
		return c
	}
	c.parts = languageParts(c.top)
	for _, o := range c.parts {
		c.architectures = append(c.architectures, o.strings("architectures")...)
	}
	c.family = cmp.Or(s.word(c, "model_type"), s.word(c, "architecture")) // timm has the latter
	c.dtype = cmp.Or(precision(s.word(c, "torch_dtype")), precision(s.word(c, "dtype")))
	return c
}

func languageParts(top object) []object {
	parts := []object{top}
	for i := 0; i < len(parts) && len(parts) < 8; i++ {
		for _, key := range languageModels {
			if inner := parts[i].object(key); inner != nil {
				parts = append(parts, inner)
			}
		}
	}
	return parts
}

// word is the first value of key that is a plain word.
func (s *study) word(c config, key string) string {
	for _, o := range c.parts {
		w, err := plainWord(strings.TrimPrefix(o.string(key), "torch."))
		if err != nil {
			s.notes.add("%s of %s was not taken: %v", key, c.file, err)
		}
		if w != "" {
			return w
		}
	}
	return ""
}

// has says whether the config or a part of it has one of the keys.
func (c config) has(keys ...string) bool {
	return slices.ContainsFunc(c.parts, func(o object) bool { return o.has(keys...) })
}

// int is the first whole number that the config or a part of it has for a key.
func (c config) int(keys ...string) int {
	for _, o := range c.parts {
		if n := o.int(keys...); n != 0 {
			return n
		}
	}
	return 0
}

// flag is the innermost value that the config and its parts have for a key.
func (c config) flag(key string) bool {
	value := false
	for _, o := range c.parts {
		if o.has(key) {
			value = o.bool(key)
		}
	}
	return value
}

// arch is the kind of network that the model is.
func (c config) arch() string {
	if arch := archOf(c.family); arch != "" {
		return arch
	}
	if c.has("transformers_version", "architectures") {
		return "transformer"
	}
	return ""
}

// counting is what the weights' reader should know.
func (c config) counting() weights.Options {
	return weights.Options{
		Bits:       c.quant.bits,
		GroupSize:  c.quant.group,
		Tied:       c.tied(),
		Layers:     c.int("num_hidden_layers"),
		NextLayers: c.int("num_nextn_predict_layers"),
	}
}

// tied says whether the output layer is the embedding. Configs leave the key out
// where it has the default of the model's class, which is not to be seen here:
// then nothing is taken off.
func (c config) tied() bool { return c.flag("tie_word_embeddings") }

// otherNetworks are the model types that are no transformers, by how they begin.
var otherNetworks = [...]struct{ arch, families string }{
	{"cnn", "resnet resnext wide_resnet regnet convnext efficientnet mobilenet densenet vgg inception bit van squeezenet " +
		"shufflenet mnasnet darknet tf_efficientnet hrnet dla repvgg hifigan univnet"},
	{"rnn", "rwkv lstm gru xlstm recurrent"},
	{"mamba", "mamba falcon_mamba"},
	{"diffusion", "flux sd1 sd2 sd3 sdxl wan hunyuan_video"},
}

func archOf(family string) string {
	family = strings.ToLower(family)
	for _, n := range otherNetworks {
		for name := range strings.FieldsSeq(n.families) {
			rest, ok := strings.CutPrefix(family, name)
			if ok && !startsWord(strings.TrimPrefix(rest, "v")) {
				return n.arch
			}
		}
	}
	return ""
}

// startsWord says whether a name goes on: resnet50 and convnextv2 are resnet and
// convnext, and vanilla is not van.
func startsWord(rest string) bool { return rest != "" && 'a' <= rest[0] && rest[0] <= 'z' }
