package extract

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tareml/tare/modelpack"
)

// The names by which a layer of an image removes what those below it hold.
const (
	whiteoutPrefix = ".wh."         // .wh.NAME: NAME and all below it
	opaqueName     = ".wh..wh..opq" // in a directory: all that it holds
)

// indexNames lists entries at the root of a layer that say how the layer itself
// is laid out, for readers that fetch parts of it (eStargz). They are no files
// of the image.
var indexNames = []string{"stargz.index.json", ".prefetch.landmark", ".no.prefetch.landmark"}

// overlay knows, while the layers of an image are read from the top down, what
// of a lower layer can still be seen. Read in this order, each file that the
// image ends up with is written once, and what was overridden never is.
//
// A name says only what it says to the layers below: within a layer, the order
// of entries makes no difference.
type overlay struct {
	above map[string]marks // by all complete layers
	layer map[string]marks // by the layer that is being read
	names int              // bytes in the keys of both
}

// marks is what is known of a path.
type marks uint8

const (
	isFile    marks = 1 << iota // anything but a directory is there
	isDir                       // a directory is there, or a path has to go through it
	isRemoved                   // the path and all below it are gone
	isOpaque                    // all below the path is gone
)

func newOverlay() *overlay {
	return &overlay{above: make(map[string]marks), layer: make(map[string]marks)}
}

// entry notes an entry of the layer that is being read and says whether it can
// be seen: whether it is part of what the image ends up with. Whiteouts never
// are. The name is clean and was checked; dir is true for a directory, which
// may come twice, and with other content in several layers.
func (o *overlay) entry(name string, dir bool) (visible bool, err error) {
	parent, base := split(name)
	if hasWhiteout(parent) {
		return false, fmt.Errorf("the path %q is below a whiteout", name)
	}
	switch {
	case strings.HasPrefix(base, whiteoutPrefix):
		return false, o.whiteout(name, parent, base, dir)
	case parent == "." && slices.Contains(indexNames, base) && !dir:
		return false, nil
	}
	return o.add(name, parent, dir)
}

// nextLayer says that the layer is complete. What it said counts for those
// below it.
func (o *overlay) nextLayer() {
	for name, m := range o.layer {
		if o.above[name] != 0 {
			o.names -= len(name)
		}
		o.above[name] |= m
	}
	clear(o.layer)
}

// restart forgets the layer that is being read, for it to be read again.
func (o *overlay) restart() {
	if o == nil {
		return
	}
	for name := range o.layer {
		o.names -= len(name)
	}
	clear(o.layer)
}

// whiteout notes the removal of what lower layers hold.
func (o *overlay) whiteout(name, parent, base string, dir bool) error {
	target := strings.TrimPrefix(base, whiteoutPrefix)
	switch {
	case dir:
		return fmt.Errorf("the whiteout %q is a directory", name)
	case base == opaqueName:
		return o.mark(parent, isOpaque)
	case target == "" || target == "." || target == ".." || strings.HasPrefix(target, whiteoutPrefix):
		return fmt.Errorf("the whiteout %q names nothing that could be removed", name)
	}
	removed := path.Join(parent, target)
	if err := modelpack.CheckPath(removed); err != nil {
		return fmt.Errorf("the whiteout %q: %w", name, err)
	}
	return o.mark(removed, isRemoved)
}

// add notes a file or a directory.
func (o *overlay) add(name, parent string, dir bool) (visible bool, err error) {
	own := o.layer[name]
	switch {
	case dir && own&isFile != 0, !dir && own&isDir != 0:
		return false, fmt.Errorf("%q is a file and a directory", name)
	case !dir && own&isFile != 0:
		return false, fmt.Errorf("the path %q is there twice", name)
	}
	if err := o.mark(name, kindMark(dir)); err != nil {
		return false, err
	}
	for ; parent != "."; parent = path.Dir(parent) {
		switch own := o.layer[parent]; {
		case own&isFile != 0:
			return false, fmt.Errorf("%q is a file and a directory", parent)
		case own&isDir != 0: // and so are those above it
			return o.visible(name, dir), nil
		}
		if err := o.mark(parent, isDir); err != nil {
			return false, err
		}
	}
	return o.visible(name, dir), nil
}

func kindMark(dir bool) marks {
	if dir {
		return isDir
	}
	return isFile
}

// visible says whether the layers above leave an entry to be seen: a file hides
// all that has its name or is below it, a directory what is no directory.
func (o *overlay) visible(name string, dir bool) bool {
	m := o.above[name]
	if m&(isFile|isRemoved) != 0 || m&isDir != 0 && !dir {
		return false
	}
	for name != "." {
		name = path.Dir(name)
		if o.above[name]&(isFile|isRemoved|isOpaque) != 0 {
			return false
		}
	}
	return true
}

// mark adds to what the layer that is being read says of a path.
func (o *overlay) mark(name string, m marks) error {
	if o.layer[name] == 0 {
		o.names += len(name)
	}
	if len(o.above)+len(o.layer) >= maxEntries || o.names > maxNames {
		return fmt.Errorf("more than %d files and directories, or %d bytes of names", maxEntries, maxNames)
	}
	o.layer[name] |= m
	return nil
}

// split is path.Split with a clean parent, which is "." at the root.
func split(name string) (parent, base string) {
	return path.Dir(name), path.Base(name)
}

// hasWhiteout says whether a directory on the way to a path has a name that
// only whiteouts may have.
func hasWhiteout(dir string) bool {
	return strings.HasPrefix(dir, whiteoutPrefix) || strings.Contains(dir, "/"+whiteoutPrefix)
}
