package hostile

import (
	"maps"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ImageCases are plain images with files in layers, as docker builds them. What
// removes files in an image must not remove any in the destination that the image
// did not bring, and must not leave it. The layers around them are those of
// [Good], as an image has them.
func ImageCases() []Case {
	above, target := link(typeSymlink, "link", ".."), file("link/"+Outside, "x")
	return []Case{
		image("image", Accepted, one("model.bin", "x"), file("model.bin", "x")),
		image("image with a whiteout of its own file", Accepted, one("model.bin", "x"), file("model.bin", "x"), file("sub/.wh.nothing.txt", "")),
		image("whiteout of a file that is not the image's", Accepted, nil, file(".wh.mine.txt", "")),
		image("opaque directory that is not the image's", Accepted, nil, file(".wh..wh..opq", ""), file("good.txt", Good()["good.txt"])),
		image("whiteout of what is above", Refused, nil, file(".wh...", "")),
		image("whiteout of what is above, later", Refused, nil, file("sub/.wh...", "")),
		image("whiteout of the directory itself", Refused, nil, file(".wh..", "")),
		image("whiteout of nothing", Refused, nil, file(".wh.", "")),
		image("whiteout of our state", Refused, nil, file(".wh..tare", "")),
		image("whiteout in our state", Refused, nil, file(".tare/.wh.mine", "")),
		image("whiteout above", Refused, nil, file("../.wh."+Outside, "")),
		image("whiteout through a link", Refused, nil, above, file("link/.wh."+Outside, "")),
		image("opaque directory through a link", Refused, nil, above, file("link/.wh..wh..opq", "")),
		image("file of an image through a link", Refused, nil, above, target),
		image("file of an image above", Refused, nil, file("../"+Outside, "x")),
		image("link of an image that leads above", Refused, nil, link(typeSymlink, "link", "../"+Outside)),
		image("hard link of an image that leads above", Refused, nil, link(typeHardLink, "link", "../"+Outside)),
		image("device of an image", Refused, nil, entry('3', "special", "")),
	}
}

// image is a case of an image whose middle layer has these entries, of which
// files are those to be found later.
func image(name string, want Want, files map[string]string, entries ...[]byte) Case {
	good := Good()
	bottom := imageLayer(file("good.txt", good["good.txt"]))
	middle := imageLayer(entries...)
	top := imageLayer(dir("sub/"), file("sub/tail.txt", good["sub/tail.txt"]))
	layers := []layer{bottom, middle, top}
	c := assemble(name, imageConfig(layers), layers, func(m *ocispec.Manifest) { m.ArtifactType = "" })
	c.Want, c.Files, c.Culprits = want, good, culprits(middle.descriptor())
	maps.Copy(c.Files, files)
	return c
}

func imageLayer(entries ...[]byte) layer {
	return layer{mediaType: ocispec.MediaTypeImageLayer, data: archive(entries...)}
}

// imageConfig has the right diffIds, of layers that are not compressed.
func imageConfig(layers []layer) layer {
	config := ocispec.Image{Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"}}
	config.RootFS.Type = "layers"
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(l.data))
	}
	return layer{mediaType: ocispec.MediaTypeImageConfig, data: encode(config)}
}
