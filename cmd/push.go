package cmd

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/registry"
)

type pushOptions struct {
	transferFlags
	format formatFlag
}

// transferred is what a push or a pull prints. Sizes are in bytes.
type transferred struct {
	Reference string
	Digest    string
	Layers    int
	Size      int64
	Moved     int64 // went over the network in this run
	Skipped   int64 // was there already
}

func (a *app) newPushCommand() *cobra.Command {
	var o pushOptions
	cmd := &cobra.Command{
		Use:   "push REF",
		Short: "Send an artifact from the local store to its registry",
		Long: `Send an artifact from the local store to the registry that its reference names.
Blobs that are there already are not sent again. The tag is moved to what was
pushed, last of all.`,
		Example: `  tare push registry.example.com/team/qwen3-0.6b:v1
  tare push localhost:5000/team/qwen3-0.6b:v1 --format '{{.Digest}}'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runPush(cmd, o, args[0])
		},
	}
	o.transferFlags.register(cmd)
	o.format.register(cmd, formatTable)
	return cmd
}

func (a *app) runPush(cmd *cobra.Command, o pushOptions, name string) error {
	if err := o.format.check(); err != nil {
		return err
	}
	ctx := cmd.Context()
	ref, err := registry.ParseReference(name)
	if err != nil {
		return err
	}
	store, err := a.store()
	if err != nil {
		return err
	}
	art, err := localArtifact(store, ref)
	if err != nil {
		return err
	}
	release, err := protect(ctx, store, art.digests())
	if err != nil {
		return err
	}
	defer release()
	repo, err := o.repository(ref)
	if err != nil {
		return err
	}
	reporter := a.reporter(cmd)
	size, blobs := art.transfer()
	reporter.Start("pushing", size, blobs)
	defer reporter.Stop()
	if err := repo.Push(ctx, art.desc, art.data, store, o.transferOptions(reporter)); err != nil {
		return err
	}
	reporter.Stop()
	return printTransferred(cmd, o.format, "pushed", ref, art, reporter.Status())
}

func printTransferred(cmd *cobra.Command, format formatFlag, verb string, ref registry.Reference, art *artifact, s progress.Status) error {
	v := transferred{
		Reference: ref.String(),
		Digest:    art.desc.Digest.String(),
		Layers:    len(art.Layers),
		Size:      art.Size(),
		Moved:     s.Safe,
		Skipped:   s.Skipped,
	}
	return format.print(cmd, v, func(w io.Writer) {
		fmt.Fprintf(w, "%s %s\n%s  %s  %s", verb, v.Reference, v.Digest, plural(v.Layers, "layer"), progress.Bytes(v.Size))
		if v.Skipped > 0 {
			fmt.Fprintf(w, "  (%s there already)", progress.Bytes(v.Skipped))
		}
		fmt.Fprintln(w)
	})
}
