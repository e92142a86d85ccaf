package generate

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/weights"
)

// countKeras counts one copy of a model that Keras saved: as HDF5, or in an archive
// with HDF5 in it.
func (s *study) countKeras(c copyOf) (tally, error) {
	if slices.ContainsFunc(c.files, func(f file) bool { return f.sniffed != weights.KindHDF5 && f.sniffed != weights.KindKeras }) {
		return tally{}, errUncounted
	}
	c.files = withoutOlder(c.files)
	files, _, err := s.shardsOf(c)
	if err != nil {
		return tally{}, err
	}
	model := weights.NewModel(c.config.counting())
	for _, f := range files {
		k, err := s.readKeras(f, model)
		if err != nil {
			return tally{}, fmt.Errorf("%q: %w", f.path, err)
		}
		if k.Packed() {
			return tally{}, fmt.Errorf("%q: weights packed by %s do not show it", f.path, k.Quantized)
		}
		s.sayKeras(f.path, k)
	}
	t := s.summed(model, files)
	if model.Summary().Tensors == 0 {
		return tally{}, errUncounted
	}
	return t, nil
}

// withoutOlder leaves out model.h5 beside model.keras: of the two, it is the one
// that versions before 3 wrote.
func withoutOlder(files []file) []file {
	newer := make(map[string]bool)
	for _, f := range files {
		if path.Ext(f.path) == ".keras" {
			newer[strings.TrimSuffix(f.path, ".keras")] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(files), func(f file) bool {
		ext := path.Ext(f.path)
		return ext != ".keras" && newer[strings.TrimSuffix(f.path, ext)]
	})
}

// readKeras reads one file.
func (s *study) readKeras(f file, model *weights.Model) (k weights.Keras, err error) {
	err = s.header(f.path, func(r io.ReaderAt, size int64) error {
		if f.sniffed == weights.KindKeras {
			archive, err := weights.ReadKeras(r, size, model.Add)
			if err == nil {
				k = *archive
			}
			return err
		}
		h, err := weights.ReadHDF5(r, size, model.Add)
		if err == nil {
			k = h.ModelConfig()
		}
		return err
	})
	return k, err
}

// sayKeras states the architecture where the name of the model is that of a known
// one, as in keras.applications. Any other name is the user's choice.
func (s *study) sayKeras(file string, k weights.Keras) {
	name, err := plainWord(k.Name)
	if arch := archOf(name); err == nil && arch != "" {
		s.say(modelfile.Arch, "from "+file, arch)
		s.say(modelfile.Family, "from "+file, name)
	}
}
