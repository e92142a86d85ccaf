package registry

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/tareml/tare/blob"
	f "github.com/tareml/tare/internal/faultregistry"
)

// dice makes a registry and its faults from a seed.
type dice struct{ *rand.Rand }

func roll(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 1))} }

// options are at most two habits that go together.
func (d dice) options() (all []f.Option) {
	habits := []f.Option{
		f.WithVanishingSessions(), f.WithECR(), f.WithoutPatch([]int{400, 404, 405, 415, 416}[d.IntN(5)]), f.WithMaxPatch(d.Int64N(100 << 10)),
		f.WithMinChunk(d.Int64N(100 << 10)), f.WithBareRanges(), f.WithoutMount(), f.WithTokens(time.Hour),
	}
	for range d.IntN(3) {
		all = append(all, habits[d.IntN(len(habits))])
	}
	return all
}

// fault is any one that leaves a registry able to take a blob in the end.
func (d dice) fault(reg *f.Registry) (f.Kind, f.Fault) {
	status := []int{400, 401, 403, 404, 408, 409, 413, 416, 429, 500, 502, 503, 504}[d.IntN(13)]
	at := d.Int64N(64 << 10)
	all := []f.Fault{
		f.Cut(at), f.Cut(0), f.Cut(-1), f.Reset(at), f.Cut(f.BeforeHeader), f.Cut(f.BeforeHeader).Late(), f.Reset(f.BeforeHeader).Late(),
		f.Status(status), f.Status(status).Within(at), f.Status(status).Late(), f.Busy(503, 1), f.Busy(429, 1).Within(-1),
		f.Unauthorized().Do(reg.Revoke), f.Unauthorized().Within(at).Do(reg.Revoke),
		f.Status(202), f.Code(201), f.Vanish(), f.StaleLocation(), f.RelativeLocation(), f.NoLocation(), f.StaleRange(), f.LocationQuery("a=%2F"),
		f.OffsetSays("0-0"), f.OffsetSays(""), f.OffsetSays("0-99999999"), f.OffsetSaysBy(d.Int64N(2000) - 1000), f.WrongDigest(), f.DigestSays(""),
	}
	fault := all[d.IntN(len(all))].After(d.IntN(4)).Times(1 + d.IntN(3)).Every(1 + d.IntN(3))
	if d.IntN(8) == 0 {
		fault = fault.Always()
	}
	methods := []string{http.MethodPatch, http.MethodPut, http.MethodGet, http.MethodPatch}
	switch d.IntN(8) {
	case 0:
		return f.Upload, fault
	case 1:
		return f.Blob, fault.Head()
	default:
		return f.Session, fault.Method(methods[d.IntN(len(methods))])
	}
}

// TestUploadThroughAnything pushes through random faults, in several processes: at
// no time is there anything wrong in the registry, each push ends, and once
// nothing more happens the blob arrives.
func TestUploadThroughAnything(t *testing.T) {
	f.Check(t)
	seeds := uint64(200)
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { pushThroughAnything(t, roll(seed)) }) {
			return
		}
	}
}

func pushThroughAnything(t *testing.T, d dice) {
	data := randomBytes(d.IntN(300<<10), 1)
	desc := describe("", data)
	reg := f.New(t, d.options()...)
	defer reg.Close()
	for range d.IntN(6) {
		kind, fault := d.fault(reg)
		reg.Script(kind, fault)
	}
	journal := newMemoryJournal()
	chunk := 1 + d.Int64N(128<<10)
	chunk = max(chunk, int64(len(data))/20)
	for last := range 3 {
		if last == 2 {
			reg.Heal()
		}
		client := newPushClient(t, reg, Options{Journal: journal})
		client.chunk = chunk
		p := newPush(t, reg, client, nil)
		p.desc, p.src = desc, blob.Bytes(data)
		p.run(t.Context())
		if p.err == nil || reg.Has("models/x", p.desc.Digest) {
			if got := reg.Blob("models/x", p.desc.Digest); !bytes.Equal(got, data) {
				t.Fatalf("%d bytes arrived as what they are not (%v)", len(got), p.err)
			}
		}
		if p.err == nil {
			p.arrived(t, reg, data)
		} else if last == 2 {
			t.Fatalf("nothing is wrong any more: %v: %s", p.err, asked(reg))
		}
		if n := len(reg.Requests()); n > 300 || reg.Received() > 16*int64(len(data))+16*chunk {
			t.Fatalf("%d requests, %d bytes arrived of %d: %s", n, reg.Received(), len(data), asked(reg))
		}
		reg.Forget()
	}
}
