package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

const (
	// downloadBuffer is what is hashed and written at once.
	downloadBuffer = 256 << 10

	// saveEvery is how much of a blob a crash may cost.
	saveEvery = 4 << 20
)

// Download fills sink with the content of desc and proves it. It begins where
// the state in the sink says that an earlier attempt stopped, and leaves such a
// state behind when it fails. Content that turns out to be wrong is fetched
// once more from the start.
func (r *Repository) Download(ctx context.Context, desc ocispec.Descriptor, sink blob.Sink) (blob.Proof, error) {
	proof, err := r.download(ctx, desc, sink, func(int64, int64) {})
	if err != nil {
		return blob.Proof{}, r.pulling(desc, err)
	}
	return proof, nil
}

// download is Download with reports of how many more bytes were moved into the
// sink, and of those that were there before. Fewer than zero are bytes that
// were wrong.
func (r *Repository) download(ctx context.Context, desc ocispec.Descriptor, sink blob.Sink, report func(safe, resumed int64)) (blob.Proof, error) {
	for again := false; ; again = true {
		d, err := newDownload(desc, sink, report)
		if err != nil {
			return blob.Proof{}, err
		}
		if err := d.run(r.stream(ctx, desc, d.offset)); err != nil {
			return blob.Proof{}, err
		}
		proof, err := d.verifier.Proof()
		if err == nil {
			return proof, nil
		}
		if restartErr := d.restart(); restartErr != nil || again {
			return blob.Proof{}, errors.Join(err, restartErr)
		}
	}
}

// download is one blob on its way into a sink. Bytes up to offset are both
// hashed and written.
type download struct {
	desc     ocispec.Descriptor
	sink     blob.Sink
	report   func(safe, resumed int64)
	verifier *blob.Verifier
	offset   int64
	saved    int64
	resumed  int64
}

// downloadState is what is kept in the sink: how far the bytes go, and the
// state of the hash at that point.
type downloadState struct {
	Digest digest.Digest `json:"digest"`
	Offset int64         `json:"offset"`
	Hash   []byte        `json:"hash"`
}

// newDownload goes on from the state in sink, or starts anew if it finds none
// that it can use.
func newDownload(desc ocispec.Descriptor, sink blob.Sink, report func(safe, resumed int64)) (*download, error) {
	verifier, err := blob.NewVerifier(desc)
	if err != nil {
		return nil, err
	}
	d := &download{desc: desc, sink: sink, report: report, verifier: verifier}
	data, err := sink.LoadState()
	if err != nil {
		return nil, fmt.Errorf("loading the state of the transfer: %w", err)
	}
	var state downloadState
	if json.Unmarshal(data, &state) != nil || state.Digest != desc.Digest || state.Offset == 0 {
		return d, nil
	}
	if verifier.Resume(state.Offset, state.Hash) != nil {
		d.verifier, err = blob.NewVerifier(desc)
		return d, err
	}
	d.offset, d.saved, d.resumed = state.Offset, state.Offset, state.Offset
	d.report(0, state.Offset)
	return d, nil
}

// run copies s into the sink to its end. What was copied is saved however it
// ends.
func (d *download) run(s *stream) error {
	err := d.copy(s)
	s.Close()
	if saveErr := d.save(); err == nil {
		err = saveErr
	}
	return err
}

func (d *download) copy(s *stream) error {
	buf := make([]byte, max(1, min(downloadBuffer, d.desc.Size-d.offset)))
	for {
		n, err := s.Read(buf)
		if n > 0 {
			if err := d.add(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// add writes p behind what is there, and then hashes it, so that the hash is
// never ahead of the sink.
func (d *download) add(p []byte) error {
	if _, err := d.sink.WriteAt(p, d.offset); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if _, err := d.verifier.Write(p); err != nil {
		return err
	}
	d.offset += int64(len(p))
	d.report(int64(len(p)), 0)
	if d.offset-d.saved >= saveEvery {
		return d.save()
	}
	return nil
}

func (d *download) save() error {
	if d.offset == d.saved {
		return nil
	}
	hash, err := d.verifier.MarshalBinary()
	if err == nil {
		err = d.saveState(downloadState{Digest: d.desc.Digest, Offset: d.offset, Hash: hash})
	}
	if err != nil {
		return fmt.Errorf("saving the state of the transfer: %w", err)
	}
	d.saved = d.offset
	return nil
}

func (d *download) saveState(state downloadState) error {
	data, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return d.sink.SaveState(data)
}

// restart forgets all that was copied.
func (d *download) restart() error {
	d.report(d.resumed-d.offset, -d.resumed)
	return d.saveState(downloadState{Digest: d.desc.Digest})
}
