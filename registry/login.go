package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/tareml/tare/blob"
)

// Saved is where a login went.
type Saved struct {
	Place     string // the path of a file, or the name of a helper program; empty if unknown
	Plaintext bool   // whether the password can be read there by whoever can read the file
}

// placer is a store that says where it saves.
type placer interface {
	place(server string) (Saved, error)
}

// Login asks the registry whether it takes these credentials, and saves them
// if so.
func (c *Client) Login(ctx context.Context, registry, username, password string) (Saved, error) {
	ref, err := registryReference(registry)
	if err != nil {
		return Saved{}, fmt.Errorf("logging in: %w", err)
	}
	cred := auth.Credential{Username: username, Password: password}
	if err := c.ping(ctx, ref, cred); err != nil {
		if errors.Is(err, ErrDenied) {
			err = hinted(err, "check the user name and the password; some registries want a token for it")
		}
		return Saved{}, fmt.Errorf("logging in to %s: %w", ref.Registry, err)
	}
	server := credentials.ServerAddressFromRegistry(ref.Registry)
	if err := c.store.Put(ctx, server, cred); err != nil {
		return Saved{}, credentialError(ctx, "saving", ref.Registry, err)
	}
	if store, ok := c.store.(placer); ok {
		return store.place(server)
	}
	return Saved{}, nil
}

// ping asks for the root of the API with these credentials and no cache.
func (c *Client) ping(ctx context.Context, ref Reference, cred auth.Credential) error {
	origin, err := c.origin(ctx, ref)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, origin.base+"/", nil)
	if err != nil {
		return err
	}
	resp, err := newAuthenticator(c.auth.Client, auth.StaticCredential(origin.host, cred)).Do(req)
	if err != nil {
		return explain(ctx, err)
	}
	if err := refusal(resp); err != nil {
		return err
	}
	discard(resp)
	return nil
}

// Logout forgets the credentials for registry. If there are none it is
// blob.ErrNotFound.
func (c *Client) Logout(ctx context.Context, registry string) error {
	ref, err := registryReference(registry)
	if err != nil {
		return fmt.Errorf("logging out: %w", err)
	}
	server := credentials.ServerAddressFromRegistry(ref.Registry)
	known, err := c.knows(ctx, server, ref.Registry)
	if err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("logging out of %s: credentials: %w", ref.Registry, blob.ErrNotFound)
	}
	if err := c.store.Delete(ctx, server); err != nil {
		return credentialError(ctx, "deleting", ref.Registry, err)
	}
	if known, err := c.knows(ctx, server, ref.Registry); err != nil || known {
		return errors.Join(err, fmt.Errorf("logging out of %s: credentials are still found, under another spelling or in the environment", ref.Registry))
	}
	return nil
}

func (c *Client) knows(ctx context.Context, server, registry string) (bool, error) {
	cred, err := c.store.Get(ctx, server)
	if err != nil {
		return false, credentialError(ctx, "looking up", registry, err)
	}
	return cred != auth.EmptyCredential, nil
}

// ParseRegistry reads the name of a registry by itself, and returns it as it
// stands in a [Reference].
func ParseRegistry(name string) (string, error) {
	ref, err := registryReference(name)
	if err != nil {
		return "", fmt.Errorf("parsing registry %q: %w", name, err)
	}
	return ref.Registry, nil
}

// registryReference reads the name of a registry by itself.
func registryReference(registry string) (Reference, error) {
	host, err := trimScheme(registry)
	if err != nil {
		return Reference{}, err
	}
	host = strings.ToLower(strings.TrimSuffix(host, "/"))
	if host == dockerHubAPI || host == "index."+dockerHub {
		host = dockerHub
	}
	return Reference{Registry: host}, checkHost(host)
}

// harmless says that an error is one of the system, which quotes no secrets.
func harmless(err error) bool {
	_, path := errors.AsType[*os.PathError](err)
	_, program := errors.AsType[*exec.Error](err)
	return path || program
}
