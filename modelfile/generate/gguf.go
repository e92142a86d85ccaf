package generate

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/weights"
)

// ggufModel is a GGUF file or the parts that one was split into.
type ggufModel struct {
	header *weights.GGUF // of the first part
	tally  tally
	size   int64
}

// role is what the model is for: empty for one that stands by itself.
func (m ggufModel) role() string {
	kind := m.header.String("general.type")
	switch {
	case kind == "mmproj" || m.header.Architecture() == "clip":
		return "mmproj" // the eyes and ears of another one
	case kind == "" || kind == "model":
		return ""
	}
	return kind // adapter, imatrix, vocab
}

// mostGGUF is how many models are read. Of each, up to a MiB of words is kept.
const mostGGUF = 64

// readGGUF reads the GGUF files. Those that cannot be read are notes.
func (s *study) readGGUF(files []file) []ggufModel {
	var models []ggufModel
	sets := setsOf(files)
	if len(sets) > mostGGUF {
		s.notes.add("of the %d models in GGUF only the first %d were read", len(sets), mostGGUF)
		sets = sets[:mostGGUF]
	}
	for _, set := range sets {
		m, err := s.readGGUFSet(set)
		if err != nil {
			s.notes.add("the parameters were not counted: %v", err)
			continue
		}
		models = append(models, m)
	}
	return models
}

func (s *study) readGGUFSet(set set) (ggufModel, error) {
	m := ggufModel{size: set.bytes()}
	if damaged := damagedOf(set.files); damaged != nil {
		return m, errDamaged(damaged)
	}
	model := weights.NewModel(weights.Options{})
	for _, f := range set.files {
		err := s.header(f.path, func(r io.ReaderAt, size int64) error {
			h, err := weights.ReadGGUF(r, size, model.Add)
			if m.header == nil {
				m.header = h
			}
			return err
		})
		if err != nil {
			return m, fmt.Errorf("%q: %w", f.path, err)
		}
	}
	m.tally = s.summed(model, set.files)
	if _, count, _ := m.header.Split(); !set.complete() || count > int64(len(set.files)) {
		m.tally.params = 0
	}
	return m, nil
}

// countGGUF takes models of about as many parameters for quantisations of one,
// and adds a projector of images or sounds if there is one.
func (s *study) countGGUF(files []file) (tally, error) {
	all := s.readGGUF(files)
	var models, projectors []ggufModel
	for _, m := range all {
		switch m.role() {
		case "":
			models = append(models, m)
		case "mmproj":
			projectors = append(projectors, m)
		case "adapter":
			if len(all) == 1 {
				models = append(models, m)
			}
		}
	}
	if len(models) == 0 {
		return tally{}, errUncounted
	}
	models = sortedBy(models, func(m ggufModel) int64 { return -m.size })
	s.gguf = models
	s.sayGGUF()
	t := models[0].tally
	t.method = "" // FileType says it better
	t.compute = scaleType(models[0].header.MainType)
	if len(models) > 1 { // what is true of one of them is not of all
		t.byDType = nil
	}
	params, err := s.ggufSize()
	if t.params = params; len(projectors) > 0 {
		largest := slices.MaxFunc(projectors, func(a, b ggufModel) int { return cmp.Compare(a.tally.params, b.tally.params) })
		t.params += largest.tally.params
		t.files = append(t.files, largest.tally.files...)
	}
	return t, err
}

// ggufSize is the number of parameters. It is what the files call their size where
// tensors are missing, and a warning if the tensors are far from it: names are round
// and may leave out embeddings.
func (s *study) ggufSize() (int64, error) {
	label, said := s.gguf.size()
	i := slices.IndexFunc(s.gguf, func(m ggufModel) bool { return m.tally.params == 0 })
	switch {
	case i >= 0 && said > 0:
		s.notes.add("not all tensors of %q are here: PARAMSIZE is the size that its header names, %s", s.gguf[i].tally.files[0], label)
		return said, nil
	case i >= 0:
		return 0, fmt.Errorf("%q has only some of the tensors of the model, or none", s.gguf[i].tally.files[0])
	}
	params, err := commonSize(s.gguf)
	if err == nil && said > 0 && (params > 2*said || said > 2*params) {
		s.warnings.add("%q calls its size %s, but its tensors have %s parameters", s.gguf[0].tally.files[0], label, weights.FormatParams(params))
	}
	return params, err
}

// commonSize is the number of parameters that most of the models have, as it is
// written: an output layer that is a copy may be left out of some. It is an error
// if they seem to be different models.
func commonSize(models []ggufModel) (int64, error) {
	votes := make(map[string]int)
	for _, m := range models {
		votes[weights.FormatParams(m.tally.params)]++
	}
	first := models[0].tally
	for _, m := range models {
		if n := m.tally.params; 2*votes[weights.FormatParams(n)] > len(models) {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%q and others are models of different sizes", first.files[0])
}

// sayGGUF states what the headers of GGUF files say of the network.
func (s *study) sayGGUF() {
	from := s.gguf.fromDetailed()
	if arch := s.gguf[0].header.Architecture(); arch != "" {
		s.say(modelfile.Arch, from, cmp.Or(archOf(arch), "transformer"))
		if word, err := plainWord(arch); err == nil {
			s.say(modelfile.Family, from, word)
		}
	}
	s.sayFileTypes(s.gguf)
}

// mostFileTypes is how many quantisations QUANTIZATION lists.
const mostFileTypes = 8

// sayFileTypes states the quantisations, and the precisions of files that are not
// quantised.
func (s *study) sayFileTypes(models []ggufModel) {
	var types, precisions, files []string
	for _, m := range models {
		fileType := cmp.Or(m.header.FileType, string(m.header.MainType))
		files = append(files, m.tally.files...)
		if p := weights.DType(fileType).Precision(); p != "" {
			precisions = append(precisions, p)
		} else if !slices.Contains(types, fileType) {
			types = append(types, fileType)
		}
		if p := scaleType(m.header.MainType); p != "" {
			precisions = append(precisions, p)
		}
	}
	if len(types) <= mostFileTypes {
		s.say(modelfile.Quantization, fileSource(files), strings.Join(types, ","))
	}
	if len(models) > 1 {
		slices.Sort(precisions)
		s.say(modelfile.Precision, fileSource(files), strings.Join(slices.Compact(precisions), ","))
		s.notes.add("there are %s in GGUF, and an artifact mostly has one: --exclude leaves out the others", plural(len(models), "model"))
	}
}

// scaleType is the precision that block-quantised weights unpack to: that of the
// scale of a block. The types of one scale in 8 bits have none that is certain.
func scaleType(d weights.DType) string {
	name := string(d)
	for _, prefix := range [...]string{"Q", "IQ", "TQ"} {
		if strings.HasPrefix(name, prefix) && d.Precision() == "" {
			return "float16"
		}
	}
	return ""
}
