package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// endpoint is where the API of a registry, or of a mirror of it, answers.
type endpoint struct {
	base   string // its address up to /v2
	host   string // host[:port]
	ns     string // the registry that a mirror is asked about, empty for the registry itself
	mirror bool
}

// newEndpoint is h as somebody sees it who asks for what registry has.
func newEndpoint(h Host, registry string) (endpoint, error) {
	u, err := url.Parse(h.URL)
	if err != nil {
		return endpoint{}, err
	}
	e := endpoint{base: h.URL, host: u.Host}
	if registryOf(u.Host) != registry {
		e.ns = registry
	}
	return e, nil
}

// elsewhere is the host, if the registry is not at its name.
func (e endpoint) elsewhere() string {
	if e.ns == "" {
		return ""
	}
	return e.host
}

// request asks for something in a repository.
func (e endpoint) request(ctx context.Context, method, repository, path string) (*http.Request, error) {
	address := fmt.Sprintf("%s/%s/%s", e.base, repository, path)
	if e.ns != "" {
		address += "?ns=" + url.QueryEscape(e.ns)
	}
	return http.NewRequestWithContext(ctx, method, address, nil)
}

// context is ctx with what is known of a request before it is made: what its
// token has to be good for, whose repository it is about, and whether there is
// somebody else to ask.
func (e endpoint) context(ctx context.Context, repository string, actions ...string) context.Context {
	if e.mirror {
		ctx = hasty(ctx)
	} else {
		ctx = withSubject(ctx, subject{host: e.host, registry: cmp.Or(e.ns, registryOf(e.host))})
	}
	return auth.AppendScopesForHost(ctx, e.host, auth.ScopeRepository(repository, actions...))
}

// origin is the registry itself.
func (r *Repository) origin(ctx context.Context) (endpoint, error) {
	return r.client.origin(ctx, r.ref)
}

// origin is the registry of ref itself.
func (c *Client) origin(ctx context.Context, ref Reference) (endpoint, error) {
	hosts, err := c.hostsOf(ref.Registry)
	if err != nil {
		return endpoint{}, err
	}
	if hosts.Server.URL != "" {
		return newEndpoint(hosts.Server, ref.Registry)
	}
	scheme, err := c.scheme(ctx, ref.host())
	if err != nil {
		return endpoint{}, err
	}
	return endpoint{base: scheme + "://" + ref.host() + "/v2", host: ref.host()}, nil
}

// mirrors are those that may be asked before the registry.
func (r *Repository) mirrors(may func(Host) bool) ([]endpoint, error) {
	hosts, err := r.client.hostsOf(r.ref.Registry)
	if err != nil {
		return nil, err
	}
	var all []endpoint
	for _, h := range hosts.Mirrors {
		e, err := newEndpoint(h, r.ref.Registry)
		if err != nil {
			return nil, err
		}
		e.mirror = true
		if may(h) && !r.client.givenUp(e.host) {
			all = append(all, e)
		}
	}
	return all, nil
}

// passedOver is why mirrors were, for whoever then hears of an error.
type passedOver []string

// note remembers err, and gives up on a mirror that did not work at all.
func (p *passedOver) note(c *Client, mirror endpoint, err error) {
	*p = append(*p, fmt.Sprintf("mirror %s: %v", mirror.host, err))
	if errors.Is(err, ErrUnreachable) || errors.Is(err, ErrUnavailable) {
		c.giveUp(mirror.host)
	}
}

func (p passedOver) explain(err error) error {
	if err == nil || len(p) == 0 {
		return err
	}
	return fmt.Errorf("%w (before that, %s)", err, strings.Join(p, "; "))
}

// directory remembers who answers for which registry, and who does not answer.
type directory struct {
	look  func(registry string) (Hosts, error) // or nil
	pools *pools                               // that follow the settings of hosts

	mu    sync.Mutex
	known map[string]Hosts // by registry
	gone  map[string]bool  // mirrors, by host, that did not work
	whole map[string]bool  // hosts that do not serve ranges

	closed map[string]bool // repositories that nothing can be mounted from
}

func newDirectory(look func(string) (Hosts, error), pools *pools) *directory {
	return &directory{look: look, pools: pools, known: map[string]Hosts{}, gone: map[string]bool{}, whole: map[string]bool{}, closed: map[string]bool{}}
}

// hostsOf looks up, once, who answers for a registry.
func (d *directory) hostsOf(registry string) (Hosts, error) {
	if d.look == nil {
		return Hosts{}, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if hosts, ok := d.known[registry]; ok {
		return hosts, nil
	}
	hosts, err := d.look(registry)
	if err != nil {
		return Hosts{}, err
	}
	itself := hosts.Server
	if itself.URL == "" {
		itself.URL = "https://" + Reference{Registry: registry}.host() + "/v2"
	}
	err = d.pools.configure(itself)
	for _, m := range hosts.Mirrors {
		err = errors.Join(err, d.pools.configure(m))
	}
	if err == nil {
		d.known[registry] = hosts
	}
	return hosts, err
}

// giveUp has a mirror no longer asked for anything.
func (d *directory) giveUp(host string) { d.note(d.gone, host) }

func (d *directory) givenUp(host string) bool { return d.noted(d.gone, host) }

// servesWhole notes that a host does not serve ranges.
func (d *directory) servesWhole(host string) { d.note(d.whole, host) }

func (d *directory) onlyWhole(host string) bool { return d.noted(d.whole, host) }

func (d *directory) note(m map[string]bool, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m[name] = true
}

func (d *directory) noted(m map[string]bool, name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return m[name]
}
