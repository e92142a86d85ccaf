package interop_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"

	specv1 "github.com/modelpack/model-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// The consumers below are no libraries. Each is played by the rules that it
// follows, as far as they touch what tare writes.

// readCRIO mounts each blob as it is, CRI-O 1.34. A file is called by its title,
// else by its path. A directory's name is none for a file.
func readCRIO(_ *testing.T, a *artifact) (files, error) {
	if a.manifest.ArtifactType == "" && a.manifest.Config.MediaType == ocispec.MediaTypeImageConfig {
		return nil, errors.New("is an image")
	}
	got := make(files)
	for _, l := range a.manifest.Layers {
		name := l.Annotations[ocispec.AnnotationTitle]
		if name == "" {
			name = l.Annotations[specv1.AnnotationFilepath]
		}
		content, err := a.blob(l.Digest)
		if err != nil {
			return nil, err
		}
		if err := got.add(name, content); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// readContainerd mounts layers of images and passes over all others, containerd
// 2.1. That is why a model for it has to be an image.
func readContainerd(_ *testing.T, a *artifact) (files, error) {
	for _, l := range a.manifest.Layers {
		if strings.HasPrefix(l.MediaType, "application/vnd.oci.image.layer.") {
			return nil, fmt.Errorf("%s passes for a layer of an image", l.MediaType)
		}
	}
	return files{}, nil
}

// readModelCSIDriver has rules of its own and leaves the rest to modctl.
func readModelCSIDriver(t *testing.T, a *artifact) (files, error) {
	for _, l := range a.manifest.Layers {
		if l.Annotations[specv1.AnnotationFilepath] == "" {
			return nil, fmt.Errorf("%s has no path", l.Digest)
		}
		content, err := a.blob(l.Digest)
		if err != nil {
			return nil, err
		}
		switch {
		case strings.HasSuffix(l.MediaType, ".tar"):
			err = checkTarEnd(content)
		case !strings.HasSuffix(l.MediaType, ".raw"):
			err = fmt.Errorf("%w: media type %s", errRefused, l.MediaType)
		}
		if err != nil {
			return nil, err
		}
	}
	dir := t.TempDir()
	err := modctlPull(t, newModctl(t), a.ref, dir)
	return readTree(t, dir), err
}

// readModelRunner stores every blob as a file, Docker Model Runner. It finds blobs
// by the config's diffIDs, so that they must be those of the layers.
func readModelRunner(_ *testing.T, a *artifact) (files, error) {
	if a.manifest.ArtifactType != specv1.ArtifactTypeModelManifest {
		return nil, fmt.Errorf("artifactType %q: only weights would be unpacked", a.manifest.ArtifactType)
	}
	if f := a.config.Config.Format; f != "gguf" && f != "safetensors" {
		return nil, fmt.Errorf("format %q", f)
	}
	if len(a.config.ModelFS.DiffIDs) != len(a.manifest.Layers) {
		return nil, fmt.Errorf("%d diffIDs for %d layers", len(a.config.ModelFS.DiffIDs), len(a.manifest.Layers))
	}
	got := make(files)
	for i, l := range a.manifest.Layers {
		content, err := a.blob(a.config.ModelFS.DiffIDs[i])
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %w", errRefused, err)
		}
		if err != nil {
			return nil, err
		}
		if err := got.add(l.Annotations[specv1.AnnotationFilepath], content); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// readKitOps counts and measures before it unpacks, KitOps 1.15.
func readKitOps(_ *testing.T, a *artifact) (files, error) {
	if len(a.config.ModelFS.DiffIDs) != len(a.manifest.Layers) {
		return nil, fmt.Errorf("%d diffIDs for %d layers", len(a.config.ModelFS.DiffIDs), len(a.manifest.Layers))
	}
	got := make(files)
	for _, l := range a.manifest.Layers {
		content, err := a.blob(l.Digest)
		if err != nil {
			return nil, err
		}
		own := make(files)
		if content, err = decompress(l.MediaType, content); err != nil {
			return nil, err
		}
		if err := own.unpack(l, content); err != nil {
			return nil, err
		}
		if err := checkMetadata(l, own); err != nil {
			return nil, err
		}
		for p, content := range own {
			if err := got.add(p, content); err != nil {
				return nil, err
			}
		}
	}
	return got, nil
}

// checkMetadata holds what a layer says of its files to the files that are in it.
func checkMetadata(l ocispec.Descriptor, own files) error {
	filepath := l.Annotations[specv1.AnnotationFilepath]
	if filepath == "" {
		return fmt.Errorf("%s has no path", l.Digest)
	}
	var m specv1.FileMetadata
	if err := json.Unmarshal([]byte(l.Annotations[specv1.AnnotationFileMetadata]), &m); err != nil {
		return fmt.Errorf("%s: metadata: %w", filepath, err)
	}
	var size int64
	for p, content := range own {
		size += int64(len(content))
		if p != filepath && filepath != "." && !strings.HasPrefix(p, filepath+"/") {
			return fmt.Errorf("%s has %s in it", filepath, p)
		}
	}
	if m.Size != size || m.Mode == 0 {
		return fmt.Errorf("%s: metadata has size %d and mode %o, the content %d bytes", filepath, m.Size, m.Mode, size)
	}
	return nil
}

// readHarbor shows the documents of a model in Harbor's pages, 2.15: raw or in a
// plain archive, of 4 MiB at most.
func readHarbor(_ *testing.T, a *artifact) (files, error) {
	const prefix = "application/vnd.cncf.model.doc.v1."
	if a.manifest.ArtifactType != specv1.ArtifactTypeModelManifest {
		return nil, fmt.Errorf("artifactType %q", a.manifest.ArtifactType)
	}
	got := make(files)
	for _, l := range a.manifest.Layers {
		switch path.Clean(l.Annotations[specv1.AnnotationFilepath]) {
		case "README", "README.md", "LICENSE", "LICENSE.txt":
		default:
			continue
		}
		if l.MediaType != prefix+"raw" && l.MediaType != prefix+"tar" || l.Size > 4<<20 {
			continue
		}
		content, err := a.blob(l.Digest)
		if err != nil {
			return nil, err
		}
		if err := got.unpack(l, content); err != nil {
			return nil, err
		}
	}
	if len(got) == 0 {
		return nil, fmt.Errorf("%w: no document to show", errRefused)
	}
	return got, nil
}
