package generate

import (
	"cmp"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tareml/tare/modelpack"
)

// formatRanks has the formats that models are published in beside each other, the
// one to keep first. Others are never taken for copies.
var formatRanks = [...]string{"safetensors", "gguf", "pt", "keras", "tensorflow", "msgpack", "onnx", "openvino", "coreml", "tflite", "tfjs", "ctranslate2", "ggml"}

// formatNames are the formats in the words of people.
var formatNames = map[string]string{
	"safetensors": "safetensors", "gguf": "GGUF", "pt": "PyTorch", "keras": "Keras", "tensorflow": "TensorFlow", "msgpack": "Flax",
	"onnx": "ONNX", "openvino": "OpenVINO", "coreml": "Core ML", "tflite": "TensorFlow Lite", "tfjs": "TensorFlow.js",
	"ctranslate2": "CTranslate2", "ggml": "GGML",
}

// formatDirs are directories that hold a model's weights once more, as their names
// say. The model is in the directory above.
const formatDirs = "original onnx openvino coreml tf tensorflow tf2 flax jax rust tflite tfjs torchscript pytorch gguf metal saved_model variables *.mlpackage *.mlmodelc"

// copies are the files that hold what others hold too.
type copies struct {
	paths    map[string]bool
	bytes    int64
	formats  []string         // what they are, for people
	variants map[string]int64 // bytes of other precisions and the like, by name
	varied   map[string]bool  // the files with those
}

// place is which weights a file has a part of. Two sets of files with one place are
// copies of each other.
type place struct {
	dir     string // of the model or the component
	stem    string // the name of the model
	variant string // fp16 and the like: the same format twice, both wanted
}

// weightSet is one copy of the weights.
type weightSet struct {
	format string
	second bool // consolidated, or below a directory such as original/
	label  string
	files  []file
	bytes  int64
}

// duplicates finds the weights that --dedupe-formats leaves out: all sets but the
// best for each part of a model.
func duplicates(files []file) *copies {
	c := &copies{paths: make(map[string]bool), variants: make(map[string]int64), varied: make(map[string]bool)}
	order, sets := weightSets(files)
	for _, at := range order {
		for _, s := range others(sets[at]) {
			c.addSet(s)
		}
	}
	c.addVariants(sets)
	c.addSingles(files)
	c.addCompanions(files)
	for _, f := range files {
		if c.paths[f.path] {
			c.bytes += f.size
		}
	}
	slices.Sort(c.formats)
	c.formats = slices.Compact(c.formats)
	return c
}

func (c *copies) addSet(s *weightSet) {
	for _, f := range s.files {
		c.paths[f.path] = true
	}
	c.formats = append(c.formats, s.label)
}

// without leaves the copies out.
func (c *copies) without(files []file) []file {
	return slices.DeleteFunc(slices.Clone(files), func(f file) bool { return c.paths[f.path] })
}

// once leaves out what says the same of the model once more.
func (c *copies) once(files []file) []file {
	return slices.DeleteFunc(slices.Clone(files), func(f file) bool { return c.paths[f.path] || c.varied[f.path] })
}

// addVariants finds the sets that are there without a variant too. They stay: who
// loads a model asks for one or the other.
func (c *copies) addVariants(sets map[place][]*weightSet) {
	for at, variants := range sets {
		if at.variant == "" || sets[place{dir: at.dir, stem: at.stem}] == nil {
			continue
		}
		for _, s := range variants {
			for _, f := range s.files {
				c.varied[f.path] = true
				if !c.paths[f.path] {
					c.variants[at.variant] += f.size
				}
			}
		}
	}
}

// notes says what is, or could be, left out.
func (c *copies) notes(leftOut bool) []string {
	var n notes
	switch {
	case len(c.paths) == 0:
	case leftOut:
		n.add("left out as copies of the weights (%s): %s, which saves %s",
			strings.Join(c.formats, ", "), some(slices.Sorted(maps.Keys(c.paths))), byteSize(c.bytes))
	default:
		n.add("--dedupe-formats leaves out copies of the weights (%s) and saves %s", strings.Join(c.formats, ", "), byteSize(c.bytes))
	}
	for _, v := range slices.Sorted(maps.Keys(c.variants)) {
		n.add("the weights are here as %s too: --exclude '**/*%s*' leaves that out and saves %s", v, v, byteSize(c.variants[v]))
	}
	return n
}

// weightSets gathers the sets that are copies of each other, and gives their
// places in the order of the files.
func weightSets(files []file) (order []place, sets map[place][]*weightSet) {
	dirs := weightsDirs(files)
	sets = make(map[place][]*weightSet)
	for _, f := range files {
		at, set, ok := placeOf(f, dirs)
		if !ok {
			continue
		}
		if sets[at] == nil {
			order = append(order, at)
		}
		i := slices.IndexFunc(sets[at], set.alike)
		if i < 0 {
			i = len(sets[at])
			sets[at] = append(sets[at], &set)
		}
		sets[at][i].files = append(sets[at][i].files, f)
		sets[at][i].bytes += f.size
	}
	return order, sets
}

// alike says whether files of two sets are of one.
func (s *weightSet) alike(other *weightSet) bool {
	return s.format == other.format && s.second == other.second && s.label == other.label
}

// mainStem is the name that frameworks give the weights by themselves.
const mainStem = "model"

// weightsDir is what weights are in a directory.
type weightsDir struct {
	stems map[string]bool // of those right in it, without GGUF
	ggufs map[string]bool // models and quantizations
}

// main is what the weights are called that those below original/, onnx/ and so on
// are copies of: the usual name, the only one that there is, or any if there are
// none. It is false if there are several.
func (d *weightsDir) main() (string, bool) {
	if len(d.stems) == 0 || d.stems[mainStem] {
		return mainStem, true
	}
	for stem := range d.stems {
		return stem, len(d.stems) == 1
	}
	return "", false
}

// weightsDirs looks at the names of all weights, by the directory of the model.
func weightsDirs(files []file) map[string]*weightsDir {
	dirs := make(map[string]*weightsDir)
	for _, f := range files {
		if f.kind != modelpack.Model {
			continue
		}
		dir, sub := component(f.path)
		if dirs[dir] == nil {
			dirs[dir] = &weightsDir{make(map[string]bool), make(map[string]bool)}
		}
		switch {
		case f.format == "gguf":
			dirs[dir].ggufs[ggufName(f.path)] = true
		case f.format != "" && sub == "":
			stem, _ := stemOf(f.path)
			dirs[dir].stems[stem] = true
		}
	}
	return dirs
}

// placeOf says which set of weights a file belongs to, if it is known to be one
// that may have copies.
func placeOf(f file, dirs map[string]*weightsDir) (place, weightSet, bool) {
	if f.kind != modelpack.Model {
		return place{}, weightSet{}, false
	}
	dir, sub := component(f.path)
	stem, variant := stemOf(f.path)
	set := newWeightSet(f, sub)
	if ranked := slices.Contains(formatRanks[:], f.format); !ranked && (sub == "" || f.format != "") {
		return place{}, set, false
	}
	if f.format != "gguf" && sub == "" {
		return place{dir, stem, variant}, set, true
	}
	main, ok := dirs[dir].main()
	if f.format == "gguf" { // several quantizations are all wanted
		ok = ok && len(dirs[dir].stems) > 0 && len(dirs[dir].ggufs) == 1
	}
	return place{dir: dir, stem: main}, set, ok
}

// newWeightSet is the set that a file below the directory sub would be of.
func newWeightSet(f file, sub string) weightSet {
	set := weightSet{format: f.format, label: formatNames[f.format]}
	switch {
	case sub == "original", sub != "" && f.format == "":
		set.second, set.label = true, sub+"/"
	case strings.HasPrefix(path.Base(f.path), "consolidated"):
		set.second, set.label = true, "consolidated"
	}
	return set
}

// component is the directory of the model that a file is part of, and the
// directory below it that tells the format, if there is one.
func component(p string) (dir, sub string) {
	parts := strings.Split(p, "/")
	for i, part := range parts[:len(parts)-1] {
		if matchAny(formatDirs, strings.ToLower(part)) {
			return path.Join(append([]string{"."}, parts[:i]...)...), strings.ToLower(part)
		}
	}
	return path.Dir(p), ""
}

var (
	shardPart   = regexp.MustCompile(`[-_.]?-?[0-9]{2,}-of-[0-9]{2,}|\.data-[0-9]+$|^(consolidated)[-.][0-9]+$`)
	variantPart = regexp.MustCompile(`[._-](fp16|bf16|fp32|fp8|non_ema|ema|int8)$|[._](fp16|bf16|fp32|fp8|non_ema|ema|int8)([._-])`)
	madeBy      = regexp.MustCompile(`^(diffusion_)?(pytorch|tf|flax|rust|openvino|ort|onnx|mlx|coreml)_`)
	tuned       = regexp.MustCompile(`[_-](quantized|optimized|quantised|optimised|int8|uint8|q4|q4f16|bnb4|O[1-4])$`)
)

// stemOf is the name of a model in the name of one of its files, without what the
// format adds: the numbers of shards, the framework, and the variant, which comes
// apart.
func stemOf(p string) (stem, variant string) {
	base := path.Base(p)
	ext := path.Ext(base)
	stem = shardPart.ReplaceAllString(strings.TrimSuffix(base, ext), "$1")
	if m := variantPart.FindStringSubmatchIndex(stem); m != nil {
		variant = strings.Trim(stem[m[0]:m[1]], "._-")
		stem = stem[:m[0]] + stem[m[1]:]
	}
	stem = madeBy.ReplaceAllString(stem, "")
	stem = strings.TrimSuffix(stem, ".weights")
	if slices.Contains([]string{".onnx", ".ort"}, ext) || strings.HasPrefix(ext, ".onnx_data") {
		stem = tuned.ReplaceAllString(stem, "")
	}
	if stem == "consolidated" || stem == "saved_model" {
		stem = mainStem
	}
	return stem, variant
}

// ggufName is which model and quantization a file is of; all shards of one and a
// projector beside it count as one.
func ggufName(p string) string {
	base := strings.TrimSuffix(path.Base(p), path.Ext(p))
	if strings.HasPrefix(strings.ToLower(base), "mmproj") {
		return ""
	}
	return shardPart.ReplaceAllString(base, "")
}

// others are the sets to leave out: all but the best. Sets that lack shards, or
// are a small part of another one, are no copies of anything.
func others(sets []*weightSet) []*weightSet {
	const part = 10 // how much smaller copies are at most: 4 bits for 32, and then some
	var largest int64
	for _, s := range sets {
		largest = max(largest, s.bytes)
	}
	whole := slices.DeleteFunc(slices.Clone(sets), func(s *weightSet) bool { return !s.complete() || s.bytes < largest/part })
	if len(whole) == 0 {
		return nil
	}
	slices.SortStableFunc(whole, func(a, b *weightSet) int { return cmp.Compare(a.rank(), b.rank()) })
	return whole[1:]
}

func (s *weightSet) rank() int {
	i := slices.Index(formatRanks[:], s.format)
	switch {
	case i < 0:
		return 2 * len(formatRanks)
	case s.second:
		return 2*i + 1
	}
	return 2 * i
}

var shardOf = regexp.MustCompile(`([0-9]{2,})-of-([0-9]{2,})`)

// complete says whether all shards are there that the names of some promise.
func (s *weightSet) complete() bool {
	promised, seen := 0, make(map[string]int)
	for _, f := range s.files {
		if m := shardOf.FindStringSubmatch(path.Base(f.path)); m != nil {
			n, err := strconv.Atoi(m[2])
			if err != nil {
				return false
			}
			promised = max(promised, n)
			seen[path.Dir(f.path)+m[2]+shardOf.ReplaceAllString(path.Base(f.path), "")]++
		}
	}
	for _, n := range seen {
		if n < promised {
			return false
		}
	}
	return true
}

// addons are what lies beside the components of a diffusers pipeline and is no copy
// of them.
const addons = "*lora* *adapter* *controlnet* *embedding* *upscale*"

// addSingles finds the checkpoints beside model_index.json that hold the
// components of the pipeline in one file, as other programs want them.
func (c *copies) addSingles(files []file) {
	for _, index := range files {
		if path.Base(index.path) != "model_index.json" {
			continue
		}
		dir := path.Dir(index.path)
		var parts, largest int64
		var singles []file
		for _, f := range files {
			if f.kind != modelpack.Model || c.paths[f.path] || !slices.Contains(formatRanks[:3], f.format) {
				continue
			}
			switch {
			case path.Dir(f.path) == dir && !matchAny(addons, strings.ToLower(path.Base(f.path))):
				singles = append(singles, f)
				largest = max(largest, f.size)
			case path.Dir(path.Dir(f.path)) == dir:
				parts += f.size
			}
		}
		if parts < largest/3 { // not all components are here
			continue
		}
		for _, f := range singles {
			c.paths[f.path] = true
			c.formats = append(c.formats, "single-file checkpoints")
		}
	}
}

// addCompanions finds what is of no use without the copies: indexes of their
// shards, and the rest of directories such as original/.
func (c *copies) addCompanions(files []file) {
	if len(c.paths) == 0 {
		return
	}
	kept := make(map[string]bool) // directories that keep weights
	gone := make(map[string]bool) // directories that lose some
	for _, f := range files {
		dir, sub := component(f.path)
		if f.kind == modelpack.Model && sub != "" {
			kept[dir+"/"+sub] = kept[dir+"/"+sub] || !c.paths[f.path]
			gone[dir+"/"+sub] = gone[dir+"/"+sub] || c.paths[f.path]
		}
	}
	for _, f := range files {
		dir, sub := component(f.path)
		in := dir + "/" + sub
		if sub != "" && gone[in] && !kept[in] || f.kind == modelpack.Config && c.isIndex(f.path, files) {
			c.paths[f.path] = true
		}
	}
}

var indexName = regexp.MustCompile(`^(.*)(\.[a-z0-9]+)\.index(\.[a-z0-9]+)?\.json$`)

// isIndex says whether a file is the index of shards that are all copies.
func (c *copies) isIndex(p string, files []file) bool {
	m := indexName.FindStringSubmatch(p)
	if m == nil {
		return false
	}
	start, ext, found := m[1]+m[3]+"-", m[2], false
	for _, f := range files {
		if f.kind == modelpack.Model && strings.HasPrefix(f.path, start) && path.Ext(f.path) == ext {
			if !c.paths[f.path] {
				return false
			}
			found = true
		}
	}
	return found
}
