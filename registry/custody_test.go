package registry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tareml/tare/blob"
	f "github.com/tareml/tare/internal/faultregistry"
)

// TestUploadToRegistryThatKeepsNothing is about bytes that a registry takes in good
// order and does not have in the end. It is sent no more than three times the blob,
// however that shows, and whatever size the blob is.
func TestUploadToRegistryThatKeepsNothing(t *testing.T) {
	put := func(status int) f.Fault { return f.Status(status).Put().Always() }
	wrongSize := f.Handle(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"errors":[{"code":"SIZE_INVALID"}]}`)
	}))
	for name, faults := range map[string][]f.Fault{
		"the end is unknown":              {f.Vanish().Put().Always()},
		"the end is out of range":         {f.Lose(0).And(f.Status(416)).Put().Always()},
		"the end is a conflict":           {f.Lose(0).And(f.Status(409)).Put().Always()},
		"the end has another size":        {f.Lose(0).And(wrongSize).Put().Always()},
		"the end has another digest":      {f.Lose(0).Put().Always()},
		"the end is no end":               {f.Lose(0).And(f.Status(202)).Put().Always()},
		"the end is broken":               {f.Lose(0).And(f.Status(500)).Put().Always()},
		"the end is cut":                  {f.Lose(0).And(f.Cut(f.BeforeHeader)).Put().Always()},
		"half is there":                   {f.Lose(testSize / 2).And(f.Status(416)).Put().Always()},
		"nearly all is there":             {f.Lose(testSize - 1).And(f.Status(416)).Put().Always()},
		"it says that half is there":      {put(416), f.OffsetSays(told(testSize / 2)).Method(http.MethodGet).Always()},
		"it says that nothing is there":   {put(416), f.OffsetSays("0-0").Method(http.MethodGet).Always()},
		"taken on trust":                  {f.Status(202).Patch().Always(), put(416)},
		"taken on trust, and found out":   {f.Status(202).Patch().Every(2).Always()},
		"each second chunk is unknown":    {f.Vanish().Patch().Every(2).After(1).Always()},
		"the last chunk is unknown":       {f.Vanish().Patch().Every(5).After(4).Always()},
		"the last chunk breaks it":        {f.Vanish().And(f.Status(500)).Patch().Every(5).After(4).Always()},
		"the third chunk is out of range": {f.Lose(0).And(f.Status(416)).Patch().Every(3).After(2).Always()},
	} {
		for _, chunks := range []int64{1, 2, 5, 17} {
			t.Run(fmt.Sprintf("%s in %d", name, chunks), func(t *testing.T) {
				f.Check(t)
				reg := f.New(t)
				reg.Script(f.Session, faults...)
				client := newPushClient(t, reg, Options{})
				client.chunk = (testSize + chunks - 1) / chunks
				p := newPush(t, reg, client, randomBytes(testSize, 1))
				p.run(t.Context())
				reg.Idle()
				if reg.Received() > 3*testSize {
					t.Errorf("%.2f times the blob arrived: %v: %s", float64(reg.Received())/testSize, p.err, asked(reg))
				}
				if p.safe < 0 || p.safe > testSize || len(reg.Requests()) > 200 {
					t.Errorf("%d bytes reported, %d requests", p.safe, len(reg.Requests()))
				}
			})
		}
	}
}

// TestUploadSaysWhatWasLost is about the words for it.
func TestUploadSaysWhatWasLost(t *testing.T) {
	for name, test := range map[string]struct {
		fault f.Fault
		says  string
	}{
		"all":    {f.Vanish().Put().Always(), fmt.Sprintf("accepted %d bytes of %d and has lost them again, 3 times", testSize, testSize)},
		"a half": {f.Lose(testSize / 2).And(f.Status(416)).Put().Always(), fmt.Sprintf("accepted %d bytes of %d and has lost them again, 5 times", testSize/2, testSize)},
	} {
		f.Check(t)
		reg := f.New(t)
		reg.Script(f.Session, test.fault)
		p := newPush(t, reg, newPushClient(t, reg, Options{}), randomBytes(testSize, 1))
		p.run(t.Context())
		p.failed(t, reg, nil, test.says)
		if !strings.Contains(p.err.Error(), p.desc.Digest.String()) || !strings.Contains(hintOf(p.err), "storage of their own") {
			t.Errorf("%s: %v, hint %q", name, p.err, hintOf(p.err))
		}
		if passing(p.err) || errors.Is(p.err, blob.ErrNotFound) {
			t.Errorf("%s: %v is for something else", name, p.err)
		}
	}
}

// TestUploadForgivesTwoLosses is about a registry that is started anew meanwhile,
// or was cleared: that is no reason to give up.
func TestUploadForgivesTwoLosses(t *testing.T) {
	runFaultCases(t, map[string]faultCase{
		"all, twice":          {faults: inSession(f.Vanish().Put().Times(2)), most: 2 * testSize},
		"all, said so, twice": {faults: inSession(f.Lose(0).And(f.Status(416)).Put().Times(2)), most: 2 * testSize},
		"a chunk, often":      {faults: inSession(f.Lose(4 * testChunk).And(f.Status(416)).Put().Times(11)), most: 11 * testChunk},
		"a small blob, often": {size: 1000, faults: inSession(f.Vanish().Times(11)), most: 11 * 1000},
	})
}

// TestUploadForgivesCuts is about a registry that loses all when a connection is
// cut, as distribution 2.8 does, in a network that cuts late in each pass: that may
// cost as often as it gets a little further, and the blob arrives.
func TestUploadForgivesCuts(t *testing.T) {
	vanishing := []f.Option{f.WithVanishingSessions()}
	last := func(at int64) f.Fault { return f.Cut(at).Patch().Every(5).After(4) }
	runFaultCases(t, map[string]faultCase{
		"eleven cuts in the last chunk":     {options: vanishing, faults: inSession(last(1000).Times(11)), most: 11 * testSize},
		"eleven cuts at its end":            {options: vanishing, faults: inSession(last(-1).Times(11)), most: 11 * testSize},
		"eleven times a gateway's trouble":  {faults: inSession(f.Vanish().And(f.Status(502)).Patch().Every(5).After(4).Times(11)), most: 11 * testSize},
		"the question after it is cut, too": {options: vanishing, faults: inSession(last(1000).Times(6), f.Cut(f.BeforeHeader).Method(http.MethodGet).Every(2).Always()), most: 6 * testSize},
	})
}

// TestUploadLosesOfEarlierProcess is about what an earlier process sent: that it is
// gone costs this one nothing.
func TestUploadLosesOfEarlierProcess(t *testing.T) {
	f.Check(t)
	data := randomBytes(testSize, 1)
	reg := f.New(t)
	dir := filepath.Join(t.TempDir(), "journal")
	interrupt(t, reg, dir, data, f.Hang(f.BeforeHeader).Put())
	reg.Heal()
	reg.Forget()
	reg.Script(f.Session, f.Lose(0).Method(http.MethodGet), f.Vanish().Put().Times(2))
	p := newPush(t, reg, newPushClient(t, reg, Options{Journal: openJournal(dir)}), data)
	p.run(t.Context())
	p.arrived(t, reg, data)
}
