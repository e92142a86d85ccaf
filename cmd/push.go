package cmd

import (
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/registry"
)

type pushOptions struct {
	transferFlags
	repositoryFlag
	format formatFlag
}

// transferred is what a push or a pull prints. Sizes are in bytes.
type transferred struct {
	Reference string
	Digest    string
	Layers    int
	Size      int64
	Moved     int64 // went over the network in this run
	Resumed   int64 // had gone over it in an earlier run
	Skipped   int64 // was there already
}

func (a *app) newPushCommand() *cobra.Command {
	var o pushOptions
	cmd := &cobra.Command{
		Use:        "push REF",
		SuggestFor: []string{"upload", "publish"},
		Short:      "Send an artifact from the local store to its registry",
		Long: `Send an artifact from the local store to the registry that its reference names.
Blobs that are there already are not sent again, nor those that the registry has
in another repository as far as the store knows. The tag is moved to what was
pushed, last of all.

After an interruption the same command goes on where the registry stopped, if it
keeps unfinished uploads.`,
		Example: `  tare push registry.example.com/team/qwen3-0.6b:v1
  tare push localhost:5000/team/qwen3-0.6b:v1 --format '{{.Digest}}'`,
		Args:              argsBetween(1, 1),
		ValidArgsFunction: a.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runPush(cmd, o, args[0])
		},
	}
	o.transferFlags.register(cmd)
	o.repositoryFlag.register(cmd)
	o.format.register(cmd, formatTable)
	return cmd
}

func (a *app) runPush(cmd *cobra.Command, o pushOptions, name string) error {
	ref, err := parseRef(name)
	if err != nil {
		return err
	}
	if err := o.transferFlags.check(o.format); err != nil {
		return err
	}
	if err := o.repositoryFlag.check(ref); err != nil {
		return err
	}
	store, err := a.view(cmd.Context())
	if err != nil {
		return err
	}
	defer store.Close()
	art, err := store.artifact(ref)
	if err != nil {
		return store.neverBuilt(ref, err)
	}
	repo, err := o.repository(ref)
	if err != nil {
		return err
	}
	reporter := a.reporter(cmd)
	options := o.transferOptions(reporter, art)
	options.MountFrom = store.mountable(ref)
	if err := preflight(cmd, repo, stored(art, options), int(o.concurrency)); err != nil {
		return err
	}
	if err := o.ensure(cmd, o.remoteFlags, ref); err != nil {
		return err
	}
	err = reporter.During("pushing", art.transfer(), len(art.Manifest.Layers), func() error {
		return repo.Push(cmd.Context(), art.desc, art.data, outbox{store}, options)
	})
	if err != nil {
		return resumable(err, "the same command goes on: what is complete is not sent again, nor what the registry keeps of the rest")
	}
	return printTransferred(cmd, o.format, "pushed", ref, art, reporter.Status())
}

// neverBuilt adds to err, if it is that the store has no such name, how it comes by
// one.
func (v *view) neverBuilt(ref registry.Reference, err error) error {
	if _, unnamed := resolve(v.Store, ref); ref.Digest != "" || !errors.Is(unnamed, blob.ErrNotFound) {
		return err
	}
	return withHint(err, "build it: tare build -t %[1]s DIR; or give it the name: tare tag SRC %[1]s (tare ls --store %[2]s shows what is there)", ref, v.Dir())
}

// outbox is the store as a push reads it.
type outbox struct{ *view }

// Open implements [registry.Content]. Who reads that something is not found should
// not think of the registry.
func (b outbox) Open(desc ocispec.Descriptor) (blob.Source, error) {
	src, err := b.view.Open(desc)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, withHint(fmt.Errorf("the local store lacks a blob of the artifact: %w", err), "build it again, or pull it from where it came")
	}
	return src, err
}

// stored lists the layers of an artifact as a registry asks for them beforehand.
func stored(art *artifact, o registry.TransferOptions) []registry.Planned {
	all := o.Plan(art.Manifest.Layers)
	for i, l := range art.Layers {
		if l.Metadata != nil && modelpack.IsDir(l.Metadata) {
			all[i].Name, all[i].Bundle = fmt.Sprintf("the bundle of %s files", l.Kind), true
		}
	}
	return all
}

// preflight refuses what the registry will not take, and says what the push may
// cost.
func preflight(cmd *cobra.Command, repo *registry.Repository, layers []registry.Planned, atOnce int) error {
	advice, err := repo.Preflight(layers, atOnce)
	if err == nil && advice != "" {
		note(cmd, "note: %s", advice)
	}
	return err
}

// check finds bad flags before the work begins.
func (f *transferFlags) check(format formatFlag) error {
	if err := f.concurrency.check(); err != nil {
		return err
	}
	return format.check(transferred{})
}

func printTransferred(cmd *cobra.Command, format formatFlag, verb string, ref registry.Reference, art *artifact, s progress.Status) error {
	v := transferred{
		Reference: ref.String(),
		Digest:    art.desc.Digest.String(),
		Layers:    len(art.Layers),
		Size:      art.Size(),
		Moved:     s.Safe,
		Resumed:   s.Resumed,
		Skipped:   s.Skipped,
	}
	return format.print(cmd, v, func(w io.Writer) {
		fmt.Fprintf(w, "%s %s\n%s\n%s, %s", verb, v.Reference, v.Digest, plural(v.Layers, "layer"), progress.Bytes(v.Size))
		if there := v.Skipped + v.Resumed; there > 0 {
			fmt.Fprintf(w, " (%s there already)", progress.Bytes(there))
		}
		fmt.Fprintln(w)
	})
}
