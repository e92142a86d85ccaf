package cmd

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// tagged is what tag prints.
type tagged struct {
	Reference string
	Digest    string
}

func (a *app) newTagCommand() *cobra.Command {
	var format formatFlag
	cmd := &cobra.Command{
		Use:               "tag SRC DST",
		Short:             "Give an artifact in the local store another name",
		Example:           `  tare tag localhost:5000/team/model:v1 ghcr.io/team/model:v1`,
		Args:              argsBetween(2, 2),
		ValidArgsFunction: a.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runTag(cmd, format, args[0], args[1])
		},
	}
	format.register(cmd, formatTable)
	return cmd
}

func (a *app) runTag(cmd *cobra.Command, format formatFlag, src, dst string) error {
	from, err := parseRef(src)
	if err != nil {
		return err
	}
	to, err := parseTag(dst)
	if err != nil {
		return err
	}
	if err := format.check(tagged{}); err != nil {
		return err
	}
	store, err := a.store()
	if err != nil {
		return err
	}
	desc, err := resolve(store, from)
	if err != nil {
		return err
	}
	session, err := store.Begin(cmd.Context())
	if err != nil {
		return err
	}
	defer session.Close()
	if err := session.Tag(to.String(), desc); err != nil {
		return err
	}
	v := tagged{to.String(), desc.Digest.String()}
	return format.print(cmd, v, func(w io.Writer) { fmt.Fprintf(w, "tagged %s\n", to) })
}
