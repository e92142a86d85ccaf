// Package hostile makes artifacts that must not be extracted, and some that
// must: a corpus for whatever puts artifacts into directories.
//
// A [Case] holds the bytes of a manifest and of the blobs that it names, as an
// attacker, a broken tool or a bad disk would serve them: under the digests that
// the manifest declares, whatever they are. It can be written as an image layout
// and served as a registry. What is wrong is wrong with one or two layers, or
// with the manifest; around them stand layers that are right, so that whoever
// extracts layer by layer is found out:
//
//	for _, c := range hostile.Corpus(bait) {
//		server := httptest.NewServer(c.Handler(true))
//		// … extract from it, and see that c.Want came true …
//	}
package hostile

import (
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Want is what has to become of a case.
type Want int

// What becomes of cases.
const (
	Refused  Want = iota // as wrong or hostile content; nothing is touched
	NotModel             // as something that is well formed but no model; nothing is touched
	Failed               // for any reason; nothing is touched
	Accepted             // all of [Case.Files] is there
)

// Case is an artifact and what has to become of it.
type Case struct {
	Name string

	// Manifest is offered under Digest, which is its own but for a case that is
	// about that.
	Manifest []byte
	Digest   digest.Digest

	// Blobs are the config and the layers, under the digests that the manifest
	// declares for them.
	Blobs map[digest.Digest][]byte

	Want Want

	// Culprits are the names of what is wrong, of which an error has to give at
	// least one: digests and paths of layers, or the word manifest.
	Culprits []string

	// Files are those of an accepted case, by their paths.
	Files map[string]string

	// Twins are two paths in Files that some file systems take for one. Where
	// they do, the case is to be refused.
	Twins [2]string

	// Stream says that it matters how the bytes of the layers arrive.
	Stream bool
}

// Good is what the layers around the bad ones hold. Every case has them but
// those whose manifest is wrong as a whole.
func Good() map[string]string {
	return map[string]string{"good.txt": "good\n", "sub/tail.txt": "tail\n"}
}

// Corpus is all cases. Bait is the absolute path of a directory outside of the
// destination: it is where absolute paths lead to. [Outside] must be found in
// the directory above the destination, and in the one above that.
func Corpus(bait string) []Case {
	still := slices.Concat(badPaths(bait), links(bait), badTypes(), collisions(), sizes(), sparse(), floods(), escapes(), manifests())
	streamed := slices.Concat(controls(), bombs(), streams(), digests())
	for i := range streamed {
		streamed[i].Stream = true
	}
	return append(streamed, still...)
}

// Outside is the name of a file that hostile paths lead to. It is to stay as it
// is.
const Outside = "outside.txt"

// Descriptor is that of the manifest.
func (c Case) Descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest,
		Digest:    c.Digest,
		Size:      int64(len(c.Manifest)),
	}
}
