package hostile

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/modelpack"
)

// layer is a layer in the making.
type layer struct {
	mediaType string
	path      string // no annotation if it is empty
	metadata  *modelpack.FileMetadata
	data      []byte
	edit      func(*ocispec.Descriptor) // may be nil
	sent      func([]byte) []byte       // what arrives in the place of data; may be nil
}

// raw is a layer that is a file.
func raw(path, content string) layer { return blobOf(modelpack.Raw, path, []byte(content)) }

// tarred is a layer that is an archive of these entries. An empty path is that
// of a layer without one.
func tarred(path string, entries ...[]byte) layer {
	return blobOf(modelpack.Tar, path, archive(entries...))
}

// blobOf is a layer of any bytes.
func blobOf(f modelpack.Format, path string, data []byte) layer {
	return layer{mediaType: modelpack.MediaType(modelpack.Model, f), path: path, data: data}
}

// declaring has the layer say how large its one file is.
func (l layer) declaring(size int64) layer {
	m := modelpack.NewFileMetadata(l.path, size, false)
	l.metadata = &m
	return l
}

// described has the last word on the descriptor.
func (l layer) described(edit func(*ocispec.Descriptor)) layer {
	l.edit = edit
	return l
}

// damaged changes the bytes on their way.
func (l layer) damaged(sent func([]byte) []byte) layer {
	l.sent = sent
	return l
}

func (l layer) descriptor() ocispec.Descriptor {
	desc := ocispec.Descriptor{
		MediaType:   l.mediaType,
		Digest:      digest.FromBytes(l.data),
		Size:        int64(len(l.data)),
		Annotations: map[string]string{},
	}
	if l.path != "" {
		desc.Annotations[modelpack.AnnotationFilepath] = l.path
	}
	if l.metadata != nil {
		desc.Annotations[modelpack.AnnotationFileMetadata] = string(encode(l.metadata))
	}
	if l.edit != nil {
		l.edit(&desc)
	}
	return desc
}

// arrives is the bytes that are served.
func (l layer) arrives() []byte {
	if l.sent == nil {
		return l.data
	}
	return l.sent(slices.Clone(l.data))
}

// culprits are the names under which a layer may be blamed: its digest, as it is
// or as Go quotes it, and its path if it is one that nothing else in a message
// looks like.
func culprits(desc ocispec.Descriptor) []string {
	var names []string
	if desc.Digest != "" {
		names = append(names, strings.Trim(strconv.Quote(desc.Digest.String()), `"`))
	}
	if path := desc.Annotations[modelpack.AnnotationFilepath]; len(path) > 4 && modelpack.CheckPath(path) == nil {
		names = append(names, path)
	}
	return names
}

// surrounded are the layers between two that are right, as [Good] has them.
func surrounded(layers []layer) []layer {
	head := raw("good.txt", Good()["good.txt"])
	tail := tarred("sub/tail.txt", file("sub/tail.txt", Good()["sub/tail.txt"])).declaring(5)
	return slices.Concat([]layer{head}, layers, []layer{tail})
}

// refused is a case of layers that must not be extracted, between good ones.
func refused(name string, layers ...layer) Case {
	var blamed []string
	c := assemble(name, emptyConfig(), surrounded(layers), func(m *ocispec.Manifest) {
		for _, desc := range m.Layers[1 : len(m.Layers)-1] {
			blamed = append(blamed, culprits(desc)...)
		}
	})
	c.Culprits = blamed
	return c
}

// accepted is a case of layers that must be extracted, between good ones, and
// hold these files.
func accepted(name string, files map[string]string, layers ...layer) Case {
	c := assemble(name, emptyConfig(), surrounded(layers), nil)
	c.Want, c.Files = Accepted, Good()
	maps.Copy(c.Files, files)
	return c
}

// emptyConfig is the config of tools that have none.
func emptyConfig() layer { return layer{mediaType: modelpack.MediaTypeConfig, data: []byte("{}")} }

// assemble makes a case of a config and layers. Edit, which may be nil, has the
// last word on the manifest.
func assemble(name string, config layer, layers []layer, edit func(*ocispec.Manifest)) Case {
	m := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: modelpack.ArtifactType,
		Config:       config.descriptor(),
	}
	blobs := map[digest.Digest][]byte{m.Config.Digest: config.arrives()}
	for _, l := range layers {
		desc := l.descriptor()
		m.Layers = append(m.Layers, desc)
		blobs[desc.Digest] = l.arrives()
	}
	if edit != nil {
		edit(&m)
	}
	return ofManifest(name, encode(m), blobs)
}

// ofManifest is a case of any bytes for a manifest.
func ofManifest(name string, manifest []byte, blobs map[digest.Digest][]byte) Case {
	return Case{Name: name, Manifest: manifest, Digest: digest.FromBytes(manifest), Blobs: blobs}
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("writing JSON for a test: " + err.Error())
	}
	return data
}
