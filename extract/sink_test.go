package extract

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/modelpack"
)

// newSink is a sink for a layer of head bytes, size bytes of a file, and tail.
func newSink(t *testing.T, head, size, tail int64) *fileSink {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	p, err := disk.OpenPartial(root, "part", head+size+tail, "host")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return &fileSink{Partial: p, head: head, size: size, all: head + size + tail}
}

// TestFileSink writes layers of random shapes in random pieces and order, and
// reads them back: the layer as it was, and the file at the start of the file.
func TestFileSink(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		head, size, tail := r.Int64N(3)*r.Int64N(2000), r.Int64N(3)*r.Int64N(5000), r.Int64N(3)*r.Int64N(2000)
		s := newSink(t, head, size, tail)
		layer := make([]byte, s.all)
		for i := range layer {
			layer[i] = byte(r.Uint32())
		}
		for _, cut := range r.Perm(8) {
			from, to := s.all*int64(cut)/8, s.all*int64(cut+1)/8
			if n, err := s.WriteAt(layer[from:to], from); err != nil || n != int(to-from) {
				t.Fatalf("seed %d: WriteAt(%d bytes, %d) = %d, %v", seed, to-from, from, n, err)
			}
		}
		for range 20 {
			off, n := r.Int64N(s.all+10), r.IntN(int(s.all)+20)
			p := make([]byte, n)
			got, err := s.ReadAt(p, off)
			want := layer[min(off, s.all):min(off+int64(n), s.all)]
			if !bytes.Equal(p[:got], want) || err != nil && err != io.EOF || (err == io.EOF) != (got < n) {
				t.Fatalf("seed %d: ReadAt(%d bytes, %d) of %d = %d bytes, %v", seed, n, off, s.all, got, err)
			}
		}
		file := make([]byte, size)
		if _, err := s.Partial.ReadAt(file, 0); err != nil && err != io.EOF || !bytes.Equal(file, layer[head:head+size]) {
			t.Fatalf("seed %d: the file is not at the start: %v", seed, err)
		}
	}
}

func TestFileSinkRefusesMoreThanDeclared(t *testing.T) {
	s := newSink(t, 512, 100, 1436)
	for _, off := range []int64{0, 1, s.all, s.all + 1, math.MaxInt64} {
		n := max(1, s.all-off+1)
		if off == 0 {
			n = s.all + 1
		}
		if _, err := s.WriteAt(make([]byte, n), off); !errors.Is(err, blob.ErrMismatch) {
			t.Errorf("%d bytes at %d: %v, want %v", n, off, err, blob.ErrMismatch)
		}
	}
	if info, err := s.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%d bytes were written, %v", info.Size(), err)
	}
}

// FuzzHeaderLength: a guess is never one that the layer has no room for, and is
// right for what build writes.
func FuzzHeaderLength(f *testing.F) {
	f.Add("a", int64(5), int64(2048), string(modelpack.Tar))
	f.Add("a", int64(0), int64(10240), string(modelpack.Tar))
	f.Add("a", int64(math.MaxInt64), int64(math.MaxInt64), string(modelpack.Tar))
	f.Add("\xff/é", int64(-1), int64(-512), string(modelpack.Raw))
	f.Fuzz(func(t *testing.T, name string, size, all int64, format string) {
		l := modelpack.Layer{Format: modelpack.Format(format), Path: name}
		if l.Size = all; l.Format == modelpack.Raw {
			size = all // as declared has it
		}
		head := headerLength(l, size)
		if l.Format != modelpack.Raw && head >= 0 && (head > maxHeader || size < 0 || all-head < size || all-head-size < 0) {
			t.Errorf("header of %d bytes before a file of %d in %d", head, size, all)
		}
		if l.Format == modelpack.Tar && size >= 0 && size < 1<<40 && modelpack.CheckPath(name) == nil {
			want := modelpack.TarHeaderSize(name, size)
			l.Size = want + size + modelpack.TarPadding(size) + modelpack.TarEnd
			if got := headerLength(l, size); got != want && want > 0 {
				t.Errorf("%q of %d bytes: %d, want %d", name, size, got, want)
			}
		}
	})
}
