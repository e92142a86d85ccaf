// Package registry is the remote end: it moves OCI content between registries
// and whatever holds content here. It knows nothing of models and of files.
//
// A [Client] holds what all requests share: connections, credentials, patience.
// A [Repository] is one repository as that client sees it:
//
//	ref, err := registry.ParseReference("localhost:5000/models/qwen3:v1")
//	client, err := registry.NewClient(registry.Options{UserAgent: "tare/1.0"})
//	defer client.Close()
//	repo, err := client.Repository(ref)
//	desc, manifest, err := repo.Manifest(ctx, ref)
//	err = repo.Pull(ctx, desc, manifest, destination, registry.TransferOptions{})
//
// What is pulled goes into a [Destination], which hands out a blob.Sink for each
// blob; what is pushed comes from a [Content]. Bytes are hashed as they arrive
// and a manifest follows the blobs that it names, so that neither end ever shows
// a manifest whose content is missing or wrong.
//
// # Addresses
//
// Registries are spoken to over TLS. A registry on the loopback interface may
// speak plain HTTP: the client asks once and remembers. Short names mean what
// they mean to docker.
//
// # Credentials
//
// They come from docker's config.json and its credential helpers, go to the
// registry and to its token service, never to where either redirects, never
// without TLS if the registry has it, and never into an error. Tokens are renewed
// before they expire.
//
// # Patience
//
// A request that failed for a reason that may pass is sent again, a few times.
// Where a server says when to come back, nobody asks it anything before that. A
// connection may take as long as it likes, but not be silent for long.
//
// # Errors
//
// Errors wrap one of [ErrDenied], [ErrUnreachable], [ErrUnavailable],
// blob.ErrNotFound, blob.ErrMismatch and blob.ErrHostile where one fits. An
// error that a person can do something about has a method Hint() string
// somewhere in its chain.
package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// Options says how a [Client] behaves. The zero value is a good client.
type Options struct {
	// PlainHTTP speaks plain HTTP to every registry.
	PlainHTTP bool

	// Insecure accepts any certificate. It does not fall back to plain HTTP.
	Insecure bool

	// TLS adds to whom the system trusts, and says how we are known. It is for
	// all servers.
	TLS TLSFiles

	// Proxy is the URL of the proxy for all requests. If it is empty HTTPS_PROXY,
	// HTTP_PROXY and NO_PROXY in the environment decide.
	Proxy string

	// LimitRate is how many bytes a second the bodies of all requests and answers
	// may have together, without a limit if zero.
	LimitRate int64

	// Debug is told of each request and answer, a line at a time and without
	// secrets, unless it is nil.
	Debug io.Writer

	// UserAgent names the program in each request, "tare" if empty.
	UserAgent string

	// Credentials is where credentials are found and saved: docker's
	// config.json and its helpers, as [DockerCredentials] has them, if nil.
	Credentials credentials.Store

	// Stall is how long a connection may deliver nothing before it counts as
	// cut, 30 seconds if zero.
	Stall time.Duration

	// Hosts says who answers for a registry, nobody but itself if nil. It is
	// asked once for each.
	Hosts func(registry string) (Hosts, error)

	// Journal remembers uploads for a later process, unless it is nil.
	Journal Journal

	// Sleep waits between two attempts and returns early with the context's
	// error; tests replace it. A timer if nil.
	Sleep func(context.Context, time.Duration) error
}

// Client speaks to registries. It may be used from many goroutines.
type Client struct {
	*directory
	slots     *slots
	grain     grain
	store     credentials.Store
	auth      *authenticator
	secrets   *redactor
	sleep     func(context.Context, time.Duration) error
	plainHTTP bool
	notices   notices
	journal   Journal // or nil
	chunk     int64   // what is sent at once

	mu      sync.Mutex
	schemes map[string]string      // by host, for hosts that were probed
	habits  map[string]*habits     // of registries, by name
	doubted map[digest.Digest]bool // blobs of which a mirror brought the wrong bytes
}

// NewClient returns a Client. It reads the files of o.TLS and does not touch the
// network.
func NewClient(o Options) (*Client, error) {
	o = o.withDefaults()
	pools, err := newPools(o)
	if err != nil {
		return nil, err
	}
	return newClient(o, pools), nil
}

func (o Options) withDefaults() Options {
	if o.UserAgent == "" {
		o.UserAgent = "tare"
	}
	if o.Stall == 0 {
		o.Stall = 30 * time.Second
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Credentials == nil {
		o.Credentials = DockerCredentials()
	}
	return o
}

func newClient(o Options, pools *pools) *Client {
	c := &Client{
		store: o.Credentials, sleep: o.Sleep, plainHTTP: o.PlainHTTP, schemes: map[string]string{}, doubted: map[digest.Digest]bool{},
		slots: newSlots(), grain: newGrain(), habits: map[string]*habits{}, journal: o.Journal, chunk: chunkSize,
	}
	c.directory = newDirectory(o.Hosts, pools)
	transport := newTransport(o, pools, c.slots.shrink)
	client := &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	c.secrets = transport.secrets
	c.auth = newAuthenticator(client, credentialFunc(o.Credentials))
	return c
}

// Close closes the connections that the client keeps open.
func (c *Client) Close() { c.auth.Client.CloseIdleConnections() }

// Repository returns the repository that ref names. The tag or digest of ref
// is what [Repository.Push] pushes to.
func (c *Client) Repository(ref Reference) (*Repository, error) {
	if err := ref.validate(); err != nil {
		return nil, err
	}
	return &Repository{client: c, ref: ref}, nil
}

// scheme is "https" or "http". It asks hosts on the loopback interface, once.
func (c *Client) scheme(ctx context.Context, host string) (string, error) {
	if c.plainHTTP {
		return "http", nil
	}
	if !loopback(host) {
		return "https", nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if scheme, ok := c.schemes[host]; ok {
		return scheme, nil
	}
	scheme, err := c.probe(ctx, host)
	if err == nil {
		c.schemes[host] = scheme
	}
	return scheme, err
}

// probe says hello over TLS and finds out whether the other end understood.
func (c *Client) probe(ctx context.Context, host string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/v2/", nil)
	if err != nil {
		return "", err
	}
	resp, err := c.auth.Client.Transport.RoundTrip(req)
	if header := (tls.RecordHeaderError{}); errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &header) {
		return "http", nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", unreachable(err)
	}
	discard(resp)
	return "https", nil
}

// Repository is one repository of a registry. It may be used from many
// goroutines.
type Repository struct {
	client *Client
	ref    Reference
}

// doubt has no mirror asked for d any more: the bytes that came were wrong.
func (c *Client) doubt(d digest.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubted[d] = true
}

func (c *Client) doubts(d digest.Digest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doubted[d]
}
