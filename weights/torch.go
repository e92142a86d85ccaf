package weights

import (
	"bytes"
	"io"
	"path"
	"strings"
)

// Torch is what can be told of a PyTorch file without unpickling anything.
type Torch struct {
	// Legacy says that the file is from before PyTorch 1.6, one pickle with the
	// tensors behind it. Nothing else is known of such files.
	Legacy bool
	// Script says that it is TorchScript: code and weights.
	Script bool
	// Exported says that it is an exported program (.pt2).
	Exported bool
	// Pickles is how many pickles there are; loading one can run any code.
	Pickles int
	// Storages is how many blocks of weights there are, and StorageBytes their
	// size. Divided by the size of an element, that is about the number of
	// parameters: the types of the elements are in the pickle.
	Storages     int
	StorageBytes int64
}

// torchLegacyMagic starts a pickle of the number that old files begin with.
var torchLegacyMagic = []byte("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.")

// ReadTorch lists a PyTorch file. It unpickles and decompresses nothing.
func ReadTorch(r io.ReaderAt, size int64) (*Torch, error) {
	var head [16]byte
	n, err := readAt(r, head[:min(max(size, 0), int64(len(head)))], 0)
	switch {
	case err != nil:
		return nil, err
	case bytes.HasPrefix(head[:n], torchLegacyMagic):
		return &Torch{Legacy: true, Pickles: 1}, nil
	}
	t := new(Torch)
	err = zipEntries(r, size, func(e zipEntry) bool {
		t.add(e)
		return true
	})
	if err != nil {
		return nil, err
	}
	if t.Pickles == 0 && !t.Script && !t.Exported {
		return nil, &FormatError{Format: "PyTorch", Msg: "a zip archive without the pickle or the code of a PyTorch file"}
	}
	return t, nil
}

// add takes a file of the archive, all of which are in a folder named after it.
func (t *Torch) add(e zipEntry) {
	_, name, ok := strings.Cut(e.name, "/")
	if !ok {
		name = e.name
	}
	switch first, rest, _ := strings.Cut(name, "/"); {
	case path.Ext(name) == ".pkl":
		t.Pickles++
		t.Script = t.Script || name == "constants.pkl"
	case first == "code" && rest != "":
		t.Script = true
	case name == "archive_format":
		t.Exported = true
	case e.size > 0 && t.storage(first, rest):
		t.Storages++
		t.StorageBytes = addSat(t.StorageBytes, e.size)
	}
}

func (t *Torch) storage(first, rest string) bool {
	if first == "data" && strings.HasPrefix(rest, "weights/") { // exported programs
		return path.Ext(rest) != ".json"
	}
	switch first {
	case "data", "constants", "tensors":
		return rest != "" && strings.Trim(rest, "0123456789") == ""
	}
	return false
}
