// Package storetest says what a store has to do, in tests that every store
// passes:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) *memstore.Store { return memstore.New() })
//	}
//
// What only a store on disk can do wrong is tested there.
package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/storage"
)

// Tags is what a store knows of names.
type Tags interface {
	List() ([]storage.Entry, error)
	Resolve(ref string) (ocispec.Descriptor, error)
	Untag(refs ...string) error
}

// Contents is what a store knows of blobs.
type Contents interface {
	Open(desc ocispec.Descriptor) (blob.Source, error)
	Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
	ReadAll(desc ocispec.Descriptor) ([]byte, error)
}

// Ingester brings blobs into a store.
type Ingester interface {
	Ingest(ctx context.Context, r io.Reader) (digest.Digest, int64, error)
	Receive(ctx context.Context, desc ocispec.Descriptor, fill Fill) (present bool, err error)
}

// Fill is the function that brings the bytes to a Receive.
type Fill = func(context.Context, blob.Sink) (blob.Proof, error)

// Relier keeps blobs from being collected.
type Relier interface {
	Rely(digests ...digest.Digest) error
	Has(desc ocispec.Descriptor) (bool, error)
}

// Session is one command's writing to a store.
type Session interface {
	Ingester
	Relier
	Tag(ref string, desc ocispec.Descriptor) error
	io.Closer
}

// Store is a store whose sessions are of type S.
type Store[S Session] interface {
	Tags
	Contents
	Begin(ctx context.Context) (S, error)
}

// Collector is a store that collects garbage. The tests of that are left out
// for stores that do not.
type Collector interface {
	GC(ctx context.Context, dryRun bool) (storage.Freed, error)
}

// env is a fresh store and a session of it.
type env struct {
	Tags
	Contents
	Session
	store any
	begin func(t *testing.T) Session
}

// Run runs all tests, each on a store of its own that open returns empty.
func Run[T Store[S], S Session](t *testing.T, open func(*testing.T) T) {
	for name, test := range tests() {
		t.Run(name, func(t *testing.T) {
			store := open(t)
			begin := func(t *testing.T) Session {
				t.Helper()
				session, err := store.Begin(t.Context())
				must(t, err)
				t.Cleanup(func() { session.Close() })
				return session
			}
			test(t, &env{Tags: store, Contents: store, store: store, Session: begin(t), begin: begin})
		})
	}
}

func tests() map[string]func(*testing.T, *env) {
	return map[string]func(*testing.T, *env){
		"ingest":                  testIngest,
		"ingest error":            testIngestError,
		"ingest cancelled":        testIngestCancelled,
		"read missing":            testReadMissing,
		"read wrong size":         testReadWrongSize,
		"read hostile":            testReadHostile,
		"read all is bounded":     testReadAllBounded,
		"receive":                 testReceive,
		"receive resumes":         testReceiveResumes,
		"receive mismatch":        testReceiveMismatch,
		"receive unproved":        testReceiveUnproved,
		"receive proof of other":  testReceiveOtherProof,
		"receive beyond the end":  testReceiveBeyond,
		"receive without content": testReceiveNoBytes,
		"receive once":            testReceiveOnce,
		"receive wait cancelled":  testReceiveWaitCancelled,
		"receive hostile":         testReceiveHostile,
		"tag":                     testTag,
		"tag moves":               testTagMoves,
		"tag missing manifest":    testTagMissing,
		"tag nameless":            testTagNameless,
		"list is sorted":          testListSorted,
		"untag":                   testUntag,
		"closed":                  testClosed,
		"gc":                      testGC,
		"gc dry run":              testGCDryRun,
		"gc spares sessions":      testGCSparesSessions,
		"gc follows indexes":      testGCFollows,
	}
}

// Describe returns the descriptor of data.
func Describe(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// Write is a Fill that writes data and proves it to be desc.
func Write(desc ocispec.Descriptor, data []byte) Fill {
	return func(_ context.Context, sink blob.Sink) (blob.Proof, error) {
		if _, err := sink.WriteAt(data, 0); err != nil {
			return blob.Proof{}, err
		}
		return Prove(desc, data)
	}
}

// Prove proves data to be desc, if it is.
func Prove(desc ocispec.Descriptor, data []byte) (blob.Proof, error) {
	v, err := blob.NewVerifier(desc)
	if err != nil {
		return blob.Proof{}, err
	}
	if _, err := v.Write(data); err != nil {
		return blob.Proof{}, err
	}
	return v.Proof()
}

// Put ingests data.
func Put(t testing.TB, session Ingester, mediaType string, data []byte) ocispec.Descriptor {
	t.Helper()
	d, n, err := session.Ingest(t.Context(), bytes.NewReader(data))
	must(t, err)
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: n}
}

// PutArtifact ingests an artifact of one layer and returns its manifest.
func PutArtifact(t testing.TB, session Ingester, layer []byte) ocispec.Descriptor {
	t.Helper()
	manifest := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: "application/vnd.example.thing",
		Config:       Put(t, session, ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers:       []ocispec.Descriptor{Put(t, session, "application/octet-stream", layer)},
	}
	data, err := json.Marshal(manifest)
	must(t, err)
	return Put(t, session, ocispec.MediaTypeImageManifest, data)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
