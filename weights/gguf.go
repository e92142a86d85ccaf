package weights

import (
	"encoding/binary"
	"io"
	"math"
	"strconv"
	"strings"
)

// GGUF is what the header of a GGUF file says beside its tensors.
type GGUF struct {
	Version   int
	BigEndian bool
	// Tensors is how many there are in this file.
	Tensors int
	// FileType is what the file says of its quantization, such as Q4_K_M, or empty.
	FileType string
	// MainType is the type that most parameters of this file have.
	MainType DType
	// values holds string, int64, float64, bool and []string.
	values map[string]any
}

// Architecture is what llama.cpp calls the model's family, such as qwen3.
func (g *GGUF) Architecture() string { return g.String("general.architecture") }

// ContextLength is how many tokens the model was made for, 0 if it is not said.
func (g *GGUF) ContextLength() int64 { return g.Int(g.Architecture() + ".context_length") }

// Experts is how many experts the model has and how many of them a token uses.
func (g *GGUF) Experts() (all, used int64) {
	arch := g.Architecture()
	return g.Int(arch + ".expert_count"), g.Int(arch + ".expert_used_count")
}

// Split is which part of how many the file is, counted from 0, and how many
// tensors all parts have together. The count is 0 for files that were not split.
func (g *GGUF) Split() (no, count, tensors int64) {
	return g.Int("split.no"), g.Int("split.count"), g.Int("split.tensors.count")
}

// ChatTemplate is the template for chats, cut after 64 KiB.
func (g *GGUF) ChatTemplate() string { return g.String("tokenizer.chat_template") }

// BaseModel is what a model was made from. Any of the three may be empty.
type BaseModel struct{ Name, Organization, RepoURL string }

// BaseModels are the models that this one was made from, or nil.
func (g *GGUF) BaseModels() []BaseModel {
	var all []BaseModel
	for i := range min(g.Int("general.base_model.count"), 64) {
		prefix := "general.base_model." + strconv.FormatInt(i, 10) + "."
		all = append(all, BaseModel{
			Name:         g.String(prefix + "name"),
			Organization: g.String(prefix + "organization"),
			RepoURL:      g.String(prefix + "repo_url"),
		})
	}
	return all
}

// String is a value of the metadata, or empty if it is not there or no string.
// Kept are the general, split, adapter, clip and imatrix keys, those of the
// architecture and the chat templates; nothing of the vocabulary.
func (g *GGUF) String(key string) string {
	v, _ := g.values[key].(string)
	return v
}

// Strings is a list of the metadata, or nil. A single string is a list of one.
func (g *GGUF) Strings(key string) []string {
	switch v := g.values[key].(type) {
	case []string:
		return v
	case string:
		return []string{v}
	}
	return nil
}

// Int is a number of the metadata, or 0 if it is not there or no whole number.
func (g *GGUF) Int(key string) int64 {
	v, _ := g.values[key].(int64)
	return v
}

// ReadGGUF reads the header of a GGUF file of version 1 to 3, of either byte
// order, and calls each for every tensor. Shapes are turned to have the slowest
// dimension first. Tensors that go beyond the end of the file are errors. A nil
// each is allowed.
func ReadGGUF(r io.ReaderAt, size int64, each func(Tensor)) (*GGUF, error) {
	g := ggufReader{source: newSource("GGUF", r, size), each: each, byType: make(map[DType]int64)}
	g.header.values = make(map[string]any)
	tensors, pairs, err := g.start()
	if err != nil {
		return nil, err
	}
	for range pairs {
		if err := g.pair(); err != nil {
			return nil, err
		}
	}
	for range tensors {
		if err := g.tensor(); err != nil {
			return nil, err
		}
	}
	if err := g.checkEnd(size); err != nil {
		return nil, err
	}
	g.header.Tensors = int(tensors)
	g.header.MainType = largest(g.byType)
	if t, ok := g.header.values["general.file_type"].(int64); ok {
		g.header.FileType = FileTypeName(t)
	}
	return &g.header, nil
}

type ggufReader struct {
	*source
	header GGUF
	order  binary.ByteOrder
	each   func(Tensor)
	kept   int64 // bytes of metadata
	byType map[DType]int64
	// end is the end of the tensor that reaches furthest, counted from the data.
	end     int64
	endName string
}

// start reads what comes before the metadata.
func (g *ggufReader) start() (tensors, pairs uint64, err error) {
	var magic [8]byte
	if err := g.full(magic[:]); err != nil {
		return 0, 0, err
	}
	if string(magic[:4]) != "GGUF" {
		return 0, 0, g.errorf(0, "the file does not start with GGUF")
	}
	g.order = binary.LittleEndian
	if magic[4] == 0 && magic[5] == 0 { // versions are small
		g.order, g.header.BigEndian = binary.BigEndian, true
	}
	version := g.order.Uint32(magic[4:])
	if version < 1 || version > 3 {
		return 0, 0, g.errorf(4, "version %d is not known", version)
	}
	g.header.Version = int(version)
	if tensors, err = g.count(); err == nil {
		pairs, err = g.count()
	}
	switch {
	case err != nil:
		return 0, 0, err
	case tensors > maxTensors:
		return 0, 0, g.errorf(8, "%d tensors are announced, which is more than %d", tensors, maxTensors)
	case pairs > maxTensors:
		return 0, 0, g.errorf(8, "%d pairs of metadata are announced, which is more than %d", pairs, maxTensors)
	}
	return tensors, pairs, nil
}

// count reads a count or a length, which had 32 bits in version 1.
func (g *ggufReader) count() (uint64, error) {
	if g.header.Version == 1 {
		return g.uint(4, g.order)
	}
	return g.uint(8, g.order)
}

// string reads a string and keeps the first most bytes.
func (g *ggufReader) string(most int64) (string, error) {
	n, err := g.count()
	if err != nil {
		return "", err
	}
	return g.text(int64(min(n, math.MaxInt64)), most)
}

// name reads a string that must not be too long.
func (g *ggufReader) name() (string, error) {
	at := g.offset()
	s, err := g.string(maxName + 1)
	if err == nil && len(s) > maxName {
		err = g.errorf(at, "a name of more than %d bytes", maxName)
	}
	return s, err
}

func (g *ggufReader) pair() error {
	key, err := g.name()
	if err != nil {
		return err
	}
	kind, err := g.uint(4, g.order)
	if err != nil {
		return err
	}
	if !g.wanted(key) {
		return g.skipValue(kind, 0)
	}
	at := g.offset()
	v, err := g.value(kind)
	if err != nil {
		return err
	}
	g.kept += min(g.offset()-at, maxMeta) + int64(len(key)) + 64
	if v != nil && g.kept <= maxMeta {
		g.header.values[key] = v
	}
	return nil
}

// wanted leaves out the vocabulary, which is most of a header.
func (g *ggufReader) wanted(key string) bool {
	for _, prefix := range [...]string{"general.", "split.", "adapter.", "clip.", "imatrix.", "tokenizer.chat_template"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	arch := g.header.Architecture()
	return arch != "" && strings.HasPrefix(key, arch+".") || key == "tokenizer.ggml.model" || key == "tokenizer.ggml.pre"
}

// Kinds of values.
const (
	ggufInt8    = 1
	ggufInt16   = 3
	ggufInt32   = 5
	ggufFloat32 = 6
	ggufBool    = 7
	ggufString  = 8
	ggufArray   = 9
	ggufInt64   = 11
	ggufFloat64 = 12
)

// ggufWidths is the size of each kind of value, 0 where it differs.
var ggufWidths = [...]int{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}

// value reads a value; nil stands for a list of anything but strings.
func (g *ggufReader) value(kind uint64) (any, error) {
	at := g.offset()
	switch {
	case kind >= uint64(len(ggufWidths)):
		return nil, g.errorf(at, "a value of kind %d, which is not known", kind)
	case kind == ggufString:
		return g.string(maxValue)
	case kind == ggufArray:
		return g.list()
	}
	width := ggufWidths[kind]
	raw, err := g.uint(width, g.order)
	if err != nil {
		return nil, err
	}
	return ggufNumber(kind, raw, width), nil
}

// ggufNumber is an int64, a float64 or a bool.
func ggufNumber(kind, raw uint64, width int) any {
	switch kind {
	case ggufFloat32:
		return float64(math.Float32frombits(uint32(raw)))
	case ggufFloat64:
		return math.Float64frombits(raw)
	case ggufBool:
		return raw != 0
	case ggufInt8, ggufInt16, ggufInt32, ggufInt64:
		unused := 64 - 8*width
		return int64(raw<<unused) >> unused // with the sign
	}
	return int64(min(raw, math.MaxInt64))
}

// maxList bounds the strings that are kept of a list.
const maxList = 256

// list reads a list of strings, of which it keeps the first ones, and skips other
// lists.
func (g *ggufReader) list() (any, error) {
	kind, n, err := g.listHead()
	if err != nil {
		return nil, err
	}
	if kind != ggufString {
		return nil, g.skipElements(kind, n, 0)
	}
	var list []string
	for range min(n, maxList) {
		s, err := g.string(1 << 10)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, g.skipElements(kind, n-uint64(len(list)), 0)
}

func (g *ggufReader) listHead() (kind, n uint64, err error) {
	if kind, err = g.uint(4, g.order); err == nil {
		n, err = g.count()
	}
	return kind, n, err
}

func (g *ggufReader) skipValue(kind uint64, depth int) error {
	if kind != ggufArray {
		return g.skipElements(kind, 1, depth)
	}
	if depth > 4 {
		return g.errorf(g.offset(), "lists are nested more than %d deep", depth)
	}
	kind, n, err := g.listHead()
	if err != nil {
		return err
	}
	return g.skipElements(kind, n, depth+1)
}

func (g *ggufReader) skipElements(kind, n uint64, depth int) error {
	at := g.offset()
	if kind >= uint64(len(ggufWidths)) {
		return g.errorf(at, "a value of kind %d, which is not known", kind)
	}
	width := uint64(ggufWidths[kind])
	least := width
	if least == 0 {
		least = 4 // strings and lists begin with a length
	}
	if n > uint64(g.left())/least {
		return g.errorf(at, "%d values are announced, but the file has only %d bytes more", n, g.left())
	}
	if width > 0 {
		return g.skip(int64(n * width))
	}
	for range n {
		if err := g.skipOne(kind, depth); err != nil {
			return err
		}
	}
	return nil
}

func (g *ggufReader) skipOne(kind uint64, depth int) error {
	if kind == ggufArray {
		return g.skipValue(kind, depth)
	}
	n, err := g.count()
	if err != nil {
		return err
	}
	return g.skip(int64(min(n, math.MaxInt64)))
}

func (g *ggufReader) tensor() error {
	at := g.offset()
	t := Tensor{}
	var err error
	if t.Name, err = g.name(); err != nil {
		return err
	}
	if t.Shape, err = g.shape(); err != nil {
		return err
	}
	number, err := g.uint(4, g.order)
	if err != nil {
		return err
	}
	start, err := g.uint(8, g.order)
	if err != nil {
		return err
	}
	var ok bool
	if t.Elements, ok = product(t.Shape); !ok {
		return g.errorf(at, "tensor %.100q of shape %v is beyond 64 bits", t.Name, t.Shape)
	}
	kind, known := ggmlTypes[number]
	if !known {
		kind.name = DType("type " + strconv.FormatUint(number, 10))
	}
	t.DType = kind.name
	if err := g.place(at, t, kind, start); err != nil {
		return err
	}
	g.byType[t.DType] = addSat(g.byType[t.DType], t.Elements)
	if g.each != nil {
		g.each(t)
	}
	return nil
}

// shape reads a shape and turns it round.
func (g *ggufReader) shape() ([]int64, error) {
	at := g.offset()
	rank, err := g.uint(4, g.order)
	if err == nil && rank > maxRank {
		err = g.errorf(at, "a tensor of %d dimensions", rank)
	}
	if err != nil {
		return nil, err
	}
	shape := g.dims[:rank]
	for i := range shape {
		d, err := g.count()
		if err != nil {
			return nil, err
		}
		shape[len(shape)-1-i] = int64(d) // what is beyond becomes negative, which product refuses
	}
	return shape, nil
}

// place notes where the tensor ends. The types that are not known have no size.
func (g *ggufReader) place(at int64, t Tensor, kind ggmlType, start uint64) error {
	if start > math.MaxInt64 {
		return g.errorf(at, "tensor %.100q starts at %d, which is beyond 64 bits", t.Name, start)
	}
	end := int64(start)
	if kind.elements > 0 {
		blocks := t.Elements / kind.elements
		if t.Elements%kind.elements != 0 {
			blocks++
		}
		end = addSat(end, mulSat(blocks, kind.bytes))
	}
	if end > g.end {
		g.end, g.endName = end, t.Name
	}
	return nil
}

func (g *ggufReader) checkEnd(size int64) error {
	align := g.header.Int("general.alignment")
	if align <= 0 || align > 1<<20 {
		align = 32
	}
	data := (g.offset() + align - 1) / align * align
	if g.end > 0 && g.end > size-data {
		return g.errorf(data, "tensor %.100q ends %d bytes further on, but the file has only %d", g.endName, g.end, max(size-data, 0))
	}
	return nil
}

// largest is the type with the most parameters, the first by name among equals.
func largest(byType map[DType]int64) DType {
	var best DType
	for d, n := range byType {
		if m := byType[best]; best == "" || n > m || n == m && d < best {
			best = d
		}
	}
	return best
}
