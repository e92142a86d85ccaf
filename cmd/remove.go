package cmd

import (
	"fmt"
	"io"
	"math"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/storage"
)

func (a *app) newRemoveCommand() *cobra.Command {
	var format formatFlag
	cmd := &cobra.Command{
		Use:        "rm REF...",
		SuggestFor: []string{"remove", "delete", "untag", "rmi"},
		Short:      "Remove names of artifacts from the local store",
		Long: `Remove names from the local store. A digest reference removes every name that
the artifact has in that repository. Blobs stay until tare prune frees those
that no name needs. If one of the names is not there, none is removed.`,
		Example: `  tare rm localhost:5000/team/model:v1
  tare rm localhost:5000/team/model@sha256:…`,
		Args:              argsBetween(1, math.MaxInt),
		ValidArgsFunction: a.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runRemove(cmd, format, args)
		},
	}
	format.register(cmd, formatTable)
	return cmd
}

// removed is what rm prints.
type removed struct{ Removed []string }

func (a *app) runRemove(cmd *cobra.Command, format formatFlag, args []string) error {
	if err := format.check(removed{}); err != nil {
		return err
	}
	store, err := a.store()
	if err != nil {
		return err
	}
	entries, err := store.List()
	if err != nil {
		return err
	}
	var v removed
	for _, arg := range args {
		names, err := namesOf(store, entries, arg)
		if err != nil {
			return err
		}
		v.Removed = append(v.Removed, names...)
	}
	if err := store.Untag(v.Removed...); err != nil {
		return err
	}
	return format.print(cmd, v, func(w io.Writer) {
		for _, name := range v.Removed {
			fmt.Fprintf(w, "removed %s\n", name)
		}
	})
}

// namesOf lists the names in the store that arg means.
func namesOf(store *storage.Store, entries []storage.Entry, arg string) ([]string, error) {
	ref, err := parseRef(arg)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Ref != "" && matches(e, ref) {
			names = append(names, e.Ref)
		}
	}
	if len(names) == 0 {
		if _, err := resolve(store, ref); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w: it has no name in the local store to remove", ref, blob.ErrNotFound)
	}
	return names, nil
}

func (a *app) newPruneCommand() *cobra.Command {
	var format formatFlag
	var dryRun bool
	cmd := &cobra.Command{
		Use:        "prune",
		SuggestFor: []string{"clean", "cleanup", "gc"},
		Short:      "Free what no name in the local store needs",
		Long: `Remove the blobs that no name in the local store needs, and what interrupted
commands left behind. Commands that run at the same time keep what they use.`,
		Example: `  tare prune --dry-run
  tare prune`,
		Args: argsBetween(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runPrune(cmd, format, dryRun)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be freed")
	format.register(cmd, formatTable)
	return cmd
}

func (a *app) runPrune(cmd *cobra.Command, format formatFlag, dryRun bool) error {
	if err := format.check(storage.Freed{}); err != nil {
		return err
	}
	store, err := a.store()
	if err != nil {
		return err
	}
	freed, err := store.GC(cmd.Context(), dryRun)
	if err != nil {
		return err
	}
	if freed.Digests == nil {
		freed.Digests = []digest.Digest{} // a list in JSON, too
	}
	return format.print(cmd, freed, func(w io.Writer) {
		verb := "freed"
		if dryRun {
			verb = "would free"
		}
		fmt.Fprintf(w, "%s %s in %s", verb, progress.Bytes(freed.Bytes), plural(freed.Blobs, "blob"))
		if freed.Leftovers > 0 {
			fmt.Fprintf(w, " and %s", plural(freed.Leftovers, "leftover"))
		}
		fmt.Fprintln(w)
	})
}
