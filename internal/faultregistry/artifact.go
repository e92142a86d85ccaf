package faultregistry

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	modelspec "github.com/modelpack/model-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Tag is the tag that an artifact gets.
const Tag = "v1"

// Artifact is a model that the registry has.
type Artifact struct {
	// Name is the repository.
	Name string

	// Descriptor is the manifest's, and Manifest its bytes.
	Descriptor ocispec.Descriptor
	Manifest   []byte

	// Config and Layers are the blobs.
	Config ocispec.Descriptor
	Layers []ocispec.Descriptor
}

// Size is how many bytes the blobs are, the config among them; one that occurs
// twice counts once.
func (a *Artifact) Size() int64 {
	sizes := map[digest.Digest]int64{a.Config.Digest: a.Config.Size}
	for _, layer := range a.Layers {
		sizes[layer.Digest] = layer.Size
	}
	var total int64
	for _, size := range sizes {
		total += size
	}
	return total
}

// Add makes an artifact of these layers and tags it [Tag].
func (r *Registry) Add(name string, layers ...[]byte) *Artifact {
	contents := make([]Content, len(layers))
	for i, data := range layers {
		contents[i] = Bytes(data)
	}
	return r.AddContent(name, contents...)
}

// AddContent is [Registry.Add] of any content. Each layer is a raw weight file.
func (r *Registry) AddContent(name string, layers ...Content) *Artifact {
	art := &Artifact{Name: name}
	model := modelspec.Model{
		Descriptor: modelspec.ModelDescriptor{Name: name},
		ModelFS:    modelspec.ModelFS{Type: "layers"},
	}
	for i, content := range layers {
		layer := describeLayer(fmt.Sprintf("weights-%d.bin", i+1), content)
		r.store.addBlob(name, layer.Digest, content)
		art.Layers = append(art.Layers, layer)
		model.ModelFS.DiffIDs = append(model.ModelFS.DiffIDs, layer.Digest)
	}
	config := marshal(model)
	art.Config = describe(modelspec.MediaTypeModelConfig, Bytes(config))
	r.store.addBlob(name, art.Config.Digest, Bytes(config))
	art.Manifest = marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: modelspec.ArtifactTypeModelManifest,
		Config:       art.Config,
		Layers:       art.Layers,
	})
	art.Descriptor = describe(ocispec.MediaTypeImageManifest, Bytes(art.Manifest))
	art.Descriptor.ArtifactType = modelspec.ArtifactTypeModelManifest
	r.store.addManifest(name, art)
	r.store.tag(name, Tag, art, true)
	return art
}

// Ref is the reference of an artifact by its tag.
func (r *Registry) Ref(art *Artifact) string { return r.Host + "/" + art.Name + ":" + Tag }

func describe(mediaType string, content Content) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digestOf(content), Size: content.Size()}
}

func describeLayer(path string, content Content) ocispec.Descriptor {
	metadata := modelspec.FileMetadata{Name: path, Mode: 0o644, Size: content.Size(), ModTime: time.Unix(0, 0).UTC(), Typeflag: '0'}
	desc := describe(modelspec.MediaTypeModelWeightRaw, content)
	desc.Annotations = map[string]string{
		ocispec.AnnotationTitle:          path,
		modelspec.AnnotationFilepath:     path,
		modelspec.AnnotationFileMetadata: string(marshal(metadata)),
	}
	return desc
}

func marshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("writing JSON for a test: " + err.Error())
	}
	return data
}

// store is what a registry and its mirrors have.
type store struct {
	mu    sync.Mutex
	repos map[string]*repository
}

type repository struct {
	blobs     map[digest.Digest]Content
	manifests map[string]*Artifact // by tag and by digest
}

func newStore() *store { return &store{repos: map[string]*repository{}} }

func (s *store) addBlob(name string, d digest.Digest, content Content) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repo(name).blobs[d] = content
}

func (s *store) removeBlob(name string, d digest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if repo := s.repos[name]; repo != nil {
		delete(repo.blobs, d)
	}
}

func (s *store) addManifest(name string, art *Artifact) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repo(name).manifests[art.Descriptor.Digest.String()] = art
}

// tag has a tag point to a manifest, and says whether it does: one that points
// elsewhere may be fixed.
func (s *store) tag(name, tag string, art *Artifact, moves bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	manifests := s.repo(name).manifests
	if old := manifests[tag]; old != nil && !moves && old.Descriptor.Digest != art.Descriptor.Digest {
		return false
	}
	manifests[tag] = art
	return true
}

// repo makes the repository if it is not there; mu is held.
func (s *store) repo(name string) *repository {
	if s.repos[name] == nil {
		s.repos[name] = &repository{blobs: map[digest.Digest]Content{}, manifests: map[string]*Artifact{}}
	}
	return s.repos[name]
}

func (s *store) exists(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repos[name] != nil
}

// blob is nil if there is none.
func (s *store) blob(name string, d digest.Digest) Content {
	s.mu.Lock()
	defer s.mu.Unlock()
	if repo := s.repos[name]; repo != nil {
		return repo.blobs[d]
	}
	return nil
}

// manifest is nil if there is none.
func (s *store) manifest(name, reference string) *Artifact {
	s.mu.Lock()
	defer s.mu.Unlock()
	if repo := s.repos[name]; repo != nil {
		return repo.manifests[reference]
	}
	return nil
}
