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

type kindWords struct{ name, word string }

// kinds holds, for each Kind, its name and its word in a media type.
var kinds = [...]kindWords{
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

// Formats that only ModelKits have: the spec does not compress single files.
// They are read and not written.
const (
	RawGzip Format = "raw+gzip" // the bytes of one file, compressed with gzip
	RawZstd Format = "raw+zstd" // the same, compressed with zstd
)

// formats lists the formats of the spec.
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
// application/vnd.cnai.model types and those of the layers of ModelKits and of
// Docker's models; ok is false for everything else.
func ParseMediaType(mediaType string) (k Kind, f Format, ok bool) {
	for _, prefix := range []string{mediaTypePrefix, legacyPrefix} {
		if rest, ok := strings.CutPrefix(mediaType, prefix); ok {
			return parseSpecType(rest)
		}
	}
	if rest, ok := strings.CutPrefix(mediaType, kitPrefix); ok {
		return parseKitType(rest)
	}
	d, ok := dockerTypes[mediaType]
	return d.kind, d.format, ok
}

func parseSpecType(s string) (Kind, Format, bool) {
	word, format, _ := strings.Cut(s, ".v1.")
	k := slices.IndexFunc(kinds[:], func(kind kindWords) bool { return kind.word == word })
	switch {
	case k < 0:
		return 0, "", false
	case slices.Contains(formats, Format(format)):
		return Kind(k), Format(format), true
	case Kind(k) == Model && (format == "gguf" || format == "safetensors"):
		return Model, Raw, true // Docker Model Runner wrote these for a while
	}
	return 0, "", false
}
