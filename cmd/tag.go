package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/registry"
)

func (a *app) newTagCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "tag SRC DST",
		Short:   "Give an artifact in the local store another name",
		Example: `  tare tag localhost:5000/team/model:v1 registry.example.com/team/model:v1`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runTag(cmd, args[0], args[1])
		},
	}
}

func (a *app) runTag(cmd *cobra.Command, src, dst string) error {
	from, err := registry.ParseReference(src)
	if err != nil {
		return err
	}
	to, err := parseTagged(dst)
	if err != nil {
		return err
	}
	store, err := a.store()
	if err != nil {
		return err
	}
	desc, err := resolveLocal(store, from)
	if err != nil {
		return err
	}
	session, err := store.Begin(cmd.Context())
	if err != nil {
		return err
	}
	defer session.Close()
	if err := session.Rely(desc.Digest); err != nil {
		return err
	}
	if err := session.Tag(to.String(), desc); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "tagged %s\n", to)
	return err
}
