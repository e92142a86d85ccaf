package hostile

import (
	"bytes"
	"fmt"
	"maps"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/modelpack"
)

// manifests are cases whose manifest is wrong as a whole.
func manifests() []Case {
	right := refused("", raw("model.bin", "x"))
	replaced := func(name, old, fresh string) Case {
		if !bytes.Contains(right.Manifest, []byte(old)) {
			panic("the manifest of a test does not hold " + old)
		}
		return bad(name, bytes.Replace(right.Manifest, []byte(old), []byte(fresh), 1), right.Blobs)
	}
	const annotations = `"annotations":{`
	object := strings.TrimSuffix(string(right.Manifest), "}")
	cases := []Case{
		bad("manifest that is empty", nil, nil),
		bad("manifest that is no JSON", []byte("model"), nil),
		bad("manifest that is cut off", right.Manifest[:len(right.Manifest)-1], right.Blobs),
		bad("manifest with garbage behind it", append(bytes.Clone(right.Manifest), "{}"...), right.Blobs),
		bad("manifest that is a list", []byte("["+string(right.Manifest)+"]"), right.Blobs),
		bad("manifest of 100 MiB", []byte(object+`,"annotations":{"x":"`+strings.Repeat("x", 100*mib)+`"}}`), right.Blobs),
		bad("manifest of 5 MiB of spaces", append(bytes.Clone(right.Manifest), bytes.Repeat([]byte(" "), 5*mib)...), right.Blobs),
		bad("deep JSON", deepJSON(object+`,"annotations":{"x":`, "}}"), right.Blobs),
		bad("deep JSON in a field that nobody knows", deepJSON(object+`,"x":`, "}"), right.Blobs),
		replaced("deep JSON in a layer", annotations, annotations+`"x":`+string(deepJSON("", ","))),
		replaced("size that is a text", `"size":`, `"size":"1","x":`),
		replaced("size that is a fraction", `"size":`, `"size":1.5,"x":`),
		replaced("size beyond all numbers", `"size":`, `"size":1e30,"x":`),
		replaced("layers that are an object", `"layers":[`, `"layers":{},"x":[`),
		replaced("annotation that is a list", annotations, annotations+`"x":["y"],`),
	}
	return append(append(cases, manyLayers(right)...), noModels()...)
}

// bad is a case of a manifest that cannot be right.
func bad(name string, manifest []byte, blobs map[digest.Digest][]byte) Case {
	c := ofManifest(name, manifest, maps.Clone(blobs))
	c.Culprits = []string{"manifest", c.Digest.String()}
	return c
}

// deepJSON is 100,000 lists, each in the one before it.
func deepJSON(before, behind string) []byte {
	const depth = 100_000
	return []byte(before + strings.Repeat("[", depth) + strings.Repeat("]", depth) + behind)
}

// manyLayers are manifests of more layers than a model can have, and of what
// takes more memory than text once it is read.
func manyLayers(right Case) []Case {
	whole := raw("model.bin", "x").descriptor()
	compact := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1}`, whole.MediaType, whole.Digest)
	list := func(name, element string, n int) Case {
		c := bad(name, []byte(`{"schemaVersion":2,"artifactType":"`+modelpack.ArtifactType+`","layers":[`+
			strings.Repeat(element+",", n-1)+element+"]}"), right.Blobs)
		c.Culprits = append(c.Culprits, whole.Digest.String())
		return c
	}
	return []Case{
		list("100,000 layers", compact, 100_000),
		list("100,000 layers of nothing", "{}", 100_000),
		list("20,000 layers without paths", compact, 20_000),
		list("800,000 layers that are null", "null", 800_000),
		list("2,000,000 layers that are numbers", "1", 2_000_000),
		list("1,000,000 layers that are lists", "[]", 1_000_000),
	}
}

// noModels are manifests of something else.
func noModels() []Case {
	unknown := func(d *ocispec.Descriptor) { d.MediaType = "application/vnd.example.unknown\x1b[31m" }
	strange := refused("layer of an unknown type", raw("model.bin", "x").described(unknown))
	format := refused("layer of an unknown format", raw("model.bin", "x").described(func(d *ocispec.Descriptor) { d.MediaType += "+xz" }))
	none := assemble("no layers", emptyConfig(), nil, func(m *ocispec.Manifest) { m.Layers = []ocispec.Descriptor{} })
	null := assemble("layers that are null", emptyConfig(), nil, nil)
	other := assemble("an artifact of another kind", layer{mediaType: "application/vnd.example.config", data: []byte("{}")},
		[]layer{raw("model.bin", "x").described(unknown)}, func(m *ocispec.Manifest) { m.ArtifactType = "application/vnd.example" })
	nothing := ofManifest("an empty object", []byte("{}"), nil)
	index := ofManifest("an index of nothing", encode(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}), nil)
	cases := []Case{strange, format, none, null, other, nothing, index}
	for i := range cases {
		cases[i].Want = NotModel
		cases[i].Culprits = append(cases[i].Culprits, "manifest", "layer", "index")
	}
	return cases
}
