package modelpack_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/modelpack"
)

const kit = "application/vnd.kitops.modelkit."

// layer is a descriptor whose digest follows from its media type and a name.
func layer(mediaType, name string, annotations ...string) ocispec.Descriptor {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(mediaType + name), Size: 1}
	for i := 0; i < len(annotations); i += 2 {
		if desc.Annotations == nil {
			desc.Annotations = make(map[string]string)
		}
		desc.Annotations[annotations[i]] = annotations[i+1]
	}
	return desc
}

func parse(t *testing.T, m ocispec.Manifest) *modelpack.Artifact {
	t.Helper()
	a, err := modelpack.ParseManifest(marshal(t, m))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// summary says in a line what a layer was read as.
func summary(l modelpack.Layer) string {
	s := fmt.Sprintf("%s %s %q", l.Kind, l.Format, l.Path)
	if l.Dir != "" {
		s += " in " + l.Dir
	}
	if l.Name != "" {
		s += " called " + l.Name
	}
	if l.Metadata != nil {
		s += fmt.Sprintf(" of %d", l.Metadata.Size)
	}
	return s
}

func checkLayers(t *testing.T, a *modelpack.Artifact, want ...string) {
	t.Helper()
	var got []string
	for _, l := range a.Layers {
		got = append(got, summary(l))
	}
	if !slices.Equal(got, want) {
		t.Errorf("read as\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// As KitOps writes them today: a path on each layer, metadata on raw ones.
func TestModelKit(t *testing.T) {
	const path = "org.cncf.model.filepath"
	const metadata = "org.cncf.model.file.metadata+json"
	layers := []ocispec.Descriptor{
		layer(kit+"model.v1.tar", "m", path, "weights"),
		layer(kit+"modelpart.v1.tar+gzip", "p", path, "lora"),
		layer(kit+"code.v1.tar+zstd", "c", path, "."),
		layer(kit+"dataset.v1.raw+gzip", "d", path, `data\train.csv`, metadata, `{"name":"train.csv","mode":420,"size":7,"typeflag":0}`),
		layer(kit+"dataset.v1.raw+zstd", "e", path, "data/test.csv"),
		layer(kit+"docs.v1.raw", "o", path, "README.md", metadata, `{"name":"README.md","mode":420,"size":1}`),
		layer(kit+"code.v1.tar", "q", path, "prompt.txt", "ml.kitops.modelkit.layer-subtype", "prompt"),
		layer(kit+"mcpb.v1.raw", "s", path, "files.mcpb"),
	}
	a := parse(t, ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: kit + "manifest.v1+json",
		Config: layer(kit+"config.v1+json", ""), Layers: layers,
	})
	if a.Image || !a.IsModelKit() {
		t.Errorf("image %v, ModelKit %v", a.Image, a.IsModelKit())
	}
	checkLayers(t, a,
		`model tar "weights"`, `model tar+gzip "lora"`, `code tar+zstd "."`, `dataset raw+gzip "data/train.csv" of 7`,
		`dataset raw+zstd "data/test.csv"`, `doc raw "README.md" of 1`, `code tar "prompt.txt"`, `code raw "files.mcpb"`)
	config := fmt.Sprintf(`{"manifestVersion":"1.0.0","package":{"name":"x"},
		"model":{"name":"base","path":"./weights/","digest":%q,"diffId":"sha256:0","parameters":{"a":[{}]},
			"parts":[{"name":"adapter","path":"lora","type":"LoRA","digest":%q}]},
		"code":[{"path":"./","digest":%q}],
		"datasets":[{"name":"far","path":"far","remotePath":"s3://bucket/key"},{"name":"train","path":"data/train.csv","digest":%q},{"name":"test","path":"data/test.csv","digest":%q}],
		"docs":[{"path":"README.md","digest":%q}],
		"prompts":[{"name":"greet","path":"prompt.txt","digest":%q}],
		"mcpServers":[{"name":"files","path":"files.mcpb","digest":%q}]}`,
		layers[0].Digest, layers[1].Digest, layers[2].Digest, layers[3].Digest, layers[4].Digest, layers[5].Digest, layers[6].Digest, layers[7].Digest)
	if err := a.ReadConfig([]byte(config)); err != nil {
		t.Fatal(err)
	}
	checkLayers(t, a,
		`model tar "weights" called base`, `model tar+gzip "lora" called adapter`, `code tar+zstd "."`,
		`dataset raw+gzip "data/train.csv" called train of 7`, `dataset raw+zstd "data/test.csv" called test`,
		`doc raw "README.md" of 1`, `code tar "prompt.txt" called greet`, `code raw "files.mcpb" called files`)
	if !slices.Equal(a.Elsewhere, []string{"s3://bucket/key"}) {
		t.Errorf("elsewhere: %q", a.Elsewhere)
	}
	if _, err := modelpack.ParseConfig([]byte(config)); err != nil {
		t.Errorf("its config for those who expect another: %v", err)
	}
}

// Before 1.8: nothing on the layers, and their digests in the Kitfile.
func TestModelKitWithoutAnnotations(t *testing.T) {
	same := layer(kit+"docs.v1.tar+gzip", "same")
	m := ocispec.Manifest{Config: layer(kit+"config.v1+json", ""), Layers: []ocispec.Descriptor{same, same}}
	a := parse(t, m)
	checkLayers(t, a, `doc tar+gzip ""`, `doc tar+gzip ""`)
	if err := a.ReadConfig(fmt.Appendf(nil, `{"docs":[{"path":"a/b","digest":%q},{"path":"./c","digest":%q}]}`, same.Digest, same.Digest)); err != nil {
		t.Fatal(err)
	}
	checkLayers(t, a, `doc tar+gzip "a/b"`, `doc tar+gzip "c"`)
}

// Before 0.5: no digests either, so that layers have the order of the Kitfile, and
// archives that start above the layer's path.
func TestOldModelKit(t *testing.T) {
	m := ocispec.Manifest{Config: layer(kit+"config.v1+json", ""), Layers: []ocispec.Descriptor{
		layer(kit+"model.v1.tar+gzip", ""), layer(kit+"code.v1.tar+gzip", "1"), layer(kit+"dataset.v1.tar+gzip", ""), layer(kit+"code.v1.tar+gzip", "2"),
	}}
	a := parse(t, m)
	const config = `{"model":{"name":"m","path":"./models/v1/m.gguf"},"code":[{"path":"src/"},{"path":"tools/more"}],"datasets":[{"name":"d","path":"."}]}`
	if err := a.ReadConfig([]byte(config)); err != nil {
		t.Fatal(err)
	}
	checkLayers(t, a, `model tar+gzip "models/v1/m.gguf" in models/v1 called m`, `code tar+gzip "src"`,
		`dataset tar+gzip "." called d`, `code tar+gzip "tools/more" in tools`)
	if a.Elsewhere != nil {
		t.Errorf("elsewhere: %q", a.Elsewhere)
	}

	a = parse(t, m)
	if err := a.ReadConfig([]byte(`{"model":{"path":"../../etc/passwd"}}`)); !errors.Is(err, blob.ErrHostile) {
		t.Errorf("a path that leads out: error %v", err)
	}
	a = parse(t, m)
	for _, bad := range []string{"", "[]", "{", `{"docs":` + strings.Repeat("[{", 40_000)} {
		if err := a.ReadConfig([]byte(bad)); err == nil {
			t.Errorf("Kitfile %.20q is read", bad)
		}
	}
}

func TestModelKitOnTopOfAnother(t *testing.T) {
	a := parse(t, ocispec.Manifest{Config: layer(kit+"config.v1+json", ""), Layers: []ocispec.Descriptor{layer(kit+"code.v1.tar", "")}})
	if err := a.ReadConfig([]byte(`{"model":{"path":"registry.example.com/team/base:v1"},"code":[{"path":"c"}]}`)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.Elsewhere, []string{"registry.example.com/team/base:v1"}) {
		t.Errorf("elsewhere: %q", a.Elsewhere)
	}
}

// KitOps puts the Kitfile beside what it writes by the spec: as an annotation, or
// as a layer.
func TestModelPackOfKitOps(t *testing.T) {
	weight := layer("application/vnd.cncf.model.weight.v1.raw", "", "org.cncf.model.filepath", "a.gguf")
	m := ocispec.Manifest{
		ArtifactType: modelpack.ArtifactType, Config: layer(modelpack.MediaTypeConfig, ""),
		Layers:      []ocispec.Descriptor{weight, layer(kit+"config.v1+json", "")},
		Annotations: map[string]string{"ml.kitops.modelkit.kitfile": fmt.Sprintf(`{"model":{"name":"n","path":"a.gguf","digest":%q}}`, weight.Digest)},
	}
	a := parse(t, m)
	checkLayers(t, a, `model raw "a.gguf" called n`, `config raw "Kitfile"`)
	if a.IsModelKit() {
		t.Error("taken for a ModelKit")
	}
	m.Annotations["ml.kitops.modelkit.kitfile"] = "{"
	checkLayers(t, parse(t, m), `model raw "a.gguf"`, `config raw "Kitfile"`)
}

const docker = "application/vnd.docker.ai."

// As Docker wrote them before layers had paths.
func TestDockerModelWithoutPaths(t *testing.T) {
	a := parse(t, ocispec.Manifest{Config: layer(docker+"model.config.v0.1+json", ""), Layers: []ocispec.Descriptor{
		layer(docker+"gguf.v3", ""), layer(docker+"license", "1"), layer(docker+"license", "2"), layer(docker+"mmproj", ""), layer(docker+"chat.template.jinja", ""),
	}})
	checkLayers(t, a, `model raw "model.gguf"`, `doc raw "LICENSE"`, `doc raw "LICENSE-2"`, `model raw "mmproj.gguf"`, `config raw "chat_template.jinja"`)

	a = parse(t, ocispec.Manifest{Config: layer(docker+"model.config.v0.1+json", ""), Layers: []ocispec.Descriptor{
		layer(docker+"safetensors", "1"), layer(docker+"license", ""), layer(docker+"safetensors", "2"),
	}})
	checkLayers(t, a, `model raw "model-00001-of-00002.safetensors"`, `doc raw "LICENSE"`, `model raw "model-00002-of-00002.safetensors"`)
}

func TestDockerModelWithPaths(t *testing.T) {
	const path = "org.cncf.model.filepath"
	const metadata = "org.cncf.model.file.metadata+json"
	a := parse(t, ocispec.Manifest{Config: layer(docker+"model.config.v0.2+json", ""), Layers: []ocispec.Descriptor{
		layer(docker+"safetensors", "", path, "text_encoder/model.safetensors", metadata, `{"name":"model.safetensors","mode":420,"size":1,"mtime":"2026-01-01T00:00:00Z"}`),
		layer(docker+"model.file", "", path, "text_encoder/config.json"),
		layer(docker+"dduf", ""),
		layer(docker+"license", "1", path, "LICENSE"),
		layer(docker+"license", "2", path, "LICENSE"),
		// the path and the metadata are those of a temporary file
		layer(docker+"vllm.config.tar", "", path, "vllm-config-12.tar", metadata, `{"name":"vllm-config-12.tar","size":10240}`),
		layer(docker+"dir.tar", "", path, "dir-tar-34.tar", metadata, `{"name":"dir-tar-34.tar","size":10240}`),
	}})
	checkLayers(t, a, `model raw "text_encoder/model.safetensors" of 1`, `config raw "text_encoder/config.json"`, `model raw "model.dduf"`,
		`doc raw "LICENSE"`, `doc raw "LICENSE-2"`, `config tar ""`, `config tar ""`)
	if _, err := modelpack.ParseConfig([]byte(`{"config":{"format":"gguf","quantization":"Q4","parameters":"8B","architecture":"llama","size":"4 GiB","gguf":{"a":"b"}},"descriptor":{"created":"2025-01-01T00:00:00Z"},"rootfs":{"type":"rootfs","diff_ids":[]}}`)); err != nil {
		t.Errorf("its config: %v", err)
	}
}

// Docker Model Runner has also written media types of the spec's kind.
func TestDockerModelPack(t *testing.T) {
	a := parse(t, ocispec.Manifest{ArtifactType: modelpack.ArtifactType, Layers: []ocispec.Descriptor{
		layer("application/vnd.cncf.model.weight.v1.gguf", "", "org.cncf.model.filepath", "a.gguf"),
		layer("application/vnd.cncf.model.weight.v1.safetensors", "", "org.cncf.model.filepath", "a.safetensors"),
	}})
	checkLayers(t, a, `model raw "a.gguf"`, `model raw "a.safetensors"`)
}

// AIKit archives weights one by one, by their last name, and everything else by
// kind.
func TestAIKit(t *testing.T) {
	aikit := func(mediaType, path, metadata string) ocispec.Descriptor {
		return layer("application/vnd.cncf.model."+mediaType, path, "org.opencontainers.image.title", path, "org.cncf.model.filepath", path,
			"org.cncf.model.file.metadata+json", metadata, "org.cncf.model.file.mediatype.untested", "true")
	}
	const rest = `,"mode":420,"uid":0,"gid":0,"size":5,"mtime":"1970-01-01T00:00:00Z","typeflag":0`
	a := parse(t, ocispec.Manifest{ArtifactType: modelpack.ArtifactType, Config: layer(modelpack.MediaTypeConfig, "{}"), Layers: []ocispec.Descriptor{
		aikit("weight.v1.raw", "raw/a.gguf", `{"name":"raw/a.gguf"`+rest+`}`),
		aikit("weight.v1.tar", "a.gguf", `{"name":"a.gguf"`+rest+`}`),
		aikit("weight.v1.tar+gzip", "sub/b.gguf", `{"name":"sub/b.gguf"`+rest+`}`),
		aikit("weight.config.v1.tar+zstd", "config", `{"name":"config"`+rest+`,"files":3}`),
	}})
	checkLayers(t, a, `model raw "raw/a.gguf" of 5`, `model tar "a.gguf" of 5`, `model tar+gzip "sub/b.gguf" in sub of 5`, `config tar+zstd ""`)
	if c, err := modelpack.ParseConfig([]byte("{}")); err != nil || c == nil {
		t.Errorf("its config: %v", err)
	}
	// Those who follow the spec have the last name in the metadata, and no title.
	a = parse(t, ocispec.Manifest{ArtifactType: modelpack.ArtifactType, Layers: []ocispec.Descriptor{
		layer("application/vnd.cnai.model.weight.v1.tar", "", "org.cnai.model.filepath", "sub/a.bin", "org.cnai.model.file.metadata+json", `{"name":"a.bin"`+rest+`}`),
		layer("application/vnd.cncf.model.code.v1.tar", "", "org.cncf.model.filepath", "sub", "org.cncf.model.file.metadata+json", `{"name":"sub","size":9,"typeflag":5}`),
	}})
	checkLayers(t, a, `model tar "sub/a.bin" of 5`, `code tar "sub" of 9`)
}

func TestUnknownMediaTypesAreReported(t *testing.T) {
	weight := layer("application/vnd.cncf.model.weight.v1.raw", "")
	for _, unknown := range []string{
		"application/octet-stream", "", docker + "gguf.v9", docker + "lora", kit + "model.v2.tar", kit + "model.v1.zip", kit + "model.v1.tar+gz",
		kit + "thing.v1.tar", kit + "model", "application/vnd.cncf.model.doc.v1.gguf", "application/vnd.cncf.model.weight.v1.raw+gzip",
		ocispec.MediaTypeImageLayerGzip, "application/vnd.ollama.image.model",
	} {
		for name, m := range map[string]ocispec.Manifest{
			"artifactType": {ArtifactType: modelpack.ArtifactType},
			"config":       {Config: layer(kit+"config.v1+json", "")},
			"neither":      {},
			"image config": {Config: layer(ocispec.MediaTypeImageConfig, "")},
		} {
			m.Layers = []ocispec.Descriptor{weight, layer(unknown, "")}
			for _, read := range []func([]byte) (*modelpack.Artifact, error){modelpack.ParseManifest, modelpack.ParseImage} {
				_, err := read(marshal(t, m))
				if !errors.Is(err, modelpack.ErrNotModel) {
					t.Errorf("%s, %q: error %v", name, unknown, err)
					continue
				}
				if name != "image config" && (!strings.Contains(err.Error(), fmt.Sprintf("%q", unknown)) || !strings.Contains(err.Error(), "layer 2 ")) {
					t.Errorf("%s, %q: the error does not say what is wrong: %v", name, unknown, err)
				}
			}
		}
	}
}

// FuzzReadConfig looks for a Kitfile that makes reading panic or that puts a
// layer outside.
func FuzzReadConfig(f *testing.F) {
	f.Add([]byte(`{"model":{"name":"m","path":"a/b"},"datasets":[{"path":"c","remotePath":"s3://x"}]}`))
	f.Add([]byte(`{"model":{"path":"../x:y","parts":[{"digest":"sha256:0"}]},"docs":[{"path":"/"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := parse(t, ocispec.Manifest{Config: layer(kit+"config.v1+json", ""), Layers: []ocispec.Descriptor{
			layer(kit+"model.v1.tar", ""), layer(kit+"docs.v1.tar", ""), layer(kit+"dataset.v1.raw", ""),
		}})
		if a.ReadConfig(data) != nil {
			return
		}
		for _, l := range a.Layers {
			if l.Dir != "" && modelpack.CheckPath(l.Dir) != nil {
				t.Errorf("directory %q", l.Dir)
			}
		}
	})
}
