package weights

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"io"
	"slices"
)

// SafetensorsHeader is what the header of a safetensors file says beside its
// tensors.
type SafetensorsHeader struct {
	// Metadata is what __metadata__ holds. Values are cut after 64 KiB, and what
	// goes beyond 1 MiB altogether is left out.
	Metadata map[string]string
	// Tensors is how many there are.
	Tensors int
	// Bytes is the size of all tensors.
	Bytes int64
}

// ReadSafetensors reads the header of a safetensors file and calls each for every
// tensor, in the order of the header. Tensors that overlap, that go beyond the
// end of the file, whose size is not that of their shape or whose name comes twice
// are errors; so are types that are not known. A nil each is allowed.
func ReadSafetensors(r io.ReaderAt, size int64, each func(Tensor)) (*SafetensorsHeader, error) {
	s := newSource("safetensors", r, size)
	length, err := s.uint(8, binary.LittleEndian)
	switch {
	case err != nil:
		return nil, err
	case length > uint64(s.left()):
		return nil, s.errorf(0, "a header of %d bytes is announced and the file has %d more", length, s.left())
	case length > MaxRead-8:
		return nil, s.errorf(0, "a header of %d bytes, which is more than the %d MiB that are read", length, MaxRead>>20)
	}
	st := safetensors{scanner: scanner{source: s}, data: 8 + int64(length), each: each, seed: maphash.MakeSeed()}
	if err := s.within(int64(length), func() error { return st.object(st.entry) }); err != nil {
		return nil, err
	}
	return &st.header, st.check(size)
}

type safetensors struct {
	scanner
	header SafetensorsHeader
	data   int64 // where the tensors' bytes start
	each   func(Tensor)
	kept   int // bytes of metadata
	seed   maphash.Seed
	spans  []span
}

// span is the place of a tensor after the header, and its name, hashed.
type span struct {
	begin, end int64
	name       uint64
}

func (s *safetensors) entry(key []byte) error {
	if string(key) == "__metadata__" {
		return s.metadata()
	}
	at := s.offset()
	if len(s.spans) == maxTensors {
		return s.errorf(at, "more than %d tensors", maxTensors)
	}
	t := Tensor{Name: string(key)}
	sp := span{end: -1, name: maphash.Bytes(s.seed, key)}
	err := s.object(func(key []byte) (err error) {
		switch string(key) {
		case "dtype":
			t.DType, err = s.dtype()
		case "shape":
			t.Shape, err = s.numbers(s.dims[:0], maxRank)
		case "data_offsets":
			sp.begin, sp.end, err = s.offsets()
		default:
			err = s.skipValue()
		}
		return err
	})
	if err == nil {
		err = s.size(at, &t, sp)
	}
	if err != nil {
		return err
	}
	s.spans = append(s.spans, sp)
	if s.each != nil {
		s.each(t)
	}
	return nil
}

func (s *safetensors) dtype() (DType, error) {
	at := s.offset()
	name, _, err := s.string(32)
	if err != nil {
		return "", err
	}
	d := DType(name)
	if d == "" || dtypes[d].bits == 0 {
		return "", s.errorf(at, "dtype %q is not known", name)
	}
	return d, nil
}

// numbers appends a list of numbers up to the most that there may be.
func (s *safetensors) numbers(list []int64, most int) ([]int64, error) {
	at := s.offset()
	err := s.array(func() error {
		if len(list) == most {
			return s.errorf(at, "more than %d numbers", most)
		}
		n, err := s.number()
		list = append(list, n)
		return err
	})
	return list, err
}

func (s *safetensors) offsets() (begin, end int64, err error) {
	at := s.offset()
	var pair [2]int64
	got, err := s.numbers(pair[:0], 2)
	if err == nil && (len(got) != 2 || got[0] > got[1]) {
		err = s.errorf(at, "data_offsets %v are not a start and an end", got)
	}
	return pair[0], pair[1], err
}

// size checks one tensor by itself.
func (s *safetensors) size(at int64, t *Tensor, sp span) error {
	if t.DType == "" || sp.end < 0 {
		return s.errorf(at, "tensor %.100q has no dtype or no data_offsets", t.Name)
	}
	n, ok := product(t.Shape)
	bits := dtypes[t.DType].bits
	if !ok || n > maxInt64/bits {
		return s.errorf(at, "tensor %.100q of shape %v is beyond 64 bits", t.Name, t.Shape)
	}
	if t.Elements = n; (n*bits+7)/8 != sp.end-sp.begin {
		return s.errorf(at, "tensor %.100q of shape %v and dtype %s has %d bytes", t.Name, t.Shape, t.DType, sp.end-sp.begin)
	}
	return nil
}

func (s *safetensors) metadata() error {
	return s.object(func(key []byte) error {
		name := string(key)
		if c, err := s.next(); err != nil {
			return err
		} else if c != '"' {
			return s.skipValue() // nothing that could be used
		}
		value, _, err := s.string(maxValue)
		if s.kept += len(name) + len(value); err != nil || s.kept > maxMeta {
			return err
		}
		if s.header.Metadata == nil {
			s.header.Metadata = make(map[string]string)
		}
		s.header.Metadata[name] = string(value)
		return nil
	})
}

// check looks at all tensors together.
func (s *safetensors) check(size int64) error {
	s.header.Tensors = len(s.spans)
	slices.SortFunc(s.spans, func(a, b span) int { return cmp.Compare(a.name, b.name) })
	for i := 1; i < len(s.spans); i++ {
		if s.spans[i].name == s.spans[i-1].name {
			return s.errorf(s.data+s.spans[i].begin, "the tensor here has the name of another one")
		}
	}
	slices.SortFunc(s.spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	var last int64
	for _, sp := range s.spans {
		switch {
		case sp.end > size-s.data:
			return s.errorf(s.data+sp.begin, "the tensor here needs %d bytes and the file has %d more", sp.end-sp.begin, max(size-s.data-sp.begin, 0))
		case sp.begin < last:
			return s.errorf(s.data+sp.begin, "the tensor here overlaps the one before")
		}
		last = max(last, sp.end)
		s.header.Bytes += sp.end - sp.begin
	}
	return nil
}

// Index is the table that goes with the shards of a model, such as
// model.safetensors.index.json or pytorch_model.bin.index.json.
type Index struct {
	// Shards has the names of the files, each with the number of its tensors.
	// They come from the index as they are: they need not be local paths.
	Shards map[string]int
	// TotalSize is the size of all tensors in bytes, 0 if it is not said.
	TotalSize int64
	// TotalParameters is 0 if it is not said.
	TotalParameters int64
}

// Bounds on an index: its files, and the bytes in the name of one.
const (
	maxShards    = 1 << 13
	maxShardName = 1 << 10
)

// ReadIndex reads the index of a sharded model.
func ReadIndex(r io.ReaderAt, size int64) (*Index, error) {
	s := scanner{source: newSource("index", r, size)}
	index := &Index{Shards: make(map[string]int)}
	return index, s.object(func(key []byte) error {
		switch string(key) {
		case "weight_map":
			return s.object(func([]byte) error { return index.shard(&s) })
		case "metadata":
			return index.metadata(&s)
		}
		return s.skipValue()
	})
}

func (x *Index) shard(s *scanner) error {
	at := s.offset()
	file, whole, err := s.string(maxShardName)
	switch {
	case err != nil:
		return err
	case !whole:
		return s.errorf(at, "the name of a file has more than %d bytes", maxShardName)
	}
	if _, known := x.Shards[string(file)]; !known && len(x.Shards) == maxShards {
		return s.errorf(s.offset(), "more than %d files", maxShards)
	}
	x.Shards[string(file)]++
	return nil
}

func (x *Index) metadata(s *scanner) error {
	if c, err := s.next(); err != nil {
		return err
	} else if c != '{' {
		return s.skipValue()
	}
	return s.object(func(key []byte) (err error) {
		switch string(key) {
		case "total_size":
			x.TotalSize, err = s.numberOrOther()
		case "total_parameters":
			x.TotalParameters, err = s.numberOrOther()
		default:
			err = s.skipValue()
		}
		return err
	})
}
