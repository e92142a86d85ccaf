package storage

import (
	"bytes"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// FuzzIndex writes what it read, with a tag more, and reads it again.
func FuzzIndex(f *testing.F) {
	for _, seed := range []string{
		`{"schemaVersion":2,"manifests":[]}`,
		`{"manifests":null}`,
		` { "a\u0062" : [ 1 ] , "manifests" : [ { "digest" : "x" , "annotations" : null } ] } `,
		`{"manifests":[{"digest":"x","annotations":{"org.opencontainers.image.ref.name":"a","io.github.tareml.tagged":"2026-01-02T03:04:05Z"}}]}`,
		`{"manifests":[{"digest":"x","digest":"y","annotations":{"a":"","a":""}}]}`,
		`{"manifests":[`,
		``,
	} {
		f.Add([]byte(seed), "a")
	}
	f.Fuzz(func(t *testing.T, data []byte, ref string) {
		idx, err := parseIndex(data)
		if err != nil || ref == "" {
			return
		}
		again := reparse(t, idx)
		checkSame(t, idx.entries, again.entries)

		others := keepOthers(idx.entries, ref)
		desc := ocispec.Descriptor{MediaType: "m", Digest: digest.FromString("x"), Size: 1}
		if err := again.tag(ref, desc, time.Unix(0, 0)); err != nil {
			t.Fatalf("tagging in %s: %v", data, err)
		}
		again = reparse(t, again)
		checkSame(t, others, keepOthers(again.entries, ref))
	})
}

func reparse(t *testing.T, idx *index) *index {
	t.Helper()
	again, err := parseIndex(idx.bytes())
	if err != nil {
		t.Fatalf("%v in what was written: %s", err, idx.bytes())
	}
	return again
}

// keepOthers returns the entries that tagging ref leaves alone.
func keepOthers(entries []indexEntry, ref string) (others []indexEntry) {
	for _, e := range entries {
		if e.Ref != ref {
			others = append(others, e)
		}
	}
	return others
}

func checkSame(t *testing.T, want, got []indexEntry) {
	t.Helper()
	if len(got) < len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i, e := range want {
		if !bytes.Equal(e.raw, got[i].raw) || e.Ref != got[i].Ref || e.Digest != got[i].Digest {
			t.Errorf("entry %d changed: %s to %s", i+1, e.raw, got[i].raw)
		}
	}
}
