// Package weights reads the headers of weight files: what a file is, which
// tensors are in it, how many parameters they make, in which precision, and what
// its maker says of the model.
//
//	match, err := weights.Sniff(f, size)
//	if match.Kind == weights.KindSafetensors {
//		model := weights.NewModel(weights.Options{Tied: true})
//		header, err := weights.ReadSafetensors(f, size, model.Add)
//		...
//		fmt.Println(weights.FormatParams(model.Summary().Params)) // 0.6B
//	}
//
// Nothing is ever unpickled or executed, and nothing decompressed but the small
// blocks of TensorFlow's indexes. The readers take any file for hostile: they read
// at most [MaxRead] bytes of it, never allocate for a size or count that the file
// merely declares beyond a few MiB, and answer with a [*FormatError] that says what
// is wrong and at which byte. They take an [io.ReaderAt] and the size of the file;
// the file's name is the caller's to add.
package weights

import (
	"fmt"
	"io"
)

// MaxRead is how much of a file a reader reads at most, in bytes.
const MaxRead = 64 << 20

// Bounds on what is kept of a file, whatever it declares.
const (
	maxName    = 4 << 10  // the name of a tensor, in bytes
	maxRank    = 64       // dimensions of a tensor
	maxTensors = 1 << 19  // tensors of a file
	maxValue   = 64 << 10 // a value of the metadata, in bytes; longer ones are cut
	maxMeta    = 1 << 20  // all metadata of a file, in bytes
)

// FormatError says that a file is not what its format asks for.
type FormatError struct {
	Format string // what the file was read as: safetensors, GGUF, ...
	Offset int64  // where the problem is, in bytes from the start of the file
	Msg    string
}

// Error says what is wrong and where: safetensors: at byte 8: the header is not a JSON object.
func (e *FormatError) Error() string {
	return fmt.Sprintf("%s: at byte %d: %s", e.Format, e.Offset, e.Msg)
}

// Tensor is what a header says of one tensor.
type Tensor struct {
	Name string
	// DType is how the elements are stored.
	DType DType
	// Shape has the slowest dimension first, as PyTorch has it. It is valid only
	// during the call that hands the tensor over.
	Shape []int64
	// Elements is the product of Shape.
	Elements int64
}

// LastDim is the fastest dimension, or 1 if there is none.
func (t Tensor) LastDim() int64 {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// product multiplies the dimensions of a shape; false if they are negative or
// the product is beyond an int64.
func product(shape []int64) (int64, bool) {
	n, zero := int64(1), false
	for _, d := range shape {
		switch {
		case d < 0:
			return 0, false
		case d == 0:
			zero = true
		case n > maxInt64/d:
			return 0, false
		default:
			n *= d
		}
	}
	if zero {
		return 0, true
	}
	return n, true
}

const maxInt64 = 1<<63 - 1

// addSat adds numbers that are not negative and stops at the largest one.
func addSat(a, b int64) int64 {
	if a > maxInt64-b {
		return maxInt64
	}
	return a + b
}

// mulSat multiplies numbers that are not negative and stops at the largest one.
func mulSat(a, b int64) int64 {
	if b != 0 && a > maxInt64/b {
		return maxInt64
	}
	return a * b
}

// readAt fills p from off as far as the file goes.
func readAt(r io.ReaderAt, p []byte, off int64) (int, error) {
	n, err := r.ReadAt(p, off)
	if err != nil && err != io.EOF {
		return n, fmt.Errorf("reading at byte %d: %w", off, err)
	}
	return n, nil
}
