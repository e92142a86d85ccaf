package weights

import "io"

// Checkpoint is what the index of a TensorFlow checkpoint says beside its tensors.
type Checkpoint struct {
	// Shards is how many files hold the tensors: for variables.index they are
	// variables.data-00000-of-00002 and so on.
	Shards int
	// Tensors is how many there are, and Bytes is their size.
	Tensors int
	Bytes   int64
}

// checkpointDTypes is by DataType. Resources and variants have no elements, and the
// float of 8 bits that only few machines know has no name here.
var checkpointDTypes = [...]DType{"", F32, F64, I32, U8, "I16", I8, "STRING", "C64", I64, Bool, I8, U8, I32, BF16, "I16", "U16", "U16", "C128", F16,
	"", "", U32, "U64", F8E5M2, F8E4M3, "F8_E4M3FNUZ", F8E4M3, "F8_E5M2FNUZ", I4, U4, "I2", "U2"}

// ReadCheckpoint reads the index of a TensorFlow checkpoint, as variables.index of a
// SavedModel and model.ckpt-1.index are, and calls each for every tensor, in the
// order of their names. Training state is among them, which [Model] does not count.
// Tensors whose size is not that of their shape or whose name comes twice are
// errors; so are types that are not known. A nil each is allowed.
func ReadCheckpoint(r io.ReaderAt, size int64, each func(Tensor)) (*Checkpoint, error) {
	c := checkpointReader{table: newTable("TensorFlow checkpoint", r, size), each: each}
	if err := c.entries(c.entry); err != nil {
		return nil, err
	}
	if c.info.Shards == 0 {
		return nil, c.errorf(0, "there is no header")
	}
	return &c.info, nil
}

type checkpointReader struct {
	*table
	info Checkpoint
	each func(Tensor)
}

// entry reads the header, which has an empty key, or a tensor.
func (c *checkpointReader) entry() error {
	at := c.offset()
	switch {
	case len(c.key) == 0:
		return c.header()
	case c.info.Shards == 0:
		return c.errorf(at, "there is no header before the first tensor")
	case c.key[0] == 0:
		return nil // a part of a tensor, which has an entry as a whole too
	case c.info.Tensors == maxTensors:
		return c.errorf(at, "more than %d tensors", maxTensors)
	}
	return c.tensor(at)
}

// header reads a BundleHeaderProto.
func (c *checkpointReader) header() error {
	at, shards := c.offset(), uint64(0)
	err := c.message(func(f field) error {
		if f.number == 1 {
			shards = f.value
		}
		return nil
	})
	if err == nil && (shards == 0 || shards > maxShards) {
		err = c.errorf(at, "%d shards, where there may be 1 to %d", shards, maxShards)
	}
	c.info.Shards = int(shards)
	return err
}

// tensor reads a BundleEntryProto.
func (c *checkpointReader) tensor(at int64) error {
	var dtype, shard, bytes uint64
	sliced, rank := false, 0
	err := c.message(func(f field) (err error) {
		switch f.number {
		case 1:
			dtype = f.value
		case 2:
			rank, err = c.shape()
		case 3:
			shard = f.value
		case 5:
			bytes = f.value
		case 7:
			sliced = true
		}
		return err
	})
	t := Tensor{Name: string(c.key), Shape: c.dims[:rank]}
	switch {
	case err != nil:
		return err
	case dtype >= uint64(len(checkpointDTypes)):
		return c.errorf(at, "tensor %.100q of type %d, which is not known", t.Name, dtype)
	case shard >= uint64(c.info.Shards):
		return c.errorf(at, "tensor %.100q in shard %d of %d", t.Name, shard, c.info.Shards)
	}
	t.DType = checkpointDTypes[dtype]
	if err := c.size(at, &t, bytes, sliced); err != nil {
		return err
	}
	c.info.Tensors++
	c.info.Bytes = addSat(c.info.Bytes, int64(bytes))
	if c.each != nil {
		c.each(t)
	}
	return nil
}

// shape reads a TensorShapeProto into c.dims.
func (c *checkpointReader) shape() (rank int, err error) {
	err = c.message(func(f field) error {
		if f.number != 2 {
			return nil
		}
		if rank == maxRank {
			return c.errorf(c.offset(), "a tensor with more than %d dimensions", maxRank)
		}
		c.dims[rank] = 0
		rank++
		return c.message(func(f field) error {
			if f.number == 1 {
				c.dims[rank-1] = int64(f.value)
			}
			return nil
		})
	})
	return rank, err
}

// size checks the bytes of a tensor, which the parts have if it is sliced. Types
// below 8 bits are not packed; those without a size have any.
func (c *checkpointReader) size(at int64, t *Tensor, bytes uint64, sliced bool) error {
	n, ok := product(t.Shape)
	width := (dtypes[t.DType].bits + 7) / 8
	if !ok || bytes > maxInt64 || width > 0 && n > maxInt64/width {
		return c.errorf(at, "tensor %.100q of shape %v is beyond 64 bits", t.Name, t.Shape)
	}
	if t.Elements = n; width > 0 && !sliced && int64(bytes) != n*width {
		return c.errorf(at, "tensor %.100q of shape %v and dtype %s has %d bytes", t.Name, t.Shape, t.DType, bytes)
	}
	return nil
}
