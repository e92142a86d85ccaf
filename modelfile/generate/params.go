package generate

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/weights"
)

// tally is what the headers of some weights come to.
type tally struct {
	name    string // of the component
	params  int64
	byDType map[weights.DType]int64
	method  string   // of quantisation, as the tensors show it
	files   []string // that were counted
	compute string   // what packed weights are unpacked to, if it is known
}

// add puts another component's figures to these.
func (t *tally) add(other tally) {
	if t.byDType == nil {
		t.byDType = make(map[weights.DType]int64)
	}
	t.params += other.params
	for d, n := range other.byDType {
		t.byDType[d] += n
	}
	t.method = cmp.Or(t.method, other.method)
	t.compute = cmp.Or(t.compute, other.compute)
	t.files = append(t.files, other.files...)
}

// errUncounted is for weights whose parameters cannot be told, whatever is done.
var errUncounted = errors.New("the format does not say how many parameters there are")

// sayWeights reads the headers of one copy of the model's weights.
func (s *study) sayWeights(l layout) {
	var copies []copyOf
	for _, c := range l.components {
		copies = append(copies, s.copyIn(c))
	}
	s.sayFormat(copies)
	if s.knows(modelfile.ParamSize) && s.knows(modelfile.Precision) && s.knows(modelfile.Quantization) {
		return
	}
	var parts []tally
	whole := true
	for _, c := range copies {
		t, err := s.count(c)
		switch {
		case errors.Is(err, errUncounted):
			s.noteUncounted(c)
		case err != nil:
			s.notes.add("the parameters were not counted: %v", err)
		}
		whole = whole && err == nil
		if t.byDType != nil || err == nil {
			parts = append(parts, t)
		}
	}
	s.sayTally(parts, whole)
	s.say(modelfile.Precision, "from "+l.main.file, cmp.Or(l.main.quant.compute, l.main.dtype))
}

// sayTally states the figures of all components together: PARAMSIZE is the number
// of all parameters in the model, and a pipeline without its text encoder is no
// model. It is left out if a component could not be counted.
func (s *study) sayTally(parts []tally, whole bool) {
	var all tally
	for _, t := range parts {
		all.add(t)
	}
	from := fileSource(all.files)
	if whole {
		s.say(modelfile.ParamSize, from, weights.FormatParams(all.params))
	}
	s.say(modelfile.Precision, from, precisionOf(all.byDType, all.compute))
	s.say(modelfile.Quantization, from, all.method)
	if len(parts) > 1 && whole {
		var sizes []string
		for _, t := range sortedBy(parts, func(t tally) int64 { return -t.params }) {
			sizes = append(sizes, fmt.Sprintf("%s %s", t.name, cmp.Or(weights.FormatParams(t.params), "none")))
		}
		s.notes.add("PARAMSIZE is the sum of the components: %s", strings.Join(sizes, ", "))
	}
}

// count reads the headers of a component's weights.
func (s *study) count(c copyOf) (tally, error) {
	t, err := tally{}, errUncounted
	switch {
	case !c.config.quant.countable():
		return t, fmt.Errorf("weights packed by %s do not show it", c.config.quant.method)
	case c.format == "safetensors":
		t, err = s.countSafetensors(c)
	case c.format == "gguf":
		t, err = s.countGGUF(s.weightFiles("gguf"))
	case c.format == "onnx":
		t, err = s.countONNX(c)
	case c.format == "openvino":
		t, err = s.countOpenVINO(c)
	case c.format == "pt":
		t, err = s.countTorch(c)
	case c.format == "tflite":
		t, err = s.countTFLite(c)
	case c.format == "tensorflow":
		t, err = s.countTensorFlow(c)
	case c.format == "keras":
		t, err = s.countKeras(c)
	}
	t.name = cmp.Or(c.dir, "the main model")
	t.compute = cmp.Or(c.config.quant.compute, c.config.dtype, t.compute)
	return t, err
}

// shardsOf are the files of one copy: those of its index, else those that belong
// together by their names. None of them is damaged.
func (s *study) shardsOf(c copyOf) ([]file, shardIndex, error) {
	files, x, err := s.shardsNamed(c)
	if damaged := damagedOf(files); err == nil && damaged != nil {
		return nil, x, errDamaged(damaged)
	}
	return files, x, err
}

// shardsNamed goes by the index and the names alone.
func (s *study) shardsNamed(c copyOf) ([]file, shardIndex, error) {
	best, ok := mainSet(setsOf(c.files))
	ok = ok && inOneFolder(c.files)
	if x, found := s.indexFor(c, best); found {
		named := x.shards()
		files := slices.DeleteFunc(slices.Clone(c.files), func(f file) bool { return !named[f.path] })
		if len(files) == len(named) {
			return files, x, nil
		}
		return nil, x, fmt.Errorf("%s missing", plural(len(named)-len(files), "shard"))
	}
	damaged := damagedOf(c.files)
	switch {
	case !ok && damaged != nil:
		return nil, shardIndex{}, errDamaged(damaged)
	case !ok:
		return nil, shardIndex{}, fmt.Errorf("%s may be parts of one model or models of their own: %s", plural(len(c.files), "file"), some(pathsOf(c.files)))
	case !best.complete():
		n, _ := best.missing()
		return nil, shardIndex{}, fmt.Errorf("%s missing", plural(n, "shard"))
	}
	return best.files, shardIndex{}, nil
}

// indexFor finds the index of a set, or else the one under a name that libraries
// look for: the shards may be named anyhow then.
func (s *study) indexFor(c copyOf, best set) (shardIndex, bool) {
	dir, ext := folder(best.files[0].path), path.Ext(best.files[0].path)
	for _, stem := range append([]string{best.stem}, libraryStems[:3]...) {
		if best.rank() < len(libraryStems) && stem != best.stem {
			continue
		}
		if x, ok := s.indexes[indexPath(dir, stem, ext, best.variant)]; ok {
			return x, true
		}
	}
	return shardIndex{}, false
}

func pathsOf(files []file) []string {
	var paths []string
	for _, f := range files {
		paths = append(paths, f.path)
	}
	return paths
}

func (s *study) countSafetensors(c copyOf) (tally, error) {
	files, x, err := s.shardsOf(c)
	if err != nil {
		return tally{}, err
	}
	model := weights.NewModel(c.config.counting())
	var bytes int64
	for _, f := range files {
		err := s.header(f.path, func(r io.ReaderAt, size int64) error {
			h, err := weights.ReadSafetensors(r, size, model.Add)
			if err == nil {
				bytes += h.Bytes
			}
			return err
		})
		if err != nil {
			return tally{}, fmt.Errorf("%q: %w", f.path, err)
		}
	}
	if x.table != nil && x.table.TotalSize > 0 && x.table.TotalSize != bytes {
		s.warnings.add("%q says that the tensors have %d bytes, but its shards hold %d", x.file, x.table.TotalSize, bytes)
	}
	return s.summed(model, files), nil
}

// summed is what a model came to.
func (s *study) summed(model *weights.Model, files []file) tally {
	sum := model.Summary()
	if sum.Assumed {
		s.notes.add("PARAMSIZE assumes packed weights of 4 bits in %s, as nothing says how many they have", files[0].path)
	}
	return tally{params: sum.Params, byDType: sum.ByDType, method: sum.Method, files: pathsOf(files)}
}

// countTorch divides the bytes of the tensors by what an element takes, which the
// config must say: the archive has it only in a pickle. Checkpoints of other names
// may hold more than a model.
func (s *study) countTorch(c copyOf) (tally, error) {
	dtype := dtypeNamed(c.config.dtype)
	if dtype == "" || c.config.quant.method != "" {
		return tally{}, errUncounted
	}
	files, _, err := s.shardsOf(c)
	if err != nil {
		return tally{}, err
	}
	if set := setsOf(files)[0]; set.rank() == len(libraryStems) || set.stem == "consolidated" {
		return tally{}, errUncounted
	}
	var bytes int64
	for _, f := range files {
		err := s.header(f.path, func(r io.ReaderAt, size int64) error {
			t, err := weights.ReadTorch(r, size)
			if err == nil && t.Legacy {
				return errUncounted
			}
			if err == nil {
				bytes += t.StorageBytes
			}
			return err
		})
		if err != nil {
			return tally{}, fmt.Errorf("%q: %w", f.path, err)
		}
	}
	params := 8 * bytes / int64(dtype.Bits())
	return tally{params: params, byDType: map[weights.DType]int64{dtype: params}, files: pathsOf(files)}, nil
}

// dtypeNamed is the float that has a name in the model spec.
func dtypeNamed(precision string) weights.DType {
	for _, d := range [...]weights.DType{weights.F64, weights.F32, weights.F16, weights.BF16} {
		if d.Precision() == precision {
			return d
		}
	}
	return ""
}
