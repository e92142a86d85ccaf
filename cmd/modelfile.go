package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelfile/generate"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/progress"
)

type generateOptions struct {
	generate.Options
	output    string
	overwrite bool
}

func (a *app) newModelfileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "modelfile",
		Short: "Work with Modelfiles",
		Long: `Work with Modelfiles: the text that says what a model is and which files of its
directory belong to the artifact. One command a line:

  NAME qwen3-0.6b              what it is: NAME ARCH FAMILY FORMAT PARAMSIZE
  PRECISION bfloat16           PRECISION QUANTIZATION LICENSE …
  CONFIG *.json                its files: CONFIG MODEL CODE DATASET DOC, a path
  MODEL "my model-*.gguf"      or a glob (* ** ? [a-z] {a,b})

docs/modelfile.md in the source has all of it.`,
		Args: argsBetween(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.newGenerateCommand(), a.newCheckCommand(), a.newFmtCommand())
	return cmd
}

func (a *app) newGenerateCommand() *cobra.Command {
	var o generateOptions
	cmd := &cobra.Command{
		Use:   "generate [DIR]",
		Short: "Write a Modelfile for a model directory",
		Long: `Write a Modelfile that describes the model in DIR (default: the current
directory), with comments that say where each value is from. Check the result,
change what you know better, and build.

What the model is comes from its own files: the headers of safetensors, GGUF,
ONNX, OpenVINO, PyTorch, TensorFlow and Keras weights, config.json and its like,
the front matter of README.md, the text of the licence, the chat template, .git
and what download tools left. Nothing is unpickled, run or fetched; of a file of
weights at most 64 MiB are read. Each file is classified by content, then name,
then size.

Hidden files, caches, unfinished downloads and secrets are left out, and so is
what DIR/.tareignore names, in the syntax of .gitignore. --exclude leaves out
more; --include takes what would be left out.`,
		Example: `  tare modelfile generate .
  tare modelfile generate . --dedupe-formats
  tare modelfile generate ~/models/Qwen3-0___6B --exclude 'checkpoint-*'
  tare modelfile generate . --name qwen3-0.6b -O -`,
		Args: argsBetween(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return runGenerate(cmd, o, dir)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Name, "name", "", "name of the model (default: from the directory)")
	flags.StringVar(&o.Arch, "arch", "", "architecture, such as transformer")
	flags.StringVar(&o.Family, "family", "", "family, such as qwen3")
	flags.StringVar(&o.Format, "format", "", "format of the weights, such as safetensors")
	flags.StringVar(&o.ParamSize, "param-size", "", "number of parameters, such as 0.6B")
	flags.StringVar(&o.Precision, "precision", "", "precision, such as bfloat16")
	flags.StringVar(&o.Quantization, "quantization", "", "quantization, such as awq")
	flags.StringArrayVar(&o.Exclude, "exclude", nil, "leave out what matches (repeatable)")
	flags.StringArrayVar(&o.Include, "include", nil, "take what matches even so (repeatable)")
	flags.BoolVar(&o.DedupeFormats, "dedupe-formats", false, "leave out weights there in a better format")
	flags.BoolVar(&o.Modctl, "modctl", false, "write no command that modctl does not know")
	flags.StringVarP(&o.output, "output", "O", "", "file or directory, - for stdout (default DIR)")
	flags.BoolVar(&o.overwrite, "overwrite", false, "replace a Modelfile that is there")
	return cmd
}

func runGenerate(cmd *cobra.Command, o generateOptions, dir string) error {
	path := outputPath(o.output, dir)
	if _, err := os.Lstat(path); err == nil && path != "-" && !o.overwrite {
		return existsError(path)
	}
	r, err := generate.Generate(dir, o.Options)
	if err != nil {
		return err
	}
	noteGenerated(cmd, r)
	if path == "-" {
		_, err := cmd.OutOrStdout().Write(r.File.Format())
		return err
	}
	if err := writeFile(path, r.File.Format(), o.overwrite); err != nil {
		return err
	}
	return say(cmd, "wrote %s", path)
}

// noteGenerated tells what to know of a generated Modelfile, and what is in it.
func noteGenerated(cmd *cobra.Command, r *generate.Result) {
	for _, w := range r.Warnings {
		note(cmd, "warning: %s", w)
	}
	for _, n := range r.Notes {
		note(cmd, "note: %s", n)
	}
	var kinds []string
	for _, kind := range modelpack.Kinds() {
		if c := r.Counts[kind]; c.Files > 0 {
			kinds = append(kinds, fmt.Sprintf("%s %s (%s)", modelfile.KindCommand(kind), plural(c.Files, "file"), progress.Bytes(c.Bytes)))
		}
	}
	for _, line := range wrap(kinds, 80) {
		note(cmd, "%s", line)
	}
}

// wrap joins items with commas to lines that are no wider than width, where items
// allow it.
func wrap(items []string, width int) []string {
	var lines []string
	for _, item := range items {
		last := len(lines) - 1
		if last >= 0 && utf8.RuneCountInString(lines[last])+len(", ")+utf8.RuneCountInString(item)+len(",") <= width {
			lines[last] += ", " + item
			continue
		}
		if last >= 0 {
			lines[last] += ","
		}
		lines = append(lines, item)
	}
	return lines
}

func existsError(path string) error {
	return withHint(fmt.Errorf("%s exists already", path), "to replace it: --overwrite")
}

// outputPath is the file that --output means.
func outputPath(output, dir string) string {
	switch {
	case output == "":
		return filepath.Join(dir, modelfileName)
	case output == "-":
		return output
	}
	return modelfileIn(output)
}

// writeFile makes path complete or not at all. Without overwrite it is an error
// if something is there. Errors name path, not the file that it is before.
func writeFile(path string, data []byte, overwrite bool) error {
	err := writeTemp(filepath.Dir(path), data, func(temp string) error { return moveTo(path, temp, overwrite) })
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	} else if at, ok := errors.AsType[*os.LinkError](err); ok {
		err = at.Err
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist) && !overwrite:
		return existsError(path)
	}
	return fmt.Errorf("writing %s: %w", path, err)
}

// writeTemp has a file in dir for the time of a call.
func writeTemp(dir string, data []byte, use func(name string) error) error {
	temp, err := os.CreateTemp(dir, ".Modelfile-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // no longer there if all went well
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Chmod(0o644), temp.Close()); err != nil {
		return err
	}
	return use(temp.Name())
}

func moveTo(path, temp string, overwrite bool) error {
	if !overwrite {
		if err := os.Link(temp, path); err == nil || errors.Is(err, fs.ErrExist) {
			return err
		} // else a file system without hard links
	}
	return os.Rename(temp, path)
}
