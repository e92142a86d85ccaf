package registry

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/blob"
)

// downloadState is what is kept in the sink: the bytes that are there, and the
// state of the hash after those of them that were hashed.
type downloadState struct {
	Digest  digest.Digest `json:"digest"`
	Written extents       `json:"written"`
	Hashed  int64         `json:"hashed"`
	Hash    []byte        `json:"hash"`
}

// maxExtents is how many pieces a saved state may have.
const maxExtents = 1000

// parseState is what data says of a blob of this digest and size, and false if
// that is nothing, or cannot be.
func parseState(data []byte, want digest.Digest, size int64) (downloadState, bool) {
	var s downloadState
	ok := json.Unmarshal(data, &s) == nil && s.Digest == want && len(s.Written) > 0 && len(s.Written) <= maxExtents &&
		s.Written.valid(size) && s.Hashed >= 0 && s.Hashed <= s.Written.reach(0)
	return s, ok
}

// resume takes up the state in the sink, if there is one of any use.
func (d *download) resume() error {
	data, err := d.sink.LoadState()
	if err != nil {
		return fmt.Errorf("loading the state of the transfer: %w", err)
	}
	state, ok := parseState(data, d.desc.Digest, d.desc.Size)
	if !ok {
		return nil
	}
	if d.verifier.Resume(state.Hashed, state.Hash) != nil {
		d.verifier, err = blob.NewVerifier(d.desc)
		return err
	}
	d.hashed, d.written, d.taken = state.Hashed, state.Written, slices.Clone(state.Written)
	d.resumed = d.written.size()
	d.report(0, d.resumed)
	return nil
}

// save saves how far the download is.
func (d *download) save() error {
	d.saving.Lock()
	defer d.saving.Unlock()
	state, err := d.state()
	if err == nil {
		err = d.saveState(state)
	}
	if err != nil {
		return fmt.Errorf("saving the state of the transfer: %w", err)
	}
	return nil
}

// state waits until nobody hashes.
func (d *download) state() (downloadState, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.savers++
	for d.hashing {
		d.changed.Wait()
	}
	d.savers--
	d.changed.Broadcast()
	hash, err := d.verifier.MarshalBinary()
	return downloadState{Digest: d.desc.Digest, Written: slices.Clone(d.written), Hashed: d.hashed, Hash: hash}, err
}

func (d *download) saveState(state downloadState) error {
	data, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return d.sink.SaveState(data)
}

// restart begins from nothing, and trusts neither mirrors nor ranges from now on.
func (d *download) restart() (err error) {
	d.supply.onlyOrigin()
	d.whole, d.lone = true, nil
	d.hashed, d.written, d.taken = 0, nil, nil
	d.verifier, err = blob.NewVerifier(d.desc)
	return err
}

// forget takes back what was reported and saved.
func (d *download) forget() error {
	d.report(-d.moved, -d.resumed)
	d.moved, d.resumed = 0, 0
	return d.saveState(downloadState{Digest: d.desc.Digest})
}
