package storage_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/internal/storetest"
	"github.com/tareml/tare/storage"
)

// tally adds up what an observer is told.
type tally struct {
	mu    sync.Mutex
	bytes int64
	done  int
}

func (c *tally) Observe(phase, _ string, safe, _, _ int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += safe
	if phase == "done" {
		c.done++
	}
}

func TestVerify(t *testing.T) {
	for _, concurrency := range []int{0, 1, 3} {
		s := open(t, t.TempDir())
		session := begin(t, s)
		good := storetest.Put(t, session, "x", []byte("good"))
		flipped := storetest.Put(t, session, "x", []byte("flipped"))
		short := storetest.Put(t, session, "x", []byte("truncated"))
		missing := storetest.Describe("x", []byte("missing"))
		write(t, s.Dir(), blobFile(flipped.Digest), "fl1pped")
		write(t, s.Dir(), blobFile(short.Digest), "trunc")
		write(t, s.Dir(), "blobs/sha256/notes", "somebody else's")

		seen := &tally{}
		o := storage.VerifyOptions{Concurrency: concurrency, Observer: seen}
		got, err := s.Verify(t.Context(), []digest.Digest{good.Digest, missing.Digest, flipped.Digest, good.Digest, short.Digest}, o)
		must(t, err)
		if got.Blobs != 1 || got.Bytes != good.Size {
			t.Errorf("got %v, want 1 good blob of %d bytes", got, good.Size)
		}
		const mismatch = "content does not match its digest"
		checkBad(t, got.Bad, map[digest.Digest]storage.BadBlob{
			flipped.Digest: {Digest: flipped.Digest, Problem: mismatch, Aside: badFile(s, flipped)},
			short.Digest:   {Digest: short.Digest, Problem: mismatch, Aside: badFile(s, short)},
			missing.Digest: {Digest: missing.Digest, Problem: "missing"},
		})
		if seen.bytes != good.Size+flipped.Size+int64(len("trunc")) || seen.done != 4 {
			t.Errorf("the observer saw %d bytes and %d blobs", seen.bytes, seen.done)
		}
		// The bad ones are gone, and not missed by who asks for all that is there.
		if got, err = s.Verify(t.Context(), nil, storage.VerifyOptions{}); err != nil || got.Blobs != 1 || got.Bad != nil {
			t.Errorf("all: got %v, %v, want 1 good blob", got, err)
		}
	}
}

func checkBad(t *testing.T, got []storage.BadBlob, want map[digest.Digest]storage.BadBlob) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d bad blobs, want %d", len(got), len(want))
	}
	for i, b := range got {
		if !reflect.DeepEqual(b, want[b.Digest]) {
			t.Errorf("got  %v\nwant %v", b, want[b.Digest])
		}
		if i > 0 && got[i-1].Digest > b.Digest {
			t.Error("not sorted")
		}
		if _, err := os.Stat(b.Aside); b.Aside != "" && err != nil {
			t.Error(err)
		}
	}
}

func TestVerifyNothing(t *testing.T) {
	s := tagged(t)
	for _, s := range []*storage.Store{open(t, filepath.Join(t.TempDir(), "missing")), s} {
		got, err := s.Verify(t.Context(), []digest.Digest{}, storage.VerifyOptions{})
		if err != nil || !reflect.DeepEqual(got, storage.Verified{}) {
			t.Errorf("got %v, %v, want nothing", got, err)
		}
	}
}

func TestVerifyCancelled(t *testing.T) {
	s := tagged(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Verify(ctx, nil, storage.VerifyOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// TestVerifyUnreadable has a blob that cannot be read, which says nothing of its
// content.
func TestVerifyUnreadable(t *testing.T) {
	s := open(t, t.TempDir())
	desc := storetest.Put(t, begin(t, s), "x", []byte("x"))
	path := filepath.Join(s.Dir(), blobFile(desc.Digest))
	must(t, os.Remove(path))
	must(t, os.Mkdir(path, 0o755))
	got, err := s.Verify(t.Context(), nil, storage.VerifyOptions{})
	if err != nil || len(got.Bad) != 1 || got.Bad[0].Problem == "" || got.Bad[0].Aside != "" {
		t.Errorf("got %v, %v, want 1 problem, nothing set aside", got, err)
	}
}
