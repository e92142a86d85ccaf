//go:build unix

package build_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tareml/tare/build"
	"github.com/tareml/tare/modelpack"
)

// picky takes no layer of more than so many bytes.
type picky struct {
	*remote
	most int64
}

var errTooLarge = errors.New("too large")

func (p picky) Accepts(l build.Layer, size int64) error {
	if size > p.most {
		return fmt.Errorf("%s: %w", l.Path, errTooLarge)
	}
	return nil
}

// TestPushAsksBeforeItSends: how large a compressed layer is shows only when it is
// made, and then nothing of it is sent to anybody.
func TestPushAsksBeforeItSends(t *testing.T) {
	const most = 4 << 10
	dir := write(t, t.TempDir(), map[string]string{"same.bin": strings.Repeat("x", 20*most), "noise.bin": string(noise(2 * most))})
	for text, large := range map[string]bool{"MODEL same.bin\n": false, "MODEL noise.bin\n": true} {
		p, err := plan(t, dir, text)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := p.Layers(all(modelpack.TarZstd))
		if err != nil {
			t.Fatal(err)
		}
		first, second := newRemote(), newRemote()
		_, err = p.Push(t.Context(), []build.Uploader{first, picky{second, most}}, layers, build.Options{})
		if errors.Is(err, errTooLarge) != large || !large && err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if sent := len(first.sent) + len(second.sent); large && sent > 0 {
			t.Errorf("%q: %d blobs were sent", text, sent)
		}
	}
}

func noise(n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(data)
	return data
}
