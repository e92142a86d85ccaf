package cmd

import (
	"cmp"
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

// extracted is what an extract prints. Size is in bytes.
type extracted struct {
	Reference string
	Digest    string
	Resolved  string // who said what the reference means: store or registry
	Source    string // where the content came from: store or registry
	Directory string
	Files     int
	Unchanged int // files that were there with the same content
	Size      int64
}

const (
	fromStore    = "store"
	fromRegistry = "registry"
)

func (a *app) newExtractCommand() *cobra.Command {
	var o extractOptions
	cmd := &cobra.Command{
		Use:        "extract REF [DIR]",
		SuggestFor: []string{"unpack"},
		Short:      "Put the files of an artifact into a directory",
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
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: a.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runExtract(cmd, o, args)
		},
	}
	o.transferFlags.register(cmd)
	o.registerMirrors(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.output, "output", "", "directory to extract to, instead of DIR")
	flags.StringVar(&o.pull, "pull", "", "always, missing or never (default by reference)")
	flags.BoolVar(&o.overwrite, "overwrite", false, "replace files that hold other content")
	flags.BoolVar(&o.noSync, "no-sync", false, "do not wait for the disk")
	cmd.RegisterFlagCompletionFunc("pull", cobra.FixedCompletions([]string{pullAlways, pullMissing, pullNever}, cobra.ShellCompDirectiveNoFileComp))
	o.format.register(cmd, formatTable)
	return cmd
}

func (a *app) runExtract(cmd *cobra.Command, o extractOptions, args []string) error {
	ref, err := parseRef(args[0])
	if err != nil {
		return err
	}
	dir, err := o.check(args[1:])
	if err != nil {
		return err
	}
	origin, err := a.origin(cmd.Context(), o, ref)
	if err != nil {
		return err
	}
	defer origin.close()
	var result *extract.Result
	reporter := a.reporter(cmd)
	size := origin.art.Size() - origin.art.Manifest.Config.Size
	err = reporter.During("extracting", size, len(origin.art.Layers), func() (err error) {
		result, err = extract.Extract(cmd.Context(), origin.art.Artifact, origin, dir, extract.Options{
			Concurrency: int(o.concurrency),
			Overwrite:   o.overwrite,
			NoSync:      o.noSync,
			Observer:    reporter,
		})
		return err
	})
	if err != nil {
		return err
	}
	return printExtracted(cmd, o.format, extracted{
		Reference: ref.String(),
		Digest:    origin.art.desc.Digest.String(),
		Resolved:  origin.resolved,
		Source:    origin.source,
		Directory: dir,
		Files:     result.Files,
		Unchanged: result.Unchanged,
		Size:      result.Bytes,
	})
}

func printExtracted(cmd *cobra.Command, format formatFlag, v extracted) error {
	return format.print(cmd, v, func(w io.Writer) {
		from := v.Source
		if v.Resolved != v.Source {
			from += ", as the " + v.Resolved + " has it"
		}
		fmt.Fprintf(w, "extracted %s to %s\n%s\n%s, %s, from the %s", v.Reference, v.Directory, v.Digest, plural(v.Files, "file"), progress.Bytes(v.Size), from)
		if v.Unchanged > 0 {
			fmt.Fprintf(w, " (%d unchanged)", v.Unchanged)
		}
		fmt.Fprintln(w)
	})
}

// check finds bad flags before the work begins, and the directory to extract to.
func (o *extractOptions) check(args []string) (dir string, err error) {
	if len(args) == 1 && o.output != "" {
		return "", usage(errors.New("both DIR and --output name a directory"))
	}
	switch o.pull {
	case "", pullAlways, pullMissing, pullNever:
	default:
		return "", usage(fmt.Errorf("--pull %q: one of always, missing, never", o.pull))
	}
	if err := errors.Join(o.concurrency.check(), o.format.check(extracted{})); err != nil {
		return "", err
	}
	return cmp.Or(append(args, o.output, ".")...), nil
}

// policy is --pull, or the default for a reference.
func (o *extractOptions) policy(ref registry.Reference) string {
	switch {
	case o.pull != "":
		return o.pull
	case ref.Digest == "" && ref.Tag == registry.DefaultTag:
		return pullAlways
	}
	return pullMissing
}

// origin is an artifact and where its content comes from: a blob that the store
// has comes from there, any other from the registry.
type origin struct {
	art      *artifact
	resolved string
	source   string
	store    *view                // nil if there is none
	repo     *registry.Repository // nil if it was not asked
}

func (o *origin) close() {
	if o.store != nil {
		o.store.Close()
	}
}

// origin finds what ref means by the policy of o.
func (a *app) origin(ctx context.Context, o extractOptions, ref registry.Reference) (_ *origin, err error) {
	policy := o.policy(ref)
	found := &origin{}
	found.store, err = a.view(ctx)
	if err != nil && (!errors.Is(err, errNoStore) || policy == pullNever) {
		return nil, err
	}
	if err != nil {
		found.store = nil // a container may have no home
	}
	if err := found.find(ctx, o, ref, policy); err != nil {
		found.close()
		return nil, err
	}
	return found, nil
}

func (f *origin) find(ctx context.Context, o extractOptions, ref registry.Reference, policy string) error {
	if policy != pullAlways {
		ok, err := f.findLocal(ref, policy)
		if ok || err != nil {
			return err
		}
	}
	return f.findRemote(ctx, o, ref, policy)
}

// findLocal is false if the registry has to be asked.
func (f *origin) findLocal(ref registry.Reference, policy string) (bool, error) {
	if f.store == nil {
		return false, nil
	}
	art, err := f.store.artifact(ref)
	if errors.Is(err, blob.ErrNotFound) && policy == pullMissing {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	f.art, f.resolved, f.source = art, fromStore, fromStore
	if policy == pullNever {
		return true, nil
	}
	return f.store.complete(art)
}

func (f *origin) findRemote(ctx context.Context, o extractOptions, ref registry.Reference, policy string) (err error) {
	if f.repo, err = o.repository(ref); err != nil {
		return err
	}
	if f.art, err = remoteArtifact(ctx, f.repo, ref); err != nil {
		return f.localHint(err, ref, policy)
	}
	f.resolved, f.source = fromRegistry, fromRegistry
	if f.store == nil {
		return nil
	}
	complete, err := f.store.complete(f.art)
	if complete {
		f.source = fromStore
	}
	return err
}

// localHint tells who asked for a tag that only the store could give.
func (f *origin) localHint(err error, ref registry.Reference, policy string) error {
	if policy != pullAlways || f.store == nil || errors.Is(err, registry.ErrDenied) {
		return err
	}
	if _, lerr := resolve(f.store.Store, ref); lerr != nil {
		return err
	}
	return withHint(err, "the local store has %s: --pull missing takes it from there", ref)
}

// Fetch implements [extract.Source].
func (f *origin) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if f.store == nil {
		return f.repo.Fetch(ctx, desc)
	}
	r, err := f.store.Fetch(ctx, desc)
	if f.repo != nil && (errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrMismatch)) {
		return f.repo.Fetch(ctx, desc)
	}
	return r, err
}
