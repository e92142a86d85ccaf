package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tareml/tare/build"
	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelfile/generate"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/registry"
	"github.com/tareml/tare/storage"
)

// modelfileName is the file that a build looks for.
const modelfileName = "Modelfile"

type buildOptions struct {
	targets      []string
	modelfile    string
	raw          bool
	layerFormats []string
	bundles      []string
	flat         bool
	followLinks  bool
	noCache      bool
	durable      bool
	concurrency  concurrency
	created      string
	format       formatFlag
	push         bool
	remote       remoteFlags
	repository   repositoryFlag
	limited      func() bool // --concurrency was given
}

// built is what a build prints. Sizes are in bytes.
type built struct {
	Reference  string   // the first of References
	References []string // all that -t names
	Digest     string
	Layers     int
	Size       int64
	Read       int64 // of layers that were made anew
}

func (a *app) newBuildCommand() *cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:        "build -t REF [-f MODELFILE] DIR",
		SuggestFor: []string{"pack", "package", "create"},
		Short:      "Package a model directory into the local store or a registry",
		Long: `Package the files of DIR that its Modelfile names, one layer a file, into an
artifact in the local store. The same files and the same Modelfile give the same
digest on every machine.

With --push the artifact goes to its registry, and nothing is stored here: files
are read while others are sent, and what the registry has is not sent again, be
it in another repository that -t names. The tag is moved last of all.

Without -f the Modelfile in DIR is used; if there is none, one is generated for
this build and not written.`,
		Example: `  tare build -t registry.example.com/team/qwen3-0.6b:v1 .
  tare build -t localhost:5000/qwen3:v1 -f Modelfile.small ~/models/qwen3
  tare build -t ghcr.io/team/model:v1 --raw --format '{{.Digest}}' .
  tare build --push -t registry.example.com/team/model:v1 .`,
		Args: buildArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runBuild(cmd, o, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&o.targets, "target", "t", nil, "reference of the artifact: host/repository:tag (repeatable)")
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "tag": // docker's and kit's name for it
			name = "target"
		case "output-remote": // modctl's
			name = "push"
		}
		return pflag.NormalizedName(name)
	})
	flags.StringVarP(&o.modelfile, "modelfile", "f", "", "Modelfile, relative to the current directory (default DIR/Modelfile)")
	flags.BoolVar(&o.raw, "raw", false, "layers are the files themselves: --layer-format raw")
	flags.StringSliceVar(&o.layerFormats, "layer-format", nil, "tar (default), raw, tar+gzip, tar+zstd; of a kind: doc=tar+zstd")
	flags.StringSliceVar(&o.bundles, "bundle", nil, "kinds whose files share one layer, such as code,dataset,doc")
	flags.BoolVar(&o.flat, "flat", false, "title raw layers by base name, as podman wants it")
	flags.BoolVar(&o.followLinks, "follow-links", false, "follow links that lead out of DIR")
	flags.BoolVar(&o.durable, "durable", false, "wait until everything is on the disk")
	flags.BoolVar(&o.noCache, "no-cache", false, "read files that did not change, too")
	flags.BoolVar(&o.push, "push", false, "send it to the registry, and store nothing here")
	o.concurrency.register(cmd, runtime.GOMAXPROCS(0), "files to read, or with --push blobs to send, at once")
	flags.Lookup("concurrency").DefValue = "cores, or 4"
	o.limited = func() bool { return flags.Changed("concurrency") }
	o.remote.register(cmd)
	o.repository.register(cmd)
	flags.StringVar(&o.created, "created", "", "creation time to record, RFC 3339 or now (default $SOURCE_DATE_EPOCH)")
	o.format.register(cmd, formatTable)
	cmd.MarkFlagRequired("target") // for completion: buildArgs says it better
	return cmd
}

// buildArgs wants a directory, and -t with it.
func buildArgs(cmd *cobra.Command, args []string) error {
	named := cmd.Flags().Changed("target")
	if len(args) == 2 && !named {
		return withHint(errors.New("no name for the artifact: it goes behind -t"), "tare build -t %s %s", args[0], args[1])
	}
	if err := argsBetween(1, 1)(cmd, args); err != nil || named {
		return err
	}
	return withHint(errors.New("no name for the artifact"), "give it one: tare build -t registry.example.com/team/model:v1 %s", args[0])
}

func (a *app) runBuild(cmd *cobra.Command, o buildOptions, dir string) error {
	refs, layout, created, err := o.check()
	if err != nil {
		return err
	}
	plan, err := o.plan(cmd, dir)
	if err != nil {
		return err
	}
	defer plan.Close()
	for _, w := range plan.Warnings {
		note(cmd, "warning: %s", w)
	}
	if err := judge(cmd, generate.Suspect(dir, pathsOf(plan.Files))); err != nil {
		return err
	}
	layers, err := plan.Layers(layout)
	if err != nil {
		return err
	}
	opts := build.Options{Concurrency: int(o.concurrency), Created: created, Flat: o.flat, Cache: o.cache()}
	if o.push {
		return a.pushBuild(cmd, o, refs, plan, layers, opts)
	}
	store, err := a.store()
	if err != nil {
		return err
	}
	var result *build.Result
	reporter := a.reporter(cmd)
	opts.Observer = reporter
	err = reporter.During("building", totalSize(layers), len(layers), func() (err error) {
		result, err = o.buildInto(cmd.Context(), store, refs, plan, layers, opts)
		return err
	})
	if err != nil {
		return err
	}
	return printBuilt(cmd, o.format, refs, result)
}

// judge warns of what is about to be given to others, where the Modelfile has the
// last word, and refuses what is no file at all.
func judge(cmd *cobra.Command, s generate.Suspects) error {
	warnOfFiles(cmd, s.Secrets, "secret", "narrow or drop its entry; tare modelfile generate leaves secrets out")
	if s.History.Files > 0 {
		note(cmd, "warning: the Modelfile takes %s", s.History)
		note(cmd, "hint: narrow its entry; tare modelfile generate leaves version control out")
	}
	warnOfDamage(cmd, s.Damaged)
	warnOfFiles(cmd, s.Unfinished, generate.Unfinished, "finish the download, or narrow or drop its entry")
	if len(s.Pointers) > 0 {
		return generate.OnlyPointers(s.Pointers, "narrow or drop its entry")
	}
	return nil
}

// mostWarned is how many files a build names for one reason.
const mostWarned = 10

// warnOfDamage passes on what is wrong with weights.
func warnOfDamage(cmd *cobra.Command, damage []string) {
	if len(damage) == 0 {
		return
	}
	for _, sentence := range damage[:min(mostWarned, len(damage))] {
		note(cmd, "warning: %s", sentence)
	}
	if more := len(damage) - mostWarned; more > 0 {
		note(cmd, "warning: %d more files of weights are damaged, incomplete or empty; tare modelfile check names them", more)
	}
	note(cmd, "hint: fetch them again, or narrow or drop their entries")
}

// warnOfFiles says of files what they look like.
func warnOfFiles(cmd *cobra.Command, names []string, like, hint string) {
	if len(names) == 0 {
		return
	}
	for _, name := range names[:min(mostWarned, len(names))] {
		note(cmd, "warning: %q looks %s, and the Modelfile takes it", name, like)
	}
	if more := len(names) - mostWarned; more > 0 {
		note(cmd, "warning: %d more look %s; tare modelfile check names them", more, like)
	}
	note(cmd, "hint: %s", hint)
}

// check reads the flags before the work begins.
func (o *buildOptions) check() (refs []registry.Reference, layout build.Layout, created *time.Time, err error) {
	for _, target := range o.targets {
		ref, err := parseTag(target)
		if err != nil {
			return nil, layout, nil, err
		}
		refs = append(refs, ref)
	}
	if layout, err = o.layout(); err != nil {
		return nil, layout, nil, usage(err)
	}
	if created, err = creationTime(o.created, os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		return nil, layout, nil, usage(err)
	}
	if !o.push && o.remote.limitRate > 0 {
		return nil, layout, nil, usage(withHint(errors.New("--limit-rate without --push"), "only a push has a rate to limit"))
	}
	if o.push && o.durable {
		return nil, layout, nil, usage(errors.New("--durable is about the local store, and --push stores nothing there"))
	}
	return refs, layout, created, errors.Join(o.checkRepository(refs), o.concurrency.check(), o.format.check(o.sample()))
}

// checkRepository is for --create-repository.
func (o *buildOptions) checkRepository(refs []registry.Reference) error {
	if o.repository.createRepository && !o.push {
		return usage(withHint(errors.New("--create-repository without --push"), "only a push needs a repository"))
	}
	for _, ref := range refs {
		if err := o.repository.check(ref); err != nil {
			return err
		}
	}
	return nil
}

// buildInto builds in a session of its own and moves the tags last.
func (o *buildOptions) buildInto(ctx context.Context, store *storage.Store, refs []registry.Reference, plan *build.Plan, layers []build.Layer, opts build.Options) (*build.Result, error) {
	session, err := store.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	result, err := plan.Build(ctx, session, layers, opts)
	if err != nil {
		return nil, err
	}
	if o.durable {
		if err := session.Sync(ctx); err != nil {
			return nil, err
		}
	}
	for _, ref := range refs {
		if err := session.Tag(ref.String(), result.Manifest); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func newBuilt(refs []registry.Reference, r *build.Result) built {
	v := built{Digest: r.Manifest.Digest.String(), Layers: r.Layers, Size: r.Size, Read: r.Read}
	for _, ref := range refs {
		v.References = append(v.References, ref.String())
	}
	v.Reference = v.References[0]
	return v
}

func printBuilt(cmd *cobra.Command, format formatFlag, refs []registry.Reference, r *build.Result) error {
	v := newBuilt(refs, r)
	return format.print(cmd, v, func(w io.Writer) {
		for _, ref := range refs {
			fmt.Fprintf(w, "built %s\n", ref)
		}
		fmt.Fprintf(w, "%s\n%s, %s\n", v.Digest, plural(v.Layers, "layer"), progress.Bytes(v.Size))
	})
}

func totalSize(layers []build.Layer) int64 {
	var size int64
	for _, l := range layers {
		size += l.Size()
	}
	return size
}

// layout reads --raw, --layer-format, --bundle and --flat.
func (o *buildOptions) layout() (build.Layout, error) {
	l := build.Layout{Formats: make(map[modelpack.Kind]modelpack.Format), Flat: o.flat}
	formats := o.layerFormats
	if o.raw {
		formats = append([]string{string(modelpack.Raw)}, formats...)
	}
	// Those for all kinds first: one for a kind stands out, in any order.
	for _, general := range []bool{true, false} {
		for _, s := range formats {
			name, format, named := strings.Cut(s, "=")
			if named == general {
				continue
			}
			kinds := modelpack.Kinds()
			if named {
				k, err := modelpack.ParseKind(name)
				if err != nil {
					return l, fmt.Errorf("--layer-format %q: %w", s, err)
				}
				kinds = []modelpack.Kind{k}
			} else {
				format = name
			}
			f, err := modelpack.ParseFormat(format)
			if err != nil {
				return l, fmt.Errorf("--layer-format %q: %w", s, err)
			}
			for _, k := range kinds {
				l.Formats[k] = f
			}
		}
	}
	for _, s := range o.bundles {
		k, err := modelpack.ParseKind(s)
		if err != nil {
			return l, fmt.Errorf("--bundle %q: %w", s, err)
		}
		l.Bundles = append(l.Bundles, k)
	}
	return l, nil
}

// cache is the digest cache of the user, nil if there is none or it is not
// wanted.
func (o *buildOptions) cache() build.Cache {
	dir, err := os.UserCacheDir()
	if err != nil || o.noCache {
		return nil
	}
	return storage.OpenCache(filepath.Join(dir, "tare", "digests"))
}

// plan reads the Modelfile, or generates one, and finds its files in dir.
func (o *buildOptions) plan(cmd *cobra.Command, dir string) (*build.Plan, error) {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, withHint(fmt.Errorf("model directory %s: is a file", dir), "name the directory that it is in: %s", filepath.Dir(dir))
	}
	name := o.modelfile
	if name == "" {
		name = filepath.Join(dir, modelfileName)
	}
	f, err := readModelfile(name)
	if errors.Is(err, fs.ErrNotExist) && o.modelfile == "" {
		name = "generated Modelfile"
		f, err = generatedModelfile(cmd, dir)
	}
	if errors.Is(err, fs.ErrNotExist) && o.modelfile != "" {
		err = withHint(err, "-f is relative to the current directory; without it %s is used", filepath.Join(dir, modelfileName))
	}
	if err != nil {
		return nil, err
	}
	return build.NewPlan(dir, f, name, o.followLinks)
}

func readModelfile(path string) (*modelfile.File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("modelfile: %s is not a regular file", path) // opening a pipe would wait
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("modelfile: %w", err)
	}
	defer file.Close()
	return modelfile.Parse(path, file)
}

func generatedModelfile(cmd *cobra.Command, dir string) (*modelfile.File, error) {
	r, err := generate.Generate(dir, generate.Options{})
	if err != nil {
		return nil, err
	}
	note(cmd, "no Modelfile in %s: generated one for this build", dir)
	known := func(w string) bool { return slices.Contains(r.Damaged, w) } // judge says it
	r.Warnings = slices.DeleteFunc(r.Warnings, known)
	noteGenerated(cmd, r)
	return r.File, nil
}

// creationTime is the time to record, if any: the flag's, else the environment's.
func creationTime(flag, epoch string) (*time.Time, error) {
	switch {
	case flag == "now":
		t := time.Now()
		return &t, nil
	case flag != "":
		t, err := time.Parse(time.RFC3339, flag)
		if err != nil {
			return nil, withHint(fmt.Errorf("--created %q is no RFC 3339 time", flag), "such as 2026-01-31T12:00:00Z, or now")
		}
		return &t, nil
	case epoch != "":
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("SOURCE_DATE_EPOCH %q is no number of seconds", epoch)
		}
		t := time.Unix(seconds, 0)
		return &t, nil
	}
	return nil, nil
}
