// Package modelpack holds the vocabulary of the CNCF ModelPack spec: kinds of
// layers and their formats, media types, annotations, the manifest and its
// config. It writes the current spec and also reads what older and other tools
// wrote.
//
// [ParseManifest] turns the bytes of a manifest into an [Artifact], whose layers
// say what they are and where their file goes; a manifest that is not a model's
// is [ErrNotModel]. It reads ModelKits and Docker's models as well; [ParseImage]
// reads plain images too, and [ParseIndex] what stands for several of any of
// them. [NewManifest] goes the other way. [CheckPath] is the one rule
// for the paths that an artifact may hold, and building and extracting both ask
// it.
package modelpack

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	specv1 "github.com/modelpack/model-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

// The spec's own names, here so that nobody else needs to import it for them.
const (
	ArtifactType    = specv1.ArtifactTypeModelManifest
	MediaTypeConfig = specv1.MediaTypeModelConfig

	// AnnotationFilepath holds the path of a layer's file, or the directory that
	// a layer of several files is for.
	AnnotationFilepath = specv1.AnnotationFilepath
	// AnnotationFileMetadata holds a layer's [FileMetadata] as JSON.
	AnnotationFileMetadata = specv1.AnnotationFileMetadata

	legacyArtifactType       = "application/vnd.cnai.model.manifest.v1+json"
	legacyMediaTypeConfig    = "application/vnd.cnai.model.config.v1+json"
	legacyAnnotationFilepath = "org.cnai.model.filepath"
	legacyAnnotationMetadata = "org.cnai.model.file.metadata+json"
)

// MaxManifestSize bounds the manifests and configs that are read, in bytes.
// Registries stop at 4 MiB.
const MaxManifestSize = 4 << 20

// maxValues bounds the JSON values of a manifest or a config: decoding takes far
// more memory than the text. A layer has about eight.
const maxValues = 100_000

// Shapes of the spec under shorter names.
type (
	// ModelConfig is the config blob of an artifact.
	ModelConfig = specv1.Model
	// FileMetadata describes the file of a layer.
	FileMetadata = specv1.FileMetadata
)

// ErrNotModel says that a manifest is well formed but is no model's.
var ErrNotModel = errors.New("not a model artifact")

// Artifact is a manifest that was read.
type Artifact struct {
	Manifest ocispec.Manifest
	Layers   []Layer
	// Image says that this is a plain image: its layers are applied one on top
	// of the other, the first one first, and hide what those before them hold.
	// Nothing says what their files are for: all are of kind [Model].
	Image bool
	// Elsewhere lists what belongs to a ModelKit and is not in it: references of
	// other ModelKits, and URLs.
	Elsewhere []string
}

// Layer is one layer of an artifact.
type Layer struct {
	ocispec.Descriptor
	Kind   Kind
	Format Format
	// Path is where the layer's file goes, slash-separated and not yet checked:
	// it is what the artifact says. It may be empty in a tar layer, whose entries
	// have names of their own.
	Path string
	// Dir is the directory, slash-separated, in which the entries of a tar layer
	// have their names. It is empty in what follows the spec, whose entries have
	// their whole path.
	Dir string
	// Name is what a ModelKit calls the layer, apart from its path. It is empty
	// where nothing gives layers names.
	Name string
	// DiffID is the digest of a compressed layer's content, if the config was read
	// and has it.
	DiffID digest.Digest
	// Metadata is nil if the layer carries none that holds for its file.
	Metadata *FileMetadata
}

// Size is the number of bytes of config and layers together.
func (a *Artifact) Size() int64 {
	size := a.Manifest.Config.Size
	for _, l := range a.Layers {
		size += l.Size
	}
	return size
}

// ParseManifest reads the manifest of a model. It accepts the current spec, its
// older media types and annotations, manifests without an artifactType, and the
// ModelKits and models of other tools; anything else is [ErrNotModel].
func ParseManifest(data []byte) (*Artifact, error) {
	m, err := decodeManifest(data)
	if err != nil {
		return nil, err
	}
	return newModel(m)
}

func decodeManifest(data []byte) (m ocispec.Manifest, err error) {
	if err := unmarshal("manifest", data, &m); err != nil {
		return m, err
	}
	if m.MediaType == ocispec.MediaTypeImageIndex || len(m.Layers) == 0 {
		return m, fmt.Errorf("manifest of type %q with %d layers: %w", m.MediaType, len(m.Layers), ErrNotModel)
	}
	return m, nil
}

// unmarshal bounds what decoding takes, which is far more memory than the text:
// 4 MiB can hold a million empty layers.
func unmarshal(what string, data []byte, v any) error {
	if len(data) > MaxManifestSize {
		return fmt.Errorf("%s of %d bytes: %w", what, len(data), blob.ErrHostile)
	}
	if n := countValues(data); n > maxValues {
		return fmt.Errorf("%s of %d values: %w", what, n, blob.ErrHostile)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("parsing %s: %w: %w", what, err, blob.ErrHostile)
	}
	return nil
}

// countValues is about how many values JSON text has.
func countValues(data []byte) (n int) {
	inString := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case !inString && (c == ',' || c == '{' || c == '['):
			n++
		}
	}
	return n
}

func newModel(m ocispec.Manifest) (*Artifact, error) {
	if err := checkModel(m); err != nil {
		return nil, err
	}
	a, err := newArtifact(m, parseLayer)
	if err != nil {
		return nil, err
	}
	nameDockerLayers(a.Layers)
	a.readKitfileAnnotation()
	return a, nil
}

// newArtifact reads each layer with parse.
func newArtifact(m ocispec.Manifest, parse func(ocispec.Descriptor) (Layer, error)) (*Artifact, error) {
	a := &Artifact{Manifest: m, Layers: make([]Layer, 0, len(m.Layers))}
	for i, desc := range m.Layers {
		l, err := parse(desc)
		if err != nil {
			return nil, fmt.Errorf("layer %d (%s): %w", i+1, desc.Digest, err)
		}
		a.Layers = append(a.Layers, l)
	}
	return a, nil
}

// checkModel goes by the manifest's own word first, then by its layers'.
func checkModel(m ocispec.Manifest) error {
	switch m.ArtifactType {
	case ArtifactType, legacyArtifactType, kitArtifactType:
		return nil
	}
	switch m.Config.MediaType {
	case MediaTypeConfig, legacyMediaTypeConfig, kitMediaTypeConfig, dockerMediaTypeConfig1, dockerMediaTypeConfig2:
		return nil
	}
	for i, desc := range m.Layers {
		if _, _, ok := ParseMediaType(desc.MediaType); !ok {
			return fmt.Errorf("manifest with artifactType %q and config %q, layer %d (%s) of type %q: %w",
				m.ArtifactType, m.Config.MediaType, i+1, desc.Digest, desc.MediaType, ErrNotModel)
		}
	}
	return nil
}

func parseLayer(desc ocispec.Descriptor) (Layer, error) {
	kind, format, ok := ParseMediaType(desc.MediaType)
	if !ok {
		return Layer{}, unknownType(desc)
	}
	l := Layer{Descriptor: desc, Kind: kind, Format: format}
	l.Path = annotation(desc, AnnotationFilepath, legacyAnnotationFilepath, ocispec.AnnotationTitle)
	if s := annotation(desc, AnnotationFileMetadata, legacyAnnotationMetadata); s != "" {
		var m FileMetadata
		if json.Unmarshal([]byte(s), &m) == nil { // what another tool got wrong is not worth the model
			l.Metadata = &m
		}
	}
	l.adjust()
	return l, nil
}

func unknownType(desc ocispec.Descriptor) error {
	return fmt.Errorf("media type %q is unknown: %w", desc.MediaType, ErrNotModel)
}

// annotation is the first of keys that is set.
func annotation(desc ocispec.Descriptor, keys ...string) string {
	for _, key := range keys {
		if v := desc.Annotations[key]; v != "" {
			return v
		}
	}
	return ""
}

// ParseConfig reads the config blob of an artifact. An empty object, as some
// tools write it, is an empty config.
func ParseConfig(data []byte) (*ModelConfig, error) {
	var c ModelConfig
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("parsing model config: %w", err)
	}
	return &c, nil
}

// NewManifest puts a manifest together. Its JSON is the same for the same
// arguments.
func NewManifest(config ocispec.Descriptor, layers []ocispec.Descriptor, annotations map[string]string) ([]byte, error) {
	return json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: ArtifactType,
		Config:       config,
		Layers:       layers,
		Annotations:  annotations,
	})
}

// NewFileMetadata describes a regular file in the only way that is the same on
// every machine: no owner, no time, and one of two modes.
func NewFileMetadata(path string, size int64, executable bool) FileMetadata {
	return FileMetadata{
		Name:    path[strings.LastIndexByte(path, '/')+1:],
		Mode:    uint32(Mode(executable)),
		Size:    size,
		ModTime: time.Unix(0, 0).UTC(),
	}
}

// NewDirMetadata describes a directory that stands for the files in it, of size
// bytes together.
func NewDirMetadata(path string, size int64) FileMetadata {
	m := NewFileMetadata(path, size, true)
	m.Typeflag = typeDir
	return m
}

// typeDir is how other tools write that metadata is a directory's.
const typeDir = 5

// IsDir says whether metadata is that of a directory.
func IsDir(m *FileMetadata) bool { return m.Typeflag == typeDir || m.Typeflag == '5' }

// Mode is the permission that a file has in an artifact.
func Mode(executable bool) int64 {
	if executable {
		return 0o755
	}
	return 0o644
}
