package faultregistry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifestMost is the largest manifest that is taken.
const manifestMost = 4 << 20

// planPublish is for the PUT of a manifest.
func (r *Registry) planPublish(x *exchange) *reply {
	if x.body == nil {
		return refusal(http.StatusBadRequest, "MANIFEST_INVALID", "there is no manifest")
	}
	large := refusal(http.StatusRequestEntityTooLarge, "SIZE_INVALID", "the manifest is too large")
	if !x.bound(manifestMost, large) {
		return large
	}
	var data bytes.Buffer
	x.effect = &effect{into: &data, commit: func() *reply { return r.publish(x, data.Bytes()) }}
	return accepted(http.StatusCreated)
}

// publish stores a manifest, and has its tag point to it.
func (r *Registry) publish(x *exchange, data []byte) *reply {
	if x.Digest != "" && x.Digest != x.Digest.Algorithm().FromBytes(data) {
		return refusal(http.StatusBadRequest, "DIGEST_INVALID", "the manifest has another digest")
	}
	parts, err := parseManifest(data)
	if err != nil {
		return refusal(http.StatusBadRequest, "MANIFEST_INVALID", err.Error())
	}
	if missing := r.store.missing(x.Name, parts); missing != "" {
		return refusal(http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", fmt.Sprintf("%s is unknown to registry", missing))
	}
	if x.rewrites {
		data = append(data, '\n')
	}
	art := parts.artifact(x, data)
	if x.Digest == "" && !x.keepsTag && !r.store.tag(x.Name, x.Reference, art, r.immutable == 0) {
		return refusal(r.immutable, "TAG_INVALID", "the tag is there and immutable")
	}
	r.store.addManifest(x.Name, art)
	return r.created(x, "manifests", art.Descriptor.Digest)
}

// parts are what a manifest or an index is of.
type parts struct {
	MediaType    string               `json:"mediaType"`
	ArtifactType string               `json:"artifactType"`
	Config       *ocispec.Descriptor  `json:"config"`
	Layers       []ocispec.Descriptor `json:"layers"`
	Manifests    []ocispec.Descriptor `json:"manifests"`
}

func parseManifest(data []byte) (*parts, error) {
	p := &parts{}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, err
	}
	if p.Config == nil && p.Manifests == nil {
		return nil, fmt.Errorf("neither a manifest nor an index")
	}
	return p, nil
}

func (p *parts) artifact(x *exchange, data []byte) *Artifact {
	mediaType := x.Header.Get("Content-Type")
	if mediaType == "" {
		mediaType = p.MediaType
	}
	art := &Artifact{Name: x.Name, Descriptor: describe(mediaType, Bytes(data)), Manifest: data, Layers: p.Layers}
	art.Descriptor.ArtifactType = p.ArtifactType
	if x.Digest != "" && !x.rewrites {
		art.Descriptor.Digest = x.Digest // of another algorithm, maybe
	}
	if p.Config != nil {
		art.Config = *p.Config
	}
	return art
}

// missing is the first part that the repository has not, "" if all are there.
func (s *store) missing(name string, p *parts) digest.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.repo(name)
	blobs := p.Layers
	if p.Config != nil {
		blobs = append([]ocispec.Descriptor{*p.Config}, blobs...)
	}
	for _, blob := range blobs {
		if repo.blobs[blob.Digest] == nil {
			return blob.Digest
		}
	}
	for _, manifest := range p.Manifests {
		if repo.manifests[manifest.Digest.String()] == nil {
			return manifest.Digest
		}
	}
	return ""
}

// Has says whether a repository has a blob.
func (r *Registry) Has(name string, d digest.Digest) bool { return r.store.blob(name, d) != nil }

// Content is a blob of a repository, nil if it has none of that digest.
func (r *Registry) Content(name string, d digest.Digest) Content { return r.store.blob(name, d) }

// Blob is [Registry.Content] in memory, for small ones; it is nil if there is
// none.
func (r *Registry) Blob(name string, d digest.Digest) []byte {
	content := r.store.blob(name, d)
	if content == nil {
		return nil
	}
	data := make([]byte, content.Size())
	if n, err := content.ReadAt(data, 0); n < len(data) && err != io.EOF {
		panic("reading content of a test: " + err.Error())
	}
	return data
}

// AddBlob puts a blob into a repository, with no manifest that has it.
func (r *Registry) AddBlob(name string, content Content) digest.Digest {
	d := digestOf(content)
	r.store.addBlob(name, d, content)
	return d
}

// RemoveBlob takes a blob out of a repository.
func (r *Registry) RemoveBlob(name string, d digest.Digest) { r.store.removeBlob(name, d) }

// Artifact is what a tag or a digest stands for, nil if it stands for nothing.
func (r *Registry) Artifact(name, reference string) *Artifact {
	return r.store.manifest(name, reference)
}
