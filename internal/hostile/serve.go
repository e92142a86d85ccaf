package hostile

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// WriteLayout makes dir, which is there and empty, an image layout that has the
// case under the name ref.
func (c Case) WriteLayout(dir, ref string) error {
	desc := c.Descriptor()
	desc.Annotations = map[string]string{ocispec.AnnotationRefName: ref}
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{desc},
	}
	layout := ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}
	files := map[string][]byte{
		ocispec.ImageIndexFile:  encode(index),
		ocispec.ImageLayoutFile: encode(layout),
		blobPath(c.Digest):      c.Manifest,
	}
	for d, data := range c.Blobs {
		files[blobPath(d)] = data
	}
	for name, data := range files {
		if err := writeFile(dir, name, data); err != nil {
			return err
		}
	}
	return nil
}

// blobPath is where somebody who believes a digest would look for its blob.
func blobPath(d digest.Digest) string {
	return filepath.Join(ocispec.ImageBlobsDir, filepath.FromSlash(strings.Replace(d.String(), ":", "/", 1)))
}

// writeFile writes a file below dir, if its name leads there and can be that of
// a file.
func writeFile(dir, name string, data []byte) error {
	if !filepath.IsLocal(name) || strings.ContainsAny(name, "\x00:") || name == ocispec.ImageBlobsDir {
		return nil
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// Handler is a registry that has the case in each of its repositories, under
// each tag. It serves ranges if it is told to.
func (c Case) Handler(ranges bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, rest, _ := strings.Cut(req.URL.Path, "/v2/")
		_, reference, isManifest := strings.Cut(rest, "/manifests/")
		_, name, _ := strings.Cut(rest, "/blobs/")
		data, known := c.Blobs[digest.Digest(name)]
		switch {
		case rest == "":
			w.WriteHeader(http.StatusOK)
		case isManifest && (!strings.Contains(reference, ":") || reference == c.Digest.String()):
			w.Header().Set("Content-Type", manifestType(c.Manifest))
			w.Header().Set("Docker-Content-Digest", c.Digest.String())
			serveWhole(w, c.Manifest)
		case known && ranges:
			w.Header().Set("Content-Type", "application/octet-stream")
			http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(data))
		case known:
			serveWhole(w, data)
		default:
			http.NotFound(w, req)
		}
	})
}

func serveWhole(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.Write(data) // whoever hangs up has seen enough
}

// manifestType is what a manifest says that it is, if it is not large.
func manifestType(manifest []byte) string {
	var self struct {
		MediaType string `json:"mediaType"`
	}
	if len(manifest) < mib && json.Unmarshal(manifest, &self) == nil && self.MediaType != "" {
		return self.MediaType
	}
	return ocispec.MediaTypeImageManifest
}
