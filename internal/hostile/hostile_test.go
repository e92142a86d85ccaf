package hostile

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range slices.Concat(Corpus("/bait"), DiffIDCases(), ImageCases()) {
		if seen[c.Name] {
			t.Errorf("two cases are called %q", c.Name)
		}
		seen[c.Name] = true
		if c.Want != Accepted && len(c.Culprits) == 0 {
			t.Errorf("%s: nobody is to blame", c.Name)
		}
	}
}

// TestAcceptedCasesAreRight reads them by the rules: that they are written by
// hand must not be what is wrong with the others.
func TestAcceptedCasesAreRight(t *testing.T) {
	for _, c := range slices.Concat(controls(), DiffIDCases(), ImageCases()) {
		if c.Want != Accepted {
			continue
		}
		var m ocispec.Manifest
		if err := json.Unmarshal(c.Manifest, &m); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, desc := range m.Layers {
			if digest.FromBytes(c.Blobs[desc.Digest]) != desc.Digest || desc.Size != int64(len(c.Blobs[desc.Digest])) {
				t.Errorf("%s: a layer is not what its descriptor says", c.Name)
			}
			readLayer(t, desc, c.Blobs[desc.Digest], got)
		}
		if !maps.Equal(got, c.Files) {
			t.Errorf("%s: holds %q, not %q", c.Name, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(c.Files)))
		}
	}
}

func readLayer(t *testing.T, desc ocispec.Descriptor, data []byte, into map[string]string) {
	t.Helper()
	if strings.HasSuffix(desc.MediaType, ".raw") {
		into[desc.Annotations["org.cncf.model.filepath"]] = string(data)
		return
	}
	r := tar.NewReader(bytes.NewReader(unpacked(t, desc.MediaType, data)))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg && !strings.HasPrefix(path.Base(h.Name), ".wh.") {
			into[path.Clean(h.Name)] = string(content)
		}
	}
}

func unpacked(t *testing.T, mediaType string, data []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(data)
	var err error
	switch {
	case strings.HasSuffix(mediaType, "gzip"):
		r, err = gzip.NewReader(r)
	case strings.HasSuffix(mediaType, "zstd"):
		var z *zstd.Decoder
		z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		defer z.Close()
		r = z
	}
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestBombsGoOff: they are whole streams, and small.
func TestBombsGoOff(t *testing.T) {
	want := slices.Concat([]byte("head"), make([]byte, 8*mib), []byte("tail"))
	for mediaType, data := range map[string][]byte{
		"gzip": gzipped(once([]byte("head")), zeros(8*mib), once([]byte("tail"))),
		"zstd": zstdFrame(17, once([]byte("head")), zeros(8*mib), once([]byte("tail"))),
	} {
		if !bytes.Equal(unpacked(t, mediaType, data), want) {
			t.Errorf("%s holds something else", mediaType)
		}
		if len(data) > 10*kib {
			t.Errorf("%s is no bomb: %d bytes", mediaType, len(data))
		}
	}
}

// TestHeaders are what they are meant to be to a reader that knows the rules.
func TestHeaders(t *testing.T) {
	first := func(entries ...[]byte) (*tar.Header, error) {
		return tar.NewReader(bytes.NewReader(archive(entries...))).Next()
	}
	for _, size := range []int64{0, 1, gib, 64 * gib, math.MaxInt64} {
		if h, err := first(header(typeFile, "a", size)); err != nil || h.Size != size {
			t.Errorf("size %d: %v, %v", size, h, err)
		}
	}
	if h, err := first(header(typeFile, "a", -1)); !errors.Is(err, tar.ErrHeader) {
		t.Errorf("size -1: %v, %v", h, err)
	}
	for _, target := range []string{"short", strings.Repeat("long/", 50)} {
		if h, err := first(longLink("l", target)); err != nil || h.Linkname != target || h.Typeflag != typeSymlink {
			t.Errorf("link to %s: %v, %v", target, h, err)
		}
	}
	for _, length := range []int{1, 88, 89, 90, 91, 988, 989, 990, 991, 992} { // where the length of a record grows by a digit
		name := strings.Repeat("n", length)
		if h, err := first(paxFile(name, "")); err != nil || h.Name != name {
			t.Errorf("PAX name of %d bytes: %v", length, err)
		}
	}
	if h, err := first(sparse()[1].entry(t)); err != nil || h.Size != 64*gib {
		t.Errorf("sparse file: %v, %v", h, err)
	}
}

// entry is the content of the layer in the middle of a case.
func (c Case) entry(t *testing.T) []byte {
	t.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(c.Manifest, &m); err != nil {
		t.Fatal(err)
	}
	return c.Blobs[m.Layers[1].Digest]
}

func TestHandlerServesRangesIfItIsTold(t *testing.T) {
	c := refused("", raw("model.bin", "content"))
	d := digest.FromString("content")
	for ranges, want := range map[bool]int{true: http.StatusPartialContent, false: http.StatusOK} {
		w, req := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v2/model/blobs/"+d.String(), nil)
		req.Header.Set("Range", "bytes=1-2")
		c.Handler(ranges).ServeHTTP(w, req)
		body := map[bool]string{true: "on", false: "content"}[ranges]
		if w.Code != want || w.Body.String() != body {
			t.Errorf("%v: %d %q", ranges, w.Code, w.Body)
		}
	}
}

// TestLayoutHoldsWhatArrives, not what was meant to.
func TestLayoutHoldsWhatArrives(t *testing.T) {
	c := refused("", raw("model.bin", "content").damaged(cut))
	dir := t.TempDir()
	if err := c.WriteLayout(dir, "h.test/model:v1"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, blobPath(digest.FromString("content"))))
	if err != nil || string(got) != "conten" {
		t.Errorf("%q, %v", got, err)
	}
}
