package hostile

import (
	"maps"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/modelpack"
)

// one is the files of a case that has one.
func one(path, content string) map[string]string { return map[string]string{path: content} }

// controls are artifacts that are right, the unusual ones among them.
func controls() []Case {
	weights := strings.Repeat("weights", 50_000)
	model := archive(file("model.bin", weights))
	size := int64(len(weights))
	cases := []Case{
		accepted("good raw", one("model.bin", weights), raw("model.bin", weights).declaring(size)),
		accepted("good raw, empty", one("model.bin", ""), raw("model.bin", "")),
		accepted("good tar", one("model.bin", weights), blobOf(modelpack.Tar, "model.bin", model).declaring(size)),
		accepted("good tar+gzip", one("model.bin", weights), blobOf(modelpack.TarGzip, "model.bin", gzipped(once(model))).declaring(size)),
		accepted("good tar+zstd", one("model.bin", weights), blobOf(modelpack.TarZstd, "model.bin", zstandard(model)).declaring(size)),
		accepted("good tar, nothing declared", one("model.bin", weights), blobOf(modelpack.Tar, "", model)),
		accepted("good tar, empty file", one("model.bin", ""), tarred("model.bin", file("model.bin", "")).declaring(0)),
		accepted("good bundle", map[string]string{"code/a.py": "a", "code/b.py": "b"},
			tarred(".", dir("code/"), file("code/a.py", "a"), file("./code/b.py", "b"))),
		diffIDs("good diffIds", nil, Accepted),
	}
	return append(append(cases, oddArchives(weights)...), oddStreams(weights)...)
}

// oddArchives are right in ways that not every tool writes.
func oddArchives(weights string) []Case {
	long := strings.Repeat("long/", 30) + strings.Repeat("n", 200)
	old := header(0, "model.bin", 1)
	copy(old[offMagic:], make([]byte, 8))
	return []Case{
		accepted("name in a PAX record", one(long, "x"), tarred("", paxFile(long, "x"))),
		accepted("name in a GNU entry", one(long, "x"), tarred("", gnuFile(long, "x"))),
		accepted("archive from before POSIX", one("model.bin", "x"), tarred("", pad(append(seal(old), 'x')))),
		accepted("global PAX header with a comment", one("model.bin", "x"),
			tarred("", pax(typeGlobal, "comment", "0123abcd"), file("model.bin", "x"))),
		accepted("archive filled up to 10 KiB", one("model.bin", "x"),
			blobOf(modelpack.Tar, "model.bin", append(archive(file("model.bin", "x")), make([]byte, 10*kib)...))),
		accepted("metadata that is no JSON", one("model.bin", weights), raw("model.bin", weights).described(func(d *ocispec.Descriptor) {
			d.Annotations[modelpack.AnnotationFileMetadata] = strings.Repeat("[", 100_000)
		})),
		twins("case-only twins in one layer", "File.txt", "file.txt", tarred("", file("File.txt", "1"), file("file.txt", "2"))),
		twins("case-only twins in two layers", "File.txt", "file.txt", raw("File.txt", "1"), tarred("file.txt", file("file.txt", "2"))),
		twins("case-only twins above files", "Data/a", "data/a", raw("Data/a", "1"), raw("data/a", "2")),
		twins("composed and decomposed twins", "caf\u00e9.txt", "cafe\u0301.txt", raw("caf\u00e9.txt", "1"), raw("cafe\u0301.txt", "2")),
	}
}

// twins is a case of two files that are one where case or composition does not
// count. They hold 1 and 2.
func twins(name, first, second string, layers ...layer) Case {
	c := accepted(name, map[string]string{first: "1", second: "2"}, layers...)
	c.Twins = [2]string{first, second}
	c.Culprits = append(c.Culprits, first, second)
	return c
}

// oddStreams are compressed in ways that are right but not common.
func oddStreams(weights string) []Case {
	model := archive(file("model.bin", weights))
	parts := joined(gzipped(once(model[:1000])), gzipped(), gzipped(once(model[1000:])))
	frames := joined(zstandard(model[:1000]), []byte("\x50\x2a\x4d\x18\x04\x00\x00\x00note"), zstandard(model[1000:]))
	window := zstdFrame(23, once(model[:maxZstdBlock]), once(model[maxZstdBlock:2*maxZstdBlock]), once(model[2*maxZstdBlock:]))
	files := one("model.bin", weights)
	return []Case{
		accepted("gzip of several members", files, blobOf(modelpack.TarGzip, "model.bin", parts)),
		accepted("zstd of several frames, one to be skipped", files, blobOf(modelpack.TarZstd, "model.bin", frames)),
		accepted("zstd with a window of 8 MiB", files, blobOf(modelpack.TarZstd, "model.bin", window)),
		legacy(files, weights),
	}
}

// legacy is an artifact as the spec had it before it moved to the CNCF.
func legacy(files map[string]string, weights string) Case {
	old := tarred("", file("model.bin", weights)).described(func(d *ocispec.Descriptor) {
		d.MediaType = strings.Replace(d.MediaType, ".cncf.", ".cnai.", 1)
		d.Annotations["org.cnai.model.filepath"] = "model.bin"
	})
	config := emptyConfig()
	config.mediaType = strings.Replace(config.mediaType, ".cncf.", ".cnai.", 1)
	c := assemble("older media types and annotations", config, surrounded([]layer{old}), func(m *ocispec.Manifest) { m.ArtifactType = "" })
	c.Want, c.Files = Accepted, Good()
	maps.Copy(c.Files, files)
	return c
}

// DiffIDCases are about the config: what only those see who read it.
func DiffIDCases() []Case {
	wrong := digest.FromString("something else")
	cases := []Case{
		diffIDs("no diffIds", func([]digest.Digest) []digest.Digest { return nil }, Accepted),
		diffIDs("too few diffIds", func(d []digest.Digest) []digest.Digest { return d[1:] }, Refused),
		diffIDs("too many diffIds", func(d []digest.Digest) []digest.Digest { return append(d, d[0]) }, Refused),
		diffIDs("diffId that is no digest", func(d []digest.Digest) []digest.Digest { d[2] = "sha256:../../x"; return d }, Refused),
		configured("config that is no JSON", layer{mediaType: modelpack.MediaTypeConfig, data: []byte("{")}),
		configured("config of deep JSON", layer{mediaType: modelpack.MediaTypeConfig, data: deepJSON(`{"x":`, "}")}),
		configured("config with another content", emptyConfig().damaged(flip(0))),
		configured("config of 1 GiB, declared", emptyConfig().described(func(d *ocispec.Descriptor) { d.Size = gib })),
		configured("config of 8 MiB", layer{mediaType: modelpack.MediaTypeConfig, data: joined([]byte(`{"x":"`), make([]byte, 8*mib), []byte(`"}`))}),
		configured("config whose digest leaves the store", emptyConfig().described(func(d *ocispec.Descriptor) { d.Digest = "sha256:../../x" })),
	}
	layers, _ := everyFormat()
	for i, l := range layers[1 : len(layers)-1] {
		c := diffIDs("wrong diffId of "+l.path, func(d []digest.Digest) []digest.Digest { d[i+1] = wrong; return d }, Refused)
		c.Culprits = culprits(l.descriptor())
		cases = append(cases, c)
	}
	return cases
}

// configured is a case whose config is wrong.
func configured(name string, config layer) Case {
	c := assemble(name, config, surrounded(nil), nil)
	c.Culprits = append(culprits(config.descriptor()), "config")
	return c
}

// diffIDs is a case of one layer of each format, whose right diffIds are put
// through edit.
func diffIDs(name string, edit func([]digest.Digest) []digest.Digest, want Want) Case {
	layers, right := everyFormat()
	files := Good()
	for _, l := range layers[1 : len(layers)-1] {
		files[l.path] = l.path
	}
	var config modelpack.ModelConfig
	config.ModelFS.Type = "layers"
	config.ModelFS.DiffIDs = right
	if edit != nil {
		config.ModelFS.DiffIDs = edit(right)
	}
	c := assemble(name, layer{mediaType: modelpack.MediaTypeConfig, data: encode(config)}, layers, nil)
	c.Want, c.Files, c.Culprits = want, files, []string{"diffId", "config"}
	return c
}

// everyFormat is a layer of each format, between good ones, and their diffIds.
func everyFormat() (layers []layer, right []digest.Digest) {
	for _, f := range []modelpack.Format{modelpack.Raw, modelpack.Tar, modelpack.TarGzip, modelpack.TarZstd} {
		name := "file." + string(f)
		plain := archive(file(name, name))
		data := map[modelpack.Format][]byte{
			modelpack.Raw:     []byte(name),
			modelpack.Tar:     plain,
			modelpack.TarGzip: gzipped(once(plain)),
			modelpack.TarZstd: zstandard(plain),
		}[f]
		layers = append(layers, blobOf(f, name, data).declaring(int64(len(name))))
		if f != modelpack.Raw {
			data = plain
		}
		right = append(right, digest.FromBytes(data))
	}
	layers = surrounded(layers)
	head, tail := layers[0].descriptor().Digest, layers[len(layers)-1].descriptor().Digest
	return layers, append(append([]digest.Digest{head}, right...), tail)
}
