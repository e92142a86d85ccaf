package follow

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

// maxRecord is the most that is read of a record.
const maxRecord = 1 << 20

// Record is the path of a file that names a version, a line "REFERENCE DIGEST"
// for each of its references. It is a [Memory], and a file whose presence says
// that something is ready.
type Record string

// Load returns the version in the file, empty if there is none that can be read.
func (r Record) Load() Version {
	info, err := os.Stat(string(r))
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxRecord {
		return nil
	}
	data, err := os.ReadFile(string(r))
	if err != nil {
		return nil
	}
	return parseRecord(data)
}

func parseRecord(data []byte) (v Version) {
	for line := range strings.Lines(string(data)) {
		reference, dgst, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		pin := Pin{reference, digest.Digest(dgst)}
		if !ok || reference == "" || pin.Digest.Validate() != nil {
			return nil
		}
		v = append(v, pin)
	}
	return v
}

// Save writes the file: whoever looks sees the old one or the new one, whole, and
// may read it as any user.
func (r Record) Save(v Version) error {
	if err := r.save(v); err != nil {
		return fmt.Errorf("writing %s: %w", string(r), err)
	}
	return nil
}

func (r Record) save(v Version) error {
	f, err := os.CreateTemp(filepath.Dir(string(r)), ".tare-*")
	if err != nil {
		return err
	}
	_, err = f.Write(formatRecord(v))
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), string(r))
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func formatRecord(v Version) []byte {
	var b bytes.Buffer
	for _, pin := range v {
		fmt.Fprintf(&b, "%s %s\n", pin.Reference, pin.Digest)
	}
	return b.Bytes()
}

// Remove takes the file away, if it is there.
func (r Record) Remove() error {
	if err := os.Remove(string(r)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
