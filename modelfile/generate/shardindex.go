package generate

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/tareml/tare/weights"
)

// shardIndex is the table of the shards of a model, and which files it is about.
type shardIndex struct {
	file    string // its path
	stem    string // of the shards that belong to it
	ext     string
	variant string
	table   *weights.Index
}

// CheckShards says which shards are missing among the files at paths,
// slash-separated and in dir, and which are surplus, as [Result.Warnings] does.
func CheckShards(dir string, paths []string) []string {
	fsys := os.DirFS(dir)
	var entries []entry
	for _, p := range slices.Sorted(slices.Values(paths)) {
		entries = append(entries, entry{p, sizeOf(fsys, p)()})
	}
	var said, warned notes
	newStudy(fsys, dir, classify(entries, sniffAll(fsys, entries)), &said, &warned).checkIndexes()
	return warned
}

// indexPattern knows model.safetensors.index.json and, for a variant,
// model.safetensors.index.fp16.json.
var indexPattern = regexp.MustCompile(`^([^.]+)(\.[a-z]+)\.index(?:\.([a-z0-9_]+))?\.json$`)

// readIndex reads a file that is named like an index; false if there is none in it.
func (s *study) readIndex(file string) (shardIndex, bool) {
	m := indexPattern.FindStringSubmatch(path.Base(file))
	if m == nil {
		return shardIndex{}, false
	}
	x := shardIndex{file: file, stem: m[1], ext: m[2], variant: m[3]}
	err := s.header(file, func(r io.ReaderAt, size int64) (err error) {
		x.table, err = weights.ReadIndex(r, size)
		return err
	})
	if err != nil {
		s.warnings.add("the shards were not checked: %q: %v", file, err)
		return shardIndex{}, false
	}
	return x, len(x.table.Shards) > 0
}

// header opens a file for one of the readers of headers.
func (s *study) header(name string, read func(io.ReaderAt, int64) error) error {
	f, err := s.fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r, ok := f.(io.ReaderAt)
	if !ok {
		return fmt.Errorf("it cannot be read at any place")
	}
	return read(metered{r, &s.unread}, info.Size())
}

// shards are the paths of the files that the index names.
func (x shardIndex) shards() map[string]bool {
	all := make(map[string]bool)
	for name := range x.table.Shards {
		all[path.Join(folder(x.file), name)] = true
	}
	return all
}

// checkIndexes reads each index and compares it with the shards that are there.
func (s *study) checkIndexes() {
	for _, f := range s.files {
		if x, ok := s.readIndex(f.path); ok {
			s.indexes[f.path] = x
			s.checkShards(x)
		}
		if f.sniffed == weights.KindTFCheckpoint {
			s.checkCheckpoint(f)
		}
	}
	for _, set := range setsOf(s.weightFiles("safetensors", "pt", "gguf")) {
		if !set.complete() && !s.indexed(set) {
			n, first := set.missing()
			s.warnings.add("%s of %d missing beside %q, number %d first", plural(n, "shard"), set.of, set.files[0].path, first)
		}
	}
}

// indexed says whether the shards have an index, which knows better.
func (s *study) indexed(set set) bool {
	first := set.files[0].path
	_, ok := s.indexes[indexPath(folder(first), set.stem, path.Ext(first), set.variant)]
	return ok
}

func indexPath(dir, stem, ext, variant string) string {
	if variant != "" {
		variant = "." + variant
	}
	return path.Join(dir, stem+ext+".index"+variant+".json")
}

func (s *study) checkShards(x shardIndex) {
	var missing, surplus []string
	named := x.shards()
	for _, shard := range slices.Sorted(maps.Keys(named)) {
		if !s.paths[shard] {
			missing = append(missing, shard)
		}
	}
	switch {
	case len(missing) == len(named):
		s.warnings.add("none of the %s that %q names is here", plural(len(named), "shard"), x.file)
		return
	case missing != nil:
		s.warnings.add("missing: %s that %q names: %s", plural(len(missing), "shard"), x.file, some(missing))
	}
	for _, f := range s.filesFrom(path.Join(folder(x.file), x.stem)) {
		if x.claims(f) && !named[f.path] {
			surplus = append(surplus, f.path)
		}
	}
	if surplus != nil {
		s.warnings.add("%s that %q does not name: %s", plural(len(surplus), "surplus shard"), x.file, some(surplus))
	}
}

// claims says whether a file is named like the shards of the index.
func (x shardIndex) claims(f file) bool {
	if folder(f.path) != folder(x.file) || path.Ext(f.path) != x.ext || !strings.HasPrefix(path.Base(f.path), x.stem) {
		return false
	}
	sh := parseShard(f)
	return sh.stem == x.stem && sh.variant == x.variant
}

// filesFrom are the files whose paths start with a prefix.
func (s *study) filesFrom(prefix string) []file {
	first, _ := slices.BinarySearchFunc(s.files, prefix, func(f file, prefix string) int { return strings.Compare(f.path, prefix) })
	rest := s.files[first:]
	end := slices.IndexFunc(rest, func(f file) bool { return !strings.HasPrefix(f.path, prefix) })
	if end < 0 {
		end = len(rest)
	}
	return rest[:end]
}

// mostHeaders is how much is read of the headers of a directory, in bytes.
const mostHeaders = 1 << 30

// metered reads until the budget of a directory is spent.
type metered struct {
	r    io.ReaderAt
	left *atomic.Int64
}

func (m metered) ReadAt(p []byte, off int64) (int, error) {
	if m.left.Add(-int64(len(p))) < 0 {
		return 0, fmt.Errorf("the headers in the directory are more than the %d MiB that are read", mostHeaders>>20)
	}
	return m.r.ReadAt(p, off)
}
