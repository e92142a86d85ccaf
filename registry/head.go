package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Resolve asks what ref points to now. That is one HEAD, so that it may be asked
// again and again; a registry that does not answer it properly is asked for the
// manifest. A reference with a digest is not asked about.
//
// Mirrors that may resolve tags are asked first, also those that were given up:
// who asks again has waited.
func (r *Repository) Resolve(ctx context.Context, ref Reference) (digest.Digest, error) {
	dgst, err := r.pointsTo(ctx, ref)
	if err != nil {
		return "", fmt.Errorf("resolving %s: %w", ref, err)
	}
	return dgst, nil
}

func (r *Repository) pointsTo(ctx context.Context, ref Reference) (digest.Digest, error) {
	if ref.Name() != r.ref.Name() {
		return "", fmt.Errorf("not in repository %s", r.ref.Name())
	}
	if err := ref.check(); err != nil || ref.Digest != "" {
		return ref.Digest, err
	}
	r.client.forgive()
	mirrors, err := r.mirrors(func(h Host) bool { return h.Pull && h.Resolve })
	if err != nil {
		return "", err
	}
	var passed passedOver
	for _, mirror := range mirrors {
		dgst, err := r.askDigest(ctx, mirror, ref.Tag)
		if err == nil || ctx.Err() != nil {
			return dgst, err
		}
		passed.note(r.client, mirror, err)
	}
	origin, err := r.origin(ctx)
	if err != nil {
		return "", err
	}
	dgst, err := r.askDigest(ctx, origin, ref.Tag)
	return dgst, passed.explain(err)
}

// askDigest asks one host what a tag points to.
func (r *Repository) askDigest(ctx context.Context, e endpoint, tag string) (digest.Digest, error) {
	dgst, err := r.headManifest(e.context(ctx, r.ref.Repository, auth.ActionPull), e, tag)
	if err == nil || !worthGet(e, err) {
		return dgst, err
	}
	desc, _, err := r.askManifest(ctx, e, tag, "")
	return desc.Digest, err
}

// errNoDigest says that the answer to a HEAD lacks what was asked for.
var errNoDigest = errors.New("the registry does not say which digest the manifest has")

func (r *Repository) headManifest(ctx context.Context, e endpoint, tag string) (digest.Digest, error) {
	req, err := e.request(ctx, http.MethodHead, r.ref.Repository, "manifests/"+tag)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", acceptManifests)
	resp, err := r.client.do(req)
	if err != nil {
		return "", err
	}
	discard(resp)
	stated := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if stated.Validate() != nil {
		return "", errNoDigest
	}
	return stated, nil
}

// worthGet says whether a GET may do where a HEAD did not. Registries and what
// stands in front of them refuse HEAD in many ways, and their refusals of a GET
// say why; for a mirror there is somebody else to ask.
func worthGet(e endpoint, err error) bool {
	if errors.Is(err, errNoDigest) || hasStatus(err, http.StatusMethodNotAllowed, http.StatusNotImplemented) {
		return true
	}
	return !e.mirror && hasStatus(err, http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound)
}

// forgive has mirrors asked again that were given up.
func (d *directory) forgive() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.gone)
}
