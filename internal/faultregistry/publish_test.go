package faultregistry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	f "github.com/tareml/tare/internal/faultregistry"
)

// pushArtifact pushes what another registry has.
func (p *pusher) pushArtifact(art *f.Artifact, blobs ...[]byte) answer {
	p.t.Helper()
	for _, data := range blobs {
		p.blob(data)
	}
	return p.manifest(f.Tag, art.Manifest, "Content-Type", art.Descriptor.MediaType)
}

// source is an artifact and its blobs.
func source(t *testing.T, seed uint64) (*f.Artifact, [][]byte) {
	t.Helper()
	reg := f.New(t)
	data := random(size, seed)
	art := reg.Add(repo, data)
	return art, [][]byte{data, reg.Blob(repo, art.Config.Digest)}
}

func TestPublish(t *testing.T) {
	p := newPusher(t)
	art, blobs := source(t, 1)
	got := p.pushArtifact(art, blobs...)
	if p.wants("by tag", got, 201); got.header.Get("Docker-Content-Digest") != art.Descriptor.Digest.String() ||
		got.header.Get("Location") != p.reg.URL+"/v2/"+repo+"/manifests/"+art.Descriptor.Digest.String() {
		t.Errorf("%v", got.header)
	}
	for _, reference := range []string{f.Tag, art.Descriptor.Digest.String()} {
		got := p.send("GET", p.reg.URL+"/v2/"+repo+"/manifests/"+reference, nil)
		if !bytes.Equal(got.body, art.Manifest) || got.header.Get("Content-Type") != ocispec.MediaTypeImageManifest {
			t.Errorf("%s: %d %v", reference, got.status, got.header)
		}
		stored := p.reg.Artifact(repo, reference)
		if stored == nil || stored.Descriptor.Digest != art.Descriptor.Digest || stored.Size() != art.Size() {
			t.Errorf("%s: %+v", reference, stored)
		}
	}
	for _, data := range blobs {
		p.wantsBlob(data)
	}
	if p.reg.Received() != art.Size() {
		t.Errorf("%d bytes received of blobs, want %d", p.reg.Received(), art.Size())
	}

	next, more := source(t, 2)
	p.wants("the next", p.pushArtifact(next, more...), 201)
	if p.reg.Artifact(repo, f.Tag).Descriptor.Digest != next.Descriptor.Digest {
		t.Error("the tag has not moved")
	}
	if p.reg.Artifact(repo, art.Descriptor.Digest.String()) == nil {
		t.Error("what had the tag is gone")
	}
	index := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"digest":%q}]}`, ocispec.MediaTypeImageIndex, art.Descriptor.Digest)
	p.wants("an index", p.manifest(digestOf(index).String(), index), 201)
	if got := p.reg.Artifact(repo, digestOf(index).String()); got == nil || got.Descriptor.MediaType != ocispec.MediaTypeImageIndex {
		t.Errorf("%+v", got)
	}
}

func TestBadManifests(t *testing.T) {
	p := newPusher(t)
	art, blobs := source(t, 1)
	for name, test := range map[string]struct {
		data      []byte
		reference string
		status    int
		code      string
	}{
		"no JSON":           {[]byte("{"), "v1", 400, "MANIFEST_INVALID"},
		"nothing":           {nil, "v1", 400, "MANIFEST_INVALID"},
		"other JSON":        {[]byte("{}"), "v1", 400, "MANIFEST_INVALID"},
		"no blobs":          {art.Manifest, "v1", 400, "MANIFEST_BLOB_UNKNOWN"},
		"no manifests":      {[]byte(`{"manifests":[{"digest":"sha256:1"}]}`), "v1", 400, "MANIFEST_BLOB_UNKNOWN"},
		"another's digest":  {art.Manifest, digestOf(nil).String(), 400, "DIGEST_INVALID"},
		"more than is sane": {make([]byte, 5<<20), "v1", 413, "SIZE_INVALID"},
	} {
		got := p.manifest(test.reference, test.data)
		var body struct{ Errors []struct{ Code string } }
		if err := json.Unmarshal(got.body, &body); got.status != test.status || err != nil || body.Errors[0].Code != test.code {
			t.Errorf("%s: %d %s %v", name, got.status, got.body, got.err)
		}
	}
	p.wants("with blobs", p.pushArtifact(art, blobs...), 201)
	if p.reg.Received() != art.Size() {
		t.Errorf("%d bytes received of blobs", p.reg.Received())
	}
}

func TestManifestFaults(t *testing.T) {
	old, oldBlobs := source(t, 1)
	art, blobs := source(t, 2)
	for name, test := range map[string]struct {
		fault  f.Fault
		status int
		tag    *f.Artifact // nil for neither
		stored bool        // by its digest
		told   string      // "" for none, "other" for another
	}{
		"good":             {f.Rate(1 << 30), 201, art, true, art.Descriptor.Digest.String()},
		"the tag stays":    {f.KeepTag(), 201, old, true, art.Descriptor.Digest.String()},
		"nothing happens":  {f.Status(201), 201, old, false, ""},
		"something else":   {f.Rewrite(), 201, nil, false, "other"},
		"no digest":        {f.DigestSays(""), 201, art, true, ""},
		"another digest":   {f.WrongDigest(), 201, art, true, "other"},
		"refused":          {f.Status(403), 403, old, false, ""},
		"broken, but done": {f.Status(500).Late(), 500, art, true, ""},
		"lost":             {f.Cut(f.BeforeHeader).Late(), 0, art, true, ""},
		"cut":              {f.Cut(10), 0, old, false, ""},
	} {
		p := newPusher(t)
		p.pushArtifact(old, oldBlobs...)
		p.reg.Script(f.Manifest, test.fault.Put())
		got := p.pushArtifact(art, blobs...)
		p.wants(name, got, test.status)
		told := got.header.Get("Docker-Content-Digest")
		if test.told == "other" && (told == "" || told == art.Descriptor.Digest.String()) || test.told != "other" && told != test.told {
			t.Errorf("%s: it says %q", name, told)
		}
		tag := p.reg.Artifact(repo, f.Tag).Descriptor.Digest
		if test.tag != nil && tag != test.tag.Descriptor.Digest || test.tag == nil && tag.String() != told {
			t.Errorf("%s: the tag is %s", name, tag)
		}
		if stored := p.reg.Artifact(repo, art.Descriptor.Digest.String()) != nil; stored != test.stored {
			t.Errorf("%s: it is there: %v", name, stored)
		}
	}
}

func TestManifestHead(t *testing.T) {
	p := newPusher(t)
	art, blobs := source(t, 1)
	p.pushArtifact(art, blobs...)
	p.reg.Script(f.Manifest, f.DigestSays("").Head(), f.WrongDigest().Head().After(1), f.DigestSays("").After(1))
	url := p.reg.URL + "/v2/" + repo + "/manifests/" + f.Tag
	for i, method := range []string{"HEAD", "HEAD", "GET", "GET", "HEAD"} {
		told := p.send(method, url, nil).header.Get("Docker-Content-Digest")
		right := art.Descriptor.Digest.String()
		if want := i == 2 || i == 4; (told == right) != want || (told == "") != (i == 0 || i == 3) {
			t.Errorf("%d: %s says %q", i, method, told)
		}
	}
}

func TestImmutableTags(t *testing.T) {
	p := newPusher(t, f.WithImmutableTags(409))
	art, blobs := source(t, 1)
	next, more := source(t, 2)
	p.wants("the first", p.pushArtifact(art, blobs...), 201)
	p.wants("the same", p.pushArtifact(art, blobs...), 201)
	p.wants("another", p.pushArtifact(next, more...), 409)
	if p.reg.Artifact(repo, f.Tag).Descriptor.Digest != art.Descriptor.Digest {
		t.Error("the tag has moved")
	}
}
