package cmd

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/registry"
)

type inspectOptions struct {
	remoteFlags
	remote bool
	config bool
	format formatFlag
}

// inspected is what inspect prints, under the names that modctl users know.
type inspected struct {
	ID           string `json:"Id"`
	Digest       string
	Reference    string
	ArtifactType string
	Name         string
	Family       string
	Architecture string
	Format       string
	ParamSize    string
	Precision    string
	Quantization string
	Licenses     []string
	CreatedAt    string
	Size         int64
	Layers       []inspectedLayer
}

type inspectedLayer struct {
	MediaType string
	Digest    string
	Size      int64
	Filepath  string
}

func (a *app) newInspectCommand() *cobra.Command {
	var o inspectOptions
	cmd := &cobra.Command{
		Use:        "inspect REF",
		SuggestFor: []string{"show", "info", "describe", "manifest"},
		Short:      "Show what an artifact is made of",
		Long: `Show what an artifact in the local store is made of, or with --remote one in a
registry, as JSON. --config shows its config instead.`,
		Example: `  tare inspect registry.example.com/team/qwen3-0.6b:v1
  tare inspect ghcr.io/team/model:v1 --remote --format '{{.Digest}}'
  tare inspect registry.example.com/team/qwen3-0.6b:v1 --config`,
		Args:              argsBetween(1, 1),
		ValidArgsFunction: a.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runInspect(cmd, o, args[0])
		},
	}
	o.remoteFlags.register(cmd)
	o.registerMirrors(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&o.remote, "remote", false, "ask the registry instead of the local store")
	flags.BoolVar(&o.config, "config", false, "show the config")
	o.format.register(cmd, formatJSON)
	return cmd
}

func (a *app) runInspect(cmd *cobra.Command, o inspectOptions, name string) error {
	ref, err := parseRef(name)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	art, configJSON, err := a.look(cmd.Context(), o, ref)
	if err != nil {
		return err
	}
	config, err := modelpack.ParseConfig(configJSON)
	if err != nil {
		return err
	}
	if o.config {
		return o.format.print(cmd, config, func(w io.Writer) { encodeJSON(w, config) })
	}
	v := inspectedFrom(ref, art, config)
	return o.format.print(cmd, v, func(w io.Writer) { printInspected(w, v) })
}

func (o *inspectOptions) check() error {
	if o.config {
		return o.format.check(nil) // its fields depend on the model
	}
	return o.format.check(inspected{Layers: []inspectedLayer{{}}})
}

// printInspected is inspect for people.
func printInspected(w io.Writer, v inspected) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"Reference", v.Reference}, {"Digest", v.Digest}, {"Name", v.Name}, {"Family", v.Family}, {"Architecture", v.Architecture},
		{"Format", v.Format}, {"Parameters", v.ParamSize}, {"Precision", v.Precision}, {"Quantization", v.Quantization},
		{"Licenses", strings.Join(v.Licenses, ", ")}, {"Created", v.CreatedAt}, {"Size", progress.Bytes(v.Size)},
	} {
		if line[1] != "" {
			fmt.Fprintf(tw, "%s\t%s\n", line[0], printable(line[1]))
		}
	}
	tw.Flush()
	fmt.Fprintln(w)
	tw = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range v.Layers {
		kind, format, _ := modelpack.ParseMediaType(l.MediaType)
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", kind, format, shortDigest(l.Digest), progress.Bytes(l.Size), printable(l.Filepath))
	}
	tw.Flush()
}

// look reads manifest and config from where the options say.
func (a *app) look(ctx context.Context, o inspectOptions, ref registry.Reference) (*artifact, []byte, error) {
	if o.remote {
		return lookRemote(ctx, o, ref)
	}
	store, err := a.view(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer store.Close()
	art, err := store.artifact(ref)
	if err != nil {
		return nil, nil, err
	}
	config, err := store.ReadAll(art.Manifest.Config)
	return art, config, err
}

func lookRemote(ctx context.Context, o inspectOptions, ref registry.Reference) (*artifact, []byte, error) {
	repo, err := o.repository(ref)
	if err != nil {
		return nil, nil, err
	}
	art, err := remoteArtifact(ctx, repo, ref)
	if err != nil {
		return nil, nil, err
	}
	config, err := fetchSmall(ctx, repo, art.Manifest.Config)
	return art, config, err
}

// fetchSmall reads a blob of at most a manifest's size.
func fetchSmall(ctx context.Context, repo *registry.Repository, desc ocispec.Descriptor) ([]byte, error) {
	if desc.Size > modelpack.MaxManifestSize {
		return nil, fmt.Errorf("config of %d bytes: %w", desc.Size, blob.ErrHostile)
	}
	r, err := repo.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func inspectedFrom(ref registry.Reference, art *artifact, c *modelpack.ModelConfig) inspected {
	v := inspected{
		ID:           art.Manifest.Config.Digest.String(),
		Digest:       art.desc.Digest.String(),
		Reference:    ref.String(),
		ArtifactType: art.Manifest.ArtifactType,
		Name:         c.Descriptor.Name,
		Family:       c.Descriptor.Family,
		Architecture: c.Config.Architecture,
		Format:       c.Config.Format,
		ParamSize:    c.Config.ParamSize,
		Precision:    c.Config.Precision,
		Quantization: c.Config.Quantization,
		Licenses:     c.Descriptor.Licenses,
		Size:         art.Size(),
	}
	if c.Descriptor.CreatedAt != nil {
		v.CreatedAt = c.Descriptor.CreatedAt.Format(time.RFC3339)
	}
	for _, l := range art.Layers {
		v.Layers = append(v.Layers, inspectedLayer{l.MediaType, l.Digest.String(), l.Size, l.Path})
	}
	return v
}
