package generate

import (
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/weights"
)

// row says what certain files are for.
type row struct {
	kind   modelpack.Kind
	format string // what FORMAT is if the model consists of such files
	reason string // what the files are, in the plural

	// match holds patterns for the base name in lower case, or for the whole path
	// if there is a slash in them. Empty, it matches all names, but then content
	// that other files could have as well does not count.
	match string
	// content is what the file has to be, one of these, by its bytes. Without it
	// the name decides.
	content []weights.Kind
	// beside limits the row to files next to one that differs only in having this
	// extension, whose content is besideIs if that is given.
	beside   string
	besideIs weights.Kind
	// near limits it to directories that have some file with this extension.
	near string
	// sure is for names that say it all: nobody looks into such files.
	sure bool
	// aside has such files come after the others of their kind.
	aside bool
}

type kinds = []weights.Kind

// anything matches all names, and says so.
const anything = "*"

// rows is asked from top to bottom, and the first match wins: names that say more
// than the content, then the content, then names from the most telling to the
// least, then content that says little.
var rows = [...]row{
	// Names that say more than the content.
	{kind: modelpack.Model, format: "coreml", reason: "Core ML packages", match: "**/*.mlpackage/** **/*.mlmodelc/**", sure: true},
	{kind: modelpack.Code, reason: "projects", sure: true, match: "requirements*.txt constraints*.txt pyproject.toml setup.cfg pipfile* poetry.lock uv.lock " +
		"environment.yml environment.yaml conda.yml conda.yaml package.json package-lock.json cargo.toml cargo.lock go.mod go.sum tsconfig.json " +
		"cmakelists.txt makefile makefile.* *.mk dockerfile dockerfile.* *.dockerfile containerfile containerfile.* jenkinsfile " +
		"docker-compose*.yml docker-compose*.yaml compose.yml compose.yaml"},
	{kind: modelpack.Config, reason: "configuration", match: "config.json configuration.json model_index.json", sure: true},
	{kind: modelpack.Config, reason: "indexes of shards", match: "*.index.json *.index.*.json", sure: true},
	{kind: modelpack.Config, reason: "tokenizers", sure: true, match: "tokenizer*.json tokenizer.model* *tokenizer*.model tekken.json *.tiktoken *.spm " +
		"spiece.model spm.model sp.model *sentencepiece*.model *.bpe.model sentencepiece.bpe.* vocab*.json vocabulary.* shared_vocabulary.* " +
		"vocab-*.txt vocab_*.txt *vocab.txt merges.txt *_merges.txt *.vocab *.bpe bpe.codes *dict.txt dict.*.txt tokens.txt *_keys.txt *_keys_v*.txt " +
		"lexicon*.txt units.txt phonemes*.txt added_tokens* special_tokens* normalizer.json"},
	{kind: modelpack.Config, reason: "chat templates", match: "*.jinja *.jinja2 *.j2 chat_template* *.gbnf", sure: true},
	{kind: modelpack.Config, reason: "preprocessors", match: "*processor_config.json *feature_extractor*.json", sure: true},
	{kind: modelpack.Config, reason: "labels", sure: true, match: "labels.txt labels_*.txt *_labels.txt labels.json id2label.json label2id.json label_map* " +
		"classes.txt *_classes.txt *.names *.labels synset.txt"},
	{kind: modelpack.Config, reason: "configuration", sure: true, match: "*_config.json config_*.json *-config.json params.json modules.json mlmodel " +
		"*.hparams *.yaml *.yml *.toml *.ini *.cfg *.conf *.properties *.pbtxt *.textproto"},
	{kind: modelpack.Model, reason: "training state", aside: true, match: "optimizer.pt optimizer.bin optimizer_*.pt scheduler.pt scheduler.bin scaler.pt " +
		"rng_state*.pth random_states_*.pkl training_args.bin *optim_states.pt"},
	{kind: modelpack.Doc, reason: "logs", match: "*.log *_log.jsonl *_log.json log.txt *_log.txt", sure: true},
	{kind: modelpack.Dataset, reason: "data", sure: true, match: "**/{data,dataset,datasets,corpus,train,training,validation}/**/*.{png,jpg,jpeg,gif,bmp,webp,tif,tiff,wav,mp3,flac,ogg,opus,m4a,mp4,webm,npy,npz}"},

	// Content that says what it is.
	{kind: modelpack.Model, format: "safetensors", reason: "safetensors weights", content: kinds{weights.KindSafetensors}},
	{kind: modelpack.Model, format: "gguf", reason: "GGUF weights", content: kinds{weights.KindGGUF}},
	{kind: modelpack.Model, format: "ggml", reason: "GGML weights", content: kinds{weights.KindGGML}},
	{kind: modelpack.Model, format: "onnx", reason: "ONNX weights", content: kinds{weights.KindONNX, weights.KindORT}},
	{kind: modelpack.Model, format: "pt", reason: pickled, content: kinds{weights.KindTorchZip, weights.KindTorchScript, weights.KindTorchLegacy}},
	{kind: modelpack.Model, format: "pt", reason: "PyTorch programs", content: kinds{weights.KindTorchExport}},
	{kind: modelpack.Model, format: "executorch", reason: "ExecuTorch weights", content: kinds{weights.KindExecuTorch}},
	{kind: modelpack.Model, format: "keras", reason: "Keras weights", content: kinds{weights.KindKeras}},
	{kind: modelpack.Model, format: "keras", reason: "Keras weights", content: kinds{weights.KindHDF5}, match: "*.h5 *.hdf5 *.hdf *.keras *.weights"},
	{kind: modelpack.Model, format: "tflite", reason: "TensorFlow Lite weights", content: kinds{weights.KindTFLite, weights.KindLiteRTLM}},
	{kind: modelpack.Model, format: "tensorflow", reason: "TensorFlow weights", content: kinds{weights.KindTFCheckpoint}},
	{kind: modelpack.Model, format: "tensorflow", reason: "TensorFlow weights", content: kinds{weights.KindSavedModel, weights.KindGraphDef}, match: "*.pb *.meta"},
	{kind: modelpack.Model, format: "coreml", reason: "Core ML weights", content: kinds{weights.KindCoreML}, match: "*.mlmodel"},
	{kind: modelpack.Model, format: "tensorrt", reason: "TensorRT engines", content: kinds{weights.KindTensorRT}, match: "*.engine *.plan *.trt *.bin *.model"},
	{kind: modelpack.Model, format: "openvino", reason: "OpenVINO weights", content: kinds{weights.KindOpenVINO}},
	{kind: modelpack.Model, format: "openvino", reason: "OpenVINO weights", match: "*.bin", beside: ".xml", besideIs: weights.KindOpenVINO},
	{kind: modelpack.Model, format: "rknn", reason: "RKNN weights", content: kinds{weights.KindRKNN}},
	{kind: modelpack.Model, format: "ncnn", reason: "ncnn weights", content: kinds{weights.KindNCNN}},
	{kind: modelpack.Model, format: "ncnn", reason: "ncnn weights", match: "*.bin", beside: ".param", besideIs: weights.KindNCNN},
	{kind: modelpack.Model, format: "ctranslate2", reason: "CTranslate2 weights", content: kinds{ct2Model}},
	{kind: modelpack.Model, format: "fasttext", reason: "fastText weights", content: kinds{fasttextModel}},
	{kind: modelpack.Model, format: "xgboost", reason: "XGBoost models", content: kinds{xgboostModel}},
	{kind: modelpack.Model, format: "lightgbm", reason: "LightGBM models", content: kinds{lightgbmModel}},
	{kind: modelpack.Model, format: "catboost", reason: "CatBoost models", content: kinds{catboostModel}},
	{kind: modelpack.Model, format: "tfjs", reason: "TensorFlow.js weights", content: kinds{tfjsModel}, match: "*.json"},
	{kind: modelpack.Model, format: "mxnet", reason: "MXNet weights", content: kinds{mxnetModel}, match: "*.params *-symbol.json *.nd"},
	{kind: modelpack.Model, format: "paddle", reason: "Paddle weights", content: kinds{paddleProgram}, match: "*.json"},
	{kind: modelpack.Model, format: "pickle", reason: "pickled models: loading them runs what they say", content: kinds{weights.KindPickle}},
	{kind: modelpack.Config, reason: "tokenizers", content: kinds{weights.KindSentencePiece}, match: "*.model *.spm *.vocab *.bpe *.sp"},
	{kind: modelpack.Config, reason: "configuration", content: kinds{weights.KindJSON, weights.KindText}, match: "*.params *.meta *.weights *.state"},
	{kind: modelpack.Config, reason: "vocabularies", content: kinds{wordList}, match: "*.txt"},
	{kind: modelpack.Dataset, reason: "data", content: kinds{weights.KindParquet, weights.KindArrow, weights.KindSQLite}},
	{kind: modelpack.Dataset, reason: "data", content: kinds{jsonLines}, match: "*.json"},
	{kind: modelpack.Dataset, reason: "data", content: kinds{jsonRecords}, match: "*train*.json *test*.json *dev.json *valid*.json *eval*.json *dataset*.json data.json *_data.json data_*.json " +
		"**/{data,dataset,datasets,corpus}/**"},

	// Weights by name.
	{kind: modelpack.Model, format: "safetensors", reason: "safetensors weights", match: "*.safetensors"},
	{kind: modelpack.Model, format: "gguf", reason: "GGUF weights", match: "*.gguf *.gguf.part*of* *.gguf-split-*"},
	{kind: modelpack.Model, format: "ggml", reason: "GGML weights", match: "*.ggml *.ggmf *.ggjt ggml-*.bin *.ggmlv[0-9].*.bin"},
	{kind: modelpack.Model, format: "onnx", reason: "ONNX weights", match: "*.onnx *.onnx_data* *.onnx.data* *.ort"},
	{kind: modelpack.Model, format: "onnx", reason: "ONNX weights", match: "*.data", beside: ".onnx"},
	{kind: modelpack.Model, format: "coreml", reason: "Core ML weights", match: "*.mlmodel"},
	{kind: modelpack.Model, format: "pt", reason: pickled, match: "*.pt *.pth *.pt2 *.ptl *.torchscript *.distcp *.mar *.nemo *.ot " +
		"pytorch_model*.bin *pytorch_model*.bin adapter_model*.bin consolidated*.bin *_states.bin"},
	{kind: modelpack.Model, format: "executorch", reason: "ExecuTorch weights", match: "*.pte"},
	{kind: modelpack.Model, format: "keras", reason: "Keras weights", match: "*.h5 *.hdf5 *.keras"},
	{kind: modelpack.Model, format: "tflite", reason: "TensorFlow Lite weights", match: "*.tflite *.lite *.litertlm *.task"},
	{kind: modelpack.Model, format: "tensorflow", reason: "TensorFlow weights", match: "*.pb *.data-?????-of-????? variables.index *.ckpt.index *.ckpt-*.index " +
		"*.ckpt.meta *.ckpt-*.meta checkpoint"},
	{kind: modelpack.Model, format: "tensorflow", reason: "TensorFlow weights", match: "*.meta", beside: ".index"},
	{kind: modelpack.Model, format: "tensorflow", reason: "TensorFlow weights", match: "*.index", beside: ".meta"},
	{kind: modelpack.Model, format: "tensorflow", reason: "TensorFlow weights", match: "*.index", beside: ".data-00000-of-00001"},
	{kind: modelpack.Model, format: "msgpack", reason: "Flax weights", match: "*.msgpack"},
	{kind: modelpack.Model, format: "tensorrt", reason: "TensorRT engines", match: "*.engine *.plan *.trt"},
	{kind: modelpack.Model, format: "paddle", reason: "Paddle weights", match: "*.pdparams *.pdiparams *.pdiparams.info *.pdmodel *.pdopt *.nb"},
	{kind: modelpack.Model, format: "pickle", reason: "pickled models: loading them runs what they say", match: "*.pkl *.pickle *.joblib *.dill"},
	{kind: modelpack.Model, format: "skops", reason: "skops models", match: "*.skops"},
	{kind: modelpack.Model, format: "npz", reason: "NumPy arrays", match: "*.npz *.npy"},
	{kind: modelpack.Model, format: "llamafile", reason: "llamafiles", match: "*.llamafile"},
	{kind: modelpack.Model, format: "rknn", reason: "RKNN weights", match: "*.rknn"},
	{kind: modelpack.Model, format: "mnn", reason: "MNN weights", match: "*.mnn *.mnn.weight"},
	{kind: modelpack.Model, format: "catboost", reason: "CatBoost models", match: "*.cbm"},
	{kind: modelpack.Model, format: "xgboost", reason: "XGBoost models", match: "*.ubj *.bst *.xgb"},
	{kind: modelpack.Model, format: "lightgbm", reason: "LightGBM models", match: "*.lgb"},
	{kind: modelpack.Model, format: "tfjs", reason: "TensorFlow.js weights", match: "group*-shard*of*.bin"},
	{kind: modelpack.Model, reason: "weights", match: "*.bin *.bin.[0-9]* *.ckpt *.checkpoint *.model *.weights *.params *.caffemodel *.ms *.om " +
		"*.tmfile *.dlc *.hef *.xmodel *.mlx *.ftz *.pmml *.mdl *.ark *.fst *.faiss *.dduf *.imatrix imatrix.dat *.circle *.espdl *.kmodel"},

	// Code by extension, before documents by name: license.py is code.
	{kind: modelpack.Code, reason: "code", sure: true, match: "*.py *.pyi *.pyx *.ipynb *.sh *.bash *.zsh *.ps1 *.bat *.cmd *.cu *.cuh *.ptx *.cubin " +
		"*.c *.h *.cc *.cpp *.cxx *.hpp *.go *.rs *.java *.kt *.scala *.swift *.m *.mm *.js *.mjs *.cjs *.ts *.tsx *.jsx *.css *.lua *.pl *.rb *.r *.jl *.sql *.php *.cs " +
		"*.proto *.cmake *.gradle *.patch *.diff *.metal *.comp *.glsl"},
	{kind: modelpack.Code, reason: "libraries", match: "*.so *.so.* *.dll *.dylib *.a *.o *.lib *.exe *.whl *.egg *.jar *.wasm *.rpm *.deb"},

	// Documents by name.
	{kind: modelpack.Doc, reason: "licences", sure: true, match: "license license.* license-* license_* licence licence.* licence-* *_license *-license *.license *_license.* *-license.* copying copying.* " +
		"notice notice.* notice-* *notices.txt eula* use_policy* usage_policy* usage-policy* acceptable_use* patents"},
	{kind: modelpack.Doc, reason: "documentation", sure: true, match: "readme* changelog* changes contributing* authors authors.* security.* code_of_conduct* " +
		"citation* model_card* modelcard* *.modelcard datasheet*"},

	// Data.
	{kind: modelpack.Dataset, reason: "data", sure: true, match: "*.jsonl *.jsonl.* *.ndjson *.json.gz *.json.zst *.parquet *.arrow *.feather *.csv *.csv.* *.tsv *.tsv.* " +
		"*.tfrecord* *.recordio *.avro *.orc *.lmdb *.mdb *.db *.sqlite *.sqlite3 *.xlsx *.conllu *.mat *.nc"},

	// The rest by extension.
	{kind: modelpack.Config, reason: "certificates", match: "*.pem *.crt *.cer *.der"},
	{kind: modelpack.Config, reason: "configuration", match: "*.json *.json5 *.jsonc *.config *.prototxt *.param *.xml *.template *.tmpl *.codes *.dict *.lst *.meta *.scm"},
	{kind: modelpack.Doc, reason: "samples", sure: true, match: "*.wav *.mp3 *.flac *.ogg *.opus *.m4a *.mp4 *.webm *.mov *.mkv *.avi"},
	{kind: modelpack.Doc, reason: "images", sure: true, match: "*.png *.jpg *.jpeg *.gif *.svg *.webp *.bmp *.ico *.tif *.tiff *.avif *.heic *.drawio"},
	{kind: modelpack.Doc, reason: "documentation", sure: true, match: "*.md *.mdx *.markdown *.rst *.pdf *.html *.htm *.tex *.bib *.cff *.doc *.docx *.pptx *.epub"},
	{kind: modelpack.Doc, reason: "documentation", match: "*.txt *.key"},

	// Content, where the name says nothing.
	{kind: modelpack.Code, reason: "code", match: anything, content: kinds{weights.KindScript}},
	{kind: modelpack.Code, reason: "libraries", match: anything, content: kinds{weights.KindExecutable}},
	{kind: modelpack.Config, reason: "configuration", match: anything, content: kinds{weights.KindJSON, weights.KindXML, jsonRecords}},
	{kind: modelpack.Config, reason: "vocabularies", match: anything, content: kinds{wordList}},
	{kind: modelpack.Dataset, reason: "data", match: anything, content: kinds{jsonLines}},
	{kind: modelpack.Model, format: "keras", reason: "Keras weights", match: anything, content: kinds{weights.KindHDF5}},
	{kind: modelpack.Model, format: "npz", reason: "NumPy arrays", match: anything, content: kinds{weights.KindNpy, weights.KindNpz}},
	{kind: modelpack.Doc, reason: "images", match: anything, content: kinds{weights.KindImage}},
	{kind: modelpack.Doc, reason: "samples", match: anything, content: kinds{weights.KindAudio, weights.KindVideo}},
	{kind: modelpack.Doc, reason: "documentation", match: anything, content: kinds{weights.KindPDF}},

	// What an exporter put beside the model, a file for each large tensor.
	{kind: modelpack.Model, format: "onnx", reason: "ONNX weights", match: anything, content: kinds{weights.KindUnknown}, near: ".onnx"},
}

// pickled is said of weights that a program of their own is stored with.
const pickled = "PyTorch weights: pickles, which run code when they are loaded"

// largeFile is the size beyond which an unrecognised file is taken for weights,
// in bytes. modctl draws the same line.
const largeFile = 128 << 20

// unrecognised is the reason for files that no row knows.
const unrecognised = "unrecognised, by size"

// file is an entry whose kind was decided.
type file struct {
	entry
	kind   modelpack.Kind
	format string
	reason string
	// sniffed is what the content is, empty if nobody looked or it says nothing.
	sniffed weights.Kind
}

// contentMatters says whether there is a need to look into a file.
func contentMatters(e entry) bool {
	if e.size == 0 {
		return false
	}
	name := strings.ToLower(e.path)
	if e.size <= pointerLen || isKeyName(path.Base(name)) {
		return true
	}
	for i := range rows {
		if r := &rows[i]; r.content == nil && r.beside == "" && r.named(name) {
			return !r.sure
		}
	}
	return true
}

// classify decides about each entry, and keeps their order. The contents are
// those of the entries.
func classify(entries []entry, contents []content) []file {
	around := surroundings{files: make(map[string]content, len(entries)), extensions: make(map[string]bool)}
	for i, e := range entries {
		name := strings.ToLower(e.path)
		around.files[name] = contents[i]
		around.extensions[path.Dir(name)+"/"+path.Ext(name)] = true
	}
	files := make([]file, len(entries))
	for i, e := range entries {
		files[i] = classifyOne(e, contents[i], around)
	}
	return files
}

// surroundings are the files around one, by names in lower case.
type surroundings struct {
	files      map[string]content
	extensions map[string]bool // by directory, slash and extension
}

func classifyOne(e entry, c content, around surroundings) file {
	name := strings.ToLower(e.path)
	f := file{entry: e, kind: modelpack.Code, reason: unrecognised}
	if !c.weak {
		f.sniffed = c.kind
	}
	for i := range rows {
		r := &rows[i]
		if !r.isContent(c) || !r.isBeside(name, around) || !r.named(name) {
			continue
		}
		f.kind, f.format, f.reason = r.kind, r.format, r.reason
		if r.content != nil {
			f.sniffed = c.kind
		}
		return f
	}
	if e.size > largeFile {
		f.kind = modelpack.Model
	}
	return f
}

// isContent says whether a file has the content that the row asks for.
func (r *row) isContent(c content) bool {
	return r.content == nil || slices.Contains(r.content, c.kind) && (!c.weak || r.match != "")
}

// isBeside says whether the file is where the row wants it to be. A neighbour that
// nobody could look into is taken for what it should be.
func (r *row) isBeside(name string, around surroundings) bool {
	if r.near != "" && !around.extensions[path.Dir(name)+"/"+r.near] {
		return false
	}
	if r.beside == "" {
		return true
	}
	c, ok := around.files[strings.TrimSuffix(name, path.Ext(name))+r.beside]
	return ok && (r.besideIs == "" || c.kind == "" || c.kind == r.besideIs)
}

func (r *row) named(name string) bool {
	if r.match == "" || r.match == anything {
		return true
	}
	base := path.Base(name)
	for pattern := range strings.FieldsSeq(r.match) {
		if strings.Contains(pattern, "/") {
			if doublestar.MatchUnvalidated(pattern, name) {
				return true
			}
		} else if matchPattern(pattern, base) {
			return true
		}
	}
	return false
}

// rank is where the table first says something, to have the most telling files
// first.
func rank(reason string) int {
	i := slices.IndexFunc(rows[:], func(r row) bool { return r.reason == reason })
	if i < 0 || rows[i].aside {
		return len(rows)
	}
	return i
}

// classNotes names the files whose kind is a guess.
func classNotes(files []file) []string {
	guessed := make(map[modelpack.Kind][]string)
	for _, f := range files {
		if f.reason == unrecognised {
			guessed[f.kind] = append(guessed[f.kind], f.path)
		}
	}
	var n notes
	if paths := guessed[modelpack.Model]; paths != nil {
		n.add("took %s for weights, being over 128 MiB: %s", plural(len(paths), "unrecognised file"), some(paths))
	}
	if paths := guessed[modelpack.Code]; paths != nil {
		n.add("took %s for code: %s", plural(len(paths), "unrecognised file"), some(paths))
	}
	return n
}
