package cmd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/extract/follow"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/registry"
)

type syncOptions struct {
	placeFlags
	interval   duration
	onChange   string
	readyFile  string
	healthAddr string
	format     formatFlag
}

func (a *app) newSyncCommand() *cobra.Command {
	o := syncOptions{interval: duration(follow.DefaultInterval)}
	cmd := &cobra.Command{
		Use:        "sync REF[=SUBDIR]... DIR",
		SuggestFor: []string{"watch", "follow"},
		Short:      "Keep a directory at what tags point to",
		Long: `Extract artifacts into DIR, or into directories below it, and do it again when
their tags move. The registry is asked at once and then every --interval, give
or take a tenth: one HEAD a reference. Only what changed is fetched. What
somebody else changed in DIR is restored.

DIR stays as it is while the registry does not answer; sync tries again after
some seconds, then less often, for ever. Only before DIR holds a version does it
end when there is no such artifact, or no access to it. SIGTERM ends it, with
exit code 0 unless it cut something off, which the next run goes on with.

--on-change runs a command after each change, also the first. Where it fails
standard error says so, for each version and each tenth time in a row; the files
stay, and it is run again after some seconds, then less often, until it
succeeds. In its environment are TARE_DIR, TARE_REFERENCE,
TARE_DIGEST and TARE_PREVIOUS, the digest that it was last told of, if any;
those of several references have blanks between them. When sync ends it has 10
seconds to come to its end.

--ready-file is there as long as sync runs and DIR holds a complete version, be
it an earlier one because the registry does not answer: a line "REF DIGEST" for
each reference. It is written before the command runs.

--health-addr serves /healthz (the loop runs, whether or not the registry
answers), /readyz (DIR holds a complete version) and /metrics (for Prometheus).

A sidecar in Kubernetes, beside a server that reads /models/current:

  - name: models
    image: registry.example.com/tools/tare
    restartPolicy: Always          # an init container that stays
    args: [sync, registry.example.com/team/qwen3:prod, /models, --atomic,
           --no-sync, --health-addr, ":9090"]
    startupProbe:  {httpGet: {path: /readyz, port: 9090}, failureThreshold: 720}
    livenessProbe: {httpGet: {path: /healthz, port: 9090}}
    volumeMounts:  [{name: models, mountPath: /models}]`,
		Example: `  tare sync registry.example.com/team/qwen3-0.6b:prod /models/qwen3
  tare sync registry.example.com/team/a:v1=a registry.example.com/team/b:v1=b \
    /models --interval 30s --on-change 'curl -fsS -X POST localhost:8000/reload'
  tare sync registry.example.com/team/qwen3-0.6b:prod /models --atomic \
    --ready-file /run/models/ready --health-addr :9090 --format json`,
		Args:              argsBetween(2, math.MaxInt),
		ValidArgsFunction: a.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runSync(cmd, o, args)
		},
	}
	o.register(cmd)
	flags := cmd.Flags()
	flags.Var(&o.interval, "interval", "time from one check to the next")
	flags.StringVar(&o.onChange, "on-change", "", "`command` for the shell, to run after each change")
	flags.StringVar(&o.readyFile, "ready-file", "", "`file` to write when DIR holds a complete version")
	flags.StringVar(&o.healthAddr, "health-addr", "", "`HOST:PORT` to serve health and metrics at")
	o.format.register(cmd, formatTable)
	return cmd
}

// duration is a flag whose error says what a duration looks like.
type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Type() string { return "duration" }

func (d *duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil {
		return errors.New("a number and its unit, such as 5s or 5m")
	}
	*d = duration(v)
	return nil
}

// check finds bad flags before the work begins.
func (o *syncOptions) check() error {
	if time.Duration(o.interval) < follow.MinInterval {
		return usage(fmt.Errorf("--interval %s: at least %s", &o.interval, follow.MinInterval))
	}
	if o.readyFile != "" {
		if info, err := os.Stat(filepath.Dir(o.readyFile)); err != nil || !info.IsDir() {
			return usage(fmt.Errorf("--ready-file %s: there is no such directory", o.readyFile))
		}
	}
	if o.healthAddr != "" {
		if _, _, err := net.SplitHostPort(o.healthAddr); err != nil {
			return usage(withHint(fmt.Errorf("--health-addr %q: not HOST:PORT", o.healthAddr), "such as :9090, or 127.0.0.1:9090"))
		}
	}
	return errors.Join(o.concurrency.check(), o.format.check(changed{Models: []changedModel{{}}}))
}

func (a *app) runSync(cmd *cobra.Command, o syncOptions, args []string) error {
	targets, dir, err := syncArguments(args)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	dest := &destination{app: a, cmd: cmd, o: o, dir: dir}
	for _, t := range targets {
		dest.models = append(dest.models, followed{target: t})
	}
	dest.health = newHealth(dest.models)
	if dest.opts, err = o.options(); err != nil {
		return err
	}
	client, err := dest.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	return dest.follow(cmd.Context())
}

// syncArguments tells references from the directory, which is last.
func syncArguments(args []string) ([]target, string, error) {
	first, last := args[0], args[len(args)-1]
	targets, err := parseTargets(args[:len(args)-1])
	switch _, lastErr := parseTarget(last); {
	case looksLikeRef(last):
		err = usage(fmt.Errorf("%s looks like a reference, and is where the directory is expected", last))
		return nil, "", withHint(err, "the directory comes last: tare sync REF... DIR")
	case err != nil && lastErr == nil && !isPath(last):
		return nil, "", withHint(err, "the directory comes last: tare sync %s %s", last, first)
	}
	return targets, last, err
}

// follow runs until ctx ends, and with it what others see of it: the ready file
// and the health server.
func (d *destination) follow(ctx context.Context) (err error) {
	ready := follow.Record(d.o.readyFile)
	if d.o.readyFile != "" {
		if err := d.checkReadyFile(ready); err != nil {
			return usage(fmt.Errorf("--ready-file %s: %w", d.o.readyFile, err))
		}
		if err := ready.Remove(); err != nil {
			return fmt.Errorf("--ready-file: %w", err)
		}
		defer func() { err = errors.Join(err, ready.Remove()) }()
	}
	if d.o.healthAddr != "" {
		at, stop, err := d.health.serve(ctx, d.o.healthAddr)
		if err != nil {
			return err
		}
		defer stop() // its error is of no use any more
		note(d.cmd, "health and metrics are at http://%s", at)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	log := &syncLog{cmd: d.cmd, format: d.o.format, dir: d.dir, fail: cancel}
	err = follow.Run(ctx, d, d, d.options(ready, log))
	if log.err != nil {
		return log.err
	}
	if err != nil {
		return resumable(err, "what came so far is kept: the same command goes on from there")
	}
	return nil
}

// checkReadyFile refuses to remove what is not a ready file, or is the model's.
func (d *destination) checkReadyFile(ready follow.Record) error {
	dir, err := filepath.Abs(d.dir)
	if err != nil {
		return err
	}
	file, err := filepath.Abs(d.o.readyFile)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(dir, file); err == nil && filepath.IsLocal(rel) {
		return errors.New("is below the directory of the models")
	}
	if info, err := os.Lstat(file); err == nil && info.Size() > 0 && len(ready.Load()) == 0 || err == nil && info.IsDir() {
		return errors.New("something else is there")
	}
	return nil
}

func (d *destination) options(ready follow.Record, log *syncLog) follow.Options {
	o := follow.Options{
		Interval: time.Duration(d.o.interval),
		Hopeless: hopeless,
		Observer: observers{d.health, log},
		Ready: func(v follow.Version) error {
			d.health.isReady(v)
			switch {
			case ready == "":
				return nil
			case len(v) == 0:
				return ready.Remove()
			}
			return ready.Save(v)
		},
	}
	if d.o.onChange != "" {
		command := follow.Command{Line: d.o.onChange, Dir: d.dir, Output: d.cmd.ErrOrStderr()}
		o.Told = follow.Record(d.toldFile())
		o.OnChange = func(ctx context.Context, from, to follow.Version) error {
			d.health.beat()
			return command.Run(ctx, from, to)
		}
	}
	return o
}

// toldFile remembers what the command was told of. Each set of models has its
// own: several syncs may have one directory.
func (d *destination) toldFile() string {
	var all strings.Builder
	for _, m := range d.models {
		fmt.Fprintf(&all, "%q %q\n", m.ref, m.subdir)
	}
	return filepath.Join(d.dir, modelpack.StateDir, "told-"+digest.FromString(all.String()).Encoded()[:16])
}

// hopeless says which errors waiting does not cure.
func hopeless(err error) bool {
	if _, ok := errors.AsType[*extract.ConflictError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*extract.AtomicError](err); ok {
		return true
	}
	switch exitCode(err) {
	case exitUsage, exitNotFound, exitDenied, exitContent:
		return true
	}
	return errors.Is(err, modelpack.ErrNotModel)
}

// observers are told one after the other.
type observers []follow.Observer

// Changed implements [follow.Observer].
func (all observers) Changed(c follow.Change) {
	for _, o := range all {
		o.Changed(c)
	}
}

// Done implements [follow.Observer].
func (all observers) Done(r follow.Round) {
	for _, o := range all {
		o.Done(r)
	}
}

// followed is a target and its repository.
type followed struct {
	target
	repo *registry.Repository
}

// destination is the directory of a sync and what is to be in it: the source and
// the target of package follow.
type destination struct {
	app    *app
	cmd    *cobra.Command
	o      syncOptions
	models []followed
	dir    string
	health *health
	opts   extract.Options
	warned bool // of files beside the releases
}

// connect makes one client for all: credentials in the environment are for the
// registry of the first reference.
func (d *destination) connect() (*registry.Client, error) {
	client, err := d.o.clientFor(d.models[0].ref)
	if err != nil {
		return nil, err
	}
	for i, m := range d.models {
		if d.models[i].repo, err = client.Repository(m.ref); err != nil {
			return nil, err
		}
	}
	return client, nil
}

// Check implements [follow.Source].
func (d *destination) Check(ctx context.Context) (follow.Version, error) {
	v := make(follow.Version, len(d.models))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, m := range d.models {
		g.Go(func() error {
			dgst, err := m.repo.Resolve(ctx, m.ref)
			v[i] = follow.Pin{Reference: m.ref.String(), Digest: dgst}
			return err
		})
	}
	return v, g.Wait()
}

// Installed implements [follow.Target]. What another filter has written is not
// intact: it is to be written again.
func (d *destination) Installed() (follow.Version, bool, error) {
	there, err := extract.Installed(d.dir, d.opts.Atomic)
	if err != nil {
		return nil, false, err
	}
	for i, t := range there {
		there[i].Intact = t.Intact && t.Filter == d.opts.Filter.String()
	}
	v, intact := held(d.models, there)
	return v, intact, nil
}

// held is the version that a directory holds with these models in it, empty if
// one is missing.
func held(models []followed, there []extract.Version) (v follow.Version, intact bool) {
	intact = true
	for _, m := range models {
		for _, t := range there {
			if t.Repository == m.ref.Name() && t.Subdir == m.subdir {
				v = append(v, follow.Pin{Reference: m.ref.String(), Digest: t.Digest})
				intact = intact && t.Intact
				break
			}
		}
	}
	if len(v) < len(models) {
		return nil, false
	}
	return v, intact
}

// Apply implements [follow.Target].
func (d *destination) Apply(ctx context.Context, v follow.Version) (follow.Result, error) {
	d.health.beat()
	var models []extract.Model
	for i, m := range d.models {
		model, err := m.pinned(ctx, v[i].Digest)
		if err != nil {
			return follow.Result{}, err
		}
		models = append(models, model)
	}
	r, err := d.app.extract(ctx, d.cmd, models, d.dir, d.opts, d.health)
	if err != nil {
		return follow.Result{}, err
	}
	if !d.warned {
		noteBeside(d.cmd, d.dir, r)
		d.warned = true
	}
	return follow.Result{
		Files: r.Files, Changed: r.Files - r.Unchanged + r.Removed, Size: r.Bytes,
		Written: r.Written, Moved: r.Moved, Resumed: r.Resumed, Skipped: r.Skipped,
	}, nil
}

// pinned is the model at exactly this version.
func (m *followed) pinned(ctx context.Context, version digest.Digest) (extract.Model, error) {
	art, err := remoteContents(ctx, m.repo, m.ref.WithDigest(version))
	if err != nil {
		return extract.Model{}, err
	}
	f := &origin{art: art, repo: m.repo, ref: m.ref}
	if err := f.readConfig(ctx); err != nil {
		return extract.Model{}, fmt.Errorf("%s: %w", m.ref, err)
	}
	return f.model(m.target), nil
}
