package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

const octets = "application/octet-stream"

func testIngest(t *testing.T, e *env) {
	for name, data := range map[string][]byte{
		"empty": {},
		"small": []byte("hello"),
		"large": bytes.Repeat([]byte("0123456789"), 250_000),
	} {
		t.Run(name, func(t *testing.T) {
			desc := Put(t, e, octets, data)
			if want := Describe(octets, data); desc.Digest != want.Digest || desc.Size != want.Size {
				t.Fatalf("got %v, want %v", desc, want)
			}
			checkContent(t, e, desc, data)
			again, _, err := e.Ingest(t.Context(), iotest.HalfReader(bytes.NewReader(data)))
			must(t, err)
			if again != desc.Digest {
				t.Errorf("second ingest: got %s, want %s", again, desc.Digest)
			}
			checkContent(t, e, desc, data)
		})
	}
}

// checkContent reads desc in all ways.
func checkContent(t *testing.T, c Contents, desc ocispec.Descriptor, want []byte) {
	t.Helper()
	got, err := c.ReadAll(desc)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("ReadAll: %d bytes differ from the %d that were put", len(got), len(want))
	}
	r, err := c.Fetch(t.Context(), desc)
	must(t, err)
	got, err = io.ReadAll(r)
	must(t, errors.Join(err, r.Close()))
	if !bytes.Equal(got, want) {
		t.Errorf("Fetch: %d bytes differ from the %d that were put", len(got), len(want))
	}
	src, err := c.Open(desc)
	must(t, err)
	defer src.Close()
	if src.Size() != desc.Size {
		t.Errorf("Open: size %d, want %d", src.Size(), desc.Size)
	}
	got, err = io.ReadAll(io.NewSectionReader(src, 0, src.Size()))
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("Open: %d bytes differ from the %d that were put", len(got), len(want))
	}
}

func testIngestError(t *testing.T, e *env) {
	boom := errors.New("boom")
	data := []byte("the first part")
	for _, want := range []error{boom, io.ErrUnexpectedEOF} {
		_, _, err := e.Ingest(t.Context(), io.MultiReader(bytes.NewReader(data), iotest.ErrReader(want)))
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if _, err := e.Open(Describe(octets, data)); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("part of the content is in the store: %v", err)
	}
}

func testIngestCancelled(t *testing.T, e *env) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := e.Ingest(ctx, bytes.NewReader([]byte("late"))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func testReadMissing(t *testing.T, e *env) {
	desc := Describe(octets, []byte("nowhere"))
	checkReads(t, e, desc, blob.ErrNotFound)
	if has, err := e.Has(desc); has || err != nil {
		t.Errorf("Has: got %v, %v, want false", has, err)
	}
}

func testReadWrongSize(t *testing.T, e *env) {
	desc := Put(t, e, octets, []byte("eight by"))
	for _, size := range []int64{7, 9, 0} {
		desc.Size = size
		checkReads(t, e, desc, blob.ErrMismatch)
		if has, err := e.Has(desc); has || err != nil {
			t.Errorf("Has: got %v, %v, want false", has, err)
		}
	}
}

func testReadHostile(t *testing.T, e *env) {
	for _, d := range []digest.Digest{"", "sha256", "sha256:../../../etc/passwd", "md5:d41d8cd98f00b204e9800998ecf8427e"} {
		desc := ocispec.Descriptor{Digest: d, Size: 1}
		checkReads(t, e, desc, blob.ErrHostile)
		if err := e.Rely(d); !errors.Is(err, blob.ErrHostile) {
			t.Errorf("Rely(%q): got %v, want %v", d, err, blob.ErrHostile)
		}
	}
}

// checkReads checks that desc cannot be read in any way.
func checkReads(t *testing.T, c Contents, desc ocispec.Descriptor, want error) {
	t.Helper()
	_, err := c.Open(desc)
	if !errors.Is(err, want) {
		t.Errorf("Open %q: got %v, want %v", desc.Digest, err, want)
	}
	_, err = c.Fetch(t.Context(), desc)
	if !errors.Is(err, want) {
		t.Errorf("Fetch %q: got %v, want %v", desc.Digest, err, want)
	}
	_, err = c.ReadAll(desc)
	if !errors.Is(err, want) {
		t.Errorf("ReadAll %q: got %v, want %v", desc.Digest, err, want)
	}
}

func testReadAllBounded(t *testing.T, e *env) {
	desc := Put(t, e, octets, make([]byte, 4<<20+1))
	if _, err := e.ReadAll(desc); !errors.Is(err, blob.ErrHostile) {
		t.Errorf("got %v, want %v", err, blob.ErrHostile)
	}
}
