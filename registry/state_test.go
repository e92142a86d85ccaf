package registry

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/blob"
)

// FuzzParseState reads a state as a crash, or anybody, may have left it.
func FuzzParseState(f *testing.F) {
	const size = 1000
	data := randomBytes(size, 1)
	want := digest.FromBytes(data)
	for _, seed := range []string{
		"", "{}", "null", "[]", `{"digest":"` + want.String() + `"}`,
		state(want, 10, "AA==", extent{0, 10}),
		state(want, 0, "", extent{10, 20}),
		state(want, 10, "AA==", extent{0, 10}, extent{20, 30}, extent{31, size}),
		state(want, 11, "AA==", extent{0, 10}),
		state(want, -1, "AA==", extent{0, 10}),
		state(want, 10, "AA==", extent{-5, 10}),
		state(want, 10, "AA==", extent{0, 10}, extent{10, 20}),
		state(want, 10, "AA==", extent{0, 20}, extent{10, 30}),
		state(want, 10, "AA==", extent{0, size + 1}),
		state(want, 1<<62, "AA==", extent{0, 1<<63 - 1}),
		state(someDigest, 10, "AA==", extent{0, 10}),
		state(want, 10, "AA==", extent{0, 10}) + "x",
		stateOf(f, data, data[:500]),
		stateOf(f, data, data[:500])[:100],
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, saved []byte) {
		s, ok := parseState(saved, want, size)
		if !ok {
			return
		}
		checkState(t, s, want, size)
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if back, ok := parseState(again, want, size); !ok || !reflect.DeepEqual(back, s) {
			t.Errorf("%+v became %+v (%v)", s, back, ok)
		}
	})
}

// checkState compares what was accepted with a map of all bytes.
func checkState(t *testing.T, s downloadState, want digest.Digest, size int64) {
	t.Helper()
	if s.Digest != want {
		t.Errorf("it is of %s, want %s", s.Digest, want)
	}
	there := make([]bool, size)
	for _, e := range s.Written {
		if e.Start < 0 || e.End > size || e.Start >= e.End {
			t.Fatalf("%v in a blob of %d bytes", e, size)
		}
		for i := e.Start; i < e.End; i++ {
			if there[i] {
				t.Fatalf("byte %d is there twice: %v", i, s.Written)
			}
			there[i] = true
		}
	}
	for i := range s.Hashed {
		if !there[i] {
			t.Fatalf("byte %d was hashed and never written: %+v", i, s)
		}
	}
	if s.Hashed < 0 {
		t.Errorf("%d bytes were hashed", s.Hashed)
	}
}

// TestDownloadDoesNotTrustAnyState resumes from states that can be, of bytes that
// are not those of the blob, at random.
func TestDownloadDoesNotTrustAnyState(t *testing.T) {
	const size = 64
	data := randomBytes(size, 1)
	desc := describe("", data)
	repo, _ := faultyServer(t, blobServer(data))
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		sink := strangeSink(t, random, data)
		saved := sink.state
		if _, ok := parseState(saved, desc.Digest, size); !ok {
			t.Fatalf("this was to be a state that can be: %s", saved)
		}
		if _, err := repo.Download(t.Context(), desc, sink, nil); err != nil || !bytes.Equal(sink.data, data) {
			t.Fatalf("resumed from %s: right bytes %v, %v", saved, bytes.Equal(sink.data, data), err)
		}
	}
}

// TestDownloadWhoseBytesAreGone resumes from a state that tells of bytes which
// are not there when they have to be hashed.
func TestDownloadWhoseBytesAreGone(t *testing.T) {
	data := randomBytes(1000, 1)
	repo, _ := faultyServer(t, blobServer(data))
	sink := &memorySink{state: []byte(state(digest.FromBytes(data), 0, emptyHash(t, data), extent{0, 500}))}
	done := make(chan error, 1)
	go func() {
		_, err := repo.Download(t.Context(), describe("", data), sink, nil)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil || !bytes.Equal(sink.data, data) {
			t.Errorf("right bytes %v, %v", bytes.Equal(sink.data, data), err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it hangs")
	}
}

// emptyHash is the state of the hash of data before its first byte.
func emptyHash(t *testing.T, data []byte) string {
	t.Helper()
	v, err := blob.NewVerifier(describe("", data))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := v.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(hash)
}

// strangeSink has other bytes than data, and a state that says how many of them
// are there and what their hash is: what was hashed is as it says.
func strangeSink(t *testing.T, random *rand.Rand, data []byte) *memorySink {
	t.Helper()
	size := int64(len(data))
	sink := &memorySink{data: randomBytes(int(size), 2)}
	s := downloadState{Digest: digest.FromBytes(data)}
	for len(s.Written) == 0 || random.IntN(2) == 0 {
		start := random.Int64N(size)
		s.Written = s.Written.add(extent{start, start + 1 + random.Int64N(size-start)})
	}
	s.Hashed = min(random.Int64N(size+1), s.Written.reach(0))
	v, err := blob.NewVerifier(describe("", data))
	if err != nil {
		t.Fatal(err)
	}
	v.Write(sink.data[:s.Hashed])
	if s.Hash, err = v.MarshalBinary(); err != nil {
		t.Fatal(err)
	}
	if random.IntN(8) == 0 {
		s.Hash[len(s.Hash)/2] ^= 1
	}
	if sink.state, err = json.Marshal(s); err != nil {
		t.Fatal(err)
	}
	return sink
}
