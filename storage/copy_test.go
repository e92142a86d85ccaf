package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"
)

// withCores runs test with copies that hash beside writing, and with plain ones.
func withCores(t *testing.T, test func(t *testing.T, s *Store)) {
	for _, cores := range []int{1, 4} {
		t.Run(fmt.Sprintf("%d cores", cores), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
			s, err := Open(t.TempDir())
			check(t, err)
			others := goleak.IgnoreCurrent()
			test(t, s)
			goleak.VerifyNone(t, others)
			if n := s.copies.Load(); n != 0 {
				t.Errorf("%d copies are still going on", n)
			}
		})
	}
}

func TestCopyHashed(t *testing.T) {
	withCores(t, func(t *testing.T, s *Store) {
		for _, size := range []int{0, 1, copyBuffer - 1, copyBuffer, copyBuffer + 1, 3*copyBuffer + 7} {
			data := bytes.Repeat([]byte("0123456"), size/7+1)[:size]
			for name, r := range map[string]io.Reader{
				"whole":        bytes.NewReader(data),
				"halves":       iotest.HalfReader(bytes.NewReader(data)),
				"end with eof": iotest.DataErrReader(bytes.NewReader(data)),
			} {
				var w bytes.Buffer
				d, n, err := s.copyHashed(never, &w, r, digest.SHA512)
				if err != nil || n != int64(size) || d != digest.SHA512.FromBytes(data) || !bytes.Equal(w.Bytes(), data) {
					t.Errorf("%d bytes, %s: got %s, %d, %v", size, name, d, n, err)
				}
			}
		}
	})
}

// brokenWriter fails after some bytes.
type brokenWriter struct{ left int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestCopyErrors(t *testing.T) {
	boom := errors.New("boom")
	data := make([]byte, 5*copyBuffer)
	broken := func() io.Reader { return io.MultiReader(bytes.NewReader(data), iotest.ErrReader(boom)) }
	stopped := 0
	stop := func() error {
		if stopped++; stopped > 3 {
			return boom
		}
		return nil
	}
	idle := readFunc(func([]byte) (int, error) { return 0, nil })
	withCores(t, func(t *testing.T, s *Store) {
		stopped = 0
		for name, tt := range map[string]struct {
			stop func() error
			w    io.Writer
			r    io.Reader
			want error
		}{
			"read":    {never, io.Discard, broken(), boom},
			"write":   {never, &brokenWriter{2 * copyBuffer}, broken(), io.ErrShortWrite},
			"stopped": {stop, io.Discard, broken(), boom},
			"idle":    {never, io.Discard, idle, io.ErrNoProgress},
		} {
			d, n, err := s.copyHashed(tt.stop, tt.w, tt.r, digest.SHA256)
			if !errors.Is(err, tt.want) || d != "" || n != 0 {
				t.Errorf("%s: got %q, %d, %v, want %v", name, d, n, err, tt.want)
			}
		}
	})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestCopyIsFlat has a source that never ends up in memory.
func TestCopyIsFlat(t *testing.T) {
	withCores(t, func(t *testing.T, s *Store) {
		r := func() io.Reader { return io.LimitReader(zeros{}, 64*copyBuffer) }
		_, _, err := s.copyHashed(never, io.Discard, r(), digest.SHA256)
		check(t, err)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err = s.copyHashed(never, io.Discard, r(), digest.SHA256)
		check(t, err)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 3*copyBuffer {
			t.Errorf("%d bytes were allocated", got)
		}
	})
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
