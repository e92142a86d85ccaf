package cmd

import (
	"context"
	"fmt"

	"github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/registry"
)

// remoteFlags are the flags of all commands that talk to a registry.
type remoteFlags struct {
	plainHTTP bool
	insecure  bool
}

func (f *remoteFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.plainHTTP, "plain-http", false, "use HTTP, not HTTPS (not needed on loopback)")
	flags.BoolVar(&f.insecure, "insecure", false, "accept any TLS certificate")
}

// client makes a client that uses docker's credentials.
func (f *remoteFlags) client() *registry.Client {
	return registry.NewClient(registry.Options{
		PlainHTTP: f.plainHTTP,
		Insecure:  f.insecure,
		UserAgent: "tare/" + currentVersion(),
	})
}

// repository is the repository of ref on a client of its own.
func (f *remoteFlags) repository(ref registry.Reference) (*registry.Repository, error) {
	return f.client().Repository(ref)
}

// remoteArtifact reads an artifact of a registry.
func remoteArtifact(ctx context.Context, repo *registry.Repository, ref registry.Reference) (*artifact, error) {
	desc, data, err := repo.Manifest(ctx, ref)
	if err != nil {
		return nil, err
	}
	return newArtifact(ref, desc, data)
}

// concurrency is the flag for how many things are done at once.
type concurrency int

func (c *concurrency) register(cmd *cobra.Command, byDefault int, help string) {
	cmd.Flags().IntVarP((*int)(c), "concurrency", "c", byDefault, help)
}

func (c concurrency) check() error {
	if c < 1 {
		return usage(fmt.Errorf("--concurrency %d: at least 1", c))
	}
	return nil
}

// transferFlags are the flags of commands that move blobs.
type transferFlags struct {
	remoteFlags
	concurrency concurrency
}

func (f *transferFlags) register(cmd *cobra.Command) {
	f.remoteFlags.register(cmd)
	f.concurrency.register(cmd, 4, "blobs to move at once")
}

// transferOptions report to r under the names of files.
func (f *transferFlags) transferOptions(r *progress.Reporter) registry.TransferOptions {
	return registry.TransferOptions{
		Concurrency: int(f.concurrency),
		Observer:    r,
		NameKeys:    []string{modelpack.AnnotationFilepath, v1.AnnotationTitle},
	}
}
