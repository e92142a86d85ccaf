package cmd

import (
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
	flags.BoolVar(&f.plainHTTP, "plain-http", false, "use HTTP instead of HTTPS (loopback registries need no flag)")
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

// transferFlags are the flags of commands that move blobs.
type transferFlags struct {
	remoteFlags
	concurrency int
}

func (f *transferFlags) register(cmd *cobra.Command) {
	f.remoteFlags.register(cmd)
	cmd.Flags().IntVar(&f.concurrency, "concurrency", 4, "blobs to move at once")
}

// transferOptions report to r under the names of files.
func (f *transferFlags) transferOptions(r *progress.Reporter) registry.TransferOptions {
	return registry.TransferOptions{
		Concurrency: f.concurrency,
		Observer:    r,
		NameKeys:    []string{modelpack.AnnotationFilepath, v1.AnnotationTitle},
	}
}
