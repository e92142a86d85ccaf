package interop_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/zstd"
	specv1 "github.com/modelpack/model-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// add adds a file. Two files of one name are an error, and a name of no file is
// errRefused.
func (all files) add(name, content string) error {
	if !validName(name) {
		return fmt.Errorf("%w: %q is no name for a file", errRefused, name)
	}
	if _, ok := all[name]; ok {
		return fmt.Errorf("two files are called %q", name)
	}
	all[name] = content
	return nil
}

func validName(name string) bool { return name != "." && fs.ValidPath(name) }

// unpack adds the files of a layer's uncompressed content.
func (all files) unpack(l ocispec.Descriptor, content string) error {
	if strings.HasSuffix(l.MediaType, ".raw") {
		return all.add(l.Annotations[specv1.AnnotationFilepath], content)
	}
	for r := tar.NewReader(strings.NewReader(content)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return checkTarEnd(content)
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			return fmt.Errorf("%s is of type %q", header.Name, header.Typeflag)
		}
		entry, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := all.add(header.Name, string(entry)); err != nil {
			return err
		}
	}
}

// decompress undoes the compression that a media type names.
func decompress(mediaType, content string) (string, error) {
	var r io.Reader = strings.NewReader(content)
	var err error
	switch {
	case strings.HasSuffix(mediaType, "+gzip"):
		r, err = gzip.NewReader(r)
	case strings.HasSuffix(mediaType, "+zstd"):
		r, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
	}
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(r)
	return string(data), err
}

// checkTarEnd wants an archive to end in two zero blocks, and no byte more.
// It follows the archive entry by entry: a file may end in zeros, too.
func checkTarEnd(content string) error {
	source := strings.NewReader(content)
	r := tar.NewReader(source)
	end := int64(0)
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		start := source.Size() - int64(source.Len())
		end = start + (header.Size+511)/512*512
	}
	if rest := content[end:]; rest != strings.Repeat("\x00", 1024) {
		return fmt.Errorf("%d bytes behind the last file, want two zero blocks", len(rest))
	}
	return nil
}
