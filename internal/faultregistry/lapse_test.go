package faultregistry_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	f "github.com/tareml/tare/internal/faultregistry"
)

// TestUploadFaults is about one PATCH of four bodies' worth that something
// happens to, and then about going on from where the session says it is.
func TestUploadFaults(t *testing.T) {
	const large = 16 * size
	data := random(large, 1)
	for name, test := range map[string]struct {
		fault  f.Fault
		status int // 0 for no answer
		kept   int
	}{
		"busy":                   {f.Busy(503, 7), 503, 0},
		"busy in the middle":     {f.Busy(429, 7).Within(2 * size), 429, 2 * size},
		"busy near the end":      {f.Busy(429, 7).Within(-1), 429, large - 1},
		"broken at the end":      {f.Status(500).Within(large), 500, large},
		"broken before a byte":   {f.Status(500).Within(0), 500, 0},
		"broken and yet done":    {f.Status(502).Late(), 502, large},
		"who is there":           {f.Unauthorized(), 401, 0},
		"who is there, midway":   {f.Unauthorized().Within(size), 401, size},
		"cut at once":            {f.Cut(f.BeforeHeader), 0, 0},
		"cut":                    {f.Cut(size), 0, size},
		"cut first":              {f.Cut(0), 0, 0},
		"cut last":               {f.Cut(-1), 0, large - 1},
		"reset":                  {f.Reset(size), 0, size},
		"answer lost":            {f.Cut(f.BeforeHeader).Late(), 0, large},
		"answer lost by a reset": {f.Reset(f.BeforeHeader).Late(), 0, large},
		"out of range":           {f.Status(416), 416, 0},
		"created":                {f.Code(201), 201, large},
		"a lie":                  {f.Status(202), 202, 0},
		"slowly":                 {f.Rate(1 << 30).And(f.SharedRate(1 << 30)), 202, large},
		"two together, late":     {f.Rate(1 << 30).And(f.Code(201)).Late(), 201, large},
	} {
		t.Run(name, func(t *testing.T) {
			for _, option := range []f.Option{f.WithPrefix("/v2"), f.WithTLS()} {
				p := newPusher(t, option)
				hooks := 0
				p.reg.Script(f.Session, test.fault.Do(func() { hooks++ }))
				p.begin()
				got := p.chunk(0, data)
				p.wants("PATCH", got, test.status)
				if got.status == 401 && got.header.Get("Www-Authenticate") == "" || (got.status == 429 || got.status == 503) && got.header.Get("Retry-After") != "7" {
					t.Errorf("%v", got.header)
				}
				received := p.reg.Received() // before anything can be discarded but what came after the answer
				if want := int64(test.kept); received != want {
					t.Errorf("%d bytes received, want %d", received, want)
				}
				p.wantsOffset(fmt.Sprintf("0-%d", max(0, test.kept-1)))
				p.wants("the rest", p.close(digestOf(data), data[test.kept:]), 201)
				p.wantsBlob(data)
				if hooks != 1 {
					t.Errorf("it happened %d times", hooks)
				}
			}
		})
	}
}

// TestSmallBodiesKeepTheConnection is about refusals that cost nothing.
func TestSmallBodiesKeepTheConnection(t *testing.T) {
	p := newPusher(t)
	p.reg.Script(f.Session, f.Status(500))
	p.begin()
	p.wants("PATCH", p.chunk(0, random(size, 1)), 500)
	p.ask()
	if seen := p.reg.RequestsOf(f.Session)[0]; p.reg.Connections() != 1 || seen.Received != size || seen.Discarded != 0 {
		t.Errorf("%d connections, %+v", p.reg.Connections(), seen)
	}
}

// TestEarlyAnswersArrive repeats what is a matter of luck if it is done wrong.
func TestEarlyAnswersArrive(t *testing.T) {
	content := f.Random(64<<20, 1)
	for i := range 20 {
		p := newPusher(t, []f.Option{f.WithPrefix("/v2"), f.WithTLS()}[i%2])
		p.reg.Script(f.Session, f.Unauthorized().Within(int64(i)*10000))
		p.begin()
		body := struct{ io.Reader }{io.NewSectionReader(content, 0, content.Size())}
		p.wants("PUT", p.send("PUT", p.location+"&digest=sha256:"+strings.Repeat("0", 64), body), 401)
		p.reg.Idle()
		if seen := p.reg.RequestsOf(f.Session)[0]; seen.Discarded > 16<<20 {
			t.Errorf("%d bytes were sent after the answer", seen.Discarded)
		}
	}
}

func TestClosingPut(t *testing.T) {
	data := random(size, 1)
	for name, test := range map[string]struct {
		fault  f.Fault
		status int
		done   bool
	}{
		"broken before":  {f.Status(500), 500, false},
		"broken after":   {f.Status(504).Late(), 504, true},
		"lost before":    {f.Cut(f.BeforeHeader), 0, false},
		"lost after":     {f.Cut(f.BeforeHeader).Late(), 0, true},
		"a lie":          {f.Status(201), 201, false},
		"another digest": {f.WrongDigest(), 201, true},
		"other content":  {f.Rewrite(), 201, false},
		"vanished":       {f.Vanish(), 404, false},
	} {
		p := newPusher(t)
		p.reg.Script(f.Session, test.fault.Put())
		p.begin()
		p.chunk(0, data)
		got := p.close(digestOf(data), nil)
		p.wants(name, got, test.status)
		if p.reg.Has(repo, digestOf(data)) != test.done {
			t.Errorf("%s: it is there: %v", name, !test.done)
		}
		if told := got.header.Get("Docker-Content-Digest"); got.status == 201 && name != "a lie" && told == digestOf(data).String() {
			t.Errorf("%s: %s", name, told)
		}
	}
}

func TestVanish(t *testing.T) {
	for _, method := range []string{"PATCH", "PUT", "GET"} {
		p := newPusher(t)
		p.reg.Script(f.Session, f.Vanish().Method(method).After(1))
		p.begin()
		for _, want := range []int{2, 4, 4} {
			if got := p.send(method, p.location, nil); method != "PUT" && got.status/100 != want {
				t.Errorf("%s: %d, want %dxx", method, got.status, want)
			}
			p.ask()
		}
		if p.reg.Sessions() != 0 {
			t.Errorf("%s: %d sessions", method, p.reg.Sessions())
		}
	}
}

// TestLose takes the rest of an upload back, and takes in what comes then.
func TestLose(t *testing.T) {
	p := newPusher(t)
	p.reg.Script(f.Session, f.Lose(size/2).Method("GET"), f.Lose(0).And(f.Status(416)).Put())
	data := random(size, 1)
	p.begin()
	p.chunk(0, data)
	p.wantsOffset(fmt.Sprintf("0-%d", size/2-1))
	p.wants("the rest", p.chunk(size/2, data[size/2:]), 202)
	p.wants("the end", p.close(digestOf(data), nil), 416)
	p.wantsOffset("0-0")
	p.wants("all again", p.chunk(0, data), 202)
	p.wants("the end", p.close(digestOf(data), nil), 201)
	p.wantsBlob(data)
}

func TestLocations(t *testing.T) {
	data := random(size, 1)
	for name, test := range map[string]struct {
		fault f.Fault
		check func(p *pusher, location string) bool
	}{
		"none": {f.NoLocation(), func(_ *pusher, l string) bool { return l == "" }},
		"relative": {f.RelativeLocation(), func(_ *pusher, l string) bool {
			return strings.HasPrefix(l, "/v2/models/x/blobs/uploads/upload-1?_state=")
		}},
		"insecure": {f.InsecureLocation(), func(p *pusher, l string) bool { return strings.HasPrefix(l, "http://"+p.reg.Host+"/v2/") }},
		"query": {f.LocationQuery("a=%2f&b"), func(p *pusher, l string) bool {
			return strings.HasSuffix(l, "&a=%2f&b") && p.send("GET", strings.TrimSuffix(l, "&b"), nil).status == 404
		}},
		"across": {f.CrossHost(), func(p *pusher, l string) bool {
			return !strings.HasPrefix(l, p.reg.URL) && strings.HasPrefix(l, "https://") && strings.Contains(l, "/uploads/models/x/upload-1?_state=")
		}},
		"any": {f.LocationSays(func(l string) string { return l + "#" }), func(p *pusher, l string) bool { return strings.HasSuffix(l, "#") }},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []f.Kind{f.Upload, f.Session} {
				p := newPusher(t, f.WithTLS())
				p.reg.Script(kind, test.fault)
				got, sent := p.begin(), 0
				if kind == f.Session {
					got, sent = p.chunk(0, data[:100]), 100
				}
				location := got.header.Get("Location")
				if !test.check(p, location) {
					t.Errorf("%s: it leads to %q", kind, location)
				}
				base, _ := url.Parse(p.reg.URL)
				to, err := base.Parse(location)
				if err != nil || location == "" || to.Scheme == "http" {
					continue
				}
				p.location = strings.TrimSuffix(to.String(), "#")
				p.wants("the next chunk", p.chunk(sent, data[sent:]), 202)
				p.wants("closing", p.close(digestOf(data), nil), 201)
				p.wantsBlob(data)
			}
		})
	}
}

func TestStaleLocation(t *testing.T) {
	p := newPusher(t)
	data := random(size, 1)
	p.reg.Script(f.Session, f.StaleLocation(), f.StaleRange(), f.StaleRange().And(f.Code(201)).After(1))
	p.begin()
	first := p.location
	if got := p.chunk(0, data[:100]); p.location != first || got.status != 202 || got.header.Get("Range") != "0-0" {
		t.Errorf("%s, then %s: %d %v", first, p.location, got.status, got.header)
	}
	p.wants("by the stale one", p.chunk(100, data[100:]), 416)
	p.wantsOffset("0-99")
	if got := p.chunk(100, data[100:]); got.status != 201 || got.header.Get("Range") != "0-99" {
		t.Errorf("%d %v", got.status, got.header)
	}
}

func TestElsewhere(t *testing.T) {
	p := newPusher(t, f.WithTokens(time.Minute))
	data := random(size, 1)
	p.reg.Script(f.Upload, f.CrossHost())
	p.reg.Script(f.Target, f.Cut(100).Patch())
	p.auth = login(t, p.client, p.begin().header.Get("Www-Authenticate"))
	p.begin()
	p.wants("with credentials", p.chunk(0, data), 400)
	p.auth = ""
	if got := p.chunk(0, data); got.err == nil {
		t.Errorf("what is scripted for the bucket: %d", got.status)
	}
	p.wantsOffset("0-99")
	p.wants("without credentials", p.chunk(100, data[100:]), 202)
	p.wants("closing", p.close(digestOf(data), nil), 201)
	if leaked := p.reg.Leaked(); len(leaked) != 1 || !strings.HasPrefix(leaked[0], "Authorization in PATCH /uploads/models/x/") {
		t.Errorf("%q", leaked)
	}
	seen := p.reg.RequestsOf(f.Target)
	if last := seen[len(seen)-1]; last.Host == p.reg.Host || last.Name != repo || last.Digest != digestOf(data) || last.Session == "" {
		t.Errorf("%+v", last)
	}
	if !p.reg.Has(repo, digestOf(data)) {
		t.Error("it is not there")
	}
}

func TestLeaksInTheClear(t *testing.T) {
	p := newPusher(t, f.WithTLS())
	p.reg.Script(f.Upload, f.InsecureLocation())
	p.begin()
	p.send("GET", p.location, nil)
	p.reg.Close()
	if leaked := p.reg.Leaked(); len(leaked) != 1 || !strings.Contains(leaked[0], "in the clear") {
		t.Errorf("%q", leaked)
	}
}

func TestOffsets(t *testing.T) {
	p := newPusher(t)
	p.reg.Script(f.Session, f.OffsetSays("bytes=0-9"), f.OffsetSaysBy(5).After(1), f.OffsetSaysBy(-5).After(2), f.OffsetSays("").After(3),
		f.OffsetSays("0-18446744073709551615").Patch(), f.Status(404).Method("GET").After(4), f.Status(405).Method("GET").After(5))
	p.reg.Script(f.Upload, f.OffsetSays("0-9"))
	if got := p.begin(); got.header.Get("Range") != "0-9" {
		t.Errorf("POST: %v", got.header)
	}
	if got := p.chunk(0, random(100, 1)); got.header.Get("Range") != "0-18446744073709551615" {
		t.Errorf("PATCH: %v", got.header)
	}
	for _, want := range []string{"bytes=0-9", "0-104", "0-94", ""} {
		p.wantsOffset(want)
	}
	p.wants("the fifth", p.ask(), 404)
	p.wants("the sixth", p.ask(), 405)
	p.wantsOffset("0-99")
}

func TestHeadLies(t *testing.T) {
	p := newPusher(t)
	d := p.blob(random(100, 1))
	p.reg.Script(f.Blob, f.Status(404).Head(), f.WrongLength(5).Head(), f.Status(405).Head().After(2))
	url := p.reg.URL + "/v2/" + repo + "/blobs/" + d.String()
	for _, want := range []struct {
		status int
		length int64
	}{{404, -1}, {200, 105}, {405, -1}, {200, 100}} {
		got := p.send("HEAD", url, nil)
		if got.status != want.status || want.length >= 0 && got.length != want.length {
			t.Errorf("%d, %d bytes, want %+v", got.status, got.length, want)
		}
	}
}

func TestTrickledUpload(t *testing.T) {
	p := newPusher(t)
	data := random(size, 1)
	next, done := make(chan struct{}), make(chan answer)
	p.reg.Script(f.Session, f.Trickle(1000, next))
	p.begin()
	go func() { done <- p.send("PUT", p.location+"&digest="+digestOf(data).String(), bytes.NewReader(data)) }()
	next <- struct{}{}
	next <- struct{}{}
	if got := p.reg.Received(); got < 2000 || got > 3000 {
		t.Errorf("%d bytes received after two steps", got)
	}
	close(next)
	p.wants("PUT", <-done, 201)
}

func TestUploadRate(t *testing.T) {
	p := newPusher(t)
	p.reg.Script(f.Session, f.Rate(10*size))
	p.begin()
	begin := time.Now()
	p.wants("PATCH", p.chunk(0, random(size, 1)), 202)
	if took := time.Since(begin); took < 80*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}

// TestWait is about a closing PUT that the client does not wait for.
func TestWait(t *testing.T) {
	data := random(size, 1)
	for name, late := range map[string]bool{"before": false, "after": true} {
		p := newPusher(t)
		ready, waits := make(chan struct{}), make(chan struct{})
		fault := f.Wait(ready).Put().Do(func() { close(waits) })
		if late {
			fault = fault.Late()
		}
		p.reg.Script(f.Session, fault)
		p.begin()
		p.chunk(0, data)
		req, cancel := withCancel(newRequest(t.Context(), t, "PUT", p.location+"&digest="+digestOf(data).String()))
		go func() {
			<-waits
			cancel()
		}()
		if got := do(p.client, req); got.err == nil {
			t.Errorf("%s: %d", name, got.status)
		}
		if p.reg.Has(repo, digestOf(data)) != late {
			t.Errorf("%s: it is there: %v", name, !late)
		}
		close(ready)
		p.reg.Idle()
		if !p.reg.Has(repo, digestOf(data)) {
			t.Errorf("%s: it never comes", name)
		}
	}
}

// TestHangingUpload is about clients that leave.
func TestHangingUpload(t *testing.T) {
	data := random(16*size, 1)
	for name, test := range map[string]struct {
		fault f.Fault
		kept  string
	}{
		"before":         {f.Hang(f.BeforeHeader), "0-0"},
		"before a byte":  {f.Hang(0), "0-0"},
		"in the middle":  {f.Hang(1000), "0-999"},
		"after the body": {f.Hang(f.BeforeHeader).Late(), fmt.Sprintf("0-%d", 16*size-1)},
	} {
		p := newPusher(t)
		arrived := make(chan struct{})
		p.reg.Script(f.Session, test.fault.Do(func() { close(arrived) }))
		p.begin()
		req := newRequest(t.Context(), t, "PATCH", p.location)
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
		gone := make(chan answer)
		cancelled, cancel := withCancel(req)
		go func() { gone <- do(p.client, cancelled) }()
		<-arrived
		cancel()
		if got := <-gone; got.err == nil {
			t.Errorf("%s: %d", name, got.status)
		}
		p.reg.Idle()
		p.wantsOffset(test.kept)
	}
}

func TestRevokedMidway(t *testing.T) {
	p := newPusher(t, f.WithTokens(time.Minute))
	p.reg.Script(f.Session, f.Unauthorized().Within(size).Do(p.reg.Revoke))
	challenge := p.begin().header.Get("Www-Authenticate")
	p.auth = login(t, p.client, challenge)
	p.begin()
	data := random(16*size, 1)
	p.wants("PATCH", p.chunk(0, data), 401)
	p.wants("with the old token", p.ask(), 401)
	p.auth = login(t, p.client, challenge)
	p.wantsOffset(fmt.Sprintf("0-%d", size-1))
	p.wants("the rest", p.close(digestOf(data), data[size:]), 201)
	p.auth = login(t, p.client, challenge)
	p.wantsBlob(data)
}

// TestPassedOver is about requests that a fault cannot happen to.
func TestPassedOver(t *testing.T) {
	data := random(size, 1)
	for name, fault := range map[string]f.Fault{
		"a cut beyond the body":   f.Cut(size),
		"within beyond the body":  f.Status(500).Within(size + 1),
		"before the first byte":   f.Status(500).Within(-size - 1),
		"for PUT":                 f.Status(500).Put(),
		"for GET":                 f.Status(500).Method(http.MethodGet),
		"http where there is one": f.InsecureLocation(),
		"a mount":                 f.Status(500).Mounts(),
		"a tag":                   f.KeepTag(),
	} {
		p := newPusher(t)
		p.reg.Script(f.Session, fault.Always())
		p.reg.Script(f.Upload, fault.Always())
		p.begin()
		p.wants(name, p.chunk(0, data), 202)
	}
}
