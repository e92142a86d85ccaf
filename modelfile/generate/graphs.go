package generate

import (
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/tareml/tare/weights"
)

// graphVariant is what exporters put behind the name of a model for a version of
// it in another precision or for other hardware.
var graphVariant = regexp.MustCompile(`(?i)[_.-](fp32|fp16|bf16|int8|uint8|int4|q4|q4f16|q8|bnb4|quantized|quant|optimized|o[1-4]|` +
	`qu?int8(_[a-z0-9]+)*|(avx2|avx512|avx512_vnni|arm64)|` +
	`float|float32|float16|(full_)?integer|dynamic(_range)?|edgetpu)$`)

// graphRoles are the words that tell the parts of one model from each other.
var graphRoles = [...]string{"encoder", "decoder", "det", "rec", "cls", "detection", "recognition", "vision", "text", "audio", "visual", "textual",
	"embed", "embeddings", "tokenizer", "projector", "vocoder", "preprocess", "postprocess", "joiner", "predictor"}

// graphTally is what the header of one graph comes to.
type graphTally struct {
	params  int64
	byDType map[weights.DType]int64
}

// countONNX counts one version of each part of a model.
func (s *study) countONNX(c copyOf) (tally, error) {
	return s.countGraphs(withExtension(c.files, ".onnx"), func(f file, r io.ReaderAt, size int64) (graphTally, error) {
		o, err := weights.ReadONNX(r, size)
		if err != nil {
			return graphTally{}, err
		}
		s.checkExternal(f.path, o.External)
		return graphTally{o.Params, o.ByDType}, nil
	})
}

// countOpenVINO does the same. Tokenizers are graphs too, and no part of the model.
func (s *study) countOpenVINO(c copyOf) (tally, error) {
	graphs := slices.DeleteFunc(withExtension(c.files, ".xml"), func(f file) bool { return strings.Contains(path.Base(f.path), "tokenizer") })
	return s.countGraphs(graphs, func(_ file, r io.ReaderAt, size int64) (graphTally, error) {
		o, err := weights.ReadOpenVINO(r, size)
		if err != nil {
			return graphTally{}, err
		}
		return graphTally{o.Params, o.ByDType}, nil
	})
}

// withExtension is a list of the files that have an extension.
func withExtension(files []file, ext string) []file {
	return slices.DeleteFunc(slices.Clone(files), func(f file) bool { return path.Ext(strings.ToLower(f.path)) != ext })
}

func (s *study) countGraphs(graphs []file, read func(file, io.ReaderAt, int64) (graphTally, error)) (tally, error) {
	chosen, err := graphParts(graphs)
	if err != nil {
		return tally{}, err
	}
	t := tally{byDType: make(map[weights.DType]int64), files: pathsOf(chosen)}
	for _, f := range chosen {
		err := s.header(f.path, func(r io.ReaderAt, size int64) error {
			g, err := read(f, r, size)
			t.params += g.params
			for d, n := range g.byDType {
				t.byDType[d] += n
			}
			return err
		})
		if err != nil {
			return tally{}, fmt.Errorf("%q: %w", f.path, err)
		}
	}
	return t, nil
}

// checkExternal names the files with weights that are not there.
func (s *study) checkExternal(graph string, external []string) {
	var missing []string
	for _, name := range external {
		if full := path.Join(path.Dir(graph), name); !s.paths[full] {
			missing = append(missing, full)
		}
	}
	if missing != nil {
		s.warnings.add("%q keeps weights in %s that cannot be found: %s", graph, plural(len(missing), "file"), some(missing))
	}
}

// graphParts picks one file of each part. Parts are told by the roles in their
// names; other names are different models, or nobody knows what.
func graphParts(graphs []file) ([]file, error) {
	if len(graphs) == 0 {
		return nil, errUncounted
	}
	byPart := make(map[string]file)
	var order []string
	for _, f := range graphs {
		stem, variants := graphStem(f.path)
		known, ok := byPart[stem]
		if !ok {
			order = append(order, stem)
		}
		if _, before := graphStem(known.path); !ok || variants < before {
			byPart[stem] = f
		}
	}
	order = dropRepeats(order)
	if len(order) > 1 && !distinctRoles(order) {
		return nil, fmt.Errorf("%s may be parts of one model or models of their own: %s", plural(len(graphs), "file"), some(pathsOf(graphs)))
	}
	var chosen []file
	for _, stem := range order {
		chosen = append(chosen, byPart[stem])
	}
	return chosen, nil
}

// graphStem takes the variants off the name of a file, and counts them.
func graphStem(name string) (stem string, variants int) {
	stem = strings.TrimSuffix(name, path.Ext(name))
	for {
		m := graphVariant.FindStringIndex(stem)
		if m == nil {
			return stem, variants
		}
		stem = stem[:m[0]]
		variants++
	}
}

// dropRepeats leaves out decoders that are there again: with a cache of the past,
// or merged with the one that has none.
func dropRepeats(stems []string) []string {
	return slices.DeleteFunc(stems, func(stem string) bool {
		plain := strings.TrimSuffix(strings.Replace(stem, "_with_past", "", 1), "_merged")
		if plain == stem {
			return slices.Contains(stems, stem+"_merged")
		}
		return strings.Contains(stem, "_with_past") && (slices.Contains(stems, plain) || slices.Contains(stems, plain+"_merged"))
	})
}

// distinctRoles says whether each name has a role of its own.
func distinctRoles(stems []string) bool {
	seen := make(map[string]bool)
	for _, stem := range stems {
		words := strings.FieldsFunc(strings.ToLower(stem), func(r rune) bool { return strings.ContainsRune("/_.- ", r) })
		words = slices.DeleteFunc(words, func(w string) bool { return !slices.Contains(graphRoles[:], w) })
		roles := strings.Join(words, " ")
		if roles == "" || seen[roles] {
			return false
		}
		seen[roles] = true
	}
	return true
}
