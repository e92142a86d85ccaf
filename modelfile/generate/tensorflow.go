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

// checkCheckpoint compares the index of a checkpoint with the shards that are there.
func (s *study) checkCheckpoint(index file) {
	c, err := s.readCheckpoint(index, nil)
	if err != nil {
		s.warnings.add("the shards were not checked: %q: %v", index.path, err)
		return
	}
	shards := make(map[string]int)
	stem := strings.TrimSuffix(path.Base(index.path), ".index")
	for i := range c.Shards {
		shards[fmt.Sprintf("%s.data-%05d-of-%05d", stem, i, c.Shards)] = 0
	}
	s.checkShards(shardIndex{file: index.path, table: &weights.Index{Shards: shards}})
}
