package generate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

const (
	configName = "config.json"
	fromConfig = "from " + configName
	// maxConfig bounds how much of config.json is read, in bytes.
	maxConfig = 4 << 20
)

// config is what config.json says of a model.
type config struct {
	arch, family, precision, quantization string
}

// readConfig never fails: a config.json that cannot be used is a note.
func readConfig(fsys fs.FS, files []file, n *notes) config {
	if !slices.ContainsFunc(files, func(f file) bool { return f.path == configName }) {
		return config{}
	}
	data, err := readBounded(fsys, configName, maxConfig)
	if err != nil {
		n.add("nothing was taken from config.json: %v", err)
		return config{}
	}
	var top object
	if err := json.Unmarshal(data, &top); err != nil {
		n.add("nothing was taken from config.json, which is not a JSON object: %v", err)
		return config{}
	}
	return configOf(top, n)
}

func readBounded(fsys fs.FS, name string, most int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("it is larger than %d MiB", most>>20)
	}
	return data, err
}

func configOf(top object, n *notes) config {
	var c config
	// Models of several modalities describe their language model apart.
	text := top.object("text_config")
	if top.has("transformers_version", "architectures") || text.has("transformers_version", "architectures") {
		c.arch = "transformer"
	}
	word := func(key string, objects ...object) string {
		for _, o := range objects {
			w, err := plainWord(o.string(key))
			if err != nil {
				n.add("%s of config.json was not taken: %v", key, err)
			}
			if w != "" {
				return w
			}
		}
		return ""
	}
	c.family = word("model_type", top, text)
	c.precision = cmp.Or(precision(word("torch_dtype", top, text)), precision(word("dtype", top, text)))
	c.quantization = word("quant_method", top.object("quantization_config"), text.object("quantization_config"))
	return c
}

// precision is a dtype as configs write it, without the noise.
func precision(dtype string) string {
	dtype = strings.ToLower(strings.TrimPrefix(dtype, "torch."))
	if dtype == "auto" || dtype == "none" {
		return ""
	}
	return dtype
}

// object is a JSON object. Its getters take a value of the wrong type for one
// that is not there.
type object map[string]json.RawMessage

func (o object) has(keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return o[key] != nil })
}

func (o object) string(key string) string {
	var s string
	if json.Unmarshal(o[key], &s) != nil {
		return ""
	}
	return s
}

func (o object) object(key string) object {
	var inner object
	if json.Unmarshal(o[key], &inner) != nil {
		return nil
	}
	return inner
}
