package weights

import (
	"bytes"
	"errors"
)

// outline is which fields a protocol buffer message has at its top.
type outline struct {
	fields []field
	whole  bool // all of the file was seen
}

// maxOutline bounds how many fields are looked at.
const maxOutline = 256

// protoOutline jumps over the fields of a file that is one message; an error
// says that it is none.
func (s *sample) protoOutline() (o outline, err error) {
	src := newSource("protobuf", s.r, s.size)
	err = src.message(func(f field) error {
		if o.fields = append(o.fields, f); len(o.fields) == maxOutline {
			return errStop
		}
		return nil
	})
	o.whole = err == nil
	if err == errStop {
		err = nil
	}
	return o, err
}

var errStop = errors.New("enough was seen")

// find is the first field of a number, or none.
func (o outline) find(number int64) (field, bool) {
	for _, f := range o.fields {
		if f.number == number {
			return f, true
		}
	}
	return field{}, false
}

// only says whether all fields are as they are wanted.
func (o outline) only(want func(field) bool) bool {
	for _, f := range o.fields {
		if !want(f) {
			return false
		}
	}
	return len(o.fields) > 0
}

// startsProto saves the walk for files that start otherwise.
func (s *sample) startsProto(first byte) bool { return len(s.head) > 4 && s.head[0] == first }

// isONNX wants a plausible version, a graph, and no fields but those of a
// ModelProto, of their kinds, up to the end of the file.
func isONNX(s *sample) (bool, error) {
	if !s.startsProto(0x08) {
		return false, nil
	}
	o, err := s.protoOutline()
	if err != nil {
		return false, err
	}
	version, _ := o.find(1)
	_, graph := o.find(7)
	return graph && version.value > 0 && version.value < 100 && o.only(func(f field) bool {
		switch f.number {
		case 1, 5:
			return f.wire == wireVarint
		case 2, 3, 4, 6, 7, 8, 14, 20, 25, 26:
			return f.wire == wireBytes
		}
		return false
	}), nil
}

// isCoreML wants a version, a description, and a model, whose field depends on
// what it is but has a number from 200 on.
func isCoreML(s *sample) (bool, error) {
	if !s.startsProto(0x08) {
		return false, nil
	}
	o, err := s.protoOutline()
	if err != nil {
		return false, err
	}
	description, ok := o.find(2)
	model := false
	return ok && description.wire == wireBytes && o.only(func(f field) bool {
		if f.number >= 200 && f.number <= 3000 {
			model = f.wire == wireBytes
			return model
		}
		return f.number == 1 && f.wire == wireVarint && f.value < 100 || f.number == 2 || f.number == 10
	}) && model, nil
}

// isSavedModel wants version 1 and graphs that begin with their own description.
func isSavedModel(s *sample) (bool, error) {
	if !s.has(0, "\x08\x01\x12") {
		return false, nil
	}
	o, err := s.protoOutline()
	if err != nil {
		return false, err
	}
	i := 3
	for i < len(s.head) && s.head[i] >= 0x80 {
		i++
	}
	return s.has(i+1, "\x0a") && o.only(func(f field) bool {
		return f.number == 1 && f.wire == wireVarint || f.number == 2 && f.wire == wireBytes && f.value > 2
	}), nil
}

// isSentencePiece wants a first piece with a text and a score of 0.
func isSentencePiece(s *sample) (bool, error) {
	if !s.startsProto(0x0a) || s.head[1] > 100 || s.head[2] != 0x0a {
		return false, nil
	}
	_, err := s.protoOutline()
	return s.has(4+int(s.head[3]), "\x15"), err
}

// isGraphDef wants a first node with a name and an operator's name.
func isGraphDef(s *sample) (bool, error) {
	if !s.startsProto(0x0a) {
		return false, nil
	}
	i := 1
	for i < len(s.head)-3 && i < 6 && s.head[i] >= 0x80 {
		i++
	}
	i++ // at the node's first field
	if !s.has(i, "\x0a") || len(s.head) < i+4 {
		return false, nil
	}
	op := i + 2 + int(s.head[i+1])
	if s.head[i+1] >= 0x80 || !s.has(op, "\x12") || len(s.head) < op+3 {
		return false, nil
	}
	name := s.head[op+2:]
	name = name[:min(int(s.head[op+1]), len(name))]
	if len(name) == 0 || len(bytes.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_>")) > 0 {
		return false, nil
	}
	_, err := s.protoOutline()
	return true, err
}
