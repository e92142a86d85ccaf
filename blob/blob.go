// Package blob holds the shapes in which the other packages meet when content
// changes hands. It knows nothing of files on disk, of registries or of models.
//
// Content flows through three shapes:
//
//   - A [Source] is content that is there: random access and a known size.
//     A build makes one of each file ([Layer]), the store gives one for each
//     blob, an upload reads one.
//   - A [Sink] is content that is arriving: random access in both directions
//     and a place for the state of the transfer. The store and an extraction
//     own sinks, a download fills them.
//   - A [Verifier] hashes what goes by and ends in a [Proof]. Whoever gives
//     content its final name asks for the proof first, and nobody but a
//     Verifier can make one, so that unverified bytes cannot be published.
//
// [NewReader] is a Verifier around an [io.Reader]: a stream that ends in a clean
// io.EOF was the right one.
package blob

import (
	"errors"
	"io"
)

var (
	// ErrNotFound says that a blob, a manifest, a tag or a repository is not
	// there. Stores and registries wrap it.
	ErrNotFound = errors.New("not found")

	// ErrMismatch says that content is not what its descriptor promises: other
	// bytes, more of them or fewer.
	ErrMismatch = errors.New("content does not match its digest")

	// ErrHostile says that content is well transported but must not be used:
	// it tries to leave its destination, or lies about its size or shape.
	ErrHostile = errors.New("refused")
)

// Source is content that can be read at any offset, from several goroutines at
// once.
type Source interface {
	io.ReaderAt
	io.Closer

	// Size is the number of bytes that can be read.
	Size() int64
}

// Sink is where the bytes of one blob gather before the blob has a name. Bytes
// may be written in any order and by several goroutines, each byte once.
//
// A transfer keeps what it needs to go on after an interruption in the sink's
// state, in a form of its own. A sink that is opened again for the same blob
// holds the bytes and the state of the attempt before it; state that the owner
// of the sink can no longer vouch for is not handed out again.
type Sink interface {
	io.WriterAt
	io.ReaderAt

	// LoadState returns what was saved last, nil if nothing was.
	LoadState() ([]byte, error)

	// SaveState replaces the state. State describes bytes that were written
	// before the call.
	SaveState(state []byte) error
}
