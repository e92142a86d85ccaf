package registry

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	f "github.com/tareml/tare/internal/faultregistry"
)

// TestUploadMounts is about a blob that another repository may have.
func TestUploadMounts(t *testing.T) {
	const sent = " PATCH PATCH PATCH PATCH PATCH PUT"
	once := func(fault f.Fault) []mishap { return only(f.Upload, fault.Mounts()) }
	tokens := []f.Option{f.WithTokens(time.Hour)}
	tests := map[string]struct {
		options []f.Option
		faults  []mishap
		without bool   // the other repository has nothing
		asked   string // after the HEAD
	}{
		"taken":                       {asked: " POST"},
		"taken, with tokens":          {options: tokens, asked: " POST"},
		"taken, with a password":      {options: []f.Option{f.WithBasic()}, asked: " POST"},
		"taken, answer lost":          {faults: once(f.Cut(f.BeforeHeader).Late()), asked: " POST POST"},
		"taken, later":                {faults: once(f.Busy(503, 1)), asked: " POST POST"},
		"not there":                   {without: true, asked: " POST" + sent},
		"not done":                    {options: []f.Option{f.WithoutMount()}, asked: " POST" + sent},
		"not now":                     {faults: once(f.NoMount()), asked: " POST" + sent},
		"a session elsewhere":         {options: []f.Option{f.WithoutMount(), f.WithBasic()}, faults: only(f.Upload, f.CrossHost()), asked: " POST" + sent},
		"a session without address":   {options: []f.Option{f.WithoutMount()}, faults: once(f.NoLocation()), asked: " POST POST" + sent},
		"a token is refused for that": {options: tokens, faults: only(f.Token, f.Status(403).After(1)), asked: " POST" + sent},
		"an answer of no use":         {faults: once(f.Status(200)), asked: " POST POST" + sent},
		"something else was taken":    {faults: once(f.WrongDigest()), asked: " POST POST" + sent},
	}
	for _, status := range []int{400, 403, 404, 405, 409, 415, 500, 501} {
		test := tests["an answer of no use"]
		test.faults = once(f.Status(status))
		tests["refused: "+http.StatusText(status)] = test
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f.Check(t)
			reg := f.New(t, test.options...)
			data := randomBytes(testSize, 1)
			if !test.without {
				reg.AddBlob("models/other", f.Bytes(data))
			}
			for _, mishap := range test.faults {
				mishap(reg)
			}
			p := newPush(t, reg, newPushClient(t, reg, Options{}), data)
			p.from = "models/other"
			p.run(t.Context())
			reg.Idle()
			p.arrived(t, reg, data)
			if got := asked(reg); got != "HEAD"+test.asked {
				t.Errorf("asked %s", got)
			}
			if want := int64(len(data)); p.present && reg.Received() != 0 || !p.present && reg.Received() != want {
				t.Errorf("%d bytes arrived, present: %v", reg.Received(), p.present)
			}
			if leaked := reg.Leaked(); len(leaked) > 0 {
				t.Errorf("leaked: %q", leaked)
			}
		})
	}
}

// TestUploadAsksAClosedRepositoryOnce: a repository that may not be read is not
// asked about for each blob.
func TestUploadAsksAClosedRepositoryOnce(t *testing.T) {
	f.Check(t)
	reg := f.New(t)
	reg.Script(f.Upload, f.Status(403).Mounts().Always())
	client := newPushClient(t, reg, Options{})
	for i := range 3 {
		data := randomBytes(1000, byte(i))
		reg.AddBlob("models/other", f.Bytes(data))
		p := newPush(t, reg, client, data)
		p.from = "models/other"
		p.run(t.Context())
		p.arrived(t, reg, data)
	}
	var mounts int
	for _, req := range reg.RequestsOf(f.Upload) {
		if req.Mount != "" {
			mounts++
		}
	}
	if mounts != 1 {
		t.Errorf("%d mounts", mounts)
	}
}

// TestPushThroughFaults is about a whole artifact: what it costs, once and again.
func TestPushThroughFaults(t *testing.T) {
	manifest := func(faults ...f.Fault) []mishap { return only(f.Manifest, faults...) }
	lost := f.Cut(f.BeforeHeader)
	refused := func(code string) f.Fault {
		return f.Handle(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"errors":[{"code":%q}]}`, code)
		})).Put()
	}
	for name, test := range map[string]struct {
		options []f.Option
		faults  []mishap
		kind    error  // of the error, if there is one
		says    string // by the error, which there is if it is not empty
	}{
		"nothing":                     {},
		"tokens":                      {options: []f.Option{f.WithTokens(time.Hour)}},
		"the manifest, broken":        {faults: manifest(f.Status(500).Put())},
		"the manifest, busy":          {faults: manifest(f.Busy(503, 1).Put().Times(3))},
		"the manifest, lost":          {faults: manifest(lost.Put())},
		"the manifest, answer lost":   {faults: manifest(lost.Put().Late())},
		"the manifest, done and 500":  {faults: manifest(f.Status(500).Put().Late())},
		"the manifest, done and 502":  {faults: manifest(f.Status(502).Put().Late())},
		"the manifest, never":         {faults: manifest(f.Status(500).Put().Always()), kind: ErrUnavailable, says: "500"},
		"the manifest, forbidden":     {faults: manifest(f.Status(403).Put()), kind: ErrDenied, says: "403"},
		"the manifest, misread":       {faults: manifest(refused("DIGEST_INVALID").Times(2))},
		"the manifest, a blob unseen": {faults: manifest(refused("MANIFEST_BLOB_UNKNOWN").Times(2))},
		"the manifest, without blobs": {faults: manifest(refused("MANIFEST_BLOB_UNKNOWN").Always()), says: "manifest blob unknown"},
		"the manifest, rewritten":     {faults: manifest(f.Rewrite().Always()), says: "sha256"},
		"the tag stays":               {faults: manifest(f.KeepTag().Always()), says: "v1"},
		"the tag may not move":        {options: []f.Option{f.WithImmutableTags(409)}, says: "immutable"},
		"looking at the tag, 500":     {faults: manifest(f.Status(500).Head().Times(2))},
		"looking at the tag, refused": {faults: manifest(f.Status(405).Head())},
		"checking the tag, lost":      {faults: manifest(lost.Head().After(1).Times(2))},
		"each blob, once":             {faults: append(inSession(f.Cut(1000).Every(2).Always()), on(f.Upload, f.Busy(503, 1).Every(2).Always()))},
		"all but one blob, forbidden": {faults: only(f.Upload, f.Status(403).After(2)), kind: ErrDenied, says: "403"},
	} {
		t.Run(name, func(t *testing.T) {
			f.Check(t)
			reg := f.New(t, test.options...)
			reg.Add("models/x", []byte("what the tag led to"))
			reg.Forget()
			for _, mishap := range test.faults {
				mishap(reg)
			}
			src := newMemory()
			desc, manifest := src.artifact(t, randomBytes(testSize, 1), randomBytes(1000, 2), randomBytes(testChunk, 3))
			client := newPushClient(t, reg, Options{})
			repo := newTestRepository(t, client, reg.Host+"/models/x:v1")
			seen := &tally{}
			err := repo.Push(t.Context(), desc, manifest, src, TransferOptions{Observer: seen, NameKeys: []string{"test.name"}})
			tagged := reg.Artifact("models/x", "v1").Descriptor.Digest == desc.Digest
			if test.says != "" {
				if err == nil || test.kind != nil && !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) || tagged {
					t.Errorf("%v, tagged: %v", err, tagged)
				}
				return
			}
			if err != nil || !tagged {
				t.Fatalf("%v, tagged: %v", err, tagged)
			}
			want := map[string][3]int64{"a": {testSize}, "b": {1000}, "c": {testChunk}}
			for layer, sums := range want {
				if seen.sums[layer] != sums {
					t.Errorf("%s is %v, want %v", layer, seen.sums[layer], sums)
				}
			}
			if want := int64(testSize + 1000 + testChunk + len("{}")); reg.Received() != want {
				t.Errorf("%d bytes arrived, want %d", reg.Received(), want)
			}
			reg.Heal()
			wantsNothingMore(t, reg, src, desc.Digest, func() error {
				return newTestRepository(t, newPushClient(t, reg, Options{}), reg.Host+"/models/x:v1").Push(t.Context(), desc, manifest, src, TransferOptions{})
			})
		})
	}
}

// wantsNothingMore pushes once more: that is a HEAD for each blob and one for the
// tag.
func wantsNothingMore(t *testing.T, reg *f.Registry, src *memory, tagged digest.Digest, push func() error) {
	t.Helper()
	reg.Forget()
	src.opened = nil
	if err := push(); err != nil {
		t.Fatal(err)
	}
	heads := map[string]int{}
	for _, req := range reg.Requests() {
		if req.Status == http.StatusUnauthorized || req.Kind == f.Token {
			continue
		}
		if req.Method != http.MethodHead {
			t.Errorf("%s %s", req.Method, req.Path)
		}
		heads[req.Reference]++
	}
	for reference, n := range heads {
		if n != 1 {
			t.Errorf("%d requests for %s", n, reference)
		}
	}
	if len(heads) != 5 || reg.Received() != 0 || len(src.opened) != 0 {
		t.Errorf("%d things were looked for, %d bytes arrived, %d sources were opened", len(heads), reg.Received(), len(src.opened))
	}
	if reg.Artifact("models/x", "v1").Descriptor.Digest != tagged {
		t.Error("the tag moved")
	}
}
