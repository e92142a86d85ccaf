package generate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// maxText bounds how much of a text file is read, in bytes.
const maxText = 4 << 20

// readBounded reads a regular file: to open another one may take for ever.
func readBounded(fsys fs.FS, name string, most int64) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("it is larger than %d MiB", most>>20)
	}
	return data, err
}

// object is a JSON object. Its getters take a value of the wrong type for one
// that is not there.
type object map[string]json.RawMessage

// object reads a file that was found. It is nil if there is no such file; one
// that cannot be used is a note.
func (s *study) object(name string) object {
	if !s.paths[name] {
		return nil
	}
	data, err := readBounded(s.fsys, name, maxText)
	if err != nil {
		s.notes.add("nothing was taken from %s: %v", name, err)
		return nil
	}
	var o object
	if err := json.Unmarshal(data, &o); err != nil {
		s.notes.add("nothing was taken from %s, which is not a JSON object: %v", name, err)
		return nil
	}
	return o
}

func (o object) has(keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return o[key] != nil })
}

// get decodes a value; what does not fit is the zero value.
func get[T any](o object, key string) T {
	var v, zero T
	if raw := o[key]; raw == nil || json.Unmarshal(raw, &v) != nil {
		return zero
	}
	return v
}

func (o object) string(key string) string { return get[string](o, key) }
func (o object) bool(key string) bool     { return get[bool](o, key) }
func (o object) object(key string) object { return get[object](o, key) }

// int is the first of keys that holds a whole number.
func (o object) int(keys ...string) int {
	for _, key := range keys {
		if n := get[int](o, key); n != 0 {
			return n
		}
	}
	return 0
}

// strings is a list of strings, or one.
func (o object) strings(key string) []string {
	if one := o.string(key); one != "" {
		return []string{one}
	}
	return get[[]string](o, key)
}
