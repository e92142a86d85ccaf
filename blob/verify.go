package blob

import (
	_ "crypto/sha256" // the algorithms that descriptors may name
	_ "crypto/sha512"
	"encoding"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Proof says that the content of a descriptor went through a [Verifier], all of
// it and in order. The zero Proof proves nothing.
type Proof struct {
	digest digest.Digest
	size   int64
}

// Digest is the digest that was proved, empty for the zero Proof.
func (p Proof) Digest() digest.Digest { return p.digest }

// Size is the number of bytes that were proved.
func (p Proof) Size() int64 { return p.size }

// Covers is nil if p proves the content of desc, and an error otherwise.
func (p Proof) Covers(desc ocispec.Descriptor) error {
	if p.digest == "" || p.digest != desc.Digest || p.size != desc.Size {
		return fmt.Errorf("%s (%d bytes) was not verified", desc.Digest, desc.Size)
	}
	return nil
}

// Verifier hashes the bytes of one blob in order. It refuses bytes beyond the
// declared size at once, and never allocates from a declared size.
type Verifier struct {
	want ocispec.Descriptor
	hash hash.Hash
	n    int64
}

// NewVerifier returns a Verifier for the content of desc. A digest that is
// malformed, of an algorithm other than sha256, sha384 and sha512, or a
// negative size are [ErrHostile].
func NewVerifier(desc ocispec.Descriptor) (*Verifier, error) {
	if err := desc.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %w: %w", desc.Digest, err, ErrHostile)
	}
	if desc.Size < 0 {
		return nil, fmt.Errorf("%s: size %d: %w", desc.Digest, desc.Size, ErrHostile)
	}
	return &Verifier{want: desc, hash: desc.Digest.Algorithm().Hash()}, nil
}

// Write implements [io.Writer]. Bytes beyond the declared size are [ErrMismatch].
func (v *Verifier) Write(p []byte) (int, error) {
	if int64(len(p)) > v.want.Size-v.n {
		return 0, fmt.Errorf("%s: more than the declared %d bytes: %w", v.want.Digest, v.want.Size, ErrMismatch)
	}
	v.n += int64(len(p))
	return v.hash.Write(p)
}

// Offset is the number of bytes written so far.
func (v *Verifier) Offset() int64 { return v.n }

// Proof says that all bytes were the right ones, or [ErrMismatch] if not.
func (v *Verifier) Proof() (Proof, error) {
	if v.n != v.want.Size {
		return Proof{}, fmt.Errorf("%s: %d of %d bytes: %w", v.want.Digest, v.n, v.want.Size, ErrMismatch)
	}
	if got := digest.NewDigest(v.want.Digest.Algorithm(), v.hash); got != v.want.Digest {
		return Proof{}, fmt.Errorf("%s: got %s: %w", v.want.Digest, got, ErrMismatch)
	}
	return Proof{digest: v.want.Digest, size: v.want.Size}, nil
}

// MarshalBinary returns the state of the hash after Offset bytes, so that a
// later process can go on without reading them again.
func (v *Verifier) MarshalBinary() ([]byte, error) {
	return v.hash.(encoding.BinaryMarshaler).MarshalBinary()
}

// Resume sets the Verifier to offset bytes and the state of the hash after
// them, as MarshalBinary gave it.
func (v *Verifier) Resume(offset int64, state []byte) error {
	if offset < 0 || offset > v.want.Size {
		return fmt.Errorf("%s: state is at byte %d of %d", v.want.Digest, offset, v.want.Size)
	}
	if err := v.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		return fmt.Errorf("%s: %w", v.want.Digest, err)
	}
	v.n = offset
	return nil
}

// NewReader returns r with verification built in: its Read returns [io.EOF] only
// after exactly the bytes of desc went by, and [ErrMismatch] otherwise.
func NewReader(r io.Reader, desc ocispec.Descriptor) (*Reader, error) {
	v, err := NewVerifier(desc)
	if err != nil {
		return nil, err
	}
	return &Reader{r: r, v: v}, nil
}

// Reader is a stream that verifies itself. It keeps returning the error that it
// returned first.
type Reader struct {
	r   io.Reader
	v   *Verifier
	err error
}

// Read implements [io.Reader].
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.r.Read(p)
	if _, werr := r.v.Write(p[:n]); werr != nil {
		n, err = 0, werr
	}
	if err == io.EOF {
		if _, perr := r.v.Proof(); perr != nil {
			err = perr
		}
	}
	r.err = err
	return n, err
}

// Proof is what the Verifier of r says of the bytes read so far.
func (r *Reader) Proof() (Proof, error) { return r.v.Proof() }
