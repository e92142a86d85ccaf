package faultregistry_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	f "github.com/tareml/tare/internal/faultregistry"
)

// TestFaults looks at the first answer, then at the second, which is to be
// right: a fault happens once.
func TestFaults(t *testing.T) {
	data := random(size, 1)
	date := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	flip := func(at int) []byte {
		wrong := bytes.Clone(data)
		wrong[at] ^= 1
		return wrong
	}
	says := func(name, value string) func(answer) error {
		return func(a answer) error {
			if got := a.header.Get(name); got != value {
				return fmt.Errorf("%s: %q, want %q", name, got, value)
			}
			return nil
		}
	}
	none := func(answer) error { return nil }
	for name, test := range map[string]struct {
		fault  f.Fault
		rng    string
		status int // 0 for no answer
		body   []byte
		broken bool // the body ends in an error
		check  func(answer) error
	}{
		"cut first":             {f.Cut(0), "", 200, nil, true, none},
		"cut middle":            {f.Cut(1000), "", 200, data[:1000], true, none},
		"cut last":              {f.Cut(-1), "", 200, data[:size-1], true, none},
		"cut range":             {f.Cut(10), "bytes=100-199", 206, data[100:110], true, none},
		"cut at a place":        {f.CutAt(150), "bytes=100-199", 206, data[100:150], true, none},
		"cut before the header": {f.Cut(f.BeforeHeader), "", 0, nil, true, none},
		"reset before the header": {f.Reset(f.BeforeHeader), "", 0, nil, true, func(a answer) error {
			if !strings.Contains(a.err.Error(), "reset") {
				return a.err
			}
			return nil
		}},
		"status":            {f.Status(502), "", 502, nil, false, none},
		"no content":        {f.Status(204), "", 204, nil, false, none},
		"busy":              {f.Busy(429, 7), "", 429, nil, false, says("Retry-After", "7")},
		"busy until":        {f.BusyUntil(503, date), "", 503, nil, false, says("Retry-After", "Fri, 02 Jan 2026 03:04:05 GMT")},
		"unauthorized":      {f.Unauthorized(), "", 401, nil, false, says("Www-Authenticate", `Basic realm="faultregistry"`)},
		"not satisfiable":   {f.Unsatisfiable(), "bytes=0-9", 416, nil, false, says("Content-Range", "bytes */65536")},
		"range ignored":     {f.NoRange(), "bytes=0-9", 200, data, false, says("Accept-Ranges", "")},
		"range unannounced": {f.Unannounced(), "bytes=0-9", 206, data[:10], false, says("Accept-Ranges", "")},
		"starts off by one": {f.RangeSaysBy(1, 0, 0), "bytes=0-9", 206, data[:10], false, says("Content-Range", "bytes 1-9/65536")},
		"other total":       {f.RangeSaysBy(0, 0, 1), "bytes=0-9", 206, data[:10], false, says("Content-Range", "bytes 0-9/65537")},
		"no Content-Range":  {f.RangeSays(""), "bytes=0-9", 206, data[:10], false, says("Content-Range", "")},
		"garbage":           {f.RangeSays("bytes a-b/*"), "bytes=0-9", 206, data[:10], false, says("Content-Range", "bytes a-b/*")},
		"another range":     {f.OtherRange(5, 5), "bytes=0-9", 206, data[5:15], false, says("Content-Range", "bytes 5-14/65536")},
		"a longer range":    {f.OtherRange(0, size), "bytes=9-9", 206, data[9:], false, says("Content-Range", "bytes 9-65535/65536")},
		"a piece":           {f.Piece(3), "bytes=9-", 206, data[9:12], false, says("Content-Range", "bytes 9-11/65536")},
		"a lie":             {f.Lie(100), "bytes=0-9", 206, data[100:110], false, says("Content-Range", "bytes 0-9/65536")},
		"a lie around the end": {f.Lie(-5), "bytes=0-9", 206, append(bytes.Clone(data[size-5:]), data[:5]...), false,
			says("Content-Range", "bytes 0-9/65536")},
		"multipart": {f.Multipart(), "bytes=0-9", 206, nil, false, func(a answer) error {
			if !bytes.Contains(a.body, []byte("Content-Range: bytes 0-9/65536\r\n")) || !bytes.Contains(a.body, data[:10]) ||
				!strings.HasPrefix(a.header.Get("Content-Type"), "multipart/byteranges; boundary=") || a.header.Get("Content-Range") != "" {
				return fmt.Errorf("%v\n%q", a.header, a.body)
			}
			return nil
		}},
		"truncated":         {f.Truncate(1), "", 200, data[:size-1], false, undeclared},
		"truncated to none": {f.Truncate(size), "", 200, nil, false, undeclared},
		"overlong":          {f.Overlong(3), "", 200, append(bytes.Clone(data), 0, 0, 0), false, undeclared},
		"overlong range":    {f.Overlong(3), "bytes=0-9", 206, append(bytes.Clone(data[:10]), 0, 0, 0), false, undeclared},
		"chunked":           {f.Chunked(), "", 200, data, false, undeclared},
		"length too large":  {f.WrongLength(5), "", 200, data, true, says("Content-Length", "65541")},
		"length too small":  {f.WrongLength(-5), "", 200, data[:size-5], false, says("Content-Length", "65531")},
		"corrupted":         {f.Corrupt(17), "", 200, flip(17), false, none},
		"corrupted range":   {f.Corrupt(17), "bytes=10-19", 206, flip(17)[10:20], false, none},
		"other content":     {f.Instead(f.Bytes([]byte("other"))), "bytes=1-2", 206, []byte("th"), false, says("Content-Range", "bytes 1-2/5")},
		"gzip": {f.Gzip(), "", 200, nil, false, func(a answer) error {
			r, err := gzip.NewReader(bytes.NewReader(a.body))
			if err != nil {
				return err
			}
			if plain, err := io.ReadAll(r); err != nil || !bytes.Equal(plain, data) {
				return fmt.Errorf("the content is another one: %v", err)
			}
			return says("Content-Encoding", "gzip")(a)
		}},
		"handler": {f.Handle(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, req.URL.Path, http.StatusFound)
		})), "", 302, nil, false, none},
		"joined": {f.NoRange().And(f.Cut(1000)), "bytes=5-", 200, data[:1000], true, none},
	} {
		t.Run(name, func(t *testing.T) {
			for _, option := range []f.Option{f.WithPrefix("/v2"), f.WithTLS()} {
				reg, art, data := fill(t, option)
				client := newClient(t, nil)
				if reg.CAFile != "" {
					client = newClient(t, trusting(t, reg))
				}
				reg.Script(f.Blob, test.fault)
				got := get(t, client, blobURL(reg, art, 0), "Range", test.rng)
				if got.status != test.status || (got.err != nil) != test.broken {
					t.Fatalf("%d %v", got.status, got.err)
				}
				if test.body != nil && !bytes.Equal(got.body, test.body) {
					t.Errorf("%d bytes, want %d others", len(got.body), len(test.body))
				}
				if err := test.check(got); err != nil {
					t.Error(err)
				}
				if seen := reg.Requests()[0]; seen.Status != test.status {
					t.Errorf("seen as %d", seen.Status)
				}
				if again := get(t, client, blobURL(reg, art, 0)); !bytes.Equal(again.body, data) || again.err != nil {
					t.Errorf("the second answer: %d %v", again.status, again.err)
				}
			}
		})
	}
}

func undeclared(a answer) error {
	if a.length >= 0 {
		return fmt.Errorf("Content-Length %d", a.length)
	}
	return nil
}

// TestWhich is about which of ten requests a fault happens to.
func TestWhich(t *testing.T) {
	reg, art, _ := fill(t)
	other := reg.Add("models/y", random(100, 2))
	client := newClient(t, nil)
	broken := f.Status(500)
	for name, test := range map[string]struct {
		fault f.Fault
		want  string // x for those that it happened to
	}{
		"the first":        {broken, "x........."},
		"times":            {broken.Times(3), "xxx......."},
		"after":            {broken.After(2), "..x......."},
		"after, times":     {broken.After(2).Times(2), "..xx......"},
		"after, always":    {broken.After(7).Always(), ".......xxx"},
		"every other":      {broken.Every(2).Times(3).After(1), ".x.x.x...."},
		"ranged":           {broken.Ranged().Times(2), ".x.x......"},
		"plain":            {broken.Plain().Times(2), "x.x......."},
		"of a digest":      {broken.Of(other.Layers[0].Digest).Times(2), ".....xx..."},
		"if":               {broken.If(func(r f.Request) bool { return r.Name == "models/y" }), ".....x...."},
		"that can be hit":  {f.Cut(100), "x........."},
		"that is so long":  {f.Cut(size - 1).After(1), "..x......."},
		"of another kind":  {f.Handle(nil).If(func(r f.Request) bool { return r.Kind == f.Manifest }), ".........."},
		"none but a range": {f.Cut(9).Ranged(), ".x........"},
	} {
		reg.Heal()
		reg.Script(f.Blob, test.fault)
		var got strings.Builder
		for i := range 10 {
			url, header := blobURL(reg, art, 0), ""
			if i >= 5 {
				url = blobURL(reg, other, 0)
			}
			if i%2 == 1 {
				header = "bytes=0-9"
			}
			mark := "x"
			if a := get(t, client, url, "Range", header); a.err == nil && a.status < 300 {
				mark = "."
			}
			got.WriteString(mark)
		}
		if got.String() != test.want {
			t.Errorf("%s: %s, want %s", name, &got, test.want)
		}
	}
}

func TestFaultsAdd(t *testing.T) {
	reg, art, data := fill(t)
	calls := 0
	reg.Script(f.Blob, f.Corrupt(5).Always(), f.Cut(10).Do(func() { calls++ }), f.Status(503).After(1))
	client := newClient(t, nil)
	got := get(t, client, blobURL(reg, art, 0))
	if want := data[5] ^ 1; len(got.body) != 10 || got.body[5] != want || !errors.Is(got.err, io.ErrUnexpectedEOF) {
		t.Errorf("%d bytes, %v", len(got.body), got.err)
	}
	if got := get(t, client, blobURL(reg, art, 0)); got.status != 503 || got.err != nil {
		t.Errorf("then %d, %v", got.status, got.err)
	}
	if calls != 1 || reg.Sent() != 10 {
		t.Errorf("the hook was called %d times, %d bytes were sent", calls, reg.Sent())
	}
}
