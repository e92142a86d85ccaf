package generate

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/weights"
)

// formatOf is the format of a file's weights: what its content is, else what it
// was classified as. It is empty for training state and for what is not known.
func formatOf(f file) string {
	if f.kind != modelpack.Model {
		return ""
	}
	switch f.sniffed {
	case weights.KindSafetensors, weights.KindGGUF, weights.KindONNX:
		return string(f.sniffed)
	case weights.KindLFSPointer:
		return ""
	}
	return f.format
}

// weightFiles are the files in any of the formats.
func (s *study) weightFiles(formats ...string) []file {
	var out []file
	for _, f := range s.files {
		if slices.Contains(formats, formatOf(f)) {
			out = append(out, f)
		}
	}
	return out
}

// formatOrder is which format is described if there are copies in several: the
// ones first of which a header tells most.
var formatOrder = [...]string{"safetensors", "gguf", "pt", "onnx"}

func formatRank(format string) int {
	if i := slices.Index(formatOrder[:], format); i >= 0 {
		return i
	}
	return len(formatOrder)
}

// copyOf is the weights of a component, without what is there again in another
// format or in a folder further down.
type copyOf struct {
	member
	format string
	files  []file
}

// copyIn picks the copy for a component: the weights in its own folder, or the
// ones that are least far below if there are none.
func (s *study) copyIn(c member) copyOf {
	var near []file
	depth := 0
	for _, f := range s.files {
		below, ok := strings.CutPrefix(f.path, c.dir+"/")
		if c.dir == "" {
			below, ok = f.path, true
		}
		if !ok || formatOf(f) == "" {
			continue
		}
		switch d := strings.Count(below, "/"); {
		case near == nil || d < depth:
			near, depth = []file{f}, d
		case d == depth:
			near = append(near, f)
		}
	}
	format := mainFormat(near)
	files := slices.DeleteFunc(near, func(f file) bool { return formatOf(f) != format })
	return copyOf{c, format, files}
}

// mainFormat is the first in formatOrder of those that have a good part of the
// bytes, which a config or a plug-in that came along has not.
func mainFormat(files []file) string {
	sizes := make(map[string]int64)
	for _, f := range files {
		sizes[formatOf(f)] += f.size
	}
	var most int64
	for _, n := range sizes {
		most = max(most, n)
	}
	formats := slices.Collect(maps.Keys(sizes))
	formats = slices.DeleteFunc(formats, func(f string) bool { return sizes[f] < most/10 })
	if len(formats) == 0 {
		return ""
	}
	return slices.MinFunc(formats, func(a, b string) int {
		return cmp.Or(cmp.Compare(formatRank(a), formatRank(b)), cmp.Compare(sizes[b], sizes[a]), cmp.Compare(a, b))
	})
}

// sayFormat states the format of the copies that are described.
func (s *study) sayFormat(copies []copyOf) {
	var described []file
	for _, c := range copies {
		described = append(described, c.files...)
	}
	format := mainFormat(described)
	if format == "" || s.knows(modelfile.Format) {
		return
	}
	s.say(modelfile.Format, "from the weights", format)
	others := make(map[string]bool)
	for _, f := range s.files {
		if other := formatOf(f); other != "" && other != format {
			others[other] = true
		}
	}
	if len(others) > 0 {
		s.notes.add("took %s for FORMAT; there is %s too", format, strings.Join(slices.Sorted(maps.Keys(others)), ", "))
	}
}

// inOneFolder says whether files are together.
func inOneFolder(files []file) bool {
	return !slices.ContainsFunc(files, func(f file) bool { return path.Dir(f.path) != path.Dir(files[0].path) })
}
