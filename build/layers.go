package build

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tareml/tare/modelpack"
)

// MaxLayers is how many layers an artifact may have. Amazon ECR stops at 500, other
// registries later.
const MaxLayers = 450

// Layer is a layer of the artifact to be.
type Layer struct {
	Kind   modelpack.Kind
	Format modelpack.Format
	// Path is that of the file, or the directory of a bundle: the one that all
	// its files have in common, "." if there is none.
	Path string
	// Files are one file, or in a bundle any number.
	Files  []File
	Bundle bool
}

// Size is the number of bytes of the layer before compression.
func (l *Layer) Size() int64 {
	var size int64
	for _, f := range l.Files {
		size += f.Size
		if l.Format != modelpack.Raw {
			size += modelpack.TarHeaderSize(f.Path, f.Size) + modelpack.TarPadding(f.Size)
		}
	}
	if l.Format != modelpack.Raw {
		size += modelpack.TarEnd
	}
	return size
}

// Layout says how the files of a plan become layers.
type Layout struct {
	// Formats by kind. Kinds that are not in it are [modelpack.Tar].
	Formats map[modelpack.Kind]modelpack.Format
	// Bundles are the kinds whose files share one layer.
	Bundles []modelpack.Kind
	// Flat titles raw layers by base name, for tools that take no / in a title.
	Flat bool
}

// format is the format of a kind's layers.
func (l Layout) format(k modelpack.Kind) modelpack.Format {
	if f, ok := l.Formats[k]; ok {
		return f
	}
	return modelpack.Tar
}

// Layers applies a layout to the plan's files. A layout that the files do not
// fit is an error, which may have a method Hint() string.
func (p *Plan) Layers(layout Layout) ([]Layer, error) {
	var layers []Layer
	for _, kind := range modelpack.Kinds() {
		files := p.ofKind(kind)
		if len(files) == 0 {
			continue
		}
		format := layout.format(kind)
		if !slices.Contains(layout.Bundles, kind) {
			for _, f := range files {
				layers = append(layers, Layer{Kind: kind, Format: format, Path: f.Path, Files: []File{f}})
			}
			continue
		}
		if format == modelpack.Raw {
			return nil, fmt.Errorf("a bundle of %s files is an archive and cannot be raw", kind)
		}
		layers = append(layers, Layer{Kind: kind, Format: format, Path: commonDir(files), Files: files, Bundle: true})
	}
	if len(layers) > MaxLayers {
		return nil, tooManyLayers(layers)
	}
	if layout.Flat {
		return layers, checkFlat(layers)
	}
	return layers, nil
}

// ofKind returns the files of one kind, which are neighbours.
func (p *Plan) ofKind(kind modelpack.Kind) []File {
	start := slices.IndexFunc(p.Files, func(f File) bool { return f.Kind == kind })
	if start < 0 {
		return nil
	}
	end := start
	for end < len(p.Files) && p.Files[end].Kind == kind {
		end++
	}
	return p.Files[start:end]
}

// commonDir is the directory that all files are below.
func commonDir(files []File) string {
	dir := path.Dir(files[0].Path)
	for _, f := range files {
		for dir != "." && !strings.HasPrefix(f.Path, dir+"/") {
			dir = path.Dir(dir)
		}
	}
	return dir
}

// tooManyLayers names the kind that would be worth bundling.
func tooManyLayers(layers []Layer) error {
	counts := make(map[modelpack.Kind]int)
	most := modelpack.Config
	for _, l := range layers {
		if counts[l.Kind]++; counts[l.Kind] > counts[most] {
			most = l.Kind
		}
	}
	return &hintError{
		fmt.Errorf("%d layers, and tare makes no more than %d, as Amazon ECR takes 500: %d are of kind %s", len(layers), MaxLayers, counts[most], most),
		fmt.Sprintf("one layer for all of them: --bundle %s", most),
	}
}

// checkFlat makes sure that base names tell raw layers apart.
func checkFlat(layers []Layer) error {
	seen := make(map[string]string)
	for _, l := range layers {
		base := path.Base(l.Path)
		if l.Format != modelpack.Raw {
			continue
		}
		if other, ok := seen[base]; ok {
			return fmt.Errorf("flat titles: %s and %s have the same base name", other, l.Path)
		}
		seen[base] = l.Path
	}
	return nil
}

// hintError is an error with advice for a person.
type hintError struct {
	error
	hint string
}

// Hint says what to do about the error.
func (e *hintError) Hint() string { return e.hint }

// Unwrap is the error itself.
func (e *hintError) Unwrap() error { return e.error }
