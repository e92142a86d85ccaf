package cmd

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/registry"
	"github.com/tareml/tare/storage"
)

type listOptions struct {
	noTrunc bool
	format  formatFlag
}

// listed is a line of ls. Created is the config's, else when the tag was last
// written.
type listed struct {
	Repository string
	Tag        string
	Digest     string
	Created    *time.Time // nil if nobody knows
	Size       int64
}

func (a *app) newListCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:        "ls",
		Aliases:    []string{"list"},
		SuggestFor: []string{"images", "models", "artifacts"},
		Short:      "List the artifacts in the local store",
		Example: `  tare ls
  tare ls --format json
  tare ls --format '{{.Repository}}:{{.Tag}}'`,
		Args: argsBetween(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runList(cmd, o)
		},
	}
	cmd.Flags().BoolVar(&o.noTrunc, "no-trunc", false, "show whole digests on a terminal too")
	o.format.register(cmd, formatTable)
	return cmd
}

func (a *app) runList(cmd *cobra.Command, o listOptions) error {
	if err := o.format.check([]listed{{}}); err != nil {
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
	list := make([]listed, 0, len(entries))
	for _, e := range entries {
		list = append(list, describe(store, e))
	}
	return o.format.print(cmd, list, func(w io.Writer) {
		printList(w, list, !o.noTrunc && isTerminal(cmd.OutOrStdout()))
	})
}

// describe fills a line. What the store cannot say of an entry, because another
// tool wrote it or a blob is missing, stays empty.
func describe(store *storage.Store, e storage.Entry) listed {
	l := listed{Digest: e.Digest.String()}
	if !e.Tagged.IsZero() {
		l.Created = &e.Tagged
	}
	if ref, err := registry.ParseReference(e.Ref); err == nil && e.Ref == ref.String() {
		l.Repository, l.Tag = ref.Name(), ref.Tag
	} else {
		l.Repository = e.Ref
	}
	data, err := store.ReadAll(e.Descriptor)
	if err != nil {
		return l
	}
	art, err := modelpack.ParseManifest(data)
	if err != nil {
		return l
	}
	l.Size = art.Size()
	if config, err := readConfig(store.ReadAll(art.Manifest.Config)); err == nil && config.Descriptor.CreatedAt != nil {
		l.Created = config.Descriptor.CreatedAt
	}
	return l
}

// readConfig reads what a store or a registry returned for a config.
func readConfig(data []byte, err error) (*modelpack.ModelConfig, error) {
	if err != nil {
		return nil, err
	}
	return modelpack.ParseConfig(data)
}

func printList(w io.Writer, list []listed, short bool) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer tw.Flush()
	fmt.Fprintln(tw, "REPOSITORY\tTAG\tDIGEST\tCREATED\tSIZE")
	now := time.Now()
	for _, l := range list {
		dgst := l.Digest
		if short {
			dgst = shortDigest(dgst)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", orNone(l.Repository), orNone(l.Tag), printable(dgst), ago(l.Created, now), progress.Bytes(l.Size))
	}
}

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return printable(s)
}

// shortDigest keeps as much of a digest as a person compares.
func shortDigest(dgst string) string {
	const most = len("sha256:") + 12
	return dgst[:min(len(dgst), most)]
}
