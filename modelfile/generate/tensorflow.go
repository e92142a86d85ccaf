package generate

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/tareml/tare/weights"
)

const (
	savedModelName = "saved_model.pb"
	variablesIndex = "variables/variables.index" // beside it
)

// countTFLite counts one version of each part of a model. What else has the format,
// such as bundles of a model and its tokenizer, is not looked into.
func (s *study) countTFLite(c copyOf) (tally, error) {
	graphs := slices.DeleteFunc(slices.Clone(c.files), func(f file) bool {
		return f.sniffed != weights.KindTFLite && path.Ext(strings.ToLower(f.path)) != ".tflite"
	})
	return s.countGraphs(graphs, func(_ file, r io.ReaderAt, size int64) (graphTally, error) {
		t, err := weights.ReadTFLite(r, size)
		if err != nil {
			return graphTally{}, err
		}
		return graphTally{t.Params, t.ByDType}, nil
	})
}

// countTensorFlow counts the variables of a SavedModel or of a checkpoint. Graphs
// with the weights in them are not read.
func (s *study) countTensorFlow(c copyOf) (tally, error) {
	index, err := s.checkpointOf(c)
	if err != nil {
		return tally{}, err
	}
	model := weights.NewModel(c.config.counting())
	if _, err := s.readCheckpoint(index, model.Add); err != nil {
		return tally{}, fmt.Errorf("%q: %w", index.path, err)
	}
	return s.summed(model, []file{index}), nil
}

// checkpointOf is the index of a copy's variables. Checkpoints beside a SavedModel
// are what it was made of.
func (s *study) checkpointOf(c copyOf) (file, error) {
	saved := slices.DeleteFunc(slices.Clone(c.files), func(f file) bool { return path.Base(f.path) != savedModelName })
	indexes := withExtension(c.files, ".index")
	switch {
	case len(saved) > 1:
		return file{}, fmt.Errorf("there are %d SavedModels: %s", len(saved), some(pathsOf(saved)))
	case len(saved) == 1:
		return s.variablesOf(saved[0])
	case len(indexes) > 1:
		return file{}, fmt.Errorf("there are %d checkpoints: %s", len(indexes), some(pathsOf(indexes)))
	case len(indexes) == 0:
		return file{}, errUncounted
	}
	return indexes[0], nil
}

// variablesOf finds the index of a SavedModel's variables. Where there is nothing of
// them, the weights are in the graph.
func (s *study) variablesOf(saved file) (file, error) {
	index := path.Join(folder(saved.path), variablesIndex)
	beside := func(f file) bool { return strings.HasPrefix(f.path, path.Dir(index)+"/") }
	switch i := slices.IndexFunc(s.files, func(f file) bool { return f.path == index }); {
	case i >= 0:
		return s.files[i], nil
	case slices.ContainsFunc(s.files, beside):
		return file{}, fmt.Errorf("%q is missing", index)
	}
	return file{}, errUncounted
}

func (s *study) readCheckpoint(index file, each func(weights.Tensor)) (c *weights.Checkpoint, err error) {
	err = s.header(index.path, func(r io.ReaderAt, size int64) error {
		c, err = weights.ReadCheckpoint(r, size, each)
		return err
	})
	return c, err
}

// mostCheckpoints is how many indexes are compared with their shards. To read one can
// take half a second if somebody wants it to.
const mostCheckpoints = 64

// checkCheckpoint compares the index of a checkpoint with the shards that are there.
func (s *study) checkCheckpoint(index file) {
	switch s.checkpoints++; {
	case s.checkpoints == mostCheckpoints+1:
		s.warnings.add("from %q on the shards were not checked: there are more than %d checkpoints", index.path, mostCheckpoints)
		return
	case s.checkpoints > mostCheckpoints:
		return
	}
	c, err := s.readCheckpoint(index, nil)
	if err != nil {
		s.warnings.add("the shards were not checked: %q: %v", index.path, err)
		return
	}
	s.checkCheckpointShards(index.path, c.Shards)
}

// checkCheckpointShards counts the shards that are there. An index can announce
// thousands of them in a hundred bytes, so that it does not go through those.
func (s *study) checkCheckpointShards(index string, shards int) {
	stem := strings.TrimSuffix(index, ".index")
	name := func(i int) string { return fmt.Sprintf("%s.data-%05d-of-%05d", stem, i, shards) }
	missing := shards - s.countBetween(name(0), name(shards-1))
	if missing == shards {
		s.warnings.add("none of the %s that %q names is here", plural(shards, "shard"), index)
		return
	}
	var first []string
	for i := 0; i < shards && len(first) < min(missing, mostNamed); i++ {
		if !s.paths[name(i)] {
			first = append(first, name(i))
		}
	}
	if first != nil {
		s.warnings.add("missing: %s that %q names: %s", plural(missing, "shard"), index, someOf(first, missing))
	}
}

// countBetween is how many files there are from the first to the last shard of a
// checkpoint, by name.
func (s *study) countBetween(first, last string) (n int) {
	from, _ := slices.BinarySearchFunc(s.files, first, func(f file, name string) int { return strings.Compare(f.path, name) })
	number, end := len(first)-len("00000-of-00000"), len(first)-len("-of-00000")
	for _, f := range s.files[from:] {
		if f.path > last {
			break
		}
		if len(f.path) == len(last) && f.path[end:] == last[end:] && strings.Trim(f.path[number:end], "0123456789") == "" {
			n++
		}
	}
	return n
}
