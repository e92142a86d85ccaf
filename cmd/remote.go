package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/registry"
)

// remoteFlags are the flags of all commands that talk to a registry.
type remoteFlags struct {
	hostsFlags
	plainHTTP bool
	insecure  bool
	proxy     string
	caFile    string
	certFile  string
	keyFile   string
	limitRate byteRate
	debug     bool

	stderr func() io.Writer // of the command
}

func (f *remoteFlags) register(cmd *cobra.Command) {
	f.stderr = cmd.ErrOrStderr
	flags := cmd.Flags()
	flags.BoolVar(&f.plainHTTP, "plain-http", false, "use HTTP, not HTTPS (not needed on loopback)")
	flags.BoolVar(&f.insecure, "insecure", false, "accept any TLS certificate")
	flags.StringVar(&f.proxy, "proxy", "", "`URL` of a proxy for everything (default\n$HTTPS_PROXY, $HTTP_PROXY)")
	flags.StringVar(&f.caFile, "ca-file", "", "PEM `file` of CAs to trust besides the system's")
	flags.StringVar(&f.certFile, "cert-file", "", "PEM `file` of the certificate to identify with")
	flags.StringVar(&f.keyFile, "key-file", "", "PEM `file` of its key")
	flags.Var(&f.limitRate, "limit-rate", "bytes a second at most, such as 500K or 10M")
	flags.BoolVar(&f.debug, "debug", false, "print requests and answers, without secrets")
	cmd.MarkFlagsRequiredTogether("cert-file", "key-file")
	f.registerHosts(cmd)
}

// options are those of a client that uses docker's credentials.
func (f *remoteFlags) options() (registry.Options, error) {
	hosts, err := f.lookup()
	if err != nil {
		return registry.Options{}, err
	}
	o := registry.Options{
		Hosts:       hosts,
		Journal:     newJournal(),
		Credentials: registry.PatientDockerCredentials(f.waiting),
		PlainHTTP:   f.plainHTTP,
		Insecure:    f.insecure,
		Proxy:       f.proxy,
		LimitRate:   int64(f.limitRate),
		UserAgent:   "tare/" + currentVersion(),
	}
	if f.caFile != "" {
		o.TLS.CA = []string{f.caFile}
	}
	if f.certFile != "" {
		o.TLS.Client = [][2]string{{f.certFile, f.keyFile}}
	}
	if f.debug {
		o.Debug = &lineWriter{w: f.stderr()}
	}
	return o, nil
}

// newClient makes a client. What is wrong with its options is wrong with the
// flags and variables that they come from.
func newClient(o registry.Options) (*registry.Client, error) {
	client, err := registry.NewClient(o)
	return client, usage(err)
}

// waiting tells who looks why nothing happens.
func (f *remoteFlags) waiting(program string) {
	if f.stderr != nil {
		fmt.Fprintf(f.stderr(), "waiting for %s\n", program)
	}
}

// client is one that uses docker's credentials.
func (f *remoteFlags) client() (*registry.Client, error) {
	o, err := f.options()
	if err != nil {
		return nil, err
	}
	return newClient(o)
}

// repository is the repository of ref on a client of its own.
func (f *remoteFlags) repository(ref registry.Reference) (*registry.Repository, error) {
	client, err := f.clientFor(ref)
	if err != nil {
		return nil, err
	}
	return client.Repository(ref)
}

// clientFor is a client for a command whose main reference is ref.
func (f *remoteFlags) clientFor(ref registry.Reference) (*registry.Client, error) {
	o, err := f.options()
	if err != nil {
		return nil, err
	}
	if err := useCredentials(&o, ref.Registry); err != nil {
		return nil, usage(err)
	}
	return newClient(o)
}

// useCredentials puts together who is asked for credentials: the environment, the
// file in TARE_AUTH_FILE, what o has already, which is docker, and for Amazon ECR
// whoever programs for AWS ask.
func useCredentials(o *registry.Options, host string) error {
	store := o.Credentials
	if path := os.Getenv(authFileVariable); path != "" {
		var err error
		if store, err = registry.AuthFile(path, store); err != nil {
			return variableError(authFileVariable, err, "name a file with credentials, such as a mounted .dockerconfigjson")
		}
	}
	o.Credentials = amazon(*o, store)
	return useEnvironment(o, host)
}

const authFileVariable = "TARE_AUTH_FILE"

// variableError says which variable an error is from, and what to do about it if the
// error does not.
func variableError(name string, err error, hint string) error {
	err = fmt.Errorf("%s: %w", name, err)
	var h hinter
	if errors.As(err, &h) {
		return err
	}
	return withHint(err, "%s, or unset %s", hint, name)
}

// useEnvironment has the credentials in the environment asked for first. They are
// for the registry in TARE_REGISTRY, else for the one of the command's reference,
// and for no other.
func useEnvironment(o *registry.Options, host string) (err error) {
	username, password := os.Getenv("TARE_USERNAME"), os.Getenv("TARE_PASSWORD")
	switch {
	case username == "" && password == "":
		return nil
	case username == "":
		return halfSet("TARE_PASSWORD", "TARE_USERNAME")
	case password == "":
		return halfSet("TARE_USERNAME", "TARE_PASSWORD")
	}
	if name := os.Getenv("TARE_REGISTRY"); name != "" {
		if host, err = registry.ParseRegistry(name); err != nil {
			return variableError("TARE_REGISTRY", err, "name a registry, such as registry.example.com")
		}
	}
	if strings.TrimRight(password, "\r\n") != password {
		return withHint(errors.New("TARE_PASSWORD ends in a line break"), "make the secret anew without it: printf %%s instead of echo, or kubectl create secret --from-literal")
	}
	o.Credentials = environmentStore{registry.StaticCredentials(host, username, password, o.Credentials), host}
	return nil
}

func halfSet(set, missing string) error {
	return withHint(fmt.Errorf("%s is set, but %s is not", set, missing), "set %s too, or unset %s to use what tare login saved", missing, set)
}

// environmentStore has the credentials in the environment for one host.
type environmentStore struct {
	registry.CredentialStore
	host string
}

// Advise implements [registry.Adviser]: a login does not help those who have other
// credentials in the environment.
func (s environmentStore) Advise(name string, r registry.Refusal) string {
	if name == s.host && r.Status == http.StatusUnauthorized && !r.Anonymous {
		return fmt.Sprintf("TARE_USERNAME and TARE_PASSWORD were refused by %s; they come before what tare login saves", name)
	}
	if next, ok := s.CredentialStore.(registry.Adviser); ok {
		if hint := next.Advise(name, r); hint != "" {
			return hint
		}
	}
	if name != s.host && r.Anonymous {
		return fmt.Sprintf("TARE_USERNAME is for %s alone; for %s too, name a file with credentials for both in TARE_AUTH_FILE, or: tare login %[2]s", s.host, name)
	}
	return ""
}

// remoteArtifact reads an artifact of a registry.
func remoteArtifact(ctx context.Context, repo *registry.Repository, ref registry.Reference) (*artifact, error) {
	desc, data, err := repo.Manifest(ctx, ref)
	if err != nil {
		return nil, err
	}
	return newArtifact(ref, desc, data)
}

// remoteContents is remoteArtifact for commands that want the files: it takes plain images
// too, and of an index the manifest for this machine.
func remoteContents(ctx context.Context, repo *registry.Repository, ref registry.Reference) (*artifact, error) {
	desc, data, err := repo.Manifest(ctx, ref)
	if err != nil {
		return nil, err
	}
	return parseContents(ref, desc, data, func(desc ocispec.Descriptor) ([]byte, error) {
		ref.Digest = desc.Digest
		_, data, err := repo.Manifest(ctx, ref)
		return data, err
	})
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
func (f *transferFlags) transferOptions(r *progress.Reporter, art *artifact) registry.TransferOptions {
	o := registry.TransferOptions{
		Concurrency: int(f.concurrency),
		NameKeys:    []string{modelpack.AnnotationFilepath, ocispec.AnnotationTitle},
	}
	o.Observer = &layerCounter{Observer: r, layers: layersByName(art, o)}
	return o
}
