package cmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// completeRefs offers the names in the local store for a first argument.
func (a *app) completeRefs(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	store, err := a.store()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	entries, err := store.List()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var refs []string
	for _, e := range entries {
		if e.Ref != "" && strings.HasPrefix(e.Ref, prefix) {
			refs = append(refs, e.Ref)
		}
	}
	return refs, cobra.ShellCompDirectiveNoFileComp
}

// argsBetween is for commands that take so many arguments. Cobra's own functions
// count them, and do not say what they are.
func argsBetween(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		line := cmd.CommandPath() + strings.TrimPrefix(cmd.Use, cmd.Name())
		switch {
		case len(args) < least:
			return fmt.Errorf("an argument is missing: %s", line)
		case len(args) > most && cmd.HasSubCommands():
			return unknownCommand(cmd, args[0])
		case len(args) > most && most == 0:
			return fmt.Errorf("%s takes no arguments, not %q", line, args[0])
		case len(args) > most:
			return fmt.Errorf("%q is one argument too many: %s", args[most], line)
		}
		return nil
	}
}
