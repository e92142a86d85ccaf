package generate

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelpack"
)

// fact is one statement on what the model is.
type fact struct {
	command, value string
	source         string // reads on from the command: "from config.json"
}

// describe works out what the model is, in the order of the grammar. A fact that
// is not known is left out.
func describe(fsys fs.FS, dir string, files []file, opts Options, n *notes) []fact {
	config := readConfig(fsys, files, n)
	guesses := []struct {
		fact
		given string
	}{
		{fact{modelfile.Name, nameOf(dir, opts.Name, n), "from the name of the directory"}, opts.Name},
		{fact{modelfile.Arch, config.arch, fromConfig}, opts.Arch},
		{fact{modelfile.Family, config.family, fromConfig}, opts.Family},
		{fact{modelfile.Format, formatOf(files, opts.Format, n), "from the extensions of the weights"}, opts.Format},
		{fact{command: modelfile.ParamSize}, opts.ParamSize},
		{fact{modelfile.Precision, config.precision, fromConfig}, opts.Precision},
		{fact{modelfile.Quantization, config.quantization, fromConfig}, opts.Quantization},
	}
	var facts []fact
	for _, g := range guesses {
		if g.given != "" {
			g.fact = fact{g.command, g.given, "as given"}
		}
		if g.value != "" {
			facts = append(facts, g.fact)
		}
	}
	return facts
}

// nameOf makes a name of the path of the directory.
func nameOf(dir, given string, n *notes) string {
	abs, err := filepath.Abs(dir)
	name := modelName(filepath.ToSlash(abs))
	if given == "" && (err != nil || name == "") {
		n.add("the directory has no name to take for NAME")
		return ""
	}
	return name
}

// modelName undoes what download tools do to the name of a model. Hugging Face's
// cache has it in models--org--name/snapshots/revision, and ModelScope writes
// three underscores for a dot.
func modelName(abs string) string {
	parts := strings.Split(abs, "/")
	name := parts[len(parts)-1]
	if n := len(parts); n >= 3 && parts[n-2] == "snapshots" && strings.HasPrefix(parts[n-3], "models--") {
		name = parts[n-3]
	}
	if repo, ok := strings.CutPrefix(name, "models--"); ok {
		name = repo
		if _, model, ok := strings.Cut(repo, "--"); ok {
			name = model
		}
	}
	return strings.ReplaceAll(name, "___", ".")
}

// formatOf is the format that most bytes of the weights are in.
func formatOf(files []file, given string, n *notes) string {
	sizes := make(map[string]int64)
	for _, f := range files {
		if f.kind == modelpack.Model && f.format != "" {
			sizes[f.format] += f.size
		}
	}
	formats := slices.SortedFunc(maps.Keys(sizes), func(a, b string) int {
		return cmp.Or(cmp.Compare(sizes[b], sizes[a]), cmp.Compare(a, b))
	})
	if len(formats) == 0 {
		return ""
	}
	if len(formats) > 1 && given == "" {
		n.add("took %s for FORMAT, as most bytes of the weights are in it; there is %s too",
			formats[0], strings.Join(formats[1:], ", "))
	}
	return formats[0]
}

// plainWord lets words through that can be a name in some config.json, and drops
// prose and noise.
func plainWord(word string) (string, error) {
	const most = 64
	odd := func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !letter && !('0' <= r && r <= '9') && !strings.ContainsRune("._-", r)
	}
	if len(word) > most || strings.ContainsFunc(word, odd) {
		return "", fmt.Errorf("%.40q is not a plain word", word)
	}
	return word, nil
}
