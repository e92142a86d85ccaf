package modelpack

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is what the files of a layer are for. Kinds are ordered as layers are.
type Kind int

// The kinds of the spec.
const (
	Config  Kind = iota // configuration of the weights: config.json, tokenizers
	Model               // weights
	Code                // scripts and libraries
	Dataset             // data
	Doc                 // README, LICENSE
)

// kinds holds, for each Kind, its name and its word in a media type.
var kinds = [...]struct{ name, word string }{
	Config:  {"config", "weight.config"},
	Model:   {"model", "weight"},
	Code:    {"code", "code"},
	Dataset: {"dataset", "dataset"},
	Doc:     {"doc", "doc"},
}

// ParseKind reverses [Kind.String].
func ParseKind(s string) (Kind, error) {
	for k, kind := range kinds {
		if kind.name == s {
			return Kind(k), nil
		}
	}
	return 0, fmt.Errorf("unknown kind %q: one of config, model, code, dataset, doc", s)
}

// Kinds lists all kinds in layer order.
func Kinds() []Kind { return []Kind{Config, Model, Code, Dataset, Doc} }

// String is the lower-case name: config, model, code, dataset or doc.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kinds) {
		return fmt.Sprintf("kind(%d)", int(k))
	}
	return kinds[k].name
}

// MarshalText implements [encoding.TextMarshaler].
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Format is how a layer holds its files.
type Format string

// The formats of the spec.
const (
	Raw     Format = "raw"      // the bytes of one file
	Tar     Format = "tar"      // a tar archive
	TarGzip Format = "tar+gzip" // the same, compressed with gzip
	TarZstd Format = "tar+zstd" // the same, compressed with zstd
)

// formats lists all formats.
var formats = []Format{Raw, Tar, TarGzip, TarZstd}

// ParseFormat reads the name of a format.
func ParseFormat(s string) (Format, error) {
	if f := Format(s); slices.Contains(formats, f) {
		return f, nil
	}
	return "", fmt.Errorf("unknown format %q: one of tar, raw, tar+gzip, tar+zstd", s)
}

const (
	mediaTypePrefix = "application/vnd.cncf.model."
	// legacyPrefix is what the spec used before it moved to the CNCF.
	legacyPrefix = "application/vnd.cnai.model."
)

// MediaType is the media type of a layer of kind k in format f.
func MediaType(k Kind, f Format) string {
	return mediaTypePrefix + kinds[k].word + ".v1." + string(f)
}

// ParseMediaType reverses [MediaType]. It also reads the older
// application/vnd.cnai.model types; ok is false for everything else.
func ParseMediaType(mediaType string) (k Kind, f Format, ok bool) {
	rest, ok := strings.CutPrefix(mediaType, mediaTypePrefix)
	if !ok {
		rest, ok = strings.CutPrefix(mediaType, legacyPrefix)
	}
	word, format, cut := strings.Cut(rest, ".v1.")
	if !ok || !cut || !slices.Contains(formats, Format(format)) {
		return 0, "", false
	}
	for k, kind := range kinds {
		if kind.word == word {
			return Kind(k), Format(format), true
		}
	}
	return 0, "", false
}
