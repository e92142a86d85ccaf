package extract

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
)

// overlayEntry is an entry of a layer; a directory ends in a slash.
type overlayEntry string

func (e overlayEntry) parts() (name string, dir bool) {
	return strings.TrimSuffix(string(e), "/"), strings.HasSuffix(string(e), "/")
}

// readDown reads layers, which are given from the bottom up, through an overlay
// and returns what can be seen, with the number of its layer for files.
func readDown(layers [][]overlayEntry) (map[string]int, error) {
	seen := make(map[string]int)
	o := newOverlay()
	for i, layer := range slices.Backward(layers) {
		for _, e := range layer {
			name, dir := e.parts()
			visible, err := o.entry(name, dir)
			if err != nil {
				return nil, err
			}
			if visible && dir {
				seen[name+"/"] = -1
			} else if visible {
				seen[name] = i
			}
		}
		o.nextLayer()
	}
	return seen, nil
}

func TestOverlay(t *testing.T) {
	for name, test := range map[string]struct {
		layers [][]overlayEntry // bottom first
		want   []string
	}{
		"one layer":                 {[][]overlayEntry{{"a/", "a/x", "b"}}, []string{"a/", "a/x@0", "b@0"}},
		"override":                  {[][]overlayEntry{{"a/x", "b"}, {"b"}}, []string{"a/x@0", "b@1"}},
		"override twice":            {[][]overlayEntry{{"b"}, {"b"}, {"b"}}, []string{"b@2"}},
		"whiteout of a file":        {[][]overlayEntry{{"a/x", "a/y"}, {"a/.wh.x"}}, []string{"a/y@0"}},
		"whiteout of a directory":   {[][]overlayEntry{{"a/", "a/x", "a/b/y", "ab"}, {".wh.a"}}, []string{"ab@0"}},
		"whiteout of nothing":       {[][]overlayEntry{{"a"}, {".wh.b"}}, []string{"a@0"}},
		"removed, then there again": {[][]overlayEntry{{"a/x", "a/y"}, {".wh.a"}, {"a/y"}}, []string{"a/y@2"}},
		"there again, then removed": {[][]overlayEntry{{"a/x"}, {"a/x", "a/y"}, {"a/.wh.x"}}, []string{"a/y@1"}},
		"whiteout and own file":     {[][]overlayEntry{{"a/x", "a/y"}, {"a/", "a/x", ".wh.a"}}, []string{"a/", "a/x@1"}},
		"own file before whiteout":  {[][]overlayEntry{{"a"}, {"a", ".wh.a"}}, []string{"a@1"}},
		"opaque first":              {[][]overlayEntry{{"a/", "a/b/c/bar", "a2"}, {"a/", "a/.wh..wh..opq", "a/b/c/foo"}}, []string{"a/", "a/b/c/foo@1", "a2@0"}},
		"opaque last":               {[][]overlayEntry{{"a/", "a/b/c/bar", "a2"}, {"a/", "a/b/c/foo", "a/.wh..wh..opq"}}, []string{"a/", "a/b/c/foo@1", "a2@0"}},
		"opaque root":               {[][]overlayEntry{{"a", "b/c"}, {".wh..wh..opq", "d"}}, []string{"d@1"}},
		"opaque keeps a file":       {[][]overlayEntry{{"a"}, {"a/.wh..wh..opq"}}, []string{"a@0"}},
		"file over directory":       {[][]overlayEntry{{"a/", "a/x", "a/b/y"}, {"a"}}, []string{"a@1"}},
		"directory over file":       {[][]overlayEntry{{"a"}, {"a/"}}, []string{"a/"}},
		"path over file":            {[][]overlayEntry{{"a"}, {"a/x"}}, []string{"a/x@1"}},
		"directory over directory":  {[][]overlayEntry{{"a/", "a/x"}, {"a/", "a/y"}}, []string{"a/", "a/x@0", "a/y@1"}},
		// The file of the middle layer cannot be seen and has replaced the directory all the same.
		"directory over file over directory": {[][]overlayEntry{{"a/x"}, {"a"}, {"a/", "a/y"}}, []string{"a/", "a/y@2"}},
		"hidden whiteout":                    {[][]overlayEntry{{"a/x"}, {"a/.wh.x"}, {".wh.a", "a/"}}, []string{"a/"}},
		"directory twice":                    {[][]overlayEntry{{"a/", "a/x", "a/"}}, []string{"a/", "a/x@0"}},
		"names like whiteouts":               {[][]overlayEntry{{"wh.a", ".whale", "a.wh.b"}, {".wh..a"}}, []string{".whale@0", "a.wh.b@0", "wh.a@0"}},
		"a directory like an index":          {[][]overlayEntry{{"stargz.index.json/", "stargz.index.json/x"}}, []string{"stargz.index.json/", "stargz.index.json/x@0"}},
		"index of the layer":                 {[][]overlayEntry{{".no.prefetch.landmark", "a", "stargz.index.json"}, {".prefetch.landmark", "stargz.index.json", "b/stargz.index.json"}}, []string{"a@0", "b/stargz.index.json@1"}},
	} {
		got, err := readDown(test.layers)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if list := visibleList(got); !slices.Equal(list, test.want) {
			t.Errorf("%s: %q, want %q", name, list, test.want)
		}
	}
}

func visibleList(seen map[string]int) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if seen[name] >= 0 {
			name = fmt.Sprintf("%s@%d", name, seen[name])
		}
		list = append(list, name)
	}
	return list
}

func TestOverlayRefuses(t *testing.T) {
	for _, layer := range [][]overlayEntry{
		{"a", "b", "a"},
		{"a", "a/"},
		{"a/", "a"},
		{"a/x", "a"},
		{"a", "a/x"},
		{"a", "a/b/x"},
		{"a/b/x", "a/b"},
		{".wh."},
		{"a/.wh."},
		{".wh.."},
		{".wh..."},
		{".wh..wh."},
		{".wh..wh.x"},
		{".wh.a/"},
		{".wh.a/b"},
		{"a/.wh.b/c"},
		{".wh..wh..opq/"},
		{".wh..wh..opq/a"},
		{".wh..wh.plnk/", ".wh..wh.plnk/1.2"},
	} {
		if seen, err := readDown([][]overlayEntry{layer}); err == nil {
			t.Errorf("%q is read as %v", layer, seen)
		}
	}
	// each of these is one name in one layer only
	if _, err := readDown([][]overlayEntry{{"a", "b/"}, {"a", "b"}, {"a/", "b/c"}}); err != nil {
		t.Errorf("layers that differ: %v", err)
	}
}

func TestOverlayIsBounded(t *testing.T) {
	o := newOverlay()
	long := strings.Repeat("x", 4000)
	n := 0
	for ; n <= maxEntries; n++ {
		if _, err := o.entry(fmt.Sprintf("%s%d", long, n), false); err != nil {
			break
		}
		if n%100 == 0 {
			o.nextLayer()
		}
	}
	if n > maxNames/len(long) {
		t.Errorf("%d names of %d bytes were taken", n, len(long))
	}
	o = newOverlay()
	for n = 0; n <= maxEntries; n++ {
		if _, err := o.entry(fmt.Sprintf(".wh.%d", n), false); err != nil {
			break
		}
	}
	if n > maxEntries {
		t.Errorf("%d whiteouts were taken", n)
	}
}

// A name that several layers hold is counted once when it is remembered.
func TestOverlayForgetsNothingAndCountsOnce(t *testing.T) {
	o := newOverlay()
	for range 3 {
		for _, name := range []string{"a/b", "c", ".wh.d"} {
			if _, err := o.entry(name, false); err != nil {
				t.Fatal(err)
			}
		}
		o.nextLayer()
	}
	if want := len("a/b" + "a" + "c" + "d"); o.names != want || len(o.above) != 4 {
		t.Errorf("%d bytes of %d names, want %d of 4", o.names, len(o.above), want)
	}
}

// tree is what applying layers one on top of the other leads to, done as plainly
// as possible: from the bottom up.
type tree map[string]node

type node struct {
	layer    int
	dir      bool
	explicit bool // for a directory: it has an entry of its own
}

func (t tree) remove(name string, itself bool) {
	for other := range t {
		if other == name && itself || strings.HasPrefix(other, name+"/") || name == "." {
			delete(t, other)
		}
	}
}

func (t tree) mkdir(name string, explicit bool) {
	if name == "." {
		return
	}
	t.mkdir(path.Dir(name), false)
	old := t[name]
	t[name] = node{dir: true, explicit: explicit || old.dir && old.explicit}
}

// apply puts a layer on top, its whiteouts first: they are for what was there
// before.
func (t tree) apply(number int, layer []overlayEntry) {
	for _, e := range layer {
		name, _ := e.parts()
		if target, ok := strings.CutPrefix(path.Base(name), ".wh."); ok && target == ".wh..opq" {
			t.remove(path.Dir(name), false)
		} else if ok {
			t.remove(path.Join(path.Dir(name), target), true)
		}
	}
	for _, e := range layer {
		name, dir := e.parts()
		switch {
		case strings.HasPrefix(path.Base(name), ".wh."):
		case dir:
			t.mkdir(name, true)
		default:
			t.remove(name, true)
			t.mkdir(path.Dir(name), false)
			t[name] = node{layer: number}
		}
	}
}

// clashes says whether a layer holds a file twice, or where it needs a directory.
func clashes(layer []overlayEntry) bool {
	files, dirs := make(map[string]bool), make(map[string]bool)
	for _, e := range layer {
		name, dir := e.parts()
		if strings.HasPrefix(path.Base(name), ".wh.") {
			continue
		}
		if !dir && files[name] {
			return true
		}
		files[name] = files[name] || !dir
		for p := name; p != "."; p = path.Dir(p) {
			dirs[p] = dirs[p] || dir || p != name
		}
	}
	for name := range files {
		if files[name] && dirs[name] {
			return true
		}
	}
	return false
}

// layersFrom makes layers of a few names from any bytes.
func layersFrom(data []byte) [][]overlayEntry {
	layers := [][]overlayEntry{nil}
	for _, b := range data {
		if b%8 == 7 && len(layers) < 5 {
			layers = append(layers, nil)
			continue
		}
		names := []string{"a", "b", "a/a", "a/b", "b/a", "a/a/a", "a/a/b", "b/b/a"}
		name := names[b/8%8]
		switch b % 8 {
		case 0, 1, 2:
		case 3, 4:
			name += "/"
		case 5:
			name = path.Join(path.Dir(name), ".wh."+path.Base(name))
		default:
			name = path.Join(path.Dir(name), ".wh..wh..opq")
		}
		last := &layers[len(layers)-1]
		*last = append(*last, overlayEntry(name))
	}
	return layers
}

// checkAgainstTree compares an overlay with a tree.
func checkAgainstTree(t *testing.T, layers [][]overlayEntry) {
	t.Helper()
	got, err := readDown(layers)
	if clash := slices.ContainsFunc(layers, clashes); clash != (err != nil) {
		t.Fatalf("%q: error %v", layers, err)
	}
	if err != nil {
		return
	}
	full := make(tree)
	for i, layer := range layers {
		full.apply(i, layer)
	}
	want := make(map[string]int)
	for name, n := range full {
		if n.dir && n.explicit {
			want[name+"/"] = -1
		} else if !n.dir {
			want[name] = n.layer
		}
	}
	if !maps.Equal(got, want) {
		t.Fatalf("%q: from the top %q, from the bottom %q", layers, visibleList(got), visibleList(want))
	}
}

func TestOverlayLeadsToWhatApplyingLeadsTo(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		data := make([]byte, 2+random.IntN(12))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		checkAgainstTree(t, layersFrom(data))
	}
}

func FuzzOverlay(f *testing.F) {
	f.Add([]byte{0, 7, 3})
	f.Add([]byte{8, 24, 7, 5, 7, 3, 6})
	f.Fuzz(func(t *testing.T, data []byte) {
		checkAgainstTree(t, layersFrom(data[:min(len(data), 64)]))
	})
}
