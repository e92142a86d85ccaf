package storage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// AnnotationTagged is the annotation of an entry of index.json that says when
// tare last wrote the tag, in RFC 3339 and UTC.
const AnnotationTagged = "io.github.tareml.tagged"

const manifestsField = "manifests"

// Entry is an entry of the index: a tag and what it leads to.
type Entry struct {
	// Ref is the name of the tag. It is empty for a manifest that another tool
	// keeps without a name.
	Ref string
	// Descriptor is what was tagged, without the annotations that hold Ref and
	// Tagged.
	ocispec.Descriptor
	// Tagged is when tare last wrote the tag, zero if another tool wrote it.
	Tagged time.Time
}

// index is a parsed index.json. It can be written again without a loss.
type index struct {
	fields  object
	entries []indexEntry
}

// indexEntry is an entry and the bytes that it came from.
type indexEntry struct {
	Entry
	raw json.RawMessage
}

// newIndex is the index of an empty store.
func newIndex() *index {
	return &index{fields: object{
		{name: "schemaVersion", key: encode("schemaVersion"), value: encode(2)},
		{name: "mediaType", key: encode("mediaType"), value: encode(ocispec.MediaTypeImageIndex)},
		{name: manifestsField, key: encode(manifestsField)},
	}}
}

// parseIndex reads an index.json. It is strict about what garbage collection
// goes by, and lenient about everything else.
func parseIndex(data []byte) (*index, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("the file is empty")
	}
	fields, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	if err := checkFields(fields); err != nil {
		return nil, err
	}
	var raws []json.RawMessage
	if err := json.Unmarshal(fields.get(manifestsField), &raws); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestsField, err)
	}
	idx := &index{fields: fields}
	for i, raw := range raws {
		e, err := parseEntry(raw)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		idx.entries = append(idx.entries, indexEntry{Entry: e, raw: raw})
	}
	return idx, nil
}

// checkFields refuses an index that could be taken for an emptier one than its
// writer meant.
func checkFields(fields object) error {
	for _, f := range fields {
		if f.name != manifestsField && strings.EqualFold(f.name, manifestsField) {
			return fmt.Errorf("unknown field %q", f.name)
		}
	}
	if fields.get(manifestsField) == nil {
		return fmt.Errorf("no field %q", manifestsField)
	}
	if v := fields.get("schemaVersion"); v != nil && string(v) != "2" {
		return fmt.Errorf("schemaVersion is %s, not 2", v)
	}
	return nil
}

func parseEntry(raw json.RawMessage) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(raw, &e.Descriptor); err != nil {
		return Entry{}, err
	}
	if e.Digest == "" {
		return Entry{}, errors.New("no digest")
	}
	e.Ref = e.Annotations[ocispec.AnnotationRefName]
	if t, err := time.Parse(time.RFC3339, e.Annotations[AnnotationTagged]); err == nil {
		e.Tagged = t.UTC()
	}
	delete(e.Annotations, ocispec.AnnotationRefName)
	delete(e.Annotations, AnnotationTagged)
	if len(e.Annotations) == 0 {
		e.Annotations = nil
	}
	return e, nil
}

// bytes is the index as JSON, an entry a line.
func (x *index) bytes() []byte {
	var list bytes.Buffer
	list.WriteByte('[')
	for i, e := range x.entries {
		if i > 0 {
			list.WriteByte(',')
		}
		list.WriteByte('\n')
		list.Write(e.raw)
	}
	list.WriteString("]")
	fields := slices.Clone(x.fields)
	if fields.get("schemaVersion") == nil {
		fields.set("schemaVersion", encode(2))
	}
	fields.set(manifestsField, list.Bytes())
	return append(fields.bytes(), '\n')
}

// find returns the position of the first entry named ref, -1 if there is none.
func (x *index) find(ref string) int {
	if ref == "" {
		return -1
	}
	return slices.IndexFunc(x.entries, func(e indexEntry) bool { return e.Ref == ref })
}

// tag lets ref lead to desc. An entry that said so already keeps what else is
// in it; one that led elsewhere is replaced, since the rest described the other.
func (x *index) tag(ref string, desc ocispec.Descriptor, now time.Time) error {
	i := x.find(ref)
	var old object
	if i >= 0 && x.entries[i].Digest == desc.Digest {
		old, _ = parseObject(x.entries[i].raw)
	}
	raw, err := entryBytes(old, ref, desc, now)
	if err != nil {
		return err
	}
	e, err := parseEntry(raw)
	if err != nil {
		return err
	}
	if i < 0 {
		x.entries = append(x.entries, indexEntry{Entry: e, raw: raw})
		return nil
	}
	x.entries[i] = indexEntry{Entry: e, raw: raw}
	x.removeAfter(ref, i+1)
	return nil
}

// entryBytes is the entry that tags desc, written over the fields of old.
func entryBytes(old object, ref string, desc ocispec.Descriptor, now time.Time) (json.RawMessage, error) {
	annotations, _ := parseObject(old.get("annotations")) // none is as good as null
	for name, value := range sorted(desc.Annotations) {
		annotations.set(name, encode(value))
	}
	annotations.set(ocispec.AnnotationRefName, encode(ref))
	annotations.set(AnnotationTagged, encode(now.UTC().Format(time.RFC3339)))

	desc.Annotations = nil
	fields, err := parseObject(encode(desc))
	if err != nil {
		return nil, err
	}
	entry := old
	for _, f := range fields {
		entry.set(f.name, f.value)
	}
	entry.set("annotations", annotations.bytes())
	return entry.bytes(), nil
}

// removeAfter removes the entries named ref from position from on.
func (x *index) removeAfter(ref string, from int) {
	kept := slices.DeleteFunc(x.entries[from:], func(e indexEntry) bool { return e.Ref == ref })
	x.entries = x.entries[:from+len(kept)]
}
