package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

const (
	smallFiles    = 10_000
	smallFileSize = 4 << 10

	// settling is how long tare does not trust the times of a file after a
	// change, and a little more.
	settling = 2500 * time.Millisecond
)

func (b *bench) path(elem ...string) string {
	return filepath.Join(append([]string{b.dir}, elem...)...)
}

// shard is the path of one of the weight files.
func (b *bench) shard(i int) string {
	return b.path("weights", fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, b.shards))
}

// makeWeights makes the model that most steps work on, once, and leaves it in
// the page cache.
func (b *bench) makeWeights(ctx context.Context) error {
	if exists(b.path("weights", "Modelfile")) {
		return nil
	}
	if err := os.MkdirAll(b.path("weights"), 0o755); err != nil {
		return err
	}
	for i := range b.shards {
		if err := b.writeShard(ctx, i); err != nil {
			return err
		}
	}
	if err := b.describe("weights", "MODEL *.safetensors"); err != nil {
		return err
	}
	kitfile := "manifestVersion: 1.0.0\npackage: {name: bench}\nmodel: {name: bench, path: .}\n"
	if err := os.WriteFile(b.path("weights", "Kitfile"), []byte(kitfile), 0o644); err != nil {
		return err
	}
	for i := range b.shards {
		if err := b.readFile(ctx, b.shard(i)); err != nil {
			return err
		}
	}
	return settle(ctx)
}

// makeChanged makes the next version of the model, of which one shard is new.
func (b *bench) makeChanged(ctx context.Context) error {
	if exists(b.path("changed", "Modelfile")) {
		return nil
	}
	if err := os.MkdirAll(b.path("changed"), 0o755); err != nil {
		return err
	}
	changed := func(i int) string { return b.path("changed", filepath.Base(b.shard(i))) }
	if err := b.writeFile(ctx, changed(0), io.LimitReader(random(), b.shardSize())); err != nil {
		return err
	}
	for i := 1; i < b.shards; i++ {
		if err := os.Link(b.shard(i), changed(i)); err != nil {
			return err
		}
	}
	return b.describe("changed", "MODEL *.safetensors")
}

// describe writes a Modelfile. It is the last file of a directory to be made.
func (b *bench) describe(dir, line string) error {
	return os.WriteFile(b.path(dir, "Modelfile"), []byte("NAME bench\n"+line+"\n"), 0o644)
}

// writeShard fills a weight file with what does not compress.
func (b *bench) writeShard(ctx context.Context, i int) error {
	return b.writeFile(ctx, b.shard(i), io.LimitReader(random(), b.shardSize()))
}

func (b *bench) shardSize() int64 { return b.size / int64(b.shards) }

// rewriteShard changes one of the weight files.
func (b *bench) rewriteShard(ctx context.Context) error { return b.writeShard(ctx, 0) }

// random is a stream of noise that nobody saw before.
func random() io.Reader {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	return rand.NewChaCha8(seed)
}

// makeSmallFiles makes a dataset of many small files, a hundred to a directory.
func (b *bench) makeSmallFiles(ctx context.Context) error {
	if exists(b.path("small", "Modelfile")) {
		return nil
	}
	noise := random()
	for i := range smallFiles {
		dir := b.path("small", "data", fmt.Sprintf("%03d", i/100))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		name := filepath.Join(dir, fmt.Sprintf("%02d.bin", i%100))
		if err := b.writeFile(ctx, name, io.LimitReader(noise, smallFileSize)); err != nil {
			return err
		}
	}
	return b.describe("small", "DATASET data/**")
}

// makeSparse makes a model of one file that is all hole.
func (b *bench) makeSparse(size int64) error {
	if err := os.MkdirAll(b.path("sparse"), 0o755); err != nil {
		return err
	}
	f, err := os.Create(b.path("sparse", "model.safetensors"))
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	return b.describe("sparse", "MODEL *.safetensors")
}

// empty removes what is in a directory.
func (b *bench) empty(dir string) action {
	return func(context.Context) error {
		return errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755))
	}
}

func (b *bench) writeFile(ctx context.Context, path string, r io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(b.copy(ctx, f, r), f.Close())
}

func (b *bench) readFile(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return b.copy(ctx, io.Discard, f)
}

// copy copies until ctx is done. There is one buffer, and a small one, to keep
// our own memory below what we measure: see peak.
func (b *bench) copy(ctx context.Context, w io.Writer, r io.Reader) error {
	for ctx.Err() == nil {
		n, err := r.Read(b.piece[:])
		if _, err := w.Write(b.piece[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// settle waits until files that were just written count as unchanging.
func settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settling):
		return nil
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
