package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/tareml/tare/blob"
)

// Saved is where a login went.
type Saved struct {
	Place     string // the path of a file, or the name of a helper program; empty if unknown
	Plaintext bool   // whether the password can be read there by whoever can read the file
	Server    string // the host that the credentials are for, where the registry is not at its name
	Unasked   bool   // the registry asked for no credentials, so that nobody knows whether these are right
}

// placer is a store that says where it saves.
type placer interface {
	place(server string) (Saved, error)
}

// Login asks the registry whether it takes these credentials, and saves them
// if so.
func (c *Client) Login(ctx context.Context, registry, username, password string) (Saved, error) {
	ref, origin, err := c.find(ctx, registry)
	if err != nil {
		return Saved{}, fmt.Errorf("logging in to %s: %w", registry, err)
	}
	cred := Credential{Username: username, Password: password}
	asked, err := c.ping(ctx, origin, cred)
	if err != nil {
		if errors.Is(err, ErrDenied) && hintless(err) {
			err = hinted(err, robotHint(username, "check the user name and the password; some registries want a token for it"))
		}
		return Saved{}, fmt.Errorf("logging in to %s: %w", ref.Registry, err)
	}
	server := serverOf(origin.host)
	if err := c.store.Put(ctx, server, cred); err != nil {
		return Saved{}, credentialError(ctx, "saving", ref.Registry, err)
	}
	var saved Saved
	if store, ok := c.store.(placer); ok {
		saved, err = store.place(server)
	}
	saved.Server, saved.Unasked = origin.elsewhere(), !asked
	return saved, err
}

// Check asks the registry whether it takes the credentials that are known for it.
func (c *Client) Check(ctx context.Context, registry string) error {
	ref, origin, err := c.find(ctx, registry)
	if err != nil {
		return fmt.Errorf("checking the credentials for %s: %w", registry, err)
	}
	ctx = WithLookup(withSubject(ctx, subject{host: origin.host, registry: ref.Registry}), Lookup{Push: true})
	cred, err := c.auth.credential(ctx, origin.host)
	if err != nil {
		return err
	}
	if _, err := c.ping(ctx, origin, cred); err != nil {
		return fmt.Errorf("checking the credentials for %s: %w", ref.Registry, err)
	}
	return nil
}

// find is the registry of that name, and where it is.
func (c *Client) find(ctx context.Context, registry string) (Reference, endpoint, error) {
	ref, err := registryReference(registry)
	if err != nil {
		return Reference{}, endpoint{}, err
	}
	origin, err := c.origin(ctx, ref)
	return ref, origin, err
}

// ping asks for the root of the API with these credentials and no cache. It says
// whether anybody wanted to see them.
func (c *Client) ping(ctx context.Context, origin endpoint, cred Credential) (asked bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, origin.base+"/", nil)
	if err != nil {
		return false, err
	}
	req = req.WithContext(withSubject(ctx, subject{host: origin.host, registry: cmp.Or(origin.ns, registryOf(origin.host))}))
	known := auth.StaticCredential(origin.host, cred)
	resp, err := newAuthenticator(c.auth.Client, func(ctx context.Context, host string) (Credential, error) {
		asked = true
		return known(ctx, host)
	}).Do(req)
	if err != nil {
		return asked, c.secrets.purged(explain(ctx, err))
	}
	if err := refusal(resp); err != nil {
		return asked, c.secrets.purged(err)
	}
	discard(resp)
	return asked, nil
}

// Logout forgets the credentials for registry. If there are none it is
// blob.ErrNotFound.
func (c *Client) Logout(ctx context.Context, registry string) error {
	ref, err := registryReference(registry)
	if err != nil {
		return fmt.Errorf("logging out: %w", err)
	}
	hosts, err := c.hostsOf(ref.Registry)
	if err != nil {
		return fmt.Errorf("logging out of %s: %w", ref.Registry, err)
	}
	servers := []string{serverOf(ref.Registry)}
	if at, err := newEndpoint(hosts.Server, ref.Registry); err == nil && at.ns != "" {
		servers = append(servers, serverOf(at.host))
	}
	found := false
	for _, server := range servers {
		deleted, err := c.forget(ctx, server, ref.Registry)
		if err != nil {
			return err
		}
		found = found || deleted
	}
	if !found {
		return fmt.Errorf("logging out of %s: credentials: %w", ref.Registry, blob.ErrNotFound)
	}
	return nil
}

// forget deletes what is kept under the name of server, if there is anything.
func (c *Client) forget(ctx context.Context, server, registry string) (deleted bool, err error) {
	if known, err := c.knows(ctx, server, registry); !known || err != nil {
		return false, err
	}
	if err := c.store.Delete(ctx, server); err != nil {
		return false, credentialError(ctx, "deleting", registry, err)
	}
	if known, err := c.knows(ctx, server, registry); err != nil || known {
		return false, errors.Join(err, fmt.Errorf("logging out of %s: credentials are still found, under another spelling or in the environment", registry))
	}
	return true, nil
}

func (c *Client) knows(ctx context.Context, server, registry string) (bool, error) {
	cred, err := c.store.Get(ctx, server)
	if err != nil {
		return false, credentialError(ctx, "looking up", registry, err)
	}
	return cred != Credential{}, nil
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
	host = strings.TrimSuffix(host, "/")
	if name, path, ok := strings.Cut(host, "/"); ok {
		return Reference{}, hinted(fmt.Errorf("there is a path in it, /%s", path), "credentials are for a whole registry: "+name)
	}
	host = registryOf(strings.ToLower(host))
	return Reference{Registry: host}, checkHost(host)
}
