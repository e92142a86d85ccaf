package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/registry"
	"github.com/tareml/tare/storage"
)

type pullOptions struct {
	transferFlags
	durable    bool
	extractDir string
	fromRemote bool
	format     formatFlag
}

func (a *app) newPullCommand() *cobra.Command {
	var o pullOptions
	cmd := &cobra.Command{
		Use:        "pull REF",
		SuggestFor: []string{"download", "get"},
		Short:      "Fetch an artifact from its registry into the local store",
		Long: `Fetch an artifact from the registry that its reference names into the local
store. Every blob is verified before it gets its name. Blobs that are there
already are not fetched again, and a pull that was interrupted goes on where it
stopped when the command is run again. Mirrors are asked first, and the registry
itself for whatever they do not have.

With --extract-dir the files are put into a directory too, as tare extract does;
with --extract-from-remote as well, they are all that is kept.`,
		Example: `  tare pull registry.example.com/team/qwen3-0.6b:v1
  tare pull registry.example.com/team/qwen3-0.6b@sha256:…
  tare pull --mirror cache.example.com docker.io/team/qwen3-0.6b:v1
  tare pull registry.example.com/team/qwen3-0.6b:v1 --extract-dir /models`,
		Args:              pullArgs,
		ValidArgsFunction: a.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runPull(cmd, o, args[0])
		},
	}
	o.transferFlags.register(cmd)
	o.registerMirrors(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&o.durable, "durable", false, "wait until everything is on the disk")
	flags.StringVar(&o.extractDir, "extract-dir", "", "`directory` to put the files into as well")
	flags.BoolVar(&o.fromRemote, "extract-from-remote", false, "with --extract-dir, keep nothing in the store")
	o.format.register(cmd, formatTable)
	return cmd
}

// pullArgs explains what becomes of a second argument.
func pullArgs(cmd *cobra.Command, args []string) error {
	err := argsBetween(1, 1)(cmd, args)
	if len(args) == 2 {
		err = withHint(err, "to put the files into %[2]s: tare extract %[1]s %[2]s", args[0], args[1])
	}
	return err
}

func (a *app) runPull(cmd *cobra.Command, o pullOptions, name string) error {
	ref, err := parseRef(name)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	if o.fromRemote {
		return a.extractPulled(cmd, o, ref, pullAlways, progress.Status{})
	}
	store, err := a.store()
	if err != nil {
		return err
	}
	repo, err := o.repository(ref)
	if err != nil {
		return err
	}
	art, err := remoteArtifact(cmd.Context(), repo, ref)
	if err != nil {
		return err
	}
	reporter := a.reporter(cmd)
	err = reporter.During("pulling", art.transfer(), len(art.Manifest.Layers), func() error {
		waiting := func() { reporter.Note("waiting for another tare that pulls the same") }
		return o.pullInto(cmd.Context(), store, repo, ref, art, o.transferOptions(reporter, art), waiting)
	})
	if err != nil {
		return resumable(err, "what came so far is kept: the same command goes on from there")
	}
	if o.extractDir != "" {
		return a.extractPulled(cmd, o, ref.WithDigest(art.desc.Digest), pullNever, reporter.Status())
	}
	return printTransferred(cmd, o.format, "pulled", ref, art, reporter.Status())
}

// never is the answer of flags that a command does not have.
func never() bool { return false }

// check finds bad flags before the work begins.
func (o *pullOptions) check() error {
	switch {
	case o.extractDir != "":
		return errors.Join(o.concurrency.check(), o.format.check(extracted{}))
	case o.fromRemote:
		return usage(withHint(errors.New("--extract-from-remote without a directory"), "name it with --extract-dir"))
	}
	return o.transferFlags.check(o.format)
}

// extractPulled puts the files into a directory.
func (a *app) extractPulled(cmd *cobra.Command, o pullOptions, ref registry.Reference, policy string, pulled progress.Status) error {
	e := extractOptions{placeFlags: placeFlags{transferFlags: o.transferFlags}, pull: policy, format: o.format, pulled: pulled}
	e.mtime, e.typed, e.kept = mtimeNow, never, never
	return a.extractTo(cmd, e, []target{{ref: ref}}, o.extractDir)
}

// pullInto pulls in a session of its own and moves the tag last. An artifact
// that was asked for by digest is kept under that name.
func (o *pullOptions) pullInto(ctx context.Context, store *storage.Store, repo *registry.Repository, ref registry.Reference, art *artifact, opts registry.TransferOptions, waiting func()) error {
	session, err := store.Begin(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	if err := session.Rely(art.digests()...); err != nil {
		return err
	}
	if err := session.ReserveBlobs(art.blobs()...); err != nil {
		return err
	}
	if err := repo.Pull(ctx, art.desc, art.data, &queue{Destination: session, waiting: waiting}, opts); err != nil {
		return err
	}
	if o.durable {
		if err := session.Sync(ctx); err != nil {
			return err
		}
	}
	return session.Tag(ref.String(), art.desc)
}
