package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/tareml/tare/disk"
	"github.com/tareml/tare/modelpack"
)

// Cache remembers small values. What is lost is computed again.
type Cache interface {
	Get(key string) ([]byte, bool)
	Put(key string, value []byte)
}

// cacheVersion changes when the same files would become other layers, as with
// another release of a compressor.
const cacheVersion = 2

// remembered is what a cache holds of a layer.
type remembered struct {
	Digest     digest.Digest
	DiffID     digest.Digest
	Size       int64
	Executable bool
}

// cacheKey names the content of a layer without reading it: the files by their
// identity, what stands before each in the archive, and the format. A header is
// made of path, size and mode, and the mode follows from content, so that path
// and size stand for it. The key is empty if the layer cannot be remembered.
func cacheKey(l Layer, ids []disk.Identity) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s %t\n", cacheVersion, l.Format, l.Bundle)
	for i, f := range l.Files {
		if !ids[i].Known {
			return ""
		}
		fmt.Fprintf(h, "%d %d %d %d %d", ids[i].Dev, ids[i].Ino, ids[i].Size, ids[i].MTime, ids[i].CTime)
		if l.Format != modelpack.Raw {
			fmt.Fprintf(h, " %q", f.Path)
		}
		io.WriteString(h, "\n")
	}
	return hex.EncodeToString(h.Sum(nil))
}

// known is a layer as a cache has it.
type known struct {
	remembered
	built built
}

// recall looks a layer up. It reads no content.
func (b *builder) recall(l Layer) (k known, ok bool) {
	if b.o.Cache == nil {
		return known{}, false
	}
	ids := make([]disk.Identity, len(l.Files))
	for i, f := range l.Files {
		ids[i] = f.id
	}
	data, ok := b.o.Cache.Get(cacheKey(l, ids))
	if !ok || json.Unmarshal(data, &k.remembered) != nil || !b.isCurrent(l) {
		return known{}, false
	}
	var err error
	k.built, err = b.finish(l, k.remembered, ids)
	return k, err == nil
}

// isCurrent opens the files of a layer to see that they are the ones that were
// planned with: a network file system may answer a stat from memory, and an open
// only after it asked.
func (b *builder) isCurrent(l Layer) bool {
	for _, f := range l.Files {
		file, err := b.plan.tree.open(f.Path)
		if err != nil {
			return false
		}
		info, err := file.Stat()
		file.Close()
		if err != nil || disk.Identify(info) != f.id {
			return false
		}
	}
	return true
}

// remember saves what a layer became, unless its files are so fresh that a
// change might not show.
func (b *builder) remember(l Layer, r remembered, ids []disk.Identity) {
	if b.o.Cache == nil {
		return
	}
	for _, id := range ids {
		if !id.Settled(b.start) {
			return
		}
	}
	if data, err := json.Marshal(r); err == nil {
		b.o.Cache.Put(cacheKey(l, ids), data)
	}
}
