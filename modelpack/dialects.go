package modelpack

import (
	"encoding/json"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/blob"
)

// The names that KitOps and Docker give to what they write.
const (
	kitArtifactType    = "application/vnd.kitops.modelkit.manifest.v1+json"
	kitMediaTypeConfig = kitPrefix + "config.v1+json"
	kitPrefix          = "application/vnd.kitops.modelkit."
	kitModel           = "model" // its word for the layer of the model itself

	// kitSubtype on a layer of code says that it is something more special.
	kitSubtype = "ml.kitops.modelkit.layer-subtype"
	// kitKitfile on a manifest that follows the spec holds the Kitfile, as the
	// config does in a ModelKit.
	kitKitfile = "ml.kitops.modelkit.kitfile"

	dockerPrefix           = "application/vnd.docker.ai."
	dockerMediaTypeConfig1 = dockerPrefix + "model.config.v0.1+json"
	dockerMediaTypeConfig2 = dockerPrefix + "model.config.v0.2+json"
	dockerLicense          = dockerPrefix + "license"
)

// kitWords holds the words of ModelKits for kinds of layers. Parts of a model
// are shards, adapters or configuration: only their names tell.
var kitWords = map[string]Kind{
	kitModel: Model, "modelpart": Model, "code": Code, "dataset": Dataset, "docs": Doc,
	"mcpb": Code, // a server of the Model Context Protocol, zipped
}

var kitFormats = append([]Format{RawGzip, RawZstd}, formats...)

// parseKitType reads what follows kitPrefix in the media type of a layer.
func parseKitType(s string) (Kind, Format, bool) {
	if kitPrefix+s == kitMediaTypeConfig { // a Kitfile as a layer, beside those of the spec
		return Config, Raw, true
	}
	word, format, _ := strings.Cut(s, ".v1.")
	kind, ok := kitWords[word]
	if !ok || !slices.Contains(kitFormats, Format(format)) {
		return 0, "", false
	}
	return kind, Format(format), true
}

// dockerType is a media type of Docker's models, and the name of its files where
// no annotation gives one, without a number.
type dockerType struct {
	kind      Kind
	format    Format
	name, ext string
}

// dockerTypes holds all of them. Weights get the names that Docker Model Runner
// gives them when it unpacks. For the others it has names that only itself looks
// for: ours are those by which Hugging Face's and llama.cpp's users know them.
var dockerTypes = map[string]dockerType{
	dockerPrefix + "gguf.v3":             {Model, Raw, "model", ".gguf"},
	dockerPrefix + "safetensors":         {Model, Raw, "model", ".safetensors"},
	dockerPrefix + "dduf":                {Model, Raw, "model", ".dduf"},
	dockerPrefix + "mmproj":              {Model, Raw, "mmproj", ".gguf"},
	dockerPrefix + "chat.template.jinja": {Config, Raw, "chat_template", ".jinja"},
	dockerPrefix + "model.file":          {Config, Raw, "", ""}, // always annotated
	dockerPrefix + "vllm.config.tar":     {Config, Tar, "", ""},
	dockerPrefix + "dir.tar":             {Config, Tar, "", ""},
	dockerLicense:                        {Doc, Raw, "LICENSE", ""},
}

// nameDockerLayers gives Docker's layers the names that they lack, and a name of
// its own to each licence: several of them are often called the same.
func nameDockerLayers(layers []Layer) {
	total, count := make(map[string]int), make(map[string]int)
	taken := make(map[string]bool)
	for _, l := range layers {
		total[l.MediaType]++
	}
	for i := range layers {
		l := &layers[i]
		d, ok := dockerTypes[l.MediaType]
		count[l.MediaType]++
		if ok && l.Path == "" && d.name != "" {
			l.Path = d.numbered(count[l.MediaType], total[l.MediaType])
		}
		if l.MediaType == dockerLicense && taken[l.Path] {
			l.Path = fmt.Sprintf("%s-%d", l.Path, count[l.MediaType])
		}
		taken[l.Path] = true
	}
}

// numbered is the name of the nth of total files. Licences have no numbers until
// they need them.
func (d dockerType) numbered(n, total int) string {
	if total == 1 || d.kind == Doc {
		return d.name + d.ext
	}
	return fmt.Sprintf("%s-%05d-of-%05d%s", d.name, n, total, d.ext)
}

// adjust corrects what tools write into annotations and do not mean as the spec
// does.
func (l *Layer) adjust() {
	switch {
	case l.MediaType == kitMediaTypeConfig:
		l.Path = "Kitfile"
	case strings.HasPrefix(l.MediaType, kitPrefix):
		l.Path = kitPath(l.Path)
	case strings.HasPrefix(l.MediaType, dockerPrefix) && l.Format == Tar:
		// They are those of the archive, which was a temporary file.
		l.Path, l.Metadata = "", nil
	case l.Format != Raw && l.Metadata != nil:
		l.adjustAIKit()
	}
}

// adjustAIKit reads how AIKit describes archives. One of several files has the
// word for its kind as the path and counts its files; one of a single file in a
// directory has that file under its last name.
func (l *Layer) adjustAIKit() {
	var m struct{ Files int }
	json.Unmarshal([]byte(annotation(l.Descriptor, AnnotationFileMetadata, legacyAnnotationMetadata)), &m)
	dir, _ := path.Split(l.Path)
	switch {
	case m.Files > 0:
		l.Path, l.Metadata = "", nil
	case dir != "" && l.Metadata.Name == l.Path && l.Annotations[ocispec.AnnotationTitle] == l.Path:
		l.Dir = path.Clean(dir)
	}
}

// kitPath is a path as a Kitfile or an annotation of KitOps has it: as it was
// typed, or with the separators of Windows.
func kitPath(p string) string {
	if p == "" {
		return ""
	}
	return path.Clean(strings.ReplaceAll(strings.TrimSpace(p), `\`, "/"))
}

// kitfile is what a Kitfile says of layers.
type kitfile struct {
	Model *struct {
		kitEntry
		Parts []kitEntry `json:"parts"`
	} `json:"model"`
	Code       []kitEntry `json:"code"`
	Datasets   []kitEntry `json:"datasets"`
	Docs       []kitEntry `json:"docs"`
	Prompts    []kitEntry `json:"prompts"`
	MCPServers []kitEntry `json:"mcpServers"`
}

type kitEntry struct {
	Name       string `json:"name"`
	Path       string `json:"path"`
	Digest     string `json:"digest"`
	RemotePath string `json:"remotePath"`
}

// IsModelKit says whether the config is a Kitfile: what [Artifact.ReadConfig]
// should be given before the layers are used. ModelKits of KitOps before 0.5 say
// only there where the files of a layer go.
func (a *Artifact) IsModelKit() bool { return a.Manifest.Config.MediaType == kitMediaTypeConfig }

// ReadConfig completes the layers by the config blob: those of a ModelKit get
// names, and paths where the manifest has none; others the digests of what is
// compressed in them. A config that is not about these layers is
// [blob.ErrHostile].
func (a *Artifact) ReadConfig(data []byte) error {
	if !a.IsModelKit() {
		return a.readDiffIDs(data)
	}
	var k kitfile
	if err := unmarshal("Kitfile", data, &k); err != nil {
		return err
	}
	return a.applyKitfile(&k)
}

// readKitfileAnnotation does the same for what KitOps wrote by the spec. What is
// wrong with it is not worth the model.
func (a *Artifact) readKitfileAnnotation() {
	var k kitfile
	if s := a.Manifest.Annotations[kitKitfile]; s != "" && json.Unmarshal([]byte(s), &k) == nil {
		a.applyKitfile(&k)
	}
}

// applyKitfile gives each layer the entry that it was made from: the one with
// its digest, and where entries have none the next one of its kind.
func (a *Artifact) applyKitfile(k *kitfile) error {
	byDigest, byWord := make(map[string][]kitEntry), make(map[string][]kitEntry)
	for word, e := range k.entries() {
		switch {
		case e.Digest != "":
			byDigest[e.Digest] = append(byDigest[e.Digest], e)
		case e.RemotePath != "":
			a.Elsewhere = append(a.Elsewhere, e.RemotePath)
		case e.Path != "":
			byWord[word] = append(byWord[word], e)
		}
	}
	for i := range a.Layers {
		l := &a.Layers[i]
		if e, ok := next(byDigest, l.Digest.String()); ok {
			l.describe(e)
		} else if e, ok := next(byWord, kitWord(l)); ok {
			if err := l.describeOld(e); err != nil {
				return fmt.Errorf("layer %d (%s): %w: %w", i+1, l.Digest, blob.ErrHostile, err)
			}
		}
	}
	for _, e := range byWord[kitModel] { // that no layer is left for
		if strings.ContainsAny(e.Path, ":@") { // the reference of another ModelKit
			a.Elsewhere = append(a.Elsewhere, e.Path)
		}
	}
	return nil
}

// entries goes through what a Kitfile holds, in the order of layers, with the
// words of media types.
func (k *kitfile) entries() iter.Seq2[string, kitEntry] {
	var model, parts []kitEntry
	if k.Model != nil {
		model, parts = []kitEntry{k.Model.kitEntry}, k.Model.Parts
	}
	return func(yield func(string, kitEntry) bool) {
		for _, list := range []struct {
			word    string
			entries []kitEntry
		}{
			{kitModel, model}, {"modelpart", parts}, {"code", k.Code}, {"dataset", k.Datasets},
			{"docs", k.Docs}, {"prompt", k.Prompts}, {"mcpb", k.MCPServers},
		} {
			for _, e := range list.entries {
				if !yield(list.word, e) {
					return
				}
			}
		}
	}
}

// kitWord is the word for the layer in a map of entries.
func kitWord(l *Layer) string {
	if s := l.Annotations[kitSubtype]; s != "" {
		return s
	}
	rest, _ := strings.CutPrefix(l.MediaType, kitPrefix)
	word, _, _ := strings.Cut(rest, ".v1.")
	return word
}

// next takes the first entry of a list.
func next(m map[string][]kitEntry, key string) (e kitEntry, ok bool) {
	if len(m[key]) == 0 {
		return e, false
	}
	e, m[key] = m[key][0], m[key][1:]
	return e, true
}

func (l *Layer) describe(e kitEntry) {
	l.Name = e.Name
	if l.Path == "" {
		l.Path = kitPath(e.Path)
	}
}

// describeOld is for layers that were made before Kitfiles held digests, and
// layers annotations: the names in them start at the directory that the layer's
// path is in.
func (l *Layer) describeOld(e kitEntry) error {
	annotated := l.Path != ""
	l.describe(e)
	dir := path.Dir(l.Path)
	if annotated || dir == "." {
		return nil
	}
	l.Dir = dir
	return CheckPath(dir)
}
