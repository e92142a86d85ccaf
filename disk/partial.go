package disk

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
)

// What follows the name of a partial file in the names of the files beside it.
const (
	stateSuffix    = ".state"
	stateNewSuffix = ".state.new"
)

// PartialFiles lists the files that a [Partial] may have, in the order in which
// to remove them: state without data is worse than data without state.
func PartialFiles(name string) []string {
	return []string{name + stateNewSuffix, name + stateSuffix, name}
}

// Partial is a file that a transfer fills, over several attempts if need be, and
// the state of the transfer in a file beside it. It is a sink as package blob
// describes them. State comes back only to who wants the same content on the
// same host as before, and can count on the bytes that it describes, which a
// crash of the machine may have taken.
//
// A Partial has one owner at a time: who opens one holds a lock on it.
type Partial struct {
	*os.File

	// Lazy is that of a [Writer].
	Lazy bool

	root *os.Root
	name string
	size int64
	host string

	written atomic.Int64 // bytes since the disk was last asked to begin

	mu sync.Mutex // held while the state is written
}

// savedState is the content of a state file.
type savedState struct {
	Host   string `json:"host"`
	Size   int64  `json:"size"`
	Length int64  `json:"length"` // of the file at that time
	State  []byte `json:"state"`
}

// OpenPartial opens the partial file name in root, or makes it, for size bytes.
// Host is [HostID]'s. State without data belongs to bytes that are gone.
func OpenPartial(root *os.Root, name string, size int64, host string) (*Partial, error) {
	if _, err := root.Stat(name); errors.Is(err, fs.ErrNotExist) {
		if err := remove(root, name+stateSuffix); err != nil {
			return nil, err
		}
	}
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	return &Partial{File: f, root: root, name: name, size: size, host: host}, nil
}

// WriteAt implements [io.WriterAt].
func (p *Partial) WriteAt(b []byte, off int64) (int, error) {
	n, err := p.File.WriteAt(b, off)
	if since := p.written.Add(int64(n)); !p.Lazy && since >= writebackEvery && p.written.CompareAndSwap(since, 0) {
		StartWriteback(p.File)
	}
	return n, err
}

// Allocate sets space aside for size bytes, where the file system can, so that a
// disk that is too small is known now. It takes back what it got if that is not
// enough.
func (p *Partial) Allocate(size int64) error {
	err := Allocate(p.File, size)
	if err == nil {
		return nil
	}
	if info, statErr := p.Stat(); statErr == nil {
		p.Truncate(info.Size())
	}
	return err
}

// LoadState returns what was saved last. State of another host or of another
// size, that a crash damaged, or whose bytes somebody cut off, is none.
func (p *Partial) LoadState() ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	data, err := p.root.ReadFile(p.name + stateSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var saved savedState
	if err := json.Unmarshal(data, &saved); err != nil {
		return nil, nil
	}
	info, err := p.Stat()
	if err != nil {
		return nil, err
	}
	if saved.Host != p.host || saved.Size != p.size || saved.Length > info.Size() {
		return nil, nil
	}
	return saved.State, nil
}

// SaveState replaces the state.
func (p *Partial) SaveState(state []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	info, err := p.Stat()
	if err != nil {
		return err
	}
	data, err := json.Marshal(savedState{Host: p.host, Size: p.size, Length: info.Size(), State: state})
	if err != nil {
		return err
	}
	// A crash takes state and bytes alike: neither waits for the disk, unless
	// nobody would notice that there was one.
	if p.host == "" {
		if err := p.Sync(); err != nil {
			return err
		}
	}
	temp := p.name + stateNewSuffix
	if err := p.writeState(temp, data); err != nil {
		return err
	}
	return p.root.Rename(temp, p.name+stateSuffix)
}

func (p *Partial) writeState(temp string, data []byte) error {
	f, err := p.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && p.host == "" {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Forget removes the state.
func (p *Partial) Forget() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(remove(p.root, p.name+stateNewSuffix), remove(p.root, p.name+stateSuffix))
}

// RemovePartial removes the files of a transfer.
func RemovePartial(root *os.Root, name string) error {
	var errs []error
	for _, file := range PartialFiles(name) {
		errs = append(errs, remove(root, file))
	}
	return errors.Join(errs...)
}

func remove(root *os.Root, name string) error {
	if err := root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
