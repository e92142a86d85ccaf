package storage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// object is a JSON object that keeps what we do not know: its fields stay in
// their order, and keys and values in their bytes.
type object []field

// field is one field of an object. Key is the bytes of name, with the quotes.
type field struct {
	name  string
	key   json.RawMessage
	value json.RawMessage
}

// parseObject reads data, which must hold one object whose names differ.
func parseObject(data []byte) (object, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.Join(errors.New("not a JSON object"), err)
	}
	var o object
	seen := make(map[string]bool)
	for dec.More() {
		f, err := parseField(dec, data)
		if err != nil {
			return nil, err
		}
		if seen[f.name] {
			return nil, fmt.Errorf("field %q is there twice", f.name)
		}
		seen[f.name] = true
		o = append(o, f)
	}
	return o, nil
}

// parseField reads the next field from dec, which reads data.
func parseField(dec *json.Decoder, data []byte) (field, error) {
	start := dec.InputOffset()
	name, err := dec.Token()
	if err != nil {
		return field{}, err
	}
	key := bytes.TrimLeft(data[start:dec.InputOffset()], ", \t\r\n")
	f := field{name: name.(string), key: key}
	return f, dec.Decode(&f.value)
}

// get returns the value of a field, nil if there is no such field.
func (o object) get(name string) json.RawMessage {
	for _, f := range o {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// set replaces the value of a field in place or adds the field at the end.
func (o *object) set(name string, value json.RawMessage) {
	i := slices.IndexFunc(*o, func(f field) bool { return f.name == name })
	if i >= 0 {
		(*o)[i].value = value
		return
	}
	*o = append(*o, field{name: name, key: encode(name), value: value})
}

// bytes is the object as JSON.
func (o object) bytes() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(f.key)
		b.WriteByte(':')
		b.Write(f.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// encode is v as JSON, for values that cannot fail.
func encode(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
