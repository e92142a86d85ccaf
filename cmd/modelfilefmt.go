package cmd

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/modelfile"
)

type fmtOptions struct{ write bool }

func (a *app) newFmtCommand() *cobra.Command {
	var o fmtOptions
	cmd := &cobra.Command{
		Use:   "fmt [-w] [FILE|DIR]",
		Short: "Format a Modelfile",
		Long: `Print a Modelfile (default: ./Modelfile, of a directory DIR/Modelfile, - for
standard input) in its canonical form: commands in upper case, quotes and
escapes where a value needs them and nowhere else, one blank line at a time.
It says the same as before; order and comments stay.`,
		Example: `  tare modelfile fmt -w
  tare modelfile fmt Modelfile | diff Modelfile -`,
		Args: argsBetween(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := modelfileName
			if len(args) == 1 {
				file = args[0]
			}
			return runFmt(cmd, o, file)
		},
	}
	cmd.Flags().BoolVarP(&o.write, "write", "w", false, "write it back to FILE")
	return cmd
}

func runFmt(cmd *cobra.Command, o fmtOptions, file string) error {
	if file == "-" {
		return fmtStdin(cmd, o)
	}
	file = modelfileIn(file)
	parsed, err := readModelfile(file)
	if err != nil {
		return err
	}
	text := parsed.Format()
	if !o.write {
		_, err := cmd.OutOrStdout().Write(text)
		return readerGone(err)
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real // a link stays one
	}
	return writeFile(file, text, true)
}

// modelfileIn is the Modelfile of a directory, or else the file itself.
func modelfileIn(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.Join(path, modelfileName)
	}
	return path
}

func fmtStdin(cmd *cobra.Command, o fmtOptions) error {
	if o.write {
		return usage(errors.New("--write: standard input cannot be written back"))
	}
	var parsed *modelfile.File
	err := await(cmd.Context(), func() (err error) {
		parsed, err = modelfile.Parse("standard input", cmd.InOrStdin())
		return err
	})
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(parsed.Format())
	return readerGone(err)
}
