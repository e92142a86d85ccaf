package cmd

import (
	"errors"

	"github.com/spf13/cobra"
)

func (a *app) newFetchCommand() *cobra.Command {
	o := extractOptions{pull: pullAlways}
	var patterns []string
	cmd := &cobra.Command{
		Use:   "fetch REF --output DIR --patterns GLOB",
		Short: "Fetch some files of an artifact from its registry",
		Long: `Fetch files of an artifact from its registry into a directory: what
tare extract --pull always --include does, under the name that modctl has for
it. Patterns are for the whole path of a file: *.json takes none of a directory,
**/*.json does. Commas separate them, so that {a,b} needs --include. Without
any, all files are fetched.`,
		Example: `  tare fetch $REGISTRY/team/qwen3-0.6b:v1 --output out --patterns '*.json'
  tare fetch $REGISTRY/team/model:v1 --output out --patterns 'tokenizer*,*.md'`,
		Args:              argsBetween(1, 1),
		ValidArgsFunction: a.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.output == "" {
				return usage(withHint(errors.New("no --output to fetch to"), "tare fetch %s --output DIR", args[0]))
			}
			for _, p := range patterns {
				o.include = append(o.include, "/"+p) // from the top, as modctl has it
			}
			return a.runExtract(cmd, o, args)
		},
	}
	o.register(cmd)
	o.format.register(cmd, formatTable)
	flags := cmd.Flags()
	flags.StringVarP(&o.output, "output", "o", "", "`directory` to fetch to")
	flags.StringSliceVar(&patterns, "patterns", nil, "`globs` of files to fetch, with commas between them")
	return cmd
}
