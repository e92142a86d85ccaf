package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/registry"
	"github.com/tareml/tare/storage"
)

type extractOptions struct {
	transferFlags
	output    string
	pull      string
	overwrite bool
	noSync    bool
	format    formatFlag
}

// The values of --pull. They mean what imagePullPolicy means in Kubernetes.
const (
	pullAlways  = "always"
	pullMissing = "missing"
	pullNever   = "never"
)

// Where an artifact was extracted from.
const (
	fromStore    = "store"
	fromRegistry = "registry"
)

// extracted is what an extract prints.
type extracted struct {
	Reference string
	Digest    string
	Source    string
	Directory string
	Files     int
	Size      int64
}

func (a *app) newExtractCommand() *cobra.Command {
	var o extractOptions
	cmd := &cobra.Command{
		Use:   "extract REF [DIR]",
		Short: "Put the files of an artifact into a directory",
		Long: `Put the files of an artifact into DIR (default: the current directory). All
content is verified before any file gets its name; if anything is wrong, DIR
stays as it was.

--pull says where the artifact comes from, as in Kubernetes: 'missing' takes it
from the local store and asks the registry only if it is not there, 'always'
asks the registry what the reference points to now, 'never' stays local. The
default is always for the tag latest, and missing for other tags and digests.
What comes from the registry goes straight into DIR; the store keeps nothing.`,
		Example: `  tare extract registry.example.com/team/qwen3-0.6b:v1 /models/qwen3
  tare extract registry.example.com/team/model:v1 --output out --pull always`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runExtract(cmd, o, args)
		},
	}
	o.transferFlags.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.output, "output", "", "directory to extract to, instead of DIR")
	flags.StringVar(&o.pull, "pull", "", "always, missing or never (default by reference)")
	flags.BoolVar(&o.overwrite, "overwrite", false, "replace files that hold other content")
	flags.BoolVar(&o.noSync, "no-sync", false, "do not wait for the disk")
	o.format.register(cmd, formatTable)
	return cmd
}

func (a *app) runExtract(cmd *cobra.Command, o extractOptions, args []string) error {
	if err := o.format.check(); err != nil {
		return err
	}
	ctx := cmd.Context()
	ref, err := registry.ParseReference(args[0])
	if err != nil {
		return err
	}
	dir, err := destination(args[1:], o.output)
	if err != nil {
		return err
	}
	policy, err := pullPolicy(o.pull, ref)
	if err != nil {
		return err
	}
	store, err := a.store()
	if err != nil {
		return err
	}
	origin, err := o.find(ctx, store, ref, policy)
	if err != nil {
		return err
	}
	if origin.from == fromStore {
		release, err := protect(ctx, store, origin.art.digests())
		if err != nil {
			return err
		}
		defer release()
	}
	reporter := a.reporter(cmd)
	reporter.Start("extracting", origin.art.Size()-origin.art.Manifest.Config.Size, len(origin.art.Layers))
	result, err := extract.Extract(ctx, origin.art.Artifact, origin, dir, extract.Options{
		Concurrency: o.concurrency,
		Overwrite:   o.overwrite,
		NoSync:      o.noSync,
		Observer:    reporter,
	})
	reporter.Stop()
	if err != nil {
		return err
	}
	return printExtracted(cmd, o.format, extracted{
		Reference: ref.String(),
		Digest:    origin.art.desc.Digest.String(),
		Source:    origin.from,
		Directory: dir,
		Files:     result.Files,
		Size:      result.Bytes,
	})
}

func printExtracted(cmd *cobra.Command, format formatFlag, v extracted) error {
	return format.print(cmd, v, func(w io.Writer) {
		fmt.Fprintf(w, "extracted %s to %s\n%s  %s  %s  from the %s\n", v.Reference, v.Directory, v.Digest, plural(v.Files, "file"), progress.Bytes(v.Size), v.Source)
	})
}

// destination is the directory that the arguments name, one way or the other.
func destination(args []string, output string) (string, error) {
	switch {
	case len(args) == 1 && output != "":
		return "", errors.New("both DIR and --output name a directory")
	case len(args) == 1:
		return args[0], nil
	case output != "":
		return output, nil
	}
	return ".", nil
}

// pullPolicy reads --pull, or knows the default for a reference.
func pullPolicy(flag string, ref registry.Reference) (string, error) {
	switch flag {
	case pullAlways, pullMissing, pullNever:
		return flag, nil
	case "":
		if ref.Digest == "" && ref.Tag == registry.DefaultTag {
			return pullAlways, nil
		}
		return pullMissing, nil
	}
	return "", fmt.Errorf("--pull %q: one of always, missing, never", flag)
}

// origin is an artifact and where its content comes from: a blob that the store
// has comes from there, any other from the registry.
type origin struct {
	art   *artifact
	from  string
	store *storage.Store
	repo  *registry.Repository
}

// find resolves ref by the policy.
func (o *extractOptions) find(ctx context.Context, store *storage.Store, ref registry.Reference, policy string) (*origin, error) {
	if policy != pullAlways {
		art, err := localArtifact(store, ref)
		if err == nil && (policy == pullNever || complete(store, art)) {
			return &origin{art: art, from: fromStore, store: store}, nil
		}
		if policy == pullNever || err != nil && !errors.Is(err, blob.ErrNotFound) {
			return nil, err
		}
	}
	repo, err := o.repository(ref)
	if err != nil {
		return nil, err
	}
	art, err := remoteArtifact(ctx, repo, ref)
	if err != nil {
		return nil, localHint(err, store, ref, policy)
	}
	from := fromRegistry
	if complete(store, art) {
		from = fromStore
	}
	return &origin{art: art, from: from, store: store, repo: repo}, nil
}

// localHint tells who asked for a tag that only the store could give.
func localHint(err error, store *storage.Store, ref registry.Reference, policy string) error {
	if policy != pullAlways {
		return err
	}
	if _, lerr := resolveLocal(store, ref); lerr != nil {
		return err
	}
	return withHint(err, "the local store has %s: --pull missing takes it from there", ref)
}

// complete says whether the store has all layers of an artifact.
func complete(store *storage.Store, art *artifact) bool {
	for _, l := range art.Layers {
		if !has(store, l.Descriptor) {
			return false
		}
	}
	return true
}

func has(store *storage.Store, desc ocispec.Descriptor) bool {
	src, err := store.Open(desc)
	if err != nil {
		return false
	}
	src.Close()
	return true
}

// Fetch implements [extract.Source].
func (o *origin) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if o.repo == nil || has(o.store, desc) {
		return o.store.Fetch(ctx, desc)
	}
	return o.repo.Fetch(ctx, desc)
}
