package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
	note(cmd, "%s", strings.Join(kinds, ", "))
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
	if info, err := os.Stat(output); err == nil && info.IsDir() {
		return filepath.Join(output, modelfileName)
	}
	return output
}

// writeFile makes path complete or not at all. Without overwrite it is an error
// if something is there.
func writeFile(path string, data []byte, overwrite bool) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".Modelfile-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(temp.Name()) // no longer there if all went well
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Chmod(0o644), temp.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if overwrite {
		return os.Rename(temp.Name(), path)
	}
	if err := os.Link(temp.Name(), path); errors.Is(err, fs.ErrExist) {
		return existsError(path)
	} else if err != nil {
		return os.Rename(temp.Name(), path) // a file system without hard links
	}
	return nil
}
