package registry

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	f "github.com/tareml/tare/internal/faultregistry"
)

// faultCase is a push that comes through.
type faultCase struct {
	options []f.Option
	faults  []mishap
	size    int64  // testSize if zero, none if negative
	most    int64  // bytes that arrive beyond those of the blob
	asked   string // all requests, unless it is empty
}

func (test faultCase) run(t *testing.T) {
	t.Helper()
	f.Check(t)
	size := max(cmp.Or(test.size, testSize), 0)
	data := randomBytes(int(size), 1)
	reg := f.New(t, test.options...)
	for _, scripted := range test.faults {
		scripted(reg)
	}
	p := newPush(t, reg, newPushClient(t, reg, Options{}), data)
	p.run(t.Context())
	reg.Idle()
	p.arrived(t, reg, data)
	if beyond := reg.Received() - size; beyond < 0 || beyond > test.most {
		t.Errorf("%d bytes arrived beyond those of the blob, want at most %d: %s", beyond, test.most, asked(reg))
	}
	if got := asked(reg); test.asked != "" && got != test.asked {
		t.Errorf("asked %s\nwant  %s", got, test.asked)
	}
	if leaked := reg.Leaked(); len(leaked) > 0 {
		t.Errorf("leaked: %q", leaked)
	}
}

func runFaultCases(t *testing.T, cases map[string]faultCase) {
	for name, test := range cases {
		t.Run(name, func(t *testing.T) { test.run(t) })
	}
}

// inPieces is what is asked if nothing goes wrong.
const inPieces = "HEAD POST PATCH PATCH PATCH PATCH PATCH PUT"

// told is the Range of a session that has n bytes.
func told(n int64) string { return fmt.Sprintf("0-%d", n-1) }

func inSession(faults ...f.Fault) []mishap { return only(f.Session, faults...) }

// TestUploadCut is about connections that end. What a session keeps is not sent
// again.
func TestUploadCut(t *testing.T) {
	const small = 50 << 10
	lost := f.Cut(f.BeforeHeader)
	runFaultCases(t, map[string]faultCase{
		"nothing":                         {asked: inPieces},
		"at the first byte of a chunk":    {faults: inSession(f.Cut(0).Patch()), asked: "HEAD POST PATCH HEAD GET PATCH PATCH PATCH PATCH PATCH PUT"},
		"within the first chunk":          {faults: inSession(f.Cut(1000).Patch())},
		"after one byte":                  {faults: inSession(f.Cut(1).Patch()), most: testChunk + 1},
		"before the last byte of a chunk": {faults: inSession(f.Cut(-1).Patch())},
		"within the third chunk":          {faults: inSession(f.Cut(1000).Patch().After(2)), asked: "HEAD POST PATCH PATCH PATCH HEAD GET PATCH PATCH PATCH PUT"},
		"within the last chunk":           {faults: inSession(f.Cut(1000).Patch().After(4))},
		"in each chunk":                   {faults: inSession(f.Cut(100 << 10).Patch().Every(2).Always())},
		"often":                           {faults: inSession(f.Cut(70 << 10).Patch().Times(14))},
		"by a reset":                      {faults: inSession(f.Reset(1000).Patch().After(1))},
		"between two chunks":              {faults: inSession(lost.Patch().After(1)), most: testChunk},
		"the answer to the first chunk":   {faults: inSession(lost.Patch().Late()), asked: "HEAD POST PATCH HEAD GET PATCH PATCH PATCH PATCH PUT"},
		"the answer to the last chunk":    {faults: inSession(lost.Patch().Late().After(4)), asked: "HEAD POST PATCH PATCH PATCH PATCH PATCH HEAD GET PUT"},
		"the answers to all chunks":       {faults: inSession(lost.Patch().Late().Always())},
		"before the end":                  {faults: inSession(lost.Put()), asked: inPieces + " HEAD GET PUT"},
		"the answer to the end":           {faults: inSession(lost.Put().Late()), asked: inPieces + " HEAD"},
		"the answer to the beginning":     {faults: only(f.Upload, lost.Late()), asked: "HEAD POST POST PATCH PATCH PATCH PATCH PATCH PUT"},
		"the first answer":                {faults: only(f.Blob, lost.Head().Times(2))},
		"the answer to the question":      {faults: append(inSession(f.Cut(1000).Patch(), lost.Method(http.MethodGet).Times(2)), on(f.Blob, lost.Head().After(1)))},

		"a small blob":                      {size: small, asked: "HEAD POST PUT"},
		"a small blob, first byte":          {size: small, faults: inSession(f.Cut(0)), asked: "HEAD POST PUT HEAD GET PUT"},
		"a small blob, within":              {size: small, faults: inSession(f.Cut(1000)), asked: "HEAD POST PUT HEAD GET PATCH PUT"},
		"a small blob, last byte":           {size: small, faults: inSession(f.Cut(-1)), asked: "HEAD POST PUT HEAD GET PATCH PUT"},
		"a small blob, answer":              {size: small, faults: inSession(lost.Late()), asked: "HEAD POST PUT HEAD"},
		"a blob of one chunk, answer":       {size: testChunk, faults: inSession(lost.Late()), asked: "HEAD POST PUT HEAD"},
		"a blob of two chunks, at the edge": {size: 2 * testChunk, faults: inSession(lost.Patch().Late().After(1)), asked: "HEAD POST PATCH PATCH HEAD GET PUT"},
		"a blob of one byte":                {size: 1, faults: inSession(f.Cut(0), lost.Late())},
		"an empty blob, answer":             {size: -1, faults: inSession(lost.Late())},
	})
}

// TestUploadCutAtAnyByte cuts one chunk at many places, on both sides of each
// boundary that there is.
func TestUploadCutAtAnyByte(t *testing.T) {
	for _, at := range []int64{0, 1, 2, 4095, 4096, 32<<10 - 1, 32 << 10, 32<<10 + 1, 64 << 10, testChunk - 1} {
		for _, nth := range []int{0, 3} {
			test := faultCase{faults: inSession(f.Cut(at).Patch().After(nth))}
			if at == 1 && nth == 0 {
				test.most = testChunk + 1 // the session says 0-0
			}
			test.run(t)
		}
	}
}

// TestUploadRefused is about answers that pass.
func TestUploadRefused(t *testing.T) {
	cases := map[string]faultCase{
		"busy in a chunk":        {faults: inSession(f.Busy(429, 1).Within(1000).Patch().After(1))},
		"broken in a chunk":      {faults: inSession(f.Status(500).Within(1000).Patch().After(1))},
		"gateway in a chunk":     {faults: inSession(f.Status(502).Within(-1).Patch().After(1))},
		"busy for the question":  {faults: append(inSession(f.Cut(1000).Patch(), f.Busy(503, 1).Method(http.MethodGet).Times(2)), on(f.Blob, f.Busy(429, 1).Head().After(1)))},
		"seven times":            {faults: inSession(f.Status(500).Put().Times(7))},
		"everything is done":     {faults: inSession(f.Status(502).Late().Times(6))},
		"everything, every time": {faults: append(inSession(f.Busy(503, 1).Every(2).Always()), on(f.Upload, f.Busy(503, 1).Every(2).Always())), most: 6 * testChunk},
	}
	for _, status := range []int{429, 500, 502, 503, 504} {
		text := http.StatusText(status)
		busy := f.Busy(status, 3)
		cases[text+", chunk"] = faultCase{faults: inSession(busy.Patch().After(1)), most: testChunk}
		cases[text+", chunk that arrived"] = faultCase{faults: inSession(busy.Patch().After(1).Late()), asked: "HEAD POST PATCH PATCH HEAD GET PATCH PATCH PATCH PUT"}
		cases[text+", end"] = faultCase{faults: inSession(busy.Put()), asked: inPieces + " HEAD GET PUT"}
		cases[text+", end that took effect"] = faultCase{faults: inSession(busy.Put().Late()), asked: inPieces + " HEAD"}
		cases[text+", small blob"] = faultCase{size: 1000, faults: inSession(busy), most: 1000, asked: "HEAD POST PUT HEAD GET PUT"}
		cases[text+", small blob that arrived"] = faultCase{size: 1000, faults: inSession(busy.Late()), asked: "HEAD POST PUT HEAD"}
		cases[text+", beginning"] = faultCase{faults: only(f.Upload, busy), asked: "HEAD POST" + strings.TrimPrefix(inPieces, "HEAD")}
		cases[text+", looking"] = faultCase{faults: only(f.Blob, busy.Head()), asked: "HEAD " + inPieces}
	}
	runFaultCases(t, cases)
}

// TestUploadTokens is about credentials that are no longer good. The registry
// keeps what came before it said so: that is not appended once more.
func TestUploadTokens(t *testing.T) {
	for name, test := range map[string]struct {
		size  int64
		fault func(*f.Registry) f.Fault
		most  int64
	}{
		"first chunk":           {0, func(r *f.Registry) f.Fault { return f.Unauthorized().Within(1000).Do(r.Revoke).Patch() }, 0},
		"third chunk":           {0, func(r *f.Registry) f.Fault { return f.Unauthorized().Within(1000).Do(r.Revoke).Patch().After(2) }, 0},
		"each chunk":            {0, func(r *f.Registry) f.Fault { return f.Unauthorized().Within(70 << 10).Do(r.Revoke).Patch().Times(9) }, 0},
		"last byte":             {0, func(r *f.Registry) f.Fault { return f.Unauthorized().Within(-1).Do(r.Revoke).Patch() }, 0},
		"all of a chunk":        {0, func(r *f.Registry) f.Fault { return f.Unauthorized().Late().Do(r.Revoke).Patch() }, 0},
		"before a chunk":        {0, func(r *f.Registry) f.Fault { return f.Unauthorized().Do(r.Revoke).Patch().After(1) }, testChunk},
		"the end":               {0, func(r *f.Registry) f.Fault { return f.Unauthorized().Do(r.Revoke).Put() }, 0},
		"small blob":            {1000, func(r *f.Registry) f.Fault { return f.Unauthorized().Within(500).Do(r.Revoke) }, 0},
		"small blob, last byte": {1000, func(r *f.Registry) f.Fault { return f.Unauthorized().Within(-1).Do(r.Revoke) }, 0},
		"small blob, at once":   {1000, func(r *f.Registry) f.Fault { return f.Unauthorized().Do(r.Revoke) }, 1000},
		"though it is good":     {0, func(*f.Registry) f.Fault { return f.Unauthorized().Within(1000).Patch() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f.Check(t)
			if test.size == 0 {
				test.size = testSize
			}
			data := randomBytes(int(test.size), 1)
			reg := f.New(t, f.WithTokens(time.Hour))
			reg.Script(f.Session, test.fault(reg))
			client := newPushClient(t, reg, Options{})
			p := newPush(t, reg, client, data)
			p.run(t.Context())
			reg.Idle()
			p.arrived(t, reg, data)
			if beyond := reg.Received() - test.size; beyond < 0 || beyond > test.most {
				t.Errorf("%d bytes arrived beyond those of the blob: %s", beyond, asked(reg))
			}
			if h := client.habitsOf(reg.Host); h.Whole || h.Forgets {
				t.Errorf("learnt %+v of it", h)
			}
		})
	}
}

// TestUploadLocations is about where a session is said to be.
func TestUploadLocations(t *testing.T) {
	tls := []f.Option{f.WithTLS()}
	post := func(fault f.Fault) []mishap { return only(f.Upload, fault) }
	runFaultCases(t, map[string]faultCase{
		"relative":                    {faults: append(post(f.RelativeLocation()), inSession(f.RelativeLocation().Always())...), asked: inPieces},
		"with a query":                {faults: post(f.LocationQuery("X-Sig=a%2Fb+c%3D%3d&x=1;2&empty=")), asked: inPieces},
		"with a query, small":         {size: 10, faults: post(f.LocationQuery("X-Sig=a%2Fb+c%3D%3d&x")), asked: "HEAD POST PUT"},
		"with a query later":          {faults: inSession(f.LocationQuery("later=%2f").Patch().After(1))},
		"stale":                       {faults: inSession(f.StaleLocation().Patch().After(2)), most: testChunk},
		"stale, and nothing to go by": {options: []f.Option{f.WithBareRanges()}, faults: inSession(f.StaleLocation().Patch().After(2)), most: testChunk},
		"stale at the end":            {faults: inSession(f.StaleLocation().Patch().After(4)), asked: inPieces + " HEAD GET PUT"},
		"missing after a chunk":       {faults: inSession(f.NoLocation().Patch().After(2)), most: testChunk},
		"missing when asked":          {faults: inSession(f.Cut(1000).Patch().After(1), f.NoLocation().Method(http.MethodGet)), most: testChunk},
		"elsewhere":                   {faults: post(f.CrossHost()), asked: inPieces},
		"elsewhere, tokens":           {options: []f.Option{f.WithTokens(time.Hour)}, faults: post(f.CrossHost())},
		"elsewhere, password":         {options: []f.Option{f.WithBasic()}, faults: post(f.CrossHost())},
		"elsewhere, tls":              {options: []f.Option{f.WithTLS(), f.WithBasic()}, faults: post(f.CrossHost())},
		"elsewhere, later":            {options: []f.Option{f.WithBasic()}, faults: inSession(f.CrossHost().Patch().After(1))},
		"elsewhere, cut":              {options: []f.Option{f.WithBasic()}, faults: append(post(f.CrossHost()), on(f.Target, f.Cut(1000).Patch().After(1)))},
		"elsewhere, answer lost":      {options: []f.Option{f.WithBasic()}, faults: append(post(f.CrossHost()), on(f.Target, f.Cut(f.BeforeHeader).Put().Late()))},
		"in the clear":                {options: tls, faults: append(post(f.InsecureLocation()), inSession(f.InsecureLocation().Always())...), asked: inPieces},
		"relative, then in full":      {faults: only(f.Upload, f.RelativeLocation()), asked: inPieces},
	})
}

// TestUploadHabits is about registries that do things their own way.
func TestUploadHabits(t *testing.T) {
	const whole = "HEAD POST PATCH POST PUT"
	options := func(all ...f.Option) []f.Option { return all }
	cases := map[string]faultCase{
		"ECR":                               {options: options(f.WithECR()), asked: inPieces},
		"ECR, cut":                          {options: options(f.WithECR()), faults: inSession(f.Cut(1000).Patch().After(2))},
		"stale ranges":                      {faults: inSession(f.StaleRange().Always()), asked: inPieces},
		"created":                           {faults: inSession(f.Code(201).Patch().Always()), asked: inPieces},
		"no larger chunks":                  {options: options(f.WithMaxPatch(testChunk - 1)), most: testChunk, asked: whole},
		"no chunks, and a cut":              {options: options(f.WithoutPatch(405)), faults: inSession(f.Cut(1000).Put()), most: testChunk + 1000},
		"no chunks, answer lost":            {options: options(f.WithoutPatch(405)), faults: inSession(f.Cut(f.BeforeHeader).Put().Late()), most: testChunk, asked: whole + " HEAD"},
		"no chunks, small blob that is cut": {options: options(f.WithoutPatch(405)), size: 1000, faults: inSession(f.Cut(500).Put()), most: 1000},
		"chunks of a least size":            {options: options(f.WithMinChunk(150 << 10)), asked: "HEAD POST PATCH PATCH PATCH PATCH PUT"},
		"a least size, cut":                 {options: options(f.WithMinChunk(150 << 10)), faults: inSession(f.Cut(1000).Patch().After(1))},
		"a least size beyond the blob":      {options: options(f.WithMinChunk(1 << 40)), asked: "HEAD POST PUT"},
		"vanishing, nothing wrong":          {options: options(f.WithVanishingSessions()), asked: inPieces},
		"vanishing, first chunk":            {options: options(f.WithVanishingSessions()), faults: inSession(f.Cut(1000).Patch()), most: 1000},
		"vanishing, last chunk":             {options: options(f.WithVanishingSessions()), faults: inSession(f.Cut(-1).Patch().After(4)), most: testSize - 1},
		"vanishing, chunks survive":         {options: options(f.WithVanishingSessions()), faults: inSession(f.Cut(f.BeforeHeader).Patch().Late().After(3)), asked: "HEAD POST PATCH PATCH PATCH PATCH HEAD GET PATCH PUT"},
		"vanishing, small":                  {options: options(f.WithVanishingSessions()), size: 1000, faults: inSession(f.Cut(999)), most: 999},
		"vanishing, four times":             {options: options(f.WithVanishingSessions()), faults: inSession(f.Cut(1000).Patch().Every(2).Times(4)), most: 3*testChunk + 4000},
		"gone before the first chunk":       {faults: inSession(f.Vanish().Patch()), most: testChunk},
		"gone before the third chunk":       {faults: inSession(f.Vanish().Patch().After(2)), most: 3 * testChunk},
		"gone before the end":               {faults: inSession(f.Vanish().Put()), most: testSize},
		"gone when asked":                   {faults: inSession(f.Cut(1000).Patch().After(1), f.Vanish().Method(http.MethodGet)), most: testChunk + 1000},
		"conflict":                          {faults: inSession(f.Status(409).Patch().After(2)), most: testChunk},
		"out of range, for no reason":       {faults: inSession(f.Status(416).Patch().After(2)), most: testChunk},
		"out of range, twice":               {faults: inSession(f.Status(416).Patch().After(2).Times(2)), most: 4 * testChunk},
		"out of range, first chunk":         {faults: inSession(f.Status(416).Patch()), most: testChunk},
		"out of range, the end":             {faults: inSession(f.Status(416).Put()), asked: inPieces + " HEAD GET PUT"},
		"done, but unknown":                 {faults: inSession(f.Status(404).Put().Late()), asked: inPieces + " HEAD"},
		"slowly":                            {faults: inSession(f.Rate(64 << 20).Always()), asked: inPieces},
	}
	for _, status := range []int{400, 404, 405, 415, 416, 501} {
		cases["no chunks: "+http.StatusText(status)] = faultCase{options: options(f.WithoutPatch(status)), most: testChunk, asked: whole}
	}
	runFaultCases(t, cases)
}

// TestUploadLies is about registries that do not know what they have, or do not
// say.
func TestUploadLies(t *testing.T) {
	get := func(fault f.Fault) []mishap {
		return inSession(f.Cut(1000).Patch().After(1), fault.Method(http.MethodGet))
	}
	const again = 2*testChunk + 1000 // one chunk too many, and what was there
	runFaultCases(t, map[string]faultCase{
		"a byte more":                 {faults: get(f.OffsetSaysBy(1)), most: again},
		"a byte less":                 {faults: get(f.OffsetSaysBy(-1)), most: testChunk},
		"all of it":                   {faults: get(f.OffsetSays(told(testSize))), most: again},
		"more than all":               {faults: get(f.OffsetSays("0-9999999")), most: again},
		"nothing":                     {faults: get(f.OffsetSays("0-0")), most: again},
		"no range":                    {faults: get(f.OffsetSays("")), most: again},
		"nonsense":                    {faults: get(f.OffsetSays("bytes=x-y")), most: again},
		"the second half":             {faults: get(f.OffsetSays("1000-2000")), most: again},
		"with a unit":                 {faults: get(f.OffsetSays("bytes=" + told(testChunk+1000)))},
		"always nothing":              {faults: inSession(f.Cut(1000).Patch().After(1), f.OffsetSays("0-0").Method(http.MethodGet).Always()), most: 3 * testChunk},
		"asking is not allowed":       {faults: get(f.Status(405)), most: again},
		"asking is forbidden":         {faults: get(f.Status(403)), most: again},
		"asking is not known":         {faults: get(f.Status(404)), most: again},
		"a chunk that was not taken":  {faults: inSession(f.Status(202).Patch().After(1)), most: testSize},
		"no chunk was taken":          {faults: inSession(f.Status(202).Patch().Times(5)), most: 2*testSize + testChunk},
		"an end that was not":         {faults: inSession(f.Status(202).Put()), asked: inPieces + " HEAD GET PUT"},
		"an end of another kind":      {faults: inSession(f.Code(204).Put()), asked: inPieces + " HEAD"},
		"a blob of another kind":      {faults: only(f.Blob, f.Status(204).Head()), asked: inPieces},
		"another digest, once":        {faults: inSession(f.WrongDigest().Put()), most: testSize},
		"no digest":                   {faults: inSession(f.DigestSays("").Put()), asked: inPieces},
		"no digest to speak of":       {faults: inSession(f.DigestSays("sha256:xyz").Put()), asked: inPieces},
		"a digest of another kind":    {faults: inSession(f.DigestSays("sha512:" + strings.Repeat("0", 128)).Put()), asked: inPieces},
		"other content, once":         {faults: inSession(f.Rewrite()), most: testSize},
		"looking is not allowed":      {faults: only(f.Blob, f.Status(405).Head().Always()), asked: inPieces},
		"looking says another length": {faults: only(f.Blob, f.Status(200, "Content-Length", "5").Head()), asked: inPieces},
	})
}

// TestUploadBodyLimit is about proxies that take small bodies alone.
func TestUploadBodyLimit(t *testing.T) {
	const mib = 1 << 20
	for name, test := range map[string]struct {
		limit, chunk, size int64
		asked              string
	}{
		"one step":           {5 * mib, 8 * mib, 9 * mib, "HEAD POST PATCH GET PATCH PATCH PATCH PUT"},
		"two steps":          {4 * mib, 64 * mib, 17 * mib, "HEAD POST PUT GET PATCH GET PATCH PATCH PATCH PATCH PATCH PUT"},
		"less than a chunk":  {4 * mib, 64 * mib, 5 * mib, "HEAD POST PUT GET PATCH PATCH PUT"},
		"one that just fits": {5 * mib, 64 * mib, 5 * mib, "HEAD POST PUT"},
	} {
		t.Run(name, func(t *testing.T) {
			f.Check(t)
			reg := f.New(t, f.WithBodyLimit(test.limit))
			data := make([]byte, test.size)
			data[7] = 1
			client := newPushClient(t, reg, Options{})
			client.chunk = test.chunk
			p := newPush(t, reg, client, data)
			p.run(t.Context())
			p.arrived(t, reg, data)
			if reg.Received() != test.size {
				t.Errorf("%d bytes arrived", reg.Received())
			}
			if got := asked(reg); got != test.asked {
				t.Errorf("asked %s\nwant  %s", got, test.asked)
			}
		})
	}
}
