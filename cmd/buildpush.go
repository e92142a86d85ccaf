package cmd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/build"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/registry"
)

// defaultUploads is how many blobs a build sends at once.
const defaultUploads = 4

// builtAndPushed is what build --push prints. Sizes are in bytes.
type builtAndPushed struct {
	built
	Moved   int64 // went over the network in this run
	Resumed int64 // had gone over it in an earlier run
	Skipped int64 // was there already, or in another repository of the registry
}

// sample is what a template for the result can count on.
func (o *buildOptions) sample() any {
	if o.push {
		return builtAndPushed{}
	}
	return built{}
}

// pushBuild builds straight into the repositories of refs.
func (a *app) pushBuild(cmd *cobra.Command, o buildOptions, refs []registry.Reference, plan *build.Plan, layers []build.Layer, opts build.Options) error {
	tags, err := o.tags(refs)
	if err != nil {
		return err
	}
	ends := distinct(refs, tags)
	for _, e := range ends {
		if err := preflight(cmd, e.Repository, planned(layers), o.uploads()); err != nil {
			return err
		}
	}
	for _, ref := range refs {
		if err := o.repository.ensure(cmd, o.remote, ref); err != nil {
			return err
		}
	}
	reporter := a.reporter(cmd)
	opts.Concurrency, opts.Uploads = runtime.GOMAXPROCS(0), o.uploads()
	opts.TempDir, opts.Observer = spoolDir(), reporter
	var result *build.Pushed
	err = reporter.During("pushing", totalSize(layers)*int64(len(ends)), len(layers), func() (err error) {
		result, err = pushInto(cmd.Context(), ends, tags, plan, layers, opts)
		return err
	})
	if err != nil {
		return resumable(err, "the same command goes on: what is complete is not sent again, nor what the registry keeps of the rest")
	}
	return printPushed(cmd, o.format, refs, result)
}

// tags are the repositories of refs, as one client has them. Its credentials are
// those for the first.
func (o *buildOptions) tags(refs []registry.Reference) ([]*registry.Repository, error) {
	client, err := o.remote.clientFor(refs[0])
	if err != nil {
		return nil, err
	}
	tags := make([]*registry.Repository, len(refs))
	for i, ref := range refs {
		if tags[i], err = client.Repository(ref); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

// end is a repository that a build is pushed to. What another repository of its
// registry was sent before, it takes from there.
type end struct {
	*registry.Repository
	from string // the name of that one, empty if there is none
}

// Upload implements [build.Uploader].
func (e end) Upload(ctx context.Context, desc ocispec.Descriptor, src blob.Source, report func(safe, resumed int64)) (present bool, err error) {
	return e.UploadOrMount(ctx, desc, e.from, src, report)
}

// distinct leaves out repositories that were there under another tag. Those of one
// registry take from the first of them.
func distinct(refs []registry.Reference, tags []*registry.Repository) (ends []end) {
	seen, first := make(map[string]bool), make(map[string]string)
	for i, ref := range refs {
		if seen[ref.Name()] {
			continue
		}
		seen[ref.Name()] = true
		from, ok := first[ref.Registry]
		if !ok {
			first[ref.Registry] = ref.Repository
		}
		ends = append(ends, end{tags[i], from})
	}
	return ends
}

// Accepts implements [build.Accepter].
func (e end) Accepts(l build.Layer, size int64) error {
	p := plannedLayer(l)
	p.Size, p.Packing = size, false
	return e.CheckLayer(p)
}

// planned lists layers as a registry asks for them beforehand.
func planned(layers []build.Layer) []registry.Planned {
	all := make([]registry.Planned, len(layers))
	for i, l := range layers {
		all[i] = plannedLayer(l)
	}
	return all
}

func plannedLayer(l build.Layer) registry.Planned {
	packing := l.Format != modelpack.Raw && l.Format != modelpack.Tar
	p := registry.Planned{Name: l.Path, Size: l.Size(), Packing: packing, Bundle: len(l.Files) > 1}
	if l.Bundle {
		largest := slices.MaxFunc(l.Files, func(a, b build.File) int { return cmp.Compare(a.Size, b.Size) })
		p.Name = fmt.Sprintf("the bundle of %s files, of which %s is the largest,", l.Kind, largest.Path)
	}
	return p
}

// uploads is how many blobs to send at once.
func (o *buildOptions) uploads() int {
	if o.limited() {
		return int(o.concurrency)
	}
	return defaultUploads
}

// spoolDir is where large temporary files go: what is in /tmp may be in memory.
func spoolDir() string {
	const large = "/var/tmp"
	info, err := os.Stat(large)
	if os.Getenv("TMPDIR") != "" || runtime.GOOS == "windows" || err != nil || !info.IsDir() {
		return os.TempDir()
	}
	return large
}

// pushInto sends blobs to each repository, and then moves the tags.
func pushInto(ctx context.Context, ends []end, tags []*registry.Repository, plan *build.Plan, layers []build.Layer, opts build.Options) (*build.Pushed, error) {
	to := make([]build.Uploader, len(ends))
	for i, e := range ends {
		to[i] = e
	}
	result, err := plan.Push(ctx, to, layers, opts)
	if err != nil {
		return nil, err
	}
	for _, tag := range tags {
		if err := tag.PushManifest(ctx, result.Manifest, result.ManifestJSON); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func printPushed(cmd *cobra.Command, format formatFlag, refs []registry.Reference, r *build.Pushed) error {
	v := builtAndPushed{built: newBuilt(refs, &r.Result), Moved: r.Moved, Resumed: r.Resumed, Skipped: r.Skipped}
	return format.print(cmd, v, func(w io.Writer) {
		for _, ref := range refs {
			fmt.Fprintf(w, "pushed %s\n", ref)
		}
		fmt.Fprintf(w, "%s\n%s, %s", v.Digest, plural(v.Layers, "layer"), progress.Bytes(v.Size))
		switch there := v.Skipped + v.Resumed; {
		case there > 0 && v.Moved > 0: // which may be more than the size, with several repositories
			fmt.Fprintf(w, " (%s sent, %s there already)", progress.Bytes(v.Moved), progress.Bytes(there))
		case there > 0:
			fmt.Fprintf(w, " (%s there already)", progress.Bytes(there))
		}
		fmt.Fprintln(w)
	})
}
