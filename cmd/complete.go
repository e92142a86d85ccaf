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

// noArgs is for commands without arguments. Cobra's own takes an argument for an
// unknown command.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, not %q", cmd.CommandPath(), args[0])
	}
	return nil
}
