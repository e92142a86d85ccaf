package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/filelock"
)

// A transfer has up to four files, named after its digest and told apart by
// what follows. The data has no suffix.
const (
	lockSuffix     = ".lock"
	stateSuffix    = ".state"
	stateNewSuffix = ".state.new"
)

// fileName is the name of the data file of the transfer of d.
func fileName(d digest.Digest) string { return strings.Replace(d.String(), ":", "-", 1) }

// fileDigest reverses fileName, for any file of a transfer. It is empty
// for a name that is none.
func fileDigest(name string) digest.Digest {
	base, _, _ := strings.Cut(name, ".")
	alg, hex, _ := strings.Cut(base, "-")
	d := digest.NewDigestFromEncoded(digest.Algorithm(alg), hex)
	if d.Validate() != nil {
		return ""
	}
	return d
}

// partial is the transfer of a blob whose digest is given. It is the
// [blob.Sink] of the transfer, and holds its lock.
type partial struct {
	path string
	desc ocispec.Descriptor
	lock *filelock.Lock
	data *os.File
	host string

	written atomic.Int64 // bytes since the disk was last asked to begin

	mu sync.Mutex // held while the state is written
}

// savedState is the content of a state file. State is worth something only to
// who wants the same content and can count on the bytes that it describes,
// which a crash of the machine may have taken.
type savedState struct {
	Host   string `json:"host"`
	Size   int64  `json:"size"`
	Length int64  `json:"length"` // of the file at that time
	State  []byte `json:"state"`
}

// ReadAt implements [io.ReaderAt].
func (p *partial) ReadAt(b []byte, off int64) (int, error) { return p.data.ReadAt(b, off) }

// WriteAt implements [io.WriterAt]. Bytes beyond the declared size are
// [blob.ErrMismatch].
func (p *partial) WriteAt(b []byte, off int64) (int, error) {
	if int64(len(b)) > p.desc.Size-off {
		return 0, fmt.Errorf("%s: more than the declared %d bytes: %w", p.desc.Digest, p.desc.Size, blob.ErrMismatch)
	}
	n, err := p.data.WriteAt(b, off)
	if errors.Is(err, errNoSpace) {
		err = &hintError{err: err, hint: spaceHint}
	}
	if since := p.written.Add(int64(n)); since >= writebackEvery && p.written.CompareAndSwap(since, 0) {
		startWriteback(p.data)
	}
	return n, err
}

// Allocate sets space aside for size bytes, where the file system can, so that a
// disk that is too small is known now. It takes back what it got if that is not
// enough.
func (p *partial) Allocate(size int64) error {
	err := allocate(p.data, size)
	if err == nil {
		return nil
	}
	if info, statErr := p.data.Stat(); statErr == nil {
		p.data.Truncate(info.Size())
	}
	return &hintError{err: err, hint: spaceHint}
}

// LoadState implements [blob.Sink]. State of another host or of another size,
// that a crash damaged, or whose bytes somebody cut off, is none.
func (p *partial) LoadState() ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	data, err := os.ReadFile(p.path + stateSuffix)
	if err != nil {
		return nil, ignoreNotExist(err)
	}
	var saved savedState
	if err := json.Unmarshal(data, &saved); err != nil {
		return nil, nil
	}
	info, err := p.data.Stat()
	if err != nil {
		return nil, err
	}
	if saved.Host != p.host || saved.Size != p.desc.Size || saved.Length > info.Size() {
		return nil, nil
	}
	return saved.State, nil
}

// SaveState implements [blob.Sink].
func (p *partial) SaveState(state []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	info, err := p.data.Stat()
	if err != nil {
		return err
	}
	data := encode(savedState{Host: p.host, Size: p.desc.Size, Length: info.Size(), State: state})
	temp, path := p.path+stateNewSuffix, p.path+stateSuffix
	if p.host == "" {
		// Nobody will notice that there was a crash: the bytes must survive it.
		return errors.Join(p.data.Sync(), replaceFile(temp, path, data))
	}
	// A crash takes state and bytes alike: neither waits for the disk.
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return err
	}
	return rename(temp, path)
}

// keep ends the attempt and leaves everything for the next one.
func (p *partial) keep() error {
	err := p.closeData()
	p.lock.Release()
	return err
}

// discard ends the attempt and leaves nothing.
func (p *partial) discard() error {
	return errors.Join(p.closeData(), removePartial(p.path), p.lock.Remove())
}

func (p *partial) closeData() error {
	if p.data == nil {
		return nil
	}
	if err := p.data.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// removePartial removes the files of the transfer at path, except its lock.
func removePartial(path string) error {
	var errs []error
	for _, suffix := range []string{stateNewSuffix, stateSuffix, ""} {
		errs = append(errs, ignoreNotExist(os.Remove(path+suffix)))
	}
	return errors.Join(errs...)
}
