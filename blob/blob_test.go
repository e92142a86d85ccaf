package blob_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

func descriptor(content string) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromString(content), Size: int64(len(content))}
}

func TestLayerIsHeaderFileTrailer(t *testing.T) {
	for _, c := range []struct{ header, body, trailer string }{
		{"head", "body", "tail"}, {"", "body", ""}, {"head", "", "tail"}, {"", "", ""}, {"h", "b", ""},
	} {
		want := c.header + c.body + c.trailer
		l := blob.NewLayer([]byte(c.header), strings.NewReader(c.body), int64(len(c.body)), []byte(c.trailer))
		if l.Size() != int64(len(want)) {
			t.Errorf("%q: size %d, want %d", want, l.Size(), len(want))
		}
		if err := iotest.TestReader(io.NewSectionReader(l, 0, l.Size()), []byte(want)); err != nil {
			t.Errorf("%q: %v", want, err)
		}
		for off := range len(want) {
			for n := range len(want) - off + 2 {
				p := make([]byte, n)
				got, err := l.ReadAt(p, int64(off))
				if rest := want[off:]; n <= len(rest) && (err != nil && err != io.EOF || string(p[:got]) != rest[:n]) {
					t.Errorf("%q: ReadAt(%d bytes, %d) = %q, %v", want, n, off, p[:got], err)
				} else if n > len(rest) && (err != io.EOF || string(p[:got]) != rest) {
					t.Errorf("%q: ReadAt(%d bytes, %d) past the end = %q, %v", want, n, off, p[:got], err)
				}
			}
		}
	}
}

func TestLayerOfFileThatShrank(t *testing.T) {
	l := blob.NewLayer([]byte("head"), strings.NewReader("bo"), 4, []byte("tail"))
	if _, err := io.ReadAll(io.NewSectionReader(l, 0, l.Size())); err != io.ErrUnexpectedEOF {
		t.Errorf("error %v, want %v: the trailer must not take the place of missing bytes", err, io.ErrUnexpectedEOF)
	}
}

func TestReaderEndsCleanlyOnlyWithTheRightContent(t *testing.T) {
	const content = "the right content"
	for name, c := range map[string]struct {
		got  string
		want error
	}{
		"right":     {content, nil},
		"flipped":   {"the right Content", blob.ErrMismatch},
		"truncated": {content[:5], blob.ErrMismatch},
		"overlong":  {content + "!", blob.ErrMismatch},
		"empty":     {"", blob.ErrMismatch},
	} {
		for _, reader := range []io.Reader{strings.NewReader(c.got), iotest.OneByteReader(strings.NewReader(c.got)), iotest.DataErrReader(strings.NewReader(c.got))} {
			r, err := blob.NewReader(reader, descriptor(content))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if !errors.Is(err, c.want) {
				t.Errorf("%s: error %v, want %v", name, err, c.want)
			}
			if len(got) > len(content) {
				t.Errorf("%s: %d bytes came through, more than the declared %d", name, len(got), len(content))
			}
			if _, again := r.Read(make([]byte, 1)); c.want != nil && again == io.EOF {
				t.Errorf("%s: a clean end after an error", name)
			}
		}
	}
}

func TestReaderPassesErrorsOn(t *testing.T) {
	r, err := blob.NewReader(iotest.ErrReader(io.ErrClosedPipe), descriptor("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); err != io.ErrClosedPipe {
		t.Errorf("error %v, want the stream's own", err)
	}
}

func TestProofCoversOnlyWhatWasVerified(t *testing.T) {
	desc := descriptor("content")
	v, err := blob.NewVerifier(desc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Proof(); !errors.Is(err, blob.ErrMismatch) {
		t.Errorf("proof before any byte: %v", err)
	}
	io.WriteString(v, "content")
	proof, err := v.Proof()
	if err != nil {
		t.Fatal(err)
	}
	if err := proof.Covers(desc); err != nil {
		t.Error(err)
	}
	if err := proof.Covers(descriptor("other")); err == nil {
		t.Error("a proof covers another blob")
	}
	if err := (blob.Proof{}).Covers(ocispec.Descriptor{}); err == nil {
		t.Error("the zero proof covers the zero descriptor")
	}
}

func TestVerifierResumes(t *testing.T) {
	desc := descriptor("one two")
	first, _ := blob.NewVerifier(desc)
	io.WriteString(first, "one ")
	state, err := first.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	second, _ := blob.NewVerifier(desc)
	if err := second.Resume(4, state); err != nil {
		t.Fatal(err)
	}
	io.WriteString(second, "two")
	if _, err := second.Proof(); err != nil {
		t.Error(err)
	}
	if err := second.Resume(8, state); err == nil {
		t.Error("resumed beyond the end")
	}
	if err := second.Resume(0, []byte("garbage")); err == nil {
		t.Error("resumed from garbage")
	}
}

func TestVerifierRefusesBadDescriptors(t *testing.T) {
	for _, desc := range []ocispec.Descriptor{
		{Digest: "", Size: 1},
		{Digest: "sha256:abc", Size: 1},
		{Digest: "md5:d41d8cd98f00b204e9800998ecf8427e", Size: 1},
		{Digest: digest.FromString("x"), Size: -1},
	} {
		if _, err := blob.NewVerifier(desc); !errors.Is(err, blob.ErrHostile) {
			t.Errorf("%v: error %v, want %v", desc, err, blob.ErrHostile)
		}
	}
}

func TestSha512(t *testing.T) {
	desc := ocispec.Descriptor{Digest: digest.SHA512.FromString("x"), Size: 1}
	r, err := blob.NewReader(bytes.NewReader([]byte("x")), desc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); err != nil {
		t.Error(err)
	}
}
