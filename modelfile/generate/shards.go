package generate

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// shard is what the name of a file says of its place among the weights:
// model.fp16-00001-of-00003.safetensors is the first of three shards of model in
// the variant fp16.
type shard struct {
	file
	stem, variant string
	no, of        int // 0 if the file is no shard
}

// set is the files that make one copy of some weights.
type set struct {
	stem, variant string
	of            int
	files         []file
	numbers       []int // of the shards that are there
}

var (
	shardPattern    = regexp.MustCompile(`^(.*?)[-_.]([0-9]{2,6})-of-([0-9]{2,6})(.*)$`)
	parallelPattern = regexp.MustCompile(`^(consolidated)\.([0-9]{2})$`)
)

// libraryStems are the names that libraries give to the weights of a model, in the
// order in which one is taken if there are several: they are copies then.
var libraryStems = [...]string{"model", "diffusion_pytorch_model", "pytorch_model", "adapter_model", "open_clip_pytorch_model", "open_clip_model", "consolidated"}

func parseShard(f file) shard {
	s := shard{file: f}
	base := path.Base(f.path)
	s.stem = strings.TrimSuffix(base, path.Ext(base))
	if m := parallelPattern.FindStringSubmatch(s.stem); m != nil {
		s.stem = m[1]
		s.no, _ = strconv.Atoi(m[2])
		return s
	}
	if m := shardPattern.FindStringSubmatch(s.stem); m != nil {
		s.stem = m[1] + m[4]
		s.no, _ = strconv.Atoi(m[2])
		s.of, _ = strconv.Atoi(m[3])
	}
	if stem, variant, ok := strings.Cut(s.stem, "."); ok && slices.Contains(libraryStems[:], stem) {
		s.stem, s.variant = stem, variant
	}
	return s
}

// setsOf sorts files into copies, which come in the order of their names.
func setsOf(files []file) []set {
	type key struct {
		dir, stem, variant string
		of                 int
	}
	var sets []set
	known := make(map[key]int)
	for _, f := range files {
		sh := parseShard(f)
		k := key{folder(f.path), sh.stem, sh.variant, sh.of}
		i, ok := known[k]
		if !ok {
			i = len(sets)
			known[k] = i
			sets = append(sets, set{stem: sh.stem, variant: sh.variant, of: sh.of})
		}
		sets[i].files = append(sets[i].files, f)
		sets[i].numbers = append(sets[i].numbers, sh.no)
	}
	return sets
}

// complete says whether no shard is missing.
func (s set) complete() bool {
	if s.of == 0 {
		return true
	}
	missing, _ := s.missing()
	return missing == 0
}

// missing is the number of shards that are not there, and the first of them. A
// name can claim any number of shards: they are not counted one by one.
func (s set) missing() (n, first int) {
	numbers := slices.Sorted(slices.Values(s.numbers))
	if numbers[0] != 0 {
		first = 1 // some count from 0
	}
	for _, no := range numbers {
		if no == first {
			first++
		}
	}
	return max(s.of-len(s.files), 0), first
}

func (s set) bytes() int64 {
	var n int64
	for _, f := range s.files {
		n += f.size
	}
	return n
}

// rank is the place of a set's name among those that libraries give.
func (s set) rank() int {
	if i := slices.Index(libraryStems[:], s.stem); i >= 0 {
		return i
	}
	return len(libraryStems)
}

// mainSet picks the copy to describe: the one with the name that libraries look
// for first, without a variant if there is such a one. It is false if the names
// do not tell copies from parts.
func mainSet(sets []set) (set, bool) {
	if len(sets) == 0 {
		return set{}, false
	}
	best := slices.MinFunc(sets, func(a, b set) int {
		return cmp.Or(
			cmp.Compare(a.rank(), b.rank()),
			cmp.Compare(len(a.variant), len(b.variant)),
			cmp.Compare(a.variant, b.variant),
			cmp.Compare(b.of, a.of),
			cmp.Compare(a.stem, b.stem),
		)
	})
	return best, len(sets) == 1 || best.rank() < len(libraryStems)
}
