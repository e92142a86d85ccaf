package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	orasregistry "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/tareml/tare/blob"
)

const (
	// maxManifest is what registries take, and what is read.
	maxManifest = 4 << 20

	manifestAttempts = 3

	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"

	acceptManifests = ocispec.MediaTypeImageManifest + ", " + ocispec.MediaTypeImageIndex + ", " + dockerManifest + ", " + dockerList
)

// Manifest fetches the manifest or index that ref names, at most 4 MiB, and
// checks it against the digest in ref and the one that the registry states.
func (r *Repository) Manifest(ctx context.Context, ref Reference) (ocispec.Descriptor, []byte, error) {
	desc, data, err := r.manifest(ctx, ref)
	if err != nil {
		return ocispec.Descriptor{}, nil, fmt.Errorf("pulling %s: %w", ref, err)
	}
	return desc, data, nil
}

func (r *Repository) manifest(ctx context.Context, ref Reference) (ocispec.Descriptor, []byte, error) {
	if ref.Name() != r.ref.Name() {
		return ocispec.Descriptor{}, nil, fmt.Errorf("not in repository %s", r.ref.Name())
	}
	if err := ref.check(); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	mirrors, err := r.mirrors(func(h Host) bool { return h.Pull && (ref.Digest != "" || h.Resolve) })
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	var passed passedOver
	for _, mirror := range mirrors {
		desc, data, err := r.askManifest(ctx, mirror, ref.Target(), ref.Digest)
		if err == nil || ctx.Err() != nil {
			return desc, data, err
		}
		passed.note(r.client, mirror, err)
	}
	origin, err := r.origin(ctx)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	desc, data, err := r.askManifest(ctx, origin, ref.Target(), ref.Digest)
	return desc, data, passed.explain(err)
}

// askManifest asks one host what target is, again if it is cut off.
func (r *Repository) askManifest(ctx context.Context, e endpoint, target string, want digest.Digest) (ocispec.Descriptor, []byte, error) {
	ctx = e.context(ctx, r.ref.Repository, auth.ActionPull)
	for attempt := 1; ; attempt++ {
		resp, data, err := r.getManifest(ctx, e, target)
		if err == nil {
			desc, err := describeManifest(resp.Header, data, want)
			return desc, data, err
		}
		if attempt == manifestAttempts || e.mirror || !errors.Is(err, errCut) {
			return ocispec.Descriptor{}, nil, err
		}
		if err := r.client.sleep(ctx, backoff(attempt)); err != nil {
			return ocispec.Descriptor{}, nil, err
		}
	}
}

// getManifest returns the response, its body read and closed, and that body.
func (r *Repository) getManifest(ctx context.Context, e endpoint, target string) (*http.Response, []byte, error) {
	req, err := e.request(ctx, http.MethodGet, r.ref.Repository, "manifests/"+target)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", acceptManifests)
	resp, err := r.client.do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest+1))
	if err != nil {
		return nil, nil, cut(ctx, err)
	}
	if len(data) > maxManifest {
		return nil, nil, fmt.Errorf("the manifest is larger than %d bytes: %w", maxManifest, blob.ErrHostile)
	}
	return resp, data, nil
}

// describeManifest makes the descriptor of data, which has to have the wanted
// digest, if there is one, and the one in the response's header.
func describeManifest(header http.Header, data []byte, want digest.Digest) (ocispec.Descriptor, error) {
	stated := digest.Digest(header.Get("Docker-Content-Digest"))
	if want == "" {
		want = digest.FromBytes(data)
		if stated.Validate() == nil {
			want = stated
		}
	}
	desc := ocispec.Descriptor{MediaType: manifestMediaType(header, data), Digest: want, Size: int64(len(data))}
	if _, err := prove(desc, data); err != nil {
		return ocispec.Descriptor{}, err
	}
	if stated != "" && stated != want {
		return ocispec.Descriptor{}, fmt.Errorf("the registry calls the manifest %s, but it is %s: %w", printable(stated.String()), want, blob.ErrMismatch)
	}
	return desc, nil
}

// manifestMediaType prefers what the manifest says of itself: that is covered
// by the digest.
func manifestMediaType(header http.Header, data []byte) string {
	var self struct {
		MediaType string `json:"mediaType"`
	}
	if json.Unmarshal(data, &self) == nil && self.MediaType != "" {
		return self.MediaType
	}
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	return mediaType
}

// prove hashes content that is in memory.
func prove(desc ocispec.Descriptor, data []byte) (blob.Proof, error) {
	v, err := blob.NewVerifier(desc)
	if err != nil {
		return blob.Proof{}, err
	}
	if _, err := v.Write(data); err != nil {
		return blob.Proof{}, err
	}
	return v.Proof()
}

// PushManifest puts a manifest under the repository's tag, if it has one, and
// then asks what the tag points to. If that is the manifest already, there is
// nothing to do. The blobs that it names have to be there.
func (r *Repository) PushManifest(ctx context.Context, desc ocispec.Descriptor, manifest []byte) error {
	if err := r.pushManifest(ctx, desc, manifest); err != nil {
		return fmt.Errorf("pushing %s: %w", r.ref, err)
	}
	return nil
}

func (r *Repository) pushManifest(ctx context.Context, desc ocispec.Descriptor, manifest []byte) error {
	if r.ref.Digest != "" && r.ref.Digest != desc.Digest {
		return fmt.Errorf("the manifest is %s, not %s: %w", desc.Digest, r.ref.Digest, blob.ErrMismatch)
	}
	ctx, err := r.scoped(ctx, auth.ActionPull, auth.ActionPush)
	if err != nil {
		return err
	}
	target := r.ref.Tag
	if target == "" {
		target = desc.Digest.String()
	}
	store, err := r.oras(ctx)
	if err != nil {
		return err
	}
	if there, err := r.leadsTo(ctx, target, desc.Digest); there || err != nil {
		return err
	}
	if err := r.putManifest(ctx, store, desc, manifest, target); err != nil {
		return err
	}
	got, err := r.resolve(ctx, store, target)
	if err = explained(ctx, err); errors.Is(err, blob.ErrNotFound) {
		return fmt.Errorf("the registry took the manifest, and %s is not there: %w", target, blob.ErrMismatch)
	}
	if err != nil {
		return fmt.Errorf("checking %s: %w", target, err)
	}
	if got.Digest != desc.Digest {
		return fmt.Errorf("%s points to %s, not to the %s that was pushed: %w", target, got.Digest, desc.Digest, blob.ErrMismatch)
	}
	return nil
}

// explained is explain for an error that may be nil.
func explained(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return explain(ctx, err)
}

// putManifest tries a few times. One that seemed to fail may have arrived, and one
// that was refused may have come while another push of the same blobs was at work.
func (r *Repository) putManifest(ctx context.Context, store *remote.Repository, desc ocispec.Descriptor, manifest []byte, target string) error {
	for attempt := 1; ; attempt++ {
		err := store.Manifests().PushReference(ctx, desc, bytes.NewReader(manifest), target)
		if err == nil {
			return nil
		}
		err = explain(ctx, err)
		if !passing(err) && !misreads(err) || attempt == manifestAttempts {
			return err
		}
		if err := r.client.sleep(ctx, backoff(attempt)); err != nil {
			return err
		}
		if there, err := r.leadsTo(ctx, target, desc.Digest); there || err != nil {
			return err
		}
	}
}

// misreads says whether a registry that has all blobs may refuse their manifest like
// this. Distribution 2.8 writes anew the file that links a blob to a repository when
// the blob arrives twice, and reads it while it is empty as an invalid digest. Others
// need a moment until what they have is what they know.
func misreads(err error) bool {
	return hasCode(err, "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN")
}

// leadsTo says whether the registry says that target is want. One that says
// nothing of use will have to be told.
func (r *Repository) leadsTo(ctx context.Context, target string, want digest.Digest) (bool, error) {
	origin, err := r.origin(ctx)
	if err != nil {
		return false, err
	}
	got, err := r.headManifest(ctx, origin, target)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	return err == nil && got == want, nil
}

// resolve asks the registry itself what target is. The answer to a HEAD may lack
// the digest: then the manifest is fetched.
func (r *Repository) resolve(ctx context.Context, store *remote.Repository, target string) (ocispec.Descriptor, error) {
	got, err := store.Manifests().Resolve(ctx, target)
	if _, answered := errors.AsType[*problem](err); err == nil || answered {
		return got, err
	}
	origin, err := r.origin(ctx)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	got, _, err = r.askManifest(ctx, origin, target, "")
	return got, err
}

// oras returns the repository as oras-go has it.
func (r *Repository) oras(ctx context.Context) (*remote.Repository, error) {
	origin, err := r.origin(ctx)
	if err != nil {
		return nil, err
	}
	scheme, rest, _ := strings.Cut(origin.base, "://")
	if rest != origin.host+"/v2" {
		return nil, fmt.Errorf("the API of %s is at %s: nothing can be pushed there", r.ref.Registry, origin.base)
	}
	return &remote.Repository{
		Client:             orasClient{r.client},
		Reference:          orasregistry.Reference{Registry: origin.host, Repository: r.ref.Repository},
		PlainHTTP:          scheme == "http",
		ManifestMediaTypes: strings.Split(acceptManifests, ", "),
	}, nil
}

// orasClient hands oras-go our errors. It probes for the referrers API by
// itself and wants to see the answer.
type orasClient struct{ client *Client }

func (c orasClient) Do(req *http.Request) (*http.Response, error) {
	if strings.Contains(req.URL.Path, "/referrers/") {
		return c.client.auth.Do(req)
	}
	return c.client.do(req)
}

// request makes a request for something in the repository, of the registry
// itself.
func (r *Repository) request(ctx context.Context, method, path string) (*http.Request, error) {
	origin, err := r.origin(ctx)
	if err != nil {
		return nil, err
	}
	return origin.request(ctx, method, r.ref.Repository, path)
}

// scoped makes the first token one that is good for all these actions.
func (r *Repository) scoped(ctx context.Context, actions ...string) (context.Context, error) {
	origin, err := r.origin(ctx)
	return origin.context(ctx, r.ref.Repository, actions...), err
}
