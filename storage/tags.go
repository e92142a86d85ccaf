package storage

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/filelock"
)

// List returns the entries of the index, sorted by name. Entries that have no
// name come first.
func (s *Store) List() ([]Entry, error) {
	idx, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	list := make([]Entry, 0, len(idx.entries))
	for _, e := range idx.entries {
		list = append(list, e.Entry)
	}
	slices.SortStableFunc(list, func(a, b Entry) int { return cmp.Compare(a.Ref, b.Ref) })
	return list, nil
}

// Resolve returns what the tag named exactly ref leads to, or
// [blob.ErrNotFound]. If other tools left several entries of that name, the
// first one counts.
func (s *Store) Resolve(ref string) (ocispec.Descriptor, error) {
	idx, err := s.readIndex()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	i := idx.find(ref)
	if i < 0 {
		return ocispec.Descriptor{}, refNotFound(ref)
	}
	return idx.entries[i].Descriptor, nil
}

// Untag removes tags, all of them or none: if one is not there, nothing changes
// and the error is [blob.ErrNotFound] with its name. What they led to stays
// until the next [Store.GC].
func (s *Store) Untag(refs ...string) error {
	// A store that is not there must not come into being by this.
	idx, err := s.readIndex()
	if err != nil {
		return err
	}
	if err := idx.untag(refs); err != nil || len(refs) == 0 {
		return err
	}
	return s.updateIndex(never, func(idx *index) error { return idx.untag(refs) })
}

// untag removes the entries named refs.
func (x *index) untag(refs []string) error {
	for _, ref := range refs {
		if x.find(ref) < 0 {
			return refNotFound(ref)
		}
	}
	for _, ref := range refs {
		x.removeAfter(ref, 0)
	}
	return nil
}

func refNotFound(ref string) error { return fmt.Errorf("%q: %w", ref, blob.ErrNotFound) }

// readIndex returns the index, an empty one if there is no store yet. It takes
// no lock: the file is only ever replaced as a whole.
func (s *Store) readIndex() (*index, error) {
	idx, err := s.loadIndex()
	if !isNotExist(err) {
		return idx, err
	}
	exists, layoutErr := s.checkLayout()
	if layoutErr != nil {
		return nil, layoutErr
	}
	if !exists {
		return newIndex(), nil
	}
	// It may have come into being since. If not, it is lost.
	return s.loadIndex()
}

// loadIndex reads index.json. Anything wrong with it is an error with a hint:
// tags are all there is to tell content from garbage.
func (s *Store) loadIndex() (*index, error) {
	path := s.path(ocispec.ImageIndexFile)
	data, err := os.ReadFile(path)
	if err != nil && !isNotExist(err) {
		return nil, err
	}
	var idx *index
	if err == nil {
		idx, err = parseIndex(data)
	}
	if err != nil {
		return nil, &hintError{err: fmt.Errorf("reading %s: %w", path, err), hint: s.indexHint()}
	}
	return idx, nil
}

// indexHint says how to get a lost index back.
func (s *Store) indexHint() string {
	index, saved := s.path(ocispec.ImageIndexFile), s.path(indexCopy)
	data, err := os.ReadFile(saved)
	if err == nil {
		_, err = parseIndex(data)
	}
	if err != nil {
		return fmt.Sprintf("restore %s from a backup; the blobs are still there, but there is no copy of the tags", index)
	}
	return fmt.Sprintf("get the last one that tare wrote back: cp %s %s", shellQuote(saved), shellQuote(index))
}

// updateIndex reads the index, lets change change it, and writes it, with all
// other processes kept out.
func (s *Store) updateIndex(stop func() error, change func(*index) error) error {
	lock, err := s.lock(stop, filelock.Exclusive)
	if err != nil {
		return s.notWritable(err)
	}
	defer lock.Release()
	idx, err := s.readIndex()
	if err != nil {
		return err
	}
	if err := change(idx); err != nil {
		return err
	}
	if err := s.writeIndex(idx); err != nil {
		return s.notWritable(err)
	}
	return nil
}

// writeIndex replaces index.json, and then the copy of it. All that can run out
// of space happens before the first rename.
func (s *Store) writeIndex(idx *index) error {
	data := idx.bytes()
	fresh, saved := s.path(indexNew), s.path(copyNew)
	err := writeSynced(fresh, data)
	if err == nil {
		err = writeSynced(saved, data)
	}
	if err != nil {
		os.Remove(fresh)
		os.Remove(saved)
		return err
	}
	if err := rename(fresh, s.path(ocispec.ImageIndexFile)); err != nil {
		os.Remove(fresh)
		os.Remove(saved)
		return err
	}
	return errors.Join(rename(saved, s.path(indexCopy)), syncDir(s.path(ownDir)), syncDir(s.dir))
}

// sorted ranges over m in the order of its keys.
func sorted(m map[string]string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
