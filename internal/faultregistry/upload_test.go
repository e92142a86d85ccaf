package faultregistry_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	f "github.com/tareml/tare/internal/faultregistry"
)

func TestChunks(t *testing.T) {
	p := newPusher(t)
	data := random(3*size, 1)
	first := p.begin()
	p.wants("begin", first, 202)
	if first.header.Get("Range") != "0-0" || !strings.HasPrefix(p.location, p.reg.URL+"/v2/"+repo+"/blobs/uploads/") {
		t.Errorf("%v", first.header)
	}
	p.wantsOffset("0-0")
	before := p.location
	got := p.chunk(0, data[:size])
	if p.wants("the first chunk", got, 202); got.header.Get("Range") != "0-65535" || p.location == before {
		t.Errorf("%v", got.header)
	}
	p.wants("a stream", p.follow(p.send("PATCH", p.location, stream(data[size:2*size]))), 202)
	p.wantsOffset("0-131071")
	got = p.close(digestOf(data), data[2*size:])
	p.wants("closing", got, 201)
	if got.header.Get("Docker-Content-Digest") != digestOf(data).String() || !strings.HasSuffix(got.header.Get("Location"), "/v2/"+repo+"/blobs/"+digestOf(data).String()) {
		t.Errorf("%v", got.header)
	}
	p.wantsBlob(data)
	p.wants("the session", p.ask(), 404)
	if p.reg.Received() != 3*size || p.reg.Sessions() != 0 {
		t.Errorf("%d bytes received, %d sessions left", p.reg.Received(), p.reg.Sessions())
	}
}

func TestUploadsAreSeen(t *testing.T) {
	p := newPusher(t)
	data := random(size, 1)
	p.begin()
	p.chunk(0, data[:100])
	p.close(digestOf(data), data[100:])
	p.send("POST", p.reg.URL+"/v2/models/y/blobs/uploads/?from="+repo+"&mount="+digestOf(data).String(), nil)
	seen := p.reg.RequestsOf(f.Session)
	if len(seen) != 2 || seen[0].Method != "PATCH" || seen[0].ContentRange != "0-99" || seen[0].Size != 100 || seen[0].Received != 100 ||
		seen[0].Session == "" || seen[0].Name != repo || seen[0].Host != p.reg.Host || seen[0].Digest != "" {
		t.Errorf("%+v", seen)
	}
	if seen[1].Method != "PUT" || seen[1].Digest != digestOf(data) || seen[1].Received != size-100 || seen[1].Session != seen[0].Session {
		t.Errorf("%+v", seen[1])
	}
	posts := p.reg.RequestsOf(f.Upload)
	if len(posts) != 2 || posts[1].Mount != digestOf(data) || posts[1].Digest != digestOf(data) || posts[1].From != repo || posts[1].Name != "models/y" {
		t.Errorf("%+v", posts)
	}
}

func TestOneBody(t *testing.T) {
	for name, data := range map[string][]byte{"empty": {}, "small": []byte("x"), "large": random(5<<20+7, 1)} {
		p := newPusher(t)
		d := digest.SHA512.FromBytes(data)
		p.begin()
		p.wants(name, p.close(d, data), 201)
		if got := p.reg.Blob(repo, d); got == nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes are stored", name, len(got))
		}
		p.blob(data)
		p.wantsBlob(data)
	}
}

func TestBadUploads(t *testing.T) {
	data := random(size, 1)
	d := digestOf(data)
	// each begins with 100 bytes in the session
	for name, test := range map[string]struct {
		status int
		code   string
		ends   bool // the session is gone
		send   func(p *pusher) answer
	}{
		"beyond": {416, "RANGE_INVALID", false, func(p *pusher) answer { return p.chunk(101, data[101:200]) }},
		"again":  {416, "RANGE_INVALID", false, func(p *pusher) answer { return p.chunk(0, data[:100]) }},
		"closing beyond": {416, "RANGE_INVALID", false, func(p *pusher) answer {
			return p.send("PUT", p.location+"&digest="+d.String(), bytes.NewReader(data[:9]), "Content-Range", "0-8")
		}},
		"other length": {400, "SIZE_INVALID", false, func(p *pusher) answer {
			return p.send("PATCH", p.location, bytes.NewReader(data[100:110]), "Content-Range", "100-110")
		}},
		"backwards": {400, "BLOB_UPLOAD_INVALID", false, func(p *pusher) answer {
			return p.send("PATCH", p.location, bytes.NewReader(data[100:110]), "Content-Range", "110-100")
		}},
		"with a unit": {400, "BLOB_UPLOAD_INVALID", false, func(p *pusher) answer {
			return p.send("PATCH", p.location, bytes.NewReader(data[100:110]), "Content-Range", "bytes 100-109/*")
		}},
		"old location": {416, "RANGE_INVALID", false, func(p *pusher) answer {
			old := p.location
			p.ask()
			return p.send("PATCH", old, bytes.NewReader(data[100:]))
		}},
		"forged": {404, "BLOB_UPLOAD_INVALID", false, func(p *pusher) answer {
			return p.send("PATCH", strings.Replace(p.location, "_state=2", "_state=3", 1), bytes.NewReader(data))
		}},
		"no query":    {404, "BLOB_UPLOAD_INVALID", false, func(p *pusher) answer { return p.send("GET", strings.Split(p.location, "?")[0], nil) }},
		"no digest":   {400, "DIGEST_INVALID", false, func(p *pusher) answer { return p.send("PUT", p.location, nil) }},
		"other bytes": {400, "DIGEST_INVALID", true, func(p *pusher) answer { return p.close(d, data[101:]) }},
		"cancelled": {404, "BLOB_UPLOAD_UNKNOWN", true, func(p *pusher) answer {
			p.wants("DELETE", p.send("DELETE", p.location, nil), 204)
			return p.chunk(100, data[100:])
		}},
		"another repository": {404, "BLOB_UPLOAD_UNKNOWN", false, func(p *pusher) answer {
			return p.send("GET", strings.Replace(p.location, "models/x", "models/y", 1), nil)
		}},
		"POST": {405, "UNSUPPORTED", false, func(p *pusher) answer { return p.send("POST", p.location, nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPusher(t)
			p.begin()
			p.chunk(0, data[:100])
			got := test.send(p)
			if p.wants("it", got, test.status); !bytes.Contains(got.body, []byte(test.code)) {
				t.Errorf("%s", got.body)
			}
			if test.status == 416 {
				if p.location = got.header.Get("Location"); got.header.Get("Range") != "0-99" || p.location == "" {
					t.Errorf("%v", got.header)
				}
			}
			if test.ends {
				p.wants("the session", p.ask(), 404)
				return
			}
			p.wantsOffset("0-99")
			p.wants("the rest", p.close(d, data[100:]), 201)
			p.wantsBlob(data)
		})
	}
}

// TestBrokenOff is about clients that break off.
func TestBrokenOff(t *testing.T) {
	data := random(4*size, 1)
	for _, vanishing := range []bool{false, true} {
		var options []f.Option
		if vanishing {
			options = append(options, f.WithVanishingSessions())
		}
		for _, method := range []string{"PATCH", "PUT"} {
			p := newPusher(t, options...)
			p.begin()
			p.chunk(0, data[:size])
			p.wantsOffset("0-65535")
			arrived := make(chan struct{})
			p.reg.Script(f.Session, f.Rate(1<<40).Do(func() { close(arrived) }))
			body := io.MultiReader(bytes.NewReader(data[size:2*size]), broken{arrived})
			if got := p.send(method, p.location+"&digest="+digestOf(data).String(), body); got.err == nil {
				t.Errorf("%s: %d", method, got.status)
			}
			p.reg.Idle()
			if vanishing {
				p.wants("the session", p.ask(), 404)
				continue
			}
			p.wantsOffset("0-131071")
			p.wants("the rest", p.close(digestOf(data), data[2*size:]), 201)
			p.wantsBlob(data)
			if p.reg.Received() != 4*size {
				t.Errorf("%d bytes received", p.reg.Received())
			}
		}
	}
}

// TestOvertaken is about a request whose bytes are still on their way when the
// client asks how many came.
func TestOvertaken(t *testing.T) {
	data := random(4*size, 1)
	p := newPusher(t)
	arrived := make(chan struct{})
	p.reg.Script(f.Session, f.Hang(1000).Patch().Do(func() { close(arrived) }))
	p.begin()
	location, done := p.location, make(chan answer)
	go func() { done <- p.send("PATCH", location, bytes.NewReader(data)) }()
	<-arrived
	p.wantsOffset("0-999")
	if got := <-done; got.err == nil {
		t.Errorf("what hung was answered: %d", got.status)
	}
	p.wants("the next", p.chunk(1000, data[1000:]), 202)
	p.wants("closing", p.close(digestOf(data), nil), 201)
	p.wantsBlob(data)

	p = newPusher(t, f.WithVanishingSessions())
	arrived = make(chan struct{})
	next := make(chan struct{})
	p.reg.Script(f.Session, f.Trickle(1000, next).Patch())
	p.begin()
	location = p.location
	go func() { done <- p.send("PATCH", location, bytes.NewReader(data)) }()
	next <- struct{}{}
	p.wants("a session that was sending", p.ask(), 404)
	<-done
}

func TestMount(t *testing.T) {
	data := random(100, 1)
	d := digestOf(data)
	mount := "/v2/" + repo + "/blobs/uploads/?mount=" + d.String()
	for name, test := range map[string]struct {
		path   string
		option f.Option
		fault  f.Fault
		status int
	}{
		"good":       {mount + "&from=models/y", f.WithPrefix("/v2"), f.Rate(1), 201},
		"not there":  {mount + "&from=models/z", f.WithPrefix("/v2"), f.Rate(1), 202},
		"no source":  {mount, f.WithPrefix("/v2"), f.Rate(1), 202},
		"never":      {mount + "&from=models/y", f.WithoutMount(), f.Rate(1), 202},
		"this time":  {mount + "&from=models/y", f.WithPrefix("/v2"), f.NoMount(), 202},
		"refused":    {mount + "&from=models/y", f.WithPrefix("/v2"), f.Status(403).Mounts(), 403},
		"a lie":      {mount + "&from=models/y", f.WithPrefix("/v2"), f.Status(201).Mounts(), 201},
		"other POST": {"/v2/" + repo + "/blobs/uploads/", f.WithPrefix("/v2"), f.Status(403).Mounts(), 202},
	} {
		p := newPusher(t, test.option)
		p.reg.AddBlob("models/y", f.Bytes(data))
		p.reg.Script(f.Upload, test.fault)
		got := p.follow(p.send("POST", p.reg.URL+test.path, nil))
		p.wants(name, got, test.status)
		if has := p.reg.Has(repo, d); has != (name == "good") {
			t.Errorf("%s: it is there: %v", name, has)
		}
		if got.status == 202 {
			p.wants(name+": upload", p.close(d, data), 201)
		}
		if p.reg.RemoveBlob(repo, d); p.reg.Has(repo, d) || !p.reg.Has("models/y", d) {
			t.Errorf("%s: what was removed is still there, or elsewhere too", name)
		}
	}
}

func TestPushTokens(t *testing.T) {
	p := newPusher(t, f.WithTokens(time.Minute))
	data := random(size, 1)
	d := p.reg.AddBlob("models/y", f.Bytes(data))
	pull := `scope="repository:models/x:pull"`
	push := `scope="repository:models/x:pull,push"`
	both := `scope="repository:models/x:pull,push repository:models/y:pull"`
	uploads := p.reg.URL + "/v2/" + repo + "/blobs/uploads/"
	challenge := func(method, url, want string) string {
		t.Helper()
		got := p.send(method, url, nil)
		if p.wants(method, got, 401); !strings.Contains(got.header.Get("Www-Authenticate"), want) {
			t.Errorf("%s: %q, want %s", method, got.header.Get("Www-Authenticate"), want)
		}
		return got.header.Get("Www-Authenticate")
	}
	p.auth = login(t, p.client, challenge("HEAD", p.reg.URL+"/v2/"+repo+"/blobs/"+d.String(), pull))
	challenge("PUT", p.reg.URL+"/v2/"+repo+"/manifests/v1", push)
	p.auth = login(t, p.client, challenge("POST", uploads, push))
	challenge("POST", uploads+"?from=models/y&mount="+d.String(), both)
	p.blob(data[1:])
	p.auth = login(t, p.client, challenge("POST", uploads+"?from=models/y&mount="+d.String(), both))
	p.wants("mount", p.send("POST", uploads+"?from=models/y&mount="+d.String(), nil), 201)

	p = newPusher(t, f.WithBasic())
	p.wants("nobody", p.begin(), 401)
	p.auth = "Basic dGFyZTp0YXJlLXRlc3Q="
	p.blob(data)
}

func TestHabits(t *testing.T) {
	data := random(size, 1)
	d := digestOf(data)
	t.Run("ECR", func(t *testing.T) {
		p := newPusher(t, f.WithECR())
		p.begin()
		for i, want := range []string{"0-0", "0-99"} {
			if got := p.chunk(100*i, data[100*i:][:100]); got.status != 201 || got.header.Get("Range") != want {
				t.Errorf("%d %v", got.status, got.header)
			}
		}
		p.wants("closing", p.close(d, data[200:]), 201)
	})
	t.Run("no PATCH", func(t *testing.T) {
		p := newPusher(t, f.WithoutPatch(405))
		p.begin()
		p.wants("PATCH", p.chunk(0, data), 405)
		p.wantsOffset("0-0")
		p.wants("PUT", p.close(d, data), 201)
	})
	t.Run("small PATCH", func(t *testing.T) {
		p := newPusher(t, f.WithMaxPatch(1000))
		p.begin()
		p.wants("large", p.chunk(0, data), 416)
		p.wants("just", p.chunk(0, data[:1000]), 202)
		if got := p.send("PATCH", p.location, stream(data[1000:])); got.status != 416 {
			t.Errorf("a large stream: %d %v", got.status, got.err)
		}
	})
	t.Run("large chunks", func(t *testing.T) {
		p := newPusher(t, f.WithMinChunk(1000))
		if got := p.begin(); got.header.Get("OCI-Chunk-Min-Length") != "1000" {
			t.Errorf("%v", got.header)
		}
		p.wants("large", p.chunk(0, data[:1000]), 202)
		p.wants("small", p.chunk(1000, data[1000:1999]), 202)
		p.wants("the next", p.chunk(1999, data[1999:]), 416)
		p.wants("closing", p.send("PUT", p.ask().header.Get("Location")+"&digest="+d.String(), bytes.NewReader(data[1999:])), 201)
	})
	t.Run("small bodies", func(t *testing.T) {
		p := newPusher(t, f.WithBodyLimit(1000), f.WithTokens(time.Minute))
		got := p.send("PUT", p.reg.URL+"/v2/x/blobs/uploads/1?digest=x", bytes.NewReader(data))
		if p.wants("large", got, 413); got.header.Get("Content-Type") != "text/html" {
			t.Errorf("%v", got.header)
		}
		p = newPusher(t, f.WithBodyLimit(1000))
		p.begin()
		p.wants("just", p.chunk(0, data[:1000]), 202)
		p.wants("a large stream", p.send("PATCH", p.location, stream(data[1000:])), 413)
	})
	t.Run("no creation", func(t *testing.T) {
		p := newPusher(t, f.WithoutCreation())
		p.wants("a manifest", p.manifest("v1", []byte("{}")), 404)
		if got := p.begin(); got.status != 404 || !bytes.Contains(got.body, []byte("NAME_UNKNOWN")) {
			t.Errorf("%d %s", got.status, got.body)
		}
		p.reg.CreateRepository(repo)
		p.blob(data)
	})
	t.Run("bare ranges", func(t *testing.T) {
		p := newPusher(t, f.WithBareRanges())
		p.begin()
		if got := p.chunk(1, data); got.status != 416 || got.header.Get("Location")+got.header.Get("Range") != "" {
			t.Errorf("%d %v", got.status, got.header)
		}
	})
}

// TestExpect is about a client that asks before it sends.
func TestExpect(t *testing.T) {
	p := newPusher(t)
	p.client.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	p.reg.Script(f.Session, f.Busy(503, 1))
	data := random(size, 1)
	p.begin()
	for _, want := range []int{503, 201} {
		body := &counted{Reader: bytes.NewReader(data)}
		got := p.send("PUT", p.location+"&digest="+digestOf(data).String(), io.LimitReader(body, size), "Expect", "100-continue")
		if p.wants("PUT", got, want); (body.n > 0) != (want == 201) {
			t.Errorf("%d: %d bytes were sent", want, body.n)
		}
	}
	p.wantsBlob(data)
}

type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// TestLargeUpload is about memory: a blob is held once.
func TestLargeUpload(t *testing.T) {
	content := f.Random(16<<20, 1)
	p := newPusher(t)
	p.begin()
	got := p.send("PUT", p.location+"&digest="+content.Digest().String(), io.NewSectionReader(content, 0, content.Size()))
	p.wants("it", got, 201)
	stored := p.reg.Content(repo, content.Digest())
	if d, err := digest.FromReader(io.NewSectionReader(stored, 0, stored.Size())); err != nil || d != content.Digest() {
		t.Errorf("%s %v", d, err)
	}
}

func BenchmarkReceive(b *testing.B) {
	reg := f.New(b)
	content := f.Random(64<<20, 1)
	d := content.Digest().String()
	b.SetBytes(content.Size())
	for b.Loop() {
		resp, err := http.Post(reg.URL+"/v2/"+repo+"/blobs/uploads/", "", nil)
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
		req, _ := http.NewRequest("PUT", resp.Header.Get("Location")+"&digest="+d, io.NewSectionReader(content, 0, content.Size()))
		if resp, err = http.DefaultClient.Do(req); err != nil || resp.StatusCode != 201 {
			b.Fatal(resp, err)
		}
		resp.Body.Close()
	}
}
