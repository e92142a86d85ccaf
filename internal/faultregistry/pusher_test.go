package faultregistry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"

	f "github.com/tareml/tare/internal/faultregistry"
)

const repo = "models/x"

// pusher is a client in the middle of an upload.
type pusher struct {
	t        *testing.T
	reg      *f.Registry
	client   *http.Client
	location string
	auth     string
}

func newPusher(t *testing.T, options ...f.Option) *pusher {
	t.Helper()
	return pusherTo(t, f.New(t, options...))
}

func pusherTo(t *testing.T, reg *f.Registry) *pusher {
	t.Helper()
	client := newClient(t, nil)
	if reg.CAFile != "" {
		client = newClient(t, trusting(t, reg))
	}
	return &pusher{t: t, reg: reg, client: client}
}

// send takes any body; header fields are pairs.
func (p *pusher) send(method, url string, body io.Reader, header ...string) answer {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, url, body)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.auth != "" {
		req.Header.Set("Authorization", p.auth)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return do(p.client, req)
}

// follow keeps the Location of a good answer.
func (p *pusher) follow(got answer) answer {
	if location := got.header.Get("Location"); location != "" && got.status < 300 {
		p.location = location
	}
	return got
}

func (p *pusher) begin() answer {
	p.t.Helper()
	return p.follow(p.send("POST", p.reg.URL+"/v2/"+repo+"/blobs/uploads/", nil))
}

func (p *pusher) chunk(at int, data []byte) answer {
	p.t.Helper()
	return p.follow(p.send("PATCH", p.location, bytes.NewReader(data), "Content-Range", fmt.Sprintf("%d-%d", at, at+len(data)-1)))
}

func (p *pusher) ask() answer {
	p.t.Helper()
	return p.follow(p.send("GET", p.location, nil))
}

func (p *pusher) close(d digest.Digest, rest []byte) answer {
	p.t.Helper()
	return p.send("PUT", p.location+"&digest="+d.String(), bytes.NewReader(rest))
}

// blob pushes one whole, and returns its digest.
func (p *pusher) blob(data []byte) digest.Digest {
	p.t.Helper()
	d := digestOf(data)
	p.begin()
	if got := p.close(d, data); got.status != 201 {
		p.t.Fatalf("closing: %d %s %v", got.status, got.body, got.err)
	}
	return d
}

func (p *pusher) manifest(reference string, data []byte, header ...string) answer {
	p.t.Helper()
	return p.send("PUT", p.reg.URL+"/v2/"+repo+"/manifests/"+reference, bytes.NewReader(data), header...)
}

// wants reports an answer of another status.
func (p *pusher) wants(what string, got answer, status int) {
	p.t.Helper()
	if got.status != status {
		p.t.Errorf("%s: %d %s %v, want %d", what, got.status, got.body, got.err, status)
	}
}

// wantsOffset asks the session.
func (p *pusher) wantsOffset(want string) {
	p.t.Helper()
	if got := p.ask(); got.status != 204 || got.header.Get("Range") != want || got.header.Get("Location") == "" {
		p.t.Errorf("the session is at %d %v, want %s", got.status, got.header, want)
	}
}

// wantsBlob looks at what is stored.
func (p *pusher) wantsBlob(data []byte) {
	p.t.Helper()
	d := digestOf(data)
	if !p.reg.Has(repo, d) || !bytes.Equal(p.reg.Blob(repo, d), data) {
		p.t.Error("the registry has not got the blob")
	}
	url := p.reg.URL + "/v2/" + repo + "/blobs/" + d.String()
	if got := p.send("GET", url, nil); got.status != 200 || !bytes.Equal(got.body, data) {
		p.t.Errorf("the registry does not serve the blob: %d", got.status)
	}
}

// broken ends in an error once something comes from when.
type broken struct {
	when <-chan struct{}
}

func (b broken) Read([]byte) (int, error) {
	<-b.when
	return 0, errors.New("the client breaks off")
}

// stream hides the length.
func stream(data []byte) io.Reader { return io.MultiReader(bytes.NewReader(data)) }

func withCancel(req *http.Request) (*http.Request, context.CancelFunc) {
	ctx, cancel := context.WithCancel(req.Context())
	return req.WithContext(ctx), cancel
}
