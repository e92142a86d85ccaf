package storage_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/internal/storetest"
	"github.com/tareml/tare/storage"
)

// badFile is where the damaged file of a blob goes.
func badFile(s *storage.Store, desc ocispec.Descriptor) string {
	return filepath.Join(s.Dir(), ".tare", "bad", "sha256-"+desc.Digest.Encoded())
}

// fetchAll reads all of a blob.
func fetchAll(t *testing.T, s *storage.Store, desc ocispec.Descriptor) error {
	t.Helper()
	r, err := s.Fetch(t.Context(), desc)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	if _, again := r.Read(make([]byte, 1)); err != nil && !errors.Is(again, err) {
		t.Errorf("after %v the stream says %v", err, again)
	}
	return err
}

func readAll(_ *testing.T, s *storage.Store, desc ocispec.Descriptor) error {
	_, err := s.ReadAll(desc)
	return err
}

func openOnly(_ *testing.T, s *storage.Store, desc ocispec.Descriptor) error {
	src, err := s.Open(desc)
	if err == nil {
		src.Close()
	}
	return err
}

// TestDamagedIsSetAside reads a damaged blob in all ways that notice.
func TestDamagedIsSetAside(t *testing.T) {
	const content, flipped, truncated = "original", "0riginal", "orig"
	for name, tt := range map[string]struct {
		damage string
		read   func(*testing.T, *storage.Store, ocispec.Descriptor) error
	}{
		"fetch flipped":      {flipped, fetchAll},
		"fetch truncated":    {truncated, fetchAll},
		"read all flipped":   {flipped, readAll},
		"read all truncated": {truncated, readAll},
		"open truncated":     {truncated, openOnly},
		"open longer":        {content + "!", openOnly},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			session := begin(t, s)
			desc := storetest.Put(t, session, "x", []byte(content))
			write(t, s.Dir(), ".tare/bad/sha256-"+desc.Digest.Encoded(), "an older one")
			write(t, s.Dir(), blobFile(desc.Digest), tt.damage)
			err := tt.read(t, s, desc)
			if !errors.Is(err, blob.ErrMismatch) || !strings.Contains(hint(err), "set aside") {
				t.Errorf("got %v with hint %q", err, hint(err))
			}
			if has, err := session.Has(desc); has || err != nil {
				t.Errorf("Has: got %v, %v, want that it is gone", has, err)
			}
			if data, err := os.ReadFile(badFile(s, desc)); string(data) != tt.damage {
				t.Errorf("set aside: %q, %v", data, err)
			}
			present, err := session.Receive(t.Context(), desc, storetest.Write(desc, []byte(content)))
			if present || err != nil {
				t.Errorf("Receive: got %v, %v, want a transfer", present, err)
			}
			must(t, fetchAll(t, s, desc))
			must(t, session.Close())
			if freed, err := s.GC(t.Context(), false); err != nil || freed.Leftovers != 1 {
				t.Errorf("GC: %v, %v, want 1 leftover", freed, err)
			}
			if _, err := os.Stat(badFile(s, desc)); !os.IsNotExist(err) {
				t.Errorf("after GC: %v", err)
			}
		})
	}
}

// TestGoodIsNotSetAside has descriptors that lie about a good blob.
func TestGoodIsNotSetAside(t *testing.T) {
	s := open(t, t.TempDir())
	good := storetest.Put(t, begin(t, s), "x", []byte("original"))
	liar := good
	liar.Size = 1 << 20
	for _, read := range []func(*testing.T, *storage.Store, ocispec.Descriptor) error{fetchAll, readAll, openOnly} {
		if err := read(t, s, liar); !errors.Is(err, blob.ErrMismatch) || hint(err) != "" {
			t.Errorf("got %v with hint %q, want %v", err, hint(err), blob.ErrMismatch)
		}
		must(t, fetchAll(t, s, good))
	}
}

// TestReplacedIsNotSetAside has a reader that finds damage after somebody has
// brought the blob back.
func TestReplacedIsNotSetAside(t *testing.T) {
	s := open(t, t.TempDir())
	session := begin(t, s)
	data := []byte("original")
	desc := storetest.Put(t, session, "x", data)
	write(t, s.Dir(), blobFile(desc.Digest), "0riginal")
	r, err := s.Fetch(t.Context(), desc)
	must(t, err)
	defer r.Close()
	storetest.Put(t, session, "x", data)
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, blob.ErrMismatch) {
		t.Errorf("got %v, want %v", err, blob.ErrMismatch)
	}
	must(t, fetchAll(t, s, desc))
}

// TestGCSetAsideManifest must not take the layers of a manifest for garbage
// because it was damaged and then noticed.
func TestGCSetAsideManifest(t *testing.T) {
	s := tagged(t)
	desc, err := s.Resolve("kept")
	must(t, err)
	data, err := s.ReadAll(desc)
	must(t, err)
	write(t, s.Dir(), blobFile(desc.Digest), "{}")
	must(t, ignore(fetchAll(t, s, desc), blob.ErrMismatch))
	if freed, err := s.GC(t.Context(), false); err == nil || freed.Blobs != 0 || hint(err) == "" {
		t.Errorf("got %v, %v, want an error with a hint", freed, err)
	}
	session := begin(t, s)
	storetest.Put(t, session, desc.MediaType, data)
	must(t, session.Close())
	checkGC(t, s, 1) // the garbage that was there
	checkLayers(t, s, desc)
}

// ignore is err unless it is one that is wanted.
func ignore(err, wanted error) error {
	if errors.Is(err, wanted) {
		return nil
	}
	return errors.Join(err, errors.New("want another error"))
}
