package storage

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

// TestState says which state the next attempt gets after what happened to the
// files in between.
func TestState(t *testing.T) {
	desc := ocispec.Descriptor{Digest: digest.FromString("data"), Size: 4}
	for _, tt := range []struct {
		name   string
		happen func(t *testing.T, path string)
		desc   ocispec.Descriptor
		want   string
	}{
		{name: "nothing", desc: desc, want: "state"},
		{name: "other size", desc: ocispec.Descriptor{Digest: desc.Digest, Size: 5}},
		{name: "data gone", desc: desc, happen: func(t *testing.T, path string) { check(t, os.Remove(path)) }},
		{name: "cut off", desc: desc, happen: func(t *testing.T, path string) { check(t, os.Truncate(path, 1)) }},
		{name: "damaged", desc: desc, happen: func(t *testing.T, path string) {
			check(t, os.WriteFile(path+".state", make([]byte, 100), 0o644))
		}},
		{name: "rebooted", desc: desc, happen: func(t *testing.T, path string) {
			data, err := json.Marshal(map[string]any{"host": "another", "size": desc.Size, "state": []byte("state")})
			check(t, errors.Join(err, os.WriteFile(path+".state", data, 0o644)))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			session := newSession(t)
			_, err := session.Receive(t.Context(), desc, func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
				_, err := sink.WriteAt([]byte("da"), 0)
				return blob.Proof{}, errors.Join(errCut, err, sink.SaveState([]byte("state")))
			})
			if !errors.Is(err, errCut) {
				t.Fatal(err)
			}
			if tt.happen != nil {
				tt.happen(t, filepath.Join(session.store.path(partialDir), fileName(desc.Digest)))
			}
			if got := nextState(t, session, tt.desc); got != tt.want {
				t.Errorf("got state %q, want %q", got, tt.want)
			}
		})
	}
}

var errCut = errors.New("cut")

// nextState is the state that a transfer of desc starts with.
func nextState(t *testing.T, session *Session, desc ocispec.Descriptor) (state string) {
	t.Helper()
	_, err := session.Receive(t.Context(), desc, func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
		data, err := sink.LoadState()
		state = string(data)
		return blob.Proof{}, errors.Join(errCut, err)
	})
	if !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	return state
}

// TestReceiveCutsOldTail has an older attempt that wrote more, for another size.
func TestReceiveCutsOldTail(t *testing.T) {
	session := newSession(t)
	long := ocispec.Descriptor{Digest: digest.FromString("data"), Size: 10}
	desc := ocispec.Descriptor{Digest: long.Digest, Size: 4}
	_, err := session.Receive(t.Context(), long, func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
		_, err := sink.WriteAt([]byte("0123456789"), 0)
		return blob.Proof{}, errors.Join(errCut, err)
	})
	if !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	_, err = session.Receive(t.Context(), desc, fillWith(desc, "data"))
	check(t, err)
	if data, err := session.store.ReadAll(desc); string(data) != "data" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
}

// fillWith writes data and proves it to be desc.
func fillWith(desc ocispec.Descriptor, data string) func(context.Context, blob.Sink) (blob.Proof, error) {
	return func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
		v, err := blob.NewVerifier(desc)
		if err != nil {
			return blob.Proof{}, err
		}
		_, write := sink.WriteAt([]byte(data), 0)
		_, hash := v.Write([]byte(data))
		if err := errors.Join(write, hash); err != nil {
			return blob.Proof{}, err
		}
		return v.Proof()
	}
}

// TestGCSparesLockedPartial has a transfer that nothing but its lock protects.
func TestGCSparesLockedPartial(t *testing.T) {
	s := newSession(t).store
	p, err := s.openPartial(t.Context(), ocispec.Descriptor{Digest: digest.FromString("data"), Size: 4})
	check(t, err)
	if freed, err := s.GC(t.Context(), false); freed.Leftovers != 0 || err != nil {
		t.Errorf("during the transfer: got %v, %v, want nothing freed", freed, err)
	}
	check(t, p.keep())
	if freed, err := s.GC(t.Context(), false); freed.Leftovers != 1 || err != nil {
		t.Errorf("after it: got %v, %v, want 1 leftover", freed, err)
	}
}

func newSession(t *testing.T) *Session {
	t.Helper()
	s, err := Open(t.TempDir())
	check(t, err)
	session, err := s.Begin(t.Context())
	check(t, err)
	t.Cleanup(func() { session.Close() })
	return session
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
