package weights

import (
	"errors"
	"io"
	"strings"
)

// Keras is what a model says of itself that Keras 3 saved.
type Keras struct {
	// Version is that of Keras.
	Version string
	// Class is the class of the model: Functional, Sequential, ...
	Class string
	// Name is the name of the model, which is that of the architecture where it
	// comes from keras.applications.
	Name string
	// Quantized is how layers were quantised: int8, int4, float8, gptq, ...
	Quantized string
	// Tensors is how many arrays of numbers there are.
	Tensors int
}

// Packed says whether an element holds several weights, of which nothing is to be
// seen then.
func (k Keras) Packed() bool {
	return k.Quantized == "int4" || k.Quantized == "gptq" || k.Quantized == "awq"
}

// The files of the archive.
const (
	kerasWeights  = "model.weights.h5"
	kerasConfig   = "config.json"
	kerasMetadata = "metadata.json"
)

// ReadKeras reads a .keras file, which is a zip archive, and calls add for each
// array of numbers in its weights, as [ReadHDF5] does: layers/dense/vars/0. They
// are read in place, which asks for weights that are stored as they are. Keras
// does that; weights that were compressed since are an error.
func ReadKeras(r io.ReaderAt, size int64, add func(Tensor)) (*Keras, error) {
	s := newSource("Keras", r, size)
	files := make(map[string]zipEntry)
	err := s.zipEntries(func(e zipEntry) bool {
		switch e.name {
		case kerasWeights, kerasConfig, kerasMetadata:
			files[e.name] = e
		}
		return len(files) < 3
	})
	if err != nil {
		return nil, err
	}
	k := &keras{scanner: scanner{source: s}}
	for _, name := range [...]string{kerasMetadata, kerasConfig} {
		if err := k.describe(files[name]); err != nil {
			return nil, err
		}
	}
	return &k.model, k.weights(files[kerasWeights], add)
}

// ModelConfig takes what the attribute model_config of an HDF5 file says, in
// which Keras before version 3 has the same as later in config.json.
func (f *HDF5) ModelConfig() Keras {
	text := f.Attributes["model_config"]
	k := &keras{scanner: scanner{source: newSource("Keras", strings.NewReader(text), int64(len(text)))}}
	_ = k.top() // it may be cut, and what came before is good
	k.model.Version, k.model.Tensors = f.Attributes["keras_version"], f.Tensors
	return k.model
}

type keras struct {
	scanner
	model Keras
}

// describe reads one of the small files. The weights can do without, so that
// nothing in it is an error: Python writes numbers that are none in JSON.
func (k *keras) describe(e zipEntry) error {
	if e.name == "" || !e.stored() {
		return nil
	}
	_, err := k.zipContent(e)
	if err == nil {
		err = k.within(e.size, k.top)
	}
	if _, odd := errors.AsType[*FormatError](err); odd {
		return nil
	}
	return err
}

// weights reads the tensors.
func (k *keras) weights(e zipEntry, add func(Tensor)) error {
	if e.name == "" {
		return k.errorf(k.end, "there is no %s", kerasWeights)
	}
	at, err := k.zipContent(e)
	if err != nil {
		return err
	}
	p := newPages("HDF5", io.NewSectionReader(k.r, at, e.size), e.size)
	p.base, p.budget = at, k.budget
	f, err := readHDF5(p, add)
	if err == nil {
		k.model.Tensors = f.Tensors
	}
	return err
}

// top reads the object that the file is.
func (k *keras) top() error {
	return k.object(func(key []byte) error {
		switch string(key) {
		case "class_name":
			return k.word(&k.model.Class)
		case "keras_version":
			return k.word(&k.model.Version)
		case "config":
			return k.config()
		}
		return k.value()
	})
}

// config reads what the model is built of.
func (k *keras) config() error {
	c, err := k.next()
	switch {
	case err != nil:
		return err
	case c != '{':
		return k.skipValue()
	}
	return k.object(func(key []byte) error {
		if string(key) == "name" {
			return k.word(&k.model.Name)
		}
		return k.value()
	})
}

// word reads a value if it is a string.
func (k *keras) word(to *string) error {
	c, err := k.next()
	switch {
	case err != nil:
		return err
	case c != '"':
		return k.skipValue()
	}
	value, _, err := k.string(maxName)
	*to = string(value)
	return err
}

// value looks for policies of quantised layers, wherever they are: their names
// are such as int8_from_float32 and gptq/4/128_from_bfloat16.
func (k *keras) value() error {
	c, err := k.next()
	switch {
	case err != nil:
		return err
	case c == '{':
		return k.object(func([]byte) error { return k.value() })
	case c == '[':
		return k.array(k.value)
	case c != '"':
		return k.skipWord()
	}
	value, _, err := k.string(maxName)
	policy, _, ok := strings.Cut(string(value), "_from_")
	if method, _, _ := strings.Cut(policy, "/"); ok && kerasQuantizers[method] {
		k.model.Quantized = method
	}
	return err
}

var kerasQuantizers = map[string]bool{"int8": true, "int4": true, "float8": true, "gptq": true, "awq": true}
