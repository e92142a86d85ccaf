package generate

import (
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tareml/tare/modelpack"
)

// row says what files of certain names are for.
type row struct {
	kind modelpack.Kind
	// match holds patterns for the base name in lower case, or for the whole
	// path if there is a slash in them.
	match string
	// beside limits the row to files next to one that differs only in having
	// this extension.
	beside string
	format string // what FORMAT is if the model consists of such files
	reason string // what the files are, in the plural
}

// rows is asked from top to bottom, and the first match wins. Names that mean
// one thing only come first, then extensions from the most telling to the least.
var rows = [...]row{
	// Names that say more than their extension.
	{kind: modelpack.Config, reason: "tokenizers", match: "tokenizer.model* *tokenizer*.model tekken.json *.tiktoken *.spm " +
		"spiece.model spm.model sp.model *sentencepiece*.model *.bpe.model sentencepiece.bpe.* " +
		"vocab-*.txt vocab_*.txt *vocab.txt merges.txt *_merges.txt *.vocab *.bpe bpe.codes dict.txt dict.*.txt added_tokens* special_tokens*"},
	{kind: modelpack.Config, reason: "labels", match: "labels.txt labels_*.txt *_labels.txt classes.txt *.names *.labels"},
	{kind: modelpack.Code, reason: "projects", match: "requirements*.txt constraints*.txt pyproject.toml setup.cfg pipfile* poetry.lock uv.lock " +
		"environment.yml environment.yaml conda.yml conda.yaml package.json package-lock.json cargo.toml go.mod go.sum " +
		"cmakelists.txt makefile makefile.* *.mk dockerfile dockerfile.* *.dockerfile containerfile containerfile.* jenkinsfile " +
		"docker-compose*.yml docker-compose*.yaml compose.yml compose.yaml"},
	{kind: modelpack.Model, reason: "training state", match: "optimizer.pt optimizer.bin optimizer_*.pt scheduler.pt scheduler.bin scaler.pt " +
		"rng_state*.pth random_states_*.pkl training_args.bin *optim_states.pt"},

	// Weights.
	{kind: modelpack.Model, format: "safetensors", reason: "safetensors weights", match: "*.safetensors"},
	{kind: modelpack.Model, format: "gguf", reason: "GGUF weights", match: "*.gguf *.gguf.part*of* *.gguf-split-*"},
	{kind: modelpack.Model, format: "ggml", reason: "GGML weights", match: "*.ggml ggml-*.bin *.ggmlv[0-9].*.bin"},
	{kind: modelpack.Model, format: "onnx", reason: "ONNX weights", match: "*.onnx *.onnx_data* *.onnx.data* *.ort"},
	{kind: modelpack.Model, format: "openvino", reason: "OpenVINO weights", match: "*.xml", beside: ".bin"},
	{kind: modelpack.Model, format: "openvino", reason: "OpenVINO weights", match: "*.bin", beside: ".xml"},
	{kind: modelpack.Model, format: "ncnn", reason: "ncnn weights", match: "*.param", beside: ".bin"},
	{kind: modelpack.Model, format: "ncnn", reason: "ncnn weights", match: "*.bin", beside: ".param"},
	{kind: modelpack.Model, format: "coreml", reason: "Core ML weights", match: "*.mlmodel **/*.mlpackage/** **/*.mlmodelc/**"},
	{kind: modelpack.Model, format: "pt", reason: "PyTorch weights", match: "*.pt *.pth *.pt2 *.ptl *.torchscript *.distcp *.mar *.nemo " +
		"pytorch_model*.bin *pytorch_model*.bin adapter_model*.bin consolidated*.bin *_states.bin"},
	{kind: modelpack.Model, format: "executorch", reason: "ExecuTorch weights", match: "*.pte"},
	{kind: modelpack.Model, format: "keras", reason: "Keras weights", match: "*.h5 *.hdf5 *.keras"},
	{kind: modelpack.Model, format: "tflite", reason: "TensorFlow Lite weights", match: "*.tflite *.lite *.litertlm *.task"},
	{kind: modelpack.Model, format: "tensorflow", reason: "TensorFlow weights", match: "*.pb *.data-?????-of-????? variables.index *.ckpt.index *.ckpt-*.index " +
		"*.ckpt.meta *.ckpt-*.meta checkpoint"},
	{kind: modelpack.Model, format: "msgpack", reason: "Flax weights", match: "*.msgpack"},
	{kind: modelpack.Model, format: "tensorrt", reason: "TensorRT engines", match: "*.engine *.plan *.trt"},
	{kind: modelpack.Model, format: "paddle", reason: "Paddle weights", match: "*.pdparams *.pdiparams *.pdmodel *.pdopt *.nb"},
	{kind: modelpack.Model, format: "pickle", reason: "pickled models", match: "*.pkl *.pickle *.joblib *.dill *.skops"},
	{kind: modelpack.Model, format: "npz", reason: "NumPy arrays", match: "*.npz *.npy"},
	{kind: modelpack.Model, format: "llamafile", reason: "llamafiles", match: "*.llamafile"},
	{kind: modelpack.Model, reason: "weights", match: "*.bin *.ckpt *.model *.weights *.params *.caffemodel *.mnn *.ms *.om *.rknn " +
		"*.tmfile *.dlc *.hef *.xmodel *.mlx *.ot *.ftz *.cbm *.ubj *.bst *.xgb *.lgb *.pmml *.mdl *.ark *.fst *.faiss *.dduf *.imatrix imatrix.dat"},

	// Code by extension, before documents by name: license.py is code.
	{kind: modelpack.Code, reason: "code", match: "*.py *.pyi *.pyx *.ipynb *.sh *.bash *.zsh *.ps1 *.bat *.cmd *.cu *.cuh *.ptx *.cubin " +
		"*.c *.h *.cc *.cpp *.cxx *.hpp *.go *.rs *.java *.kt *.scala *.swift *.m *.mm *.js *.mjs *.ts *.tsx *.jsx *.css *.lua *.pl *.rb *.r *.jl *.sql " +
		"*.proto *.cmake *.gradle *.patch *.diff *.metal *.comp *.glsl"},
	{kind: modelpack.Code, reason: "libraries", match: "*.so *.so.* *.dll *.dylib *.a *.o *.lib *.exe *.whl *.egg *.jar *.wasm *.rpm *.deb"},

	// Documents by name.
	{kind: modelpack.Doc, reason: "licences", match: "license license.* license-* license_* licence licence.* licence-* *_license *-license *.license copying copying.* " +
		"notice notice.* notice-* *notices.txt eula* use_policy* acceptable_use* patents"},
	{kind: modelpack.Doc, reason: "documentation", match: "readme* changelog* changes contributing* authors authors.* security.* code_of_conduct* " +
		"citation* model_card* modelcard* modelcard datasheet*"},

	// Data.
	{kind: modelpack.Dataset, reason: "data", match: "*.jsonl *.jsonl.* *.ndjson *.json.gz *.json.zst *.parquet *.arrow *.feather *.csv *.csv.* *.tsv *.tsv.* " +
		"*.tfrecord* *.recordio *.avro *.orc *.lmdb *.mdb *.db *.sqlite *.sqlite3 *.xlsx *.conllu"},
	{kind: modelpack.Dataset, reason: "sound and video", match: "*.wav *.mp3 *.flac *.ogg *.opus *.m4a *.mp4 *.webm *.mov *.mkv *.avi"},

	// The rest by extension.
	{kind: modelpack.Config, reason: "configuration", match: "*.json *.json5 *.yaml *.yml *.toml *.ini *.cfg *.conf *.config *.properties *.pbtxt *.prototxt *.textproto " +
		"*.xml *.jinja *.jinja2 *.j2 *.template *.tmpl *.gbnf *.codes *.dict *.lst *.hparams *.env"},
	{kind: modelpack.Doc, reason: "documentation", match: "*.md *.mdx *.markdown *.rst *.txt *.pdf *.html *.htm *.tex *.bib *.cff *.doc *.docx *.pptx *.epub"},
	{kind: modelpack.Doc, reason: "images", match: "*.png *.jpg *.jpeg *.gif *.svg *.webp *.bmp *.ico *.tif *.tiff *.avif *.drawio"},
	{kind: modelpack.Doc, reason: "logs", match: "*.log *tfevents*"},
}

// largeFile is the size beyond which an unrecognised file is taken for weights,
// in bytes. modctl draws the same line.
const largeFile = 128 << 20

// unrecognised is the reason for files that no row knows.
const unrecognised = "unrecognised ones by their size"

// file is an entry whose kind was decided.
type file struct {
	entry
	kind   modelpack.Kind
	format string
	reason string
}

// classify decides about each entry, and keeps their order.
func classify(entries []entry) []file {
	names := make(map[string]bool, len(entries))
	for _, e := range entries {
		names[strings.ToLower(e.path)] = true
	}
	files := make([]file, len(entries))
	for i, e := range entries {
		files[i] = classifyOne(e, names)
	}
	return files
}

// classifyOne takes the names, in lower case, of all files around e.
func classifyOne(e entry, names map[string]bool) file {
	name := strings.ToLower(e.path)
	i := slices.IndexFunc(rows[:], func(r row) bool { return r.matches(name, names) })
	switch {
	case i >= 0:
		return file{e, rows[i].kind, rows[i].format, rows[i].reason}
	case e.size > largeFile:
		return file{e, modelpack.Model, "", unrecognised}
	}
	return file{e, modelpack.Code, "", unrecognised}
}

func (r *row) matches(name string, names map[string]bool) bool {
	if r.beside != "" && !names[strings.TrimSuffix(name, path.Ext(name))+r.beside] {
		return false
	}
	base := path.Base(name)
	for pattern := range strings.FieldsSeq(r.match) {
		subject := base
		if strings.Contains(pattern, "/") {
			subject = name
		}
		if doublestar.MatchUnvalidated(pattern, subject) {
			return true
		}
	}
	return false
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
