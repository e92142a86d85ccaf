package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/modelfile/generate"
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
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.newGenerateCommand())
	return cmd
}

func (a *app) newGenerateCommand() *cobra.Command {
	var o generateOptions
	cmd := &cobra.Command{
		Use:   "generate [DIR]",
		Short: "Write a Modelfile for a model directory",
		Long: `Write a Modelfile that describes the model in DIR (default: the current
directory): its name, architecture, family and precision from config.json, and
each file with what it is for. Read it, change what you know better, and build.`,
		Example: `  tare modelfile generate .
  tare modelfile generate ~/models/Qwen3-0___6B --exclude 'checkpoint-*'
  tare modelfile generate . -O -`,
		Args: cobra.MaximumNArgs(1),
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
	flags.StringArrayVar(&o.Exclude, "exclude", nil, "leave out what matches this glob (repeatable)")
	flags.StringArrayVar(&o.Include, "include", nil, "take what matches this glob though its name would leave it out (repeatable)")
	flags.StringVarP(&o.output, "output", "O", "", "file or directory to write to, - for standard output (default DIR)")
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
	for _, n := range r.Notes {
		note(cmd, "note: %s", n)
	}
	if path == "-" {
		_, err := cmd.OutOrStdout().Write(r.File.Format())
		return err
	}
	if err := writeFile(path, r.File.Format(), o.overwrite); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "wrote %s\n", path)
	return nil
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

// writeFile makes path, or replaces it all at once.
func writeFile(path string, data []byte, overwrite bool) error {
	temp := path
	if overwrite {
		temp = path + ".tmp"
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return existsError(temp)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil && temp != path {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp)
	}
	return err
}
