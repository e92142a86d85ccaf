package faultregistry_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/iotest"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/internal/faultregistry"
)

func TestServesAnArtifact(t *testing.T) {
	reg, art, data := fill(t)
	client := newClient(t, nil)
	if got := get(t, client, reg.URL+"/v2/"); got.status != 200 {
		t.Errorf("ping: %d", got.status)
	}
	for _, reference := range []string{faultregistry.Tag, art.Descriptor.Digest.String()} {
		got := get(t, client, reg.URL+"/v2/models/x/manifests/"+reference)
		if !bytes.Equal(got.body, art.Manifest) || got.header.Get("Docker-Content-Digest") != art.Descriptor.Digest.String() ||
			got.header.Get("Content-Type") != ocispec.MediaTypeImageManifest {
			t.Errorf("%s: %d %v", reference, got.status, got.header)
		}
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(art.Manifest, &manifest); err != nil || manifest.Layers[0].Digest != digestOf(data) {
		t.Errorf("the manifest is %s (%v)", art.Manifest, err)
	}
	got := get(t, client, blobURL(reg, art, 0))
	if got.status != 200 || !bytes.Equal(got.body, data) || got.header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("blob: %d, %d bytes, %v", got.status, len(got.body), got.header)
	}
	if reg.Sent() != size || art.Size() != size+art.Config.Size {
		t.Errorf("%d bytes sent, the artifact has %d", reg.Sent(), art.Size())
	}
}

func TestMissingThings(t *testing.T) {
	reg, art, _ := fill(t)
	client := newClient(t, nil)
	for _, path := range []string{
		"/v2/models/x/manifests/v2", "/v2/models/y/manifests/v1", "/v2/models/x/blobs/rubbish", "/v2/x/uploads", "/other",
		"/v2/models/y/blobs/" + art.Layers[0].Digest.String(),
	} {
		got := get(t, client, reg.URL+path)
		var body struct{ Errors []struct{ Code string } }
		if err := json.Unmarshal(got.body, &body); got.status != 404 || err != nil || len(body.Errors) != 1 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	for _, path := range []string{"/v2/", "/v2/models/x/manifests/v1", "/v2/models/x/blobs/" + art.Layers[0].Digest.String(), "/token"} {
		if got := do(client, newRequest(t.Context(), t, http.MethodPost, reg.URL+path)); got.status != 405 {
			t.Errorf("POST %s: %d", path, got.status)
		}
	}
	if reg.Sent() != 0 {
		t.Errorf("%d bytes of errors counted as a blob's", reg.Sent())
	}
}

func TestRanges(t *testing.T) {
	reg, art, data := fill(t)
	client := newClient(t, nil)
	for _, test := range []struct {
		header      string
		first, last int // first > last for 416
		status      int
	}{
		{"bytes=0-0", 0, 0, 206},
		{"bytes=100-199", 100, 199, 206},
		{"bytes=65535-", size - 1, size - 1, 206},
		{"bytes=5-", 5, size - 1, 206},
		{"bytes=5-99999999", 5, size - 1, 206},
		{"bytes=-7", size - 7, size - 1, 206},
		{"bytes=-99999999", 0, size - 1, 206},
		{"bytes=65536-", 1, 0, 416},
		{"bytes=-0", 1, 0, 416},
		{"bytes=9-8", 0, size - 1, 200},
		{"bytes=0-1,5-6", 0, size - 1, 200},
		{"bytes=+1-5", 0, size - 1, 200},
		{"bytes=x", 0, size - 1, 200},
		{"lines=1-2", 0, size - 1, 200},
	} {
		got := get(t, client, blobURL(reg, art, 0), "Range", test.header)
		want := map[int]string{
			200: "",
			206: fmt.Sprintf("bytes %d-%d/%d", test.first, test.last, size),
			416: fmt.Sprintf("bytes */%d", size),
		}[test.status]
		if got.status != test.status || got.header.Get("Content-Range") != want {
			t.Errorf("%s: %d %q", test.header, got.status, got.header.Get("Content-Range"))
		}
		if test.status != 416 && !bytes.Equal(got.body, data[test.first:test.last+1]) {
			t.Errorf("%s: %d bytes, not those that were asked for", test.header, len(got.body))
		}
	}
}

func TestHead(t *testing.T) {
	reg, art, _ := fill(t)
	reg.Script(faultregistry.Blob, faultregistry.Status(500).Always(), faultregistry.Status(404).Head().After(1))
	client := newClient(t, nil)
	head := func() answer { return do(client, newRequest(t.Context(), t, http.MethodHead, blobURL(reg, art, 0))) }
	if got := head(); got.status != 200 || got.length != size || len(got.body) != 0 {
		t.Errorf("%d, %d bytes", got.status, got.length)
	}
	if got := head(); got.status != 404 {
		t.Errorf("%d, want what was scripted for the second HEAD", got.status)
	}
}

func TestRequestsAreSeen(t *testing.T) {
	reg, art, _ := fill(t)
	client := newClient(t, nil)
	get(t, client, blobURL(reg, art, 0)+"?ns=example.com", "Range", "bytes=0-9", "Authorization", "Basic eDp5")
	get(t, client, reg.URL+"/v2/models/x/manifests/v1")
	blobs := reg.RequestsOf(faultregistry.Blob)
	if len(blobs) != 1 || len(reg.Requests()) != 2 {
		t.Fatalf("%d of %d requests are for blobs", len(blobs), len(reg.Requests()))
	}
	got := blobs[0]
	if got.Name != "models/x" || got.Digest != art.Layers[0].Digest || got.Range != "bytes=0-9" || got.NS != "example.com" ||
		got.Auth != "Basic" || got.Status != 206 || got.Bytes != 10 || got.Remote == "" || got.Method != "GET" {
		t.Errorf("%+v", got)
	}
	if reg.Connections() != 1 || reg.Peak(faultregistry.Blob) != 1 {
		t.Errorf("%d connections, %d at a time", reg.Connections(), reg.Peak(faultregistry.Blob))
	}
	reg.Forget()
	if len(reg.Requests()) != 0 || reg.Peak(faultregistry.Blob) != 0 {
		t.Error("what was to be forgotten is still there")
	}
}

func TestTLS(t *testing.T) {
	reg := faultregistry.New(t, faultregistry.WithClientCerts())
	if got := get(t, newClient(t, nil), reg.URL+"/v2/"); got.err == nil {
		t.Error("an unknown authority was trusted")
	}
	identity := trusting(t, reg)
	if got := get(t, newClient(t, identity.Clone()), reg.URL+"/v2/"); got.err == nil {
		t.Error("a client without a certificate was let in")
	}
	cert, err := tls.LoadX509KeyPair(reg.CertFile, reg.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	identity.Certificates = []tls.Certificate{cert}
	if got := get(t, newClient(t, identity), reg.URL+"/v2/"); got.status != 200 {
		t.Errorf("%d, %v", got.status, got.err)
	}
}

func TestRefusedConnections(t *testing.T) {
	reg := faultregistry.New(t, faultregistry.WithTLS())
	reg.Refuse(1)
	client := newClient(t, trusting(t, reg))
	if got := get(t, client, reg.URL+"/v2/"); got.err == nil {
		t.Errorf("%d", got.status)
	}
	if got := get(t, client, reg.URL+"/v2/"); got.status != 200 {
		t.Errorf("the next: %v", got.err)
	}
	reg.Close()
	if got := get(t, client, reg.URL+"/v2/"); got.err == nil {
		t.Error("a closed registry answers")
	}
}

func TestMirror(t *testing.T) {
	origin := faultregistry.New(t)
	mirror := faultregistry.New(t, faultregistry.WithMirrorOf(origin), faultregistry.WithPrefix("/proxy/v2"))
	art := origin.Add("models/x", random(100, 1))
	mirror.Script(faultregistry.Blob, faultregistry.Corrupt(17).Always())
	path := "/models/x/blobs/" + art.Layers[0].Digest.String()
	got := get(t, newClient(t, nil), mirror.URL+"/proxy/v2"+path+"?ns="+origin.Host)
	if want := random(100, 1); bytes.Equal(got.body, want) || len(got.body) != len(want) {
		t.Errorf("%d: the bytes are the right ones", got.status)
	}
	if got := do(newClient(t, nil), newRequest(t.Context(), t, http.MethodPost, mirror.URL+"/proxy/v2/models/x/blobs/uploads/")); got.status != 405 {
		t.Errorf("an upload to a mirror: %d", got.status)
	}
	if seen := mirror.Requests(); seen[0].NS != origin.Host || len(origin.Requests()) != 0 {
		t.Errorf("%+v", seen)
	}
}

func TestRandomIsContent(t *testing.T) {
	c := faultregistry.Random(4099, 7)
	data := random(4099, 7)
	if err := iotest.TestReader(io.NewSectionReader(c, 0, c.Size()), data); err != nil {
		t.Error(err)
	}
	if c.Digest() != digestOf(data) {
		t.Error("the digest is another one's")
	}
	for off := range int64(40) {
		p := make([]byte, 33)
		if c.ReadAt(p, off); !bytes.Equal(p, data[off:off+33]) {
			t.Errorf("at %d the bytes are others", off)
		}
	}
	if bytes.Equal(random(100, 1), random(100, 2)) {
		t.Error("two seeds make the same bytes")
	}
}

func BenchmarkServe(b *testing.B) {
	reg := faultregistry.New(b)
	art := reg.AddContent("models/x", faultregistry.Random(256<<20, 1))
	url := blobURL(reg, art, 0)
	b.SetBytes(256 << 20)
	for b.Loop() {
		resp, err := http.Get(url)
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
