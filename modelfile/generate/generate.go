// Package generate writes a Modelfile for a directory of model files.
//
//	result, err := generate.Generate("Qwen3-0.6B", generate.Options{ParamSize: "0.6b"})
//	...
//	os.Stdout.Write(result.File.Format())
//
// Each file of the directory gets a statement that matches it alone. What a file
// is for is told by its name; names that say nothing count as weights if the file
// is large and as code otherwise. Hidden files, caches and leftovers are not
// taken. [Result.Notes] says whatever was left out or assumed.
//
// What the model is comes from the [Options], else from config.json, the
// extensions of the weights and the name of the directory. The same directory
// always gives the same Modelfile.
package generate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelpack"
)

// Options say what is known beforehand. What is empty is worked out.
type Options struct {
	Name, Arch, Family, Format         string
	ParamSize, Precision, Quantization string

	// Exclude and Include are doublestar globs of paths within the directory;
	// one that matches a directory covers all that is in it. Exclude leaves
	// files out and beats Include, which takes files that would be left out
	// for their name.
	Exclude, Include []string

	// Modctl leaves out what modctl does not know.
	Modctl bool
}

// Result is a Modelfile and how it came about.
type Result struct {
	File *modelfile.File
	// Notes says what was left out or assumed, one sentence each.
	Notes []string
	// Counts holds the files of each kind. Kinds without files are not in it.
	Counts map[modelpack.Kind]Count
}

// Count is a number of files and the number of bytes in them.
type Count struct {
	Files int
	Bytes int64
}

// Generate writes a Modelfile for the files in dir. It reads no file but
// config.json. Errors that the user can do something about have a method
// Hint() string, to be found by [errors.As].
func Generate(dir string, opts Options) (*Result, error) {
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	fsys := os.DirFS(dir)
	found, err := walk(fsys, opts)
	if err != nil {
		return nil, err
	}
	files := classify(found.files)
	if err := checkContent(dir, files, found); err != nil {
		return nil, err
	}
	said := notes(slices.Concat(found.notes(), classNotes(files)))
	meta := describe(fsys, dir, files, opts, &said)

	result := &Result{File: new(modelfile.File), Notes: said, Counts: count(files)}
	addMetadata(result.File, meta)
	for _, kind := range modelpack.Kinds() {
		addFiles(result.File, kind, files)
	}
	return result, nil
}

// Files lists the files in dir that belong to a model, by path.
func Files(dir string, opts Options) ([]string, error) {
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	found, err := walk(os.DirFS(dir), opts)
	if err != nil {
		return nil, err
	}
	paths := make([]string, len(found.files))
	for i, f := range found.files {
		paths[i] = f.path
	}
	return paths, nil
}

const whichDir = "name the directory that holds the model's files"

func checkDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &failure{msg: fmt.Sprintf("directory %q: not found", dir), hint: whichDir, cause: err}
	case err != nil:
		return fmt.Errorf("directory %q: %w", dir, err)
	case !info.IsDir():
		return &failure{msg: fmt.Sprintf("%q is not a directory", dir), hint: whichDir}
	}
	return nil
}

// checkContent refuses directories that hold no model.
func checkContent(dir string, files []file, found *found) error {
	worth := func(f file) bool { return f.kind != modelpack.Config && f.kind != modelpack.Doc }
	switch {
	case len(files) == 0 && len(found.left) > 0:
		hint := strings.Join(found.notes(), "; ") + "; --include takes such files"
		return &failure{msg: fmt.Sprintf("directory %q: no files to package", dir), hint: hint}
	case len(files) == 0:
		return &failure{msg: fmt.Sprintf("directory %q: no files to package", dir), hint: whichDir}
	case !slices.ContainsFunc(files, worth):
		return &failure{
			msg:  fmt.Sprintf("directory %q: no weights, code or data among %s", dir, plural(len(files), "file")),
			hint: "write a Modelfile by hand if one of them is the model",
		}
	}
	return nil
}

func count(files []file) map[modelpack.Kind]Count {
	counts := make(map[modelpack.Kind]Count)
	for _, f := range files {
		c := counts[f.kind]
		counts[f.kind] = Count{c.Files + 1, c.Bytes + f.size}
	}
	return counts
}

// addMetadata adds what the model is, below a comment on who says so.
func addMetadata(out *modelfile.File, meta []fact) {
	var sources []string
	commands := make(map[string][]string)
	for _, m := range meta {
		if !slices.Contains(sources, m.source) {
			sources = append(sources, m.source)
		}
		commands[m.source] = append(commands[m.source], m.command)
	}
	for i, source := range sources {
		sources[i] = strings.Join(commands[source], ", ") + " " + source
	}
	comments := []string{strings.Join(sources, "; ")}
	for _, m := range meta {
		out.Add(m.command, m.value, comments...)
		comments = nil
	}
}

// addFiles adds the files of one kind, below a comment on what they are.
func addFiles(out *modelfile.File, kind modelpack.Kind, files []file) {
	var reasons []string
	for _, f := range files {
		if f.kind == kind && !slices.Contains(reasons, f.reason) {
			reasons = append(reasons, f.reason)
		}
	}
	slices.Sort(reasons)
	comments := []string{"", "By file name: " + strings.Join(reasons, ", ")}
	for _, f := range files {
		if f.kind == kind {
			out.Add(modelfile.KindCommand(kind), modelfile.EscapeGlob(f.path), comments...)
			comments = nil
		}
	}
}
