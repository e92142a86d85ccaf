package modelpack_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/modelpack"
)

// entry is an entry of an index, for a platform such as "linux/arm64" or for none.
func entry(name, platform string) ocispec.Descriptor {
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(name), Size: 1}
	if platform != "" {
		os, arch, _ := strings.Cut(platform, "/")
		desc.Platform = &ocispec.Platform{OS: os, Architecture: arch}
	}
	return desc
}

// attestation is what BuildKit puts beside each image.
func attestation(name string) ocispec.Descriptor {
	desc := entry(name, "unknown/unknown")
	desc.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": "sha256:0"}
	return desc
}

func parseIndex(t *testing.T, mediaType string, manifests ...ocispec.Descriptor) *modelpack.Index {
	t.Helper()
	data, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": mediaType, "manifests": manifests})
	if err != nil {
		t.Fatal(err)
	}
	x, ok, err := modelpack.ParseIndex(data)
	if err != nil || !ok {
		t.Fatalf("index of type %q: %v, error %v", mediaType, ok, err)
	}
	return x
}

func TestChoose(t *testing.T) {
	annotated := entry("annotated", "linux/amd64")
	annotated.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	twice := entry("a", "")
	twice.Annotations = map[string]string{"org.opencontainers.image.ref.name": "b"}
	for name, test := range map[string]struct {
		manifests []ocispec.Descriptor
		os, arch  string
		want      string
	}{
		"the platform":              {[]ocispec.Descriptor{entry("a", "linux/amd64"), entry("b", "linux/arm64"), entry("c", "")}, "linux", "arm64", "b"},
		"the system before Linux":   {[]ocispec.Descriptor{entry("a", "linux/amd64"), entry("b", "windows/amd64")}, "windows", "amd64", "b"},
		"Linux for others":          {[]ocispec.Descriptor{entry("a", "linux/amd64"), entry("b", "linux/arm64"), entry("c", "")}, "darwin", "arm64", "b"},
		"the first of several":      {[]ocispec.Descriptor{entry("a", "linux/amd64"), entry("b", "linux/amd64")}, "linux", "amd64", "a"},
		"no platform":               {[]ocispec.Descriptor{entry("a", "linux/amd64"), entry("b", "")}, "linux", "riscv64", "b"},
		"one for another platform":  {[]ocispec.Descriptor{entry("a", "plan9/mips")}, "linux", "amd64", "a"},
		"one and its attestation":   {[]ocispec.Descriptor{attestation("x"), entry("a", "linux/s390x")}, "linux", "amd64", "a"},
		"one under two names":       {[]ocispec.Descriptor{entry("a", ""), twice}, "linux", "amd64", "a"},
		"one for two platforms":     {[]ocispec.Descriptor{entry("a", "linux/amd64"), entry("a", "linux/arm64")}, "linux", "riscv64", "a"},
		"several and attestations":  {[]ocispec.Descriptor{entry("a", "linux/amd64"), entry("b", "linux/arm64"), attestation("x"), attestation("y")}, "linux", "arm64", "b"},
		"annotated as attestation":  {[]ocispec.Descriptor{annotated, entry("a", "linux/amd64"), entry("b", "linux/arm64")}, "linux", "amd64", "a"},
		"platform without any word": {[]ocispec.Descriptor{entry("a", "linux/amd64"), entry("b", "/")}, "linux", "arm64", "b"},
	} {
		for _, mediaType := range []string{ocispec.MediaTypeImageIndex, "application/vnd.docker.distribution.manifest.list.v2+json", ""} {
			desc, err := parseIndex(t, mediaType, test.manifests...).Choose(test.os, test.arch)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if desc.Digest != digest.FromString(test.want) {
				t.Errorf("%s: %v", name, desc)
			}
		}
	}
}

func TestChooseSaysWhatThereIs(t *testing.T) {
	x := parseIndex(t, "", entry("a", "linux/amd64"), entry("b", "linux/arm64"), attestation("x"))
	_, err := x.Choose("linux", "riscv64")
	if !errors.Is(err, blob.ErrNotFound) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"linux/riscv64", "linux/amd64 " + digest.FromString("a").String(), "linux/arm64 " + digest.FromString("b").String()} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "unknown") {
		t.Errorf("the error offers an attestation: %v", err)
	}
	if _, err := parseIndex(t, "", entry("a", ""), entry("b", "")).Choose("linux", "amd64"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("a choice among equals: error %v", err)
	}
	if _, err := parseIndex(t, "", attestation("x")).Choose("unknown", "unknown"); !errors.Is(err, modelpack.ErrNotModel) {
		t.Errorf("nothing but an attestation: error %v", err)
	}
	var many []ocispec.Descriptor
	for i := range 100 {
		many = append(many, entry(strings.Repeat("x", i), "plan9/mips"))
	}
	if _, err := parseIndex(t, "", many...).Choose("linux", "amd64"); err == nil || len(err.Error()) > 2000 || !strings.Contains(err.Error(), "90 more") {
		t.Errorf("100 entries: error %v", err)
	}
}

func TestParseIndexKnowsWhatIsNone(t *testing.T) {
	for _, none := range []string{
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]}`,
		`{"schemaVersion":2,"config":{},"layers":[{}]}`,
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}`,
		`{}`,
	} {
		if x, ok, err := modelpack.ParseIndex([]byte(none)); ok || err != nil || x != nil {
			t.Errorf("%s: %v %v, error %v", none, x, ok, err)
		}
	}
	for name, test := range map[string]struct {
		data    string
		hostile bool
	}{
		"broken":         {"{", true},
		"empty":          {"", true},
		"both":           {`{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"layers":[]}`, true},
		"both, untyped":  {`{"manifests":[],"config":{}}`, true},
		"many manifests": {`{"manifests":[` + strings.Repeat("{},", 1_000_000) + `{}]}`, true},
		"large":          {`{"manifests":[]` + strings.Repeat(" ", modelpack.MaxManifestSize) + `}`, true},
	} {
		_, ok, err := modelpack.ParseIndex([]byte(test.data))
		if ok || err == nil || errors.Is(err, blob.ErrHostile) != test.hostile {
			t.Errorf("%s: %v, error %v", name, ok, err)
		}
	}
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(`{"manifests":[{"digest":"sha256:x","platform":{"os":"linux","architecture":"amd64","variant":"v2"}},{"annotations":{"vnd.docker.reference.type":"a"}}]}`))
	f.Add([]byte(`{"mediaType":"application/vnd.oci.image.index.v1+json"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, ok, err := modelpack.ParseIndex(data)
		if err != nil || !ok {
			return
		}
		desc, err := x.Choose("linux", "amd64")
		if err == nil && desc.Annotations["vnd.docker.reference.type"] != "" {
			t.Errorf("an attestation was chosen: %+v", desc)
		}
	})
}
