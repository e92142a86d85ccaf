package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/registry"
)

// placeFlags are the flags of all commands that put files into a directory.
type placeFlags struct {
	transferFlags
	filterFlags
	writeFlags
}

func (f *placeFlags) register(cmd *cobra.Command) {
	f.transferFlags.register(cmd)
	f.filterFlags.register(cmd)
	f.writeFlags.register(cmd)
	f.registerMirrors(cmd)
}

// options are those of an extraction.
func (f *placeFlags) options() (extract.Options, error) {
	opts, err := f.writeFlags.options()
	if err != nil {
		return opts, err
	}
	opts.Filter, err = f.filter()
	opts.Concurrency = int(f.concurrency)
	return opts, err
}

type extractOptions struct {
	placeFlags
	output string
	pull   string
	dryRun bool
	format formatFlag
	pulled progress.Status // by the same command, into the store
}

// writeFlags say how files are written.
type writeFlags struct {
	overwrite bool
	noSync    bool
	atomic    bool
	keep      int
	mtime     string
	mode      fileMode
	owner     owner

	kept func() bool // --keep was given
}

// The values of --mtime.
const (
	mtimeNow      = "now"
	mtimeRecorded = "recorded"
)

func (f *writeFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.overwrite, "overwrite", false, "replace files that tare did not write")
	flags.BoolVar(&f.noSync, "no-sync", false, "do not wait for the disk: for volumes that do\nnot outlive the machine")
	flags.BoolVar(&f.atomic, "atomic", false, "extract to DIR/releases/DIGEST, and move the link\nDIR/current there when all of it is in place")
	f.kept = func() bool { return flags.Changed("keep") }
	flags.IntVar(&f.keep, "keep", 1, "with --atomic, old releases to keep")
	flags.StringVar(&f.mtime, "mtime", mtimeNow, "`time` of files: now, or recorded in the\nartifact")
	flags.Var(&f.mode, "chmod", "permissions of files, such as 640: who may read\nmay also enter directories and run programs")
	flags.Var(&f.owner, "chown", "owner of the files, in numbers (only as root)")
	cmd.RegisterFlagCompletionFunc("mtime", cobra.FixedCompletions([]string{mtimeNow, mtimeRecorded}, cobra.ShellCompDirectiveNoFileComp))
}

// options are those of an extraction.
func (f *writeFlags) options() (extract.Options, error) {
	switch {
	case f.kept() && !f.atomic:
		return extract.Options{}, usage(errors.New("--keep is for --atomic: without it there are no releases"))
	case f.keep < 0:
		return extract.Options{}, usage(fmt.Errorf("--keep %d: at least 0", f.keep))
	case f.mtime != mtimeNow && f.mtime != mtimeRecorded:
		return extract.Options{}, usage(fmt.Errorf("--mtime %q: one of %s, %s", f.mtime, mtimeNow, mtimeRecorded))
	}
	if me := os.Geteuid(); f.owner.ids != nil && me > 0 && f.owner.ids.UID >= 0 && f.owner.ids.UID != me {
		return extract.Options{}, fmt.Errorf("--chown %s: only root may give files to others, not user %d", &f.owner, me)
	}
	return extract.Options{
		Overwrite:    f.overwrite,
		NoSync:       f.noSync,
		Atomic:       f.atomic,
		Keep:         f.keep,
		RecordedTime: f.mtime == mtimeRecorded,
		Mode:         fs.FileMode(f.mode),
		Owner:        f.owner.ids,
	}, nil
}

// extractedModel is one model of what an extract prints.
type extractedModel struct {
	Reference string
	Digest    string
	Resolved  string // who said what the reference means: store or registry
	Source    string // where the content came from: store or registry
	Subdir    string // below the directory, empty if it is that
}

// extracted is what an extract prints. Sizes are in bytes. What is said of a
// model is said of the first one; Models lists all.
type extracted struct {
	extractedModel
	Models    []extractedModel
	Directory string
	Release   string // where current points to, with --atomic
	Files     int
	Unchanged int // files that were there with the same content
	Removed   int // files of an earlier version that are gone
	Size      int64
	Written   int64 // of layers that files were written from
	Moved     int64 // of layers, that went over the network in this run
	Resumed   int64 // that went over it in an earlier run
	Skipped   int64 // that were there already, or in the store
}

const extractHelp = `Put the files of artifacts into DIR (default: the current directory). REF=SUBDIR
puts those of REF into DIR/SUBDIR; several references need different ones. All
content is verified before any file gets its name; if anything is wrong, DIR
stays as it was.

What was written is recorded in DIR/.tare. The next extract touches only what
changed since, in the artifact or on the disk, and removes files of the earlier
version that are gone and were not changed. Files that tare did not write are
never replaced without --overwrite.

--pull says where the artifact comes from, as in Kubernetes: 'missing' takes it
from the local store and asks the registry only if it is not there, 'always'
asks the registry what the reference points to now, 'never' stays local. The
default is always for the tag latest, and missing for other tags and digests.
What comes from the registry goes straight into DIR, on several connections;
the store keeps nothing. An extract that was interrupted goes on where it
stopped when the command is run again.

Flags can name a part of the files. A file has to pass all of them: one of the
--type, one of the --include, none of the --exclude, one of the --filter. What
an earlier run wrote and they leave out stays as it is.

With --atomic a server that reads DIR/current sees one complete version or the
next. Plain images are extracted too, layer upon layer; of one for several
platforms, that for Linux on this processor.`

func (a *app) newExtractCommand() *cobra.Command {
	var o extractOptions
	cmd := &cobra.Command{
		Use:        "extract REF[=SUBDIR]... [DIR]",
		Aliases:    []string{"unpack"},
		SuggestFor: []string{"untar", "unzip"},
		Short:      "Put the files of artifacts into a directory",
		Long:       extractHelp,
		Example: `  tare extract registry.example.com/team/qwen3-0.6b:v1 /models/qwen3
  tare extract registry.example.com/team/model:v1 --output out --pull always
  tare extract $REG/embed:v1=embed/1 $REG/rank:v2=rank/1 /models
  tare extract registry.example.com/team/model:v1 out --type config --dry-run
  tare extract registry.example.com/team/model:v1 /models --atomic --keep 2`,
		Args:              argsBetween(1, math.MaxInt),
		ValidArgsFunction: a.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runExtract(cmd, o, args)
		},
	}
	o.register(cmd)
	o.format.register(cmd, formatTable)
	flags := cmd.Flags()
	flags.StringVarP(&o.output, "output", "o", "", "`directory` to extract to, instead of DIR")
	flags.StringVar(&o.pull, "pull", "", "`policy`: always, missing or never (default by\nreference, see above)")
	flags.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, with sizes, and do nothing")
	cmd.RegisterFlagCompletionFunc("pull", cobra.FixedCompletions([]string{pullAlways, pullMissing, pullNever}, cobra.ShellCompDirectiveNoFileComp))
	cmd.SetFlagErrorFunc(explainOverwrite)
	return cmd
}

// explainOverwrite helps who knows kit, where -d names the directory and -o means
// to overwrite.
func explainOverwrite(_ *cobra.Command, err error) error {
	switch message := err.Error(); {
	case strings.Contains(message, "'o' in -o"):
		return withHint(err, "-o names the directory to extract to; to replace files that are there: --overwrite")
	case strings.Contains(message, "'d' in -d"):
		return withHint(err, "the directory follows the reference, or --output; to replace files that are there: --overwrite")
	}
	return err
}

func (a *app) runExtract(cmd *cobra.Command, o extractOptions, args []string) error {
	targets, dir, err := o.arguments(args)
	if err != nil {
		return err
	}
	return a.extractTo(cmd, o, targets, dir)
}

// extractTo extracts and prints what came of it.
func (a *app) extractTo(cmd *cobra.Command, o extractOptions, targets []target, dir string) error {
	opts, err := o.options()
	if err != nil {
		return err
	}
	origins, err := a.origins(cmd.Context(), &o.remoteFlags, o.pull, targets[0].ref)
	if err != nil {
		return err
	}
	defer origins.close()
	v := extracted{Directory: dir}
	models, err := v.find(cmd.Context(), origins, targets)
	if err != nil {
		return err
	}
	if o.dryRun {
		return printPlan(cmd, o.format, models, dir, opts)
	}
	result, err := a.extract(cmd.Context(), cmd, models, dir, opts, nil)
	if err != nil {
		return err
	}
	noteBeside(cmd, dir, result)
	v.Release, v.Files, v.Unchanged, v.Removed = result.Release, result.Files, result.Unchanged, result.Removed
	v.Size, v.Written = result.Bytes, result.Written
	v.Moved, v.Resumed = result.Moved+o.pulled.Safe, result.Resumed+o.pulled.Resumed
	v.Skipped = max(0, result.Skipped-o.pulled.Safe-o.pulled.Resumed)
	return printExtracted(cmd, o.format, v)
}

// find finds out what to extract.
func (v *extracted) find(ctx context.Context, origins *origins, targets []target) ([]extract.Model, error) {
	var models []extract.Model
	for _, t := range targets {
		found, err := origins.find(ctx, t.ref)
		if err != nil {
			return nil, err
		}
		if err := found.readConfig(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", t.ref, err)
		}
		models = append(models, found.model(t))
		v.Models = append(v.Models, extractedModel{
			Reference: t.ref.String(),
			Digest:    found.art.named.String(),
			Resolved:  found.resolved,
			Source:    found.source,
			Subdir:    t.subdir,
		})
	}
	v.extractedModel = v.Models[0]
	return models, nil
}

// extract extracts with progress, of which h is told too.
func (a *app) extract(ctx context.Context, cmd *cobra.Command, models []extract.Model, dir string, opts extract.Options, h *health) (result *extract.Result, err error) {
	for _, m := range models {
		for _, what := range m.Elsewhere {
			note(cmd, "%s refers to %s, which is not in it", m.Repository, what)
		}
	}
	var size int64
	layers := 0
	for _, m := range models {
		size += m.Size() - m.Manifest.Config.Size
		layers += len(m.Layers)
	}
	reporter := a.reporter(cmd)
	opts.Observer = watcher{reporter, h, func() { note(cmd, "waiting for another tare that works on %s", dir) }}
	err = reporter.During("extracting", size, layers, func() (err error) {
		result, err = extract.Extract(ctx, models, dir, opts)
		return err
	})
	if err != nil {
		err = resumable(err, "no file has changed; what came so far is kept in "+filepath.Join(dir, modelpack.StateDir)+": the same command goes on from there")
	}
	return result, err
}

// noteBeside warns of files that look current and will not follow.
func noteBeside(cmd *cobra.Command, dir string, r *extract.Result) {
	if r.Beside > 0 {
		note(cmd, "warning: %s has %s of an extract without --atomic too: they stay as they are, whatever current points to", dir, plural(r.Beside, "file"))
	}
}

// watcher is an observer of whose reports the health is told too, if there is
// one, and people, if there is nothing to do but wait.
type watcher struct {
	extract.Observer
	health  *health
	waiting func()
}

// Observe implements [extract.Observer].
func (w watcher) Observe(phase, path string, safe, skipped, resumed int64) {
	if w.health != nil {
		w.health.beat()
	}
	if phase == extract.PhaseWaiting {
		w.waiting()
		return
	}
	w.Observer.Observe(phase, path, safe, skipped, resumed)
}

// arguments tells references from the directory, and finds bad flags before the
// work begins.
func (o *extractOptions) arguments(args []string) (targets []target, dir string, err error) {
	dir = cmp.Or(o.output, ".")
	if last := args[len(args)-1]; len(args) > 1 && (isPath(last) || !strings.Contains(last, "=")) {
		if o.output != "" && !looksLikeRef(last) {
			return nil, "", usage(fmt.Errorf("both %s and --output %s name a directory", last, o.output))
		}
		if o.output == "" && looksLikeRef(last) {
			return nil, "", usage(withHint(fmt.Errorf("%s looks like a reference, and is where the directory is expected", last),
				"name the directory with --output"))
		}
		if o.output == "" {
			args, dir = args[:len(args)-1], last
		}
	}
	if targets, err = parseTargets(args); err != nil {
		return nil, "", err
	}
	switch o.pull {
	case "", pullAlways, pullMissing, pullNever:
	default:
		return nil, "", usage(fmt.Errorf("--pull %q: one of always, missing, never", o.pull))
	}
	return targets, dir, errors.Join(o.concurrency.check(), o.format.check(o.result()))
}

// looksLikeRef says whether an argument can hardly be a directory.
func looksLikeRef(arg string) bool {
	for _, scheme := range schemes {
		if strings.HasPrefix(arg, scheme) {
			return true
		}
	}
	if isPath(arg) {
		return false
	}
	ref, err := registry.ParseReference(arg)
	return err == nil && (ref.Digest != "" || strings.Contains(arg[strings.LastIndexByte(arg, '/')+1:], ":"))
}

// isPath says whether an argument can only be a path, whatever is in it.
func isPath(arg string) bool { return strings.HasPrefix(arg, ".") || filepath.IsAbs(arg) }

// result is what the command prints.
func (o *extractOptions) result() any {
	if o.dryRun {
		return []extract.Step{{}}
	}
	return extracted{}
}

func printExtracted(cmd *cobra.Command, format formatFlag, v extracted) error {
	return format.print(cmd, v, func(w io.Writer) {
		for _, m := range v.Models {
			from := ""
			if v.Written > 0 {
				from = ", from the " + m.from()
			}
			fmt.Fprintf(w, "extracted %s to %s\n%s%s\n", m.Reference, filepath.Join(v.Directory, filepath.FromSlash(m.Subdir)), m.Digest, from)
		}
		fmt.Fprintf(w, "%s, %s%s\n", plural(v.Files, "file"), progress.Bytes(v.Size), v.changes())
		if v.Release != "" {
			fmt.Fprintf(w, "%s -> %s\n", filepath.Join(v.Directory, "current"), v.Release)
		}
	})
}

// from says where a model came from.
func (m extractedModel) from() string {
	if m.Resolved == m.Source {
		return m.Source
	}
	return m.Source + ", as the " + m.Resolved + " has it"
}

// changes says what did not have to be fetched or written, and what is gone.
func (v extracted) changes() string {
	var parts []string
	if v.Resumed > 0 {
		parts = append(parts, progress.Bytes(v.Resumed)+" from an earlier run")
	}
	if v.Unchanged > 0 {
		parts = append(parts, fmt.Sprintf("%d unchanged", v.Unchanged))
	}
	if v.Removed > 0 {
		parts = append(parts, fmt.Sprintf("%d removed", v.Removed))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// printPlan prints what an extraction would do.
func printPlan(cmd *cobra.Command, format formatFlag, models []extract.Model, dir string, opts extract.Options) error {
	steps, err := extract.Plan(models, dir, opts)
	if err != nil {
		return err
	}
	return format.print(cmd, steps, func(w io.Writer) {
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "ACTION\tKIND\tSIZE\tPATH")
		var size int64
		for _, s := range steps {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", s.Action, s.Kind, progress.Bytes(s.Size), printable(s.Path))
			if s.Action != "remove" {
				size += s.Size
			}
		}
		tw.Flush()
		fmt.Fprintf(w, "%s, %s; nothing was changed\n", plural(len(steps), "step"), progress.Bytes(size))
	})
}
