package generate

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/tareml/tare/modelpack"
)

// trainingState is the label of what only training goes on from.
const trainingState = "training state"

// leastState is from where on the state of training is worth a note, in bytes.
const leastState = 1 << 20

// checkpointDir are the directories that trainers of Hugging Face write.
var checkpointDir = regexp.MustCompile(`^checkpoint-[0-9]+$`)

// checkpointAbove is the directory of that name above a file, or empty.
func checkpointAbove(p string) string {
	for i := range p {
		if p[i] == '/' && checkpointDir.MatchString(path.Base(p[:i])) {
			return p[:i]
		}
	}
	return ""
}

// trainingNotes says which files are of training and not of the model, as far as
// that is certain: directories in which a trainer left its state, and such a state
// elsewhere.
func trainingNotes(files []file) []string {
	state := make(map[string]bool)
	for _, f := range files {
		if f.label == trainingState || path.Base(f.path) == "trainer_state.json" {
			state[checkpointAbove(f.path)] = true
		}
	}
	var dirs, stray []string
	var size, straySize int64
	weightsElsewhere := false
	for _, f := range files {
		dir := checkpointAbove(f.path)
		switch {
		case dir != "" && state[dir]:
			size += f.size
			if len(dirs) == 0 || dirs[len(dirs)-1] != dir { // files are sorted
				dirs = append(dirs, dir)
			}
		case f.label == trainingState:
			stray = append(stray, f.path)
			straySize += f.size
		case f.kind == modelpack.Model:
			weightsElsewhere = true
		}
	}
	n := checkpointNotes(dirs, size, weightsElsewhere)
	if straySize >= leastState {
		n.add("%s of training state, which a model runs without: %s; --exclude leaves it out", byteSize(straySize), some(stray))
	}
	return n
}

// checkpointNotes is about all checkpoints together. Where there is nothing else,
// one of them is the model.
func checkpointNotes(dirs []string, size int64, weightsElsewhere bool) notes {
	var n notes
	what, them := "is a training checkpoint", "it"
	if len(dirs) > 1 {
		what, them = "are training checkpoints", "them"
	}
	pattern := "checkpoint-*"
	if slices.ContainsFunc(dirs, func(dir string) bool { return strings.Contains(dir, "/") }) {
		pattern = "**/checkpoint-*"
	}
	switch {
	case len(dirs) == 0:
	case weightsElsewhere:
		n.add("%s %s (%s): --exclude '%s' leaves %s out", some(dirs), what, byteSize(size), pattern, them)
	default:
		n.add("%s %s (%s), and there are no other weights: to package one, name its directory", some(dirs), what, byteSize(size))
	}
	return n
}
