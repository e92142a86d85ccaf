package registry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

func TestManifestIsChecked(t *testing.T) {
	manifest := []byte(`{"mediaType":"` + ocispec.MediaTypeImageManifest + `"}`)
	right := digest.FromBytes(manifest)
	for name, test := range map[string]struct {
		header string
		body   []byte
		ref    digest.Digest
		want   error
	}{
		"right by tag":        {right.String(), manifest, "", nil},
		"right by digest":     {right.String(), manifest, right, nil},
		"no header":           {"", manifest, right, nil},
		"another body":        {right.String(), append(manifest, ' '), "", blob.ErrMismatch},
		"another body, asked": {"", append(manifest, ' '), right, blob.ErrMismatch},
		"another header":      {someDigest.String(), manifest, right, blob.ErrMismatch},
		"rubbish in header":   {"sha256:rubbish", manifest, "", blob.ErrMismatch},
		"sha512 by tag":       {digest.SHA512.FromBytes(manifest).String(), manifest, "", nil},
		"largest":             {"", make([]byte, maxManifest), "", nil},
		"too large":           {"", make([]byte, maxManifest+1), "", blob.ErrHostile},
	} {
		repo, m := faultyServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			if test.header != "" {
				w.Header().Set("Docker-Content-Digest", test.header)
			}
			w.Write(test.body)
		}))
		ref := repo.ref
		if test.ref != "" {
			ref = ref.WithDigest(test.ref)
		}
		desc, _, err := repo.Manifest(t.Context(), ref)
		if !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if test.want == nil && (desc.Digest.Algorithm().FromBytes(test.body) != desc.Digest || desc.Size != int64(len(test.body))) {
			t.Errorf("%s: %+v", name, desc)
		}
		if m.requests.Load() != 1 {
			t.Errorf("%s: %d requests", name, m.requests.Load())
		}
	}
}

func TestManifestThatIsCutIsFetchedAgain(t *testing.T) {
	repo, _ := faultyServer(t, cutAfter(3, 1, blobServer([]byte(`{"schemaVersion":2}`))))
	if _, data, err := repo.Manifest(t.Context(), repo.ref); err != nil || string(data) != `{"schemaVersion":2}` {
		t.Errorf("%s, %v", data, err)
	}
}

func TestManifestOfAnotherRepository(t *testing.T) {
	repo, m := faultyServer(t, status(200))
	if _, _, err := repo.Manifest(t.Context(), parse(t, "a.example/b")); err == nil || m.requests.Load() != 0 {
		t.Errorf("%v after %d requests", err, m.requests.Load())
	}
}

func TestRegistryErrorsAreShown(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"code and message": {`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"x":1}}]}`, "manifest unknown: not found"},
		"both matter":      {`{"errors":[{"code":"NAME_UNKNOWN","message":"create it first"}]}`, "name unknown: create it first: not found"},
		"code alone":       {`{"errors":[{"code":"NAME_UNKNOWN"}]}`, "name unknown: not found"},
		"no JSON":          {"<html>nothing here</html>", "status 404 not found"},
		"no errors":        {`{"errors":[]}`, "status 404 not found"},
		"escapes":          {`{"errors":[{"message":"a\u001b[31mb\nc\u202ed"}]}`, "a[31mb cd: not found"},
	} {
		repo, _ := faultyServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, test.body)
		}))
		_, _, err := repo.Manifest(t.Context(), repo.ref)
		if want := "pulling " + repo.ref.String() + ": " + test.want; err == nil || err.Error() != want {
			t.Errorf("%s: %q, want %q", name, err, want)
		}
		if hint := hintOf(err); !strings.Contains(hint, "no such repository or tag") {
			t.Errorf("%s: the hint is %q", name, hint)
		}
	}
}

func TestRegistryErrorsAreBounded(t *testing.T) {
	repo, _ := faultyServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"errors":[{"message":%q}]}`, strings.Repeat("x", 10000))
	}))
	if _, _, err := repo.Manifest(t.Context(), repo.ref); err == nil || len(err.Error()) > 500 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}
