package generate

import (
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/weights"
)

// row says what certain files are for.
type row struct {
	kind   modelpack.Kind
	format string // what FORMAT is if the model consists of such files
	label  string // what the files are, in the plural: the comment above them

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
	// sure is for names that say it all, unless the file turns out to be weights. Such
	// files get no more than a glance.
	sure bool
	// aside has such files come after the others of their kind.
	aside bool
}

type kinds = []weights.Kind

// anything matches all names, and says so.
const anything = "*"

// Labels of files that run code when they are loaded.
const (
	pickled      = "PyTorch weights: pickles, which run code when they are loaded"
	pickledModel = "pickled models: loading them runs what they say"
)

// rows is asked from top to bottom, and the first match wins: names that say more
// than the content, then the content, then names from the most telling to the
// least, then content that says little. A comment says why the rows below it, up to
// the next one, are what they are, and come where they come.
var rows = [...]row{
	// Names that say more than the content. Most of these files are text, as others are
	// too, so that the content cannot tell; or the place of a file matters more.

	// A directory is one model: no file of it is of use without the others.
	{
		kind: modelpack.Model, format: "coreml", label: "Core ML packages", sure: true,
		match: "**/*.mlpackage/** **/*.mlmodelc/**",
	},
	// What builds and runs the code around a model is code, though some of it is text.
	{
		kind: modelpack.Code, label: "projects", sure: true,
		match: "requirements*.txt constraints*.txt pyproject.toml setup.cfg pipfile* poetry.lock " +
			"uv.lock environment.yml environment.yaml conda.yml conda.yaml package.json " +
			"package-lock.json cargo.toml cargo.lock go.mod go.sum tsconfig.json cmakelists.txt " +
			"makefile makefile.* *.mk dockerfile dockerfile.* *.dockerfile containerfile " +
			"containerfile.* jenkinsfile docker-compose*.yml docker-compose*.yaml compose.yml " +
			"compose.yaml",
	},
	// Libraries look for these names before anything else.
	{
		kind: modelpack.Config, label: "configuration", sure: true,
		match: "config.json configuration.json model_index.json",
	},
	// Loaders need them to find the shards; of weights they hold only the names.
	{
		kind: modelpack.Config, label: "indexes of shards", sure: true,
		match: "*.index.json *.index.*.json",
	},
	// A model is of no use without its vocabulary, whatever format that is in.
	{
		kind: modelpack.Config, label: "tokenizers", sure: true,
		match: "tokenizer*.json tokenizer.model* *tokenizer*.model tekken.json *.tiktoken *.spm " +
			"spiece.model spm.model sp.model *sentencepiece*.model *.bpe.model sentencepiece.bpe.* " +
			"vocab*.json vocabulary.* shared_vocabulary.* vocab-*.txt vocab_*.txt *vocab.txt " +
			"merges.txt *_merges.txt *.vocab *.bpe bpe.codes *dict.txt dict.*.txt tokens.txt " +
			"*_keys.txt *_keys_v*.txt lexicon*.txt units.txt phonemes*.txt added_tokens* " +
			"special_tokens* normalizer.json",
	},
	// Chats are put into words by them, which changes what the model answers.
	{
		kind: modelpack.Config, label: "chat templates", sure: true,
		match: "*.jinja *.jinja2 *.j2 chat_template* *.gbnf",
	},
	// Pictures and sounds are prepared as they say.
	{
		kind: modelpack.Config, label: "preprocessors", sure: true,
		match: "*processor_config.json *feature_extractor*.json",
	},
	// Without them the output is only numbers.
	{
		kind: modelpack.Config, label: "labels", sure: true,
		match: "labels.txt labels_*.txt *_labels.txt labels.json id2label.json label2id.json " +
			"label_map* classes.txt *_classes.txt *.names *.labels synset.txt",
	},
	// What is written to be read by programs sets something up.
	{
		kind: modelpack.Config, label: "configuration", sure: true,
		match: "*_config.json config_*.json *-config.json params.json modules.json mlmodel *.hparams " +
			"*.yaml *.yml *.toml *.ini *.cfg *.conf *.properties *.pbtxt *.textproto",
	},
	// They are what PyTorch writes, but training alone goes on from them: they come last.
	{
		kind: modelpack.Model, label: trainingState, aside: true,
		match: "optimizer.pt optimizer.bin optimizer_*.pt scheduler.pt scheduler.bin scaler.pt " +
			"rng_state*.pth random_states_*.pkl training_args.bin *optim_states.pt",
	},
	// They tell what happened, and nothing reads them; *.jsonl would be data.
	{
		kind: modelpack.Doc, label: "logs", sure: true,
		match: "*.log *_log.jsonl *_log.json log.txt *_log.txt",
	},
	// Below such a directory a picture is an example to learn from, not an illustration.
	{
		kind: modelpack.Dataset, label: "data", sure: true,
		match: "**/{data,dataset,datasets,corpus,train,training,validation}/**/*." +
			"{png,jpg,jpeg,gif,bmp,webp,tif,tiff,wav,mp3,flac,ogg,opus,m4a,mp4,webm,npy,npz}",
	},

	// Content that says what it is. Where there is no pattern, any name will do, and weights
	// beat the names above too; patterns are for content that other files could have.

	// Formats of weights that begin with a mark of their own, or are built like no other.
	{
		kind: modelpack.Model, format: "safetensors", label: "safetensors weights",
		content: kinds{weights.KindSafetensors},
	},
	{kind: modelpack.Model, format: "gguf", label: "GGUF weights", content: kinds{weights.KindGGUF}},
	{kind: modelpack.Model, format: "ggml", label: "GGML weights", content: kinds{weights.KindGGML}},
	{
		kind: modelpack.Model, format: "onnx", label: "ONNX weights",
		content: kinds{weights.KindONNX, weights.KindORT},
	},
	{
		kind: modelpack.Model, format: "pt", label: pickled,
		content: kinds{weights.KindTorchZip, weights.KindTorchScript, weights.KindTorchLegacy},
	},
	{
		kind: modelpack.Model, format: "pt", label: "PyTorch programs",
		content: kinds{weights.KindTorchExport},
	},
	{
		kind: modelpack.Model, format: "executorch", label: "ExecuTorch weights",
		content: kinds{weights.KindExecuTorch},
	},
	{kind: modelpack.Model, format: "keras", label: "Keras weights", content: kinds{weights.KindKeras}},
	{
		kind: modelpack.Model, format: "tflite", label: "TensorFlow Lite weights",
		content: kinds{weights.KindTFLite, weights.KindLiteRTLM},
	},
	{
		kind: modelpack.Model, format: "tensorflow", label: "TensorFlow weights",
		content: kinds{weights.KindTFCheckpoint},
	},
	{
		kind: modelpack.Model, format: "openvino", label: "OpenVINO weights",
		content: kinds{weights.KindOpenVINO},
	},
	{kind: modelpack.Model, format: "rknn", label: "RKNN weights", content: kinds{weights.KindRKNN}},
	{kind: modelpack.Model, format: "ncnn", label: "ncnn weights", content: kinds{weights.KindNCNN}},
	{
		kind: modelpack.Model, format: "ctranslate2", label: "CTranslate2 weights",
		content: kinds{ct2Model},
	},
	{kind: modelpack.Model, format: "fasttext", label: "fastText weights", content: kinds{fasttextModel}},
	{kind: modelpack.Model, format: "xgboost", label: "XGBoost models", content: kinds{xgboostModel}},
	{kind: modelpack.Model, format: "lightgbm", label: "LightGBM models", content: kinds{lightgbmModel}},
	{kind: modelpack.Model, format: "catboost", label: "CatBoost models", content: kinds{catboostModel}},
	// Other files could look so: HDF5 holds measurements too, protocol buffers carry no
	// mark, what engines begin with is not documented, and JSON can be anything.
	{
		kind: modelpack.Model, format: "keras", label: "Keras weights",
		content: kinds{weights.KindHDF5}, match: "*.h5 *.hdf5 *.hdf *.keras *.weights",
	},
	{
		kind: modelpack.Model, format: "tensorflow", label: "TensorFlow weights",
		content: kinds{weights.KindSavedModel, weights.KindGraphDef}, match: "*.pb *.meta",
	},
	{
		kind: modelpack.Model, format: "coreml", label: "Core ML weights",
		content: kinds{weights.KindCoreML}, match: "*.mlmodel",
	},
	{
		kind: modelpack.Model, format: "tensorrt", label: "TensorRT engines",
		content: kinds{weights.KindTensorRT}, match: "*.engine *.plan *.trt *.bin *.model",
	},
	{
		kind: modelpack.Model, format: "tfjs", label: "TensorFlow.js weights",
		content: kinds{tfjsModel}, match: "*.json",
	},
	{
		kind: modelpack.Model, format: "mxnet", label: "MXNet weights",
		content: kinds{mxnetModel}, match: "*.params *-symbol.json *.nd",
	},
	{
		kind: modelpack.Model, format: "paddle", label: "Paddle weights",
		content: kinds{paddleProgram}, match: "*.json",
	},
	// Weights that carry no mark are told by the graph beside them.
	{
		kind: modelpack.Model, format: "openvino", label: "OpenVINO weights",
		match: "*.bin", beside: ".xml", besideIs: weights.KindOpenVINO,
	},
	{
		kind: modelpack.Model, format: "ncnn", label: "ncnn weights",
		match: "*.bin", beside: ".param", besideIs: weights.KindNCNN,
	},
	// Pickles can be of anything, but mostly are of models; pickled vocabularies are named so.
	{kind: modelpack.Model, format: "pickle", label: pickledModel, content: kinds{weights.KindPickle}},
	// A vocabulary in the format of SentencePiece is a tokenizer, if the name allows it.
	{
		kind: modelpack.Config, label: "tokenizers", content: kinds{weights.KindSentencePiece},
		match: "*.model *.spm *.vocab *.bpe *.sp",
	},
	// Extensions of weights on text: parameters in the other sense of the word.
	{
		kind: modelpack.Config, label: "configuration",
		content: kinds{weights.KindJSON, weights.KindText},
		match:   "*.params *.meta *.weights *.state",
	},
	// A word a line is what tokenizers and classes look like, not prose.
	{kind: modelpack.Config, label: "vocabularies", content: kinds{wordList}, match: "*.txt"},
	// Tables and databases: models are not kept in them.
	{
		kind: modelpack.Dataset, label: "data",
		content: kinds{weights.KindParquet, weights.KindArrow, weights.KindSQLite},
	},
	// Records are data, unless a name above says that a program reads them.
	{kind: modelpack.Dataset, label: "data", content: kinds{jsonLines}, match: "*.json"},
	{
		kind: modelpack.Dataset, label: "data", content: kinds{jsonRecords},
		match: "*train*.json *test*.json *dev.json *valid*.json *eval*.json *dataset*.json data.json " +
			"*_data.json data_*.json **/{data,dataset,datasets,corpus}/**",
	},

	// Weights by name, for formats without a mark and files that could not be read.

	// Extensions and names that one format has.
	{
		kind: modelpack.Model, format: "safetensors", label: "safetensors weights",
		match: "*.safetensors",
	},
	{
		kind: modelpack.Model, format: "gguf", label: "GGUF weights",
		match: "*.gguf *.gguf.part*of* *.gguf-split-*",
	},
	{
		kind: modelpack.Model, format: "ggml", label: "GGML weights",
		match: "*.ggml *.ggmf *.ggjt ggml-*.bin *.ggmlv[0-9].*.bin",
	},
	{
		kind: modelpack.Model, format: "onnx", label: "ONNX weights",
		match: "*.onnx *.onnx_data* *.onnx.data* *.ort",
	},
	{kind: modelpack.Model, format: "coreml", label: "Core ML weights", match: "*.mlmodel"},
	{
		kind: modelpack.Model, format: "pt", label: pickled,
		match: "*.pt *.pth *.pt2 *.ptl *.torchscript *.distcp *.mar *.nemo *.ot pytorch_model*.bin " +
			"*pytorch_model*.bin adapter_model*.bin consolidated*.bin *_states.bin",
	},
	{kind: modelpack.Model, format: "executorch", label: "ExecuTorch weights", match: "*.pte"},
	{kind: modelpack.Model, format: "keras", label: "Keras weights", match: "*.h5 *.hdf5 *.keras"},
	{
		kind: modelpack.Model, format: "tflite", label: "TensorFlow Lite weights",
		match: "*.tflite *.lite *.litertlm *.task",
	},
	{
		kind: modelpack.Model, format: "tensorflow", label: "TensorFlow weights",
		match: "*.pb *.data-?????-of-????? variables.index *.ckpt.index *.ckpt-*.index *.ckpt.meta " +
			"*.ckpt-*.meta checkpoint",
	},
	{kind: modelpack.Model, format: "msgpack", label: "Flax weights", match: "*.msgpack"},
	{
		kind: modelpack.Model, format: "tensorrt", label: "TensorRT engines",
		match: "*.engine *.plan *.trt",
	},
	{
		kind: modelpack.Model, format: "paddle", label: "Paddle weights",
		match: "*.pdparams *.pdiparams *.pdiparams.info *.pdmodel *.pdopt *.nb",
	},
	{
		kind: modelpack.Model, format: "pickle", label: pickledModel,
		match: "*.pkl *.pickle *.joblib *.dill",
	},
	{kind: modelpack.Model, format: "skops", label: "skops models", match: "*.skops"},
	{kind: modelpack.Model, format: "npz", label: "NumPy arrays", match: "*.npz *.npy"},
	{kind: modelpack.Model, format: "llamafile", label: "llamafiles", match: "*.llamafile"},
	{kind: modelpack.Model, format: "rknn", label: "RKNN weights", match: "*.rknn"},
	{kind: modelpack.Model, format: "mnn", label: "MNN weights", match: "*.mnn *.mnn.weight"},
	{kind: modelpack.Model, format: "catboost", label: "CatBoost models", match: "*.cbm"},
	{kind: modelpack.Model, format: "xgboost", label: "XGBoost models", match: "*.ubj *.bst *.xgb"},
	{kind: modelpack.Model, format: "lightgbm", label: "LightGBM models", match: "*.lgb"},
	{
		kind: modelpack.Model, format: "tfjs", label: "TensorFlow.js weights",
		match: "group*-shard*of*.bin",
	},
	// Extensions that say little alone: the weights of a graph, and two of the three files
	// of a checkpoint of TensorFlow 1.
	{kind: modelpack.Model, format: "onnx", label: "ONNX weights", beside: ".onnx", match: "*.data"},
	{
		kind: modelpack.Model, format: "tensorflow", label: "TensorFlow weights", beside: ".index",
		match: "*.meta",
	},
	{
		kind: modelpack.Model, format: "tensorflow", label: "TensorFlow weights", beside: ".meta",
		match: "*.index",
	},
	{
		kind: modelpack.Model, format: "tensorflow", label: "TensorFlow weights",
		beside: ".data-00000-of-00001",
		match:  "*.index",
	},
	// Extensions of weights that several formats share, or that have no word in the spec.
	{
		kind: modelpack.Model, label: "weights",
		match: "*.bin *.bin.[0-9]* *.ckpt *.checkpoint *.model *.weights *.params *.caffemodel *.ms " +
			"*.om *.tmfile *.dlc *.hef *.xmodel *.mlx *.ftz *.pmml *.mdl *.ark *.fst *.faiss *.dduf " +
			"*.imatrix imatrix.dat *.circle *.espdl *.kmodel",
	},

	// Code by extension, before documents by name: license.py is code.

	// People read and change these, and runtimes run them; models are not written in them.
	{
		kind: modelpack.Code, label: "code", sure: true,
		match: "*.py *.pyi *.pyx *.ipynb *.sh *.bash *.zsh *.ps1 *.bat *.cmd *.cu *.cuh *.ptx " +
			"*.cubin *.c *.h *.cc *.cpp *.cxx *.hpp *.go *.rs *.java *.kt *.scala *.swift *.m *.mm " +
			"*.js *.mjs *.cjs *.ts *.tsx *.jsx *.css *.lua *.pl *.rb *.r *.jl *.sql *.php *.cs " +
			"*.proto *.cmake *.gradle *.patch *.diff *.metal *.comp *.glsl",
	},
	// Programs made of such.
	{
		kind: modelpack.Code, label: "libraries",
		match: "*.so *.so.* *.dll *.dylib *.a *.o *.lib *.exe *.whl *.egg *.jar *.wasm *.rpm *.deb",
	},

	// Documents by name, before data and configuration: license.json is a licence.

	// What one may do with the model has to come with it.
	{
		kind: modelpack.Doc, label: "licences", sure: true,
		match: "license license.* license-* license_* licence licence.* licence-* *_license " +
			"*-license *.license *_license.* *-license.* copying copying.* notice notice.* notice-* " +
			"*notices.txt eula* use_policy* usage_policy* usage-policy* acceptable_use* patents",
	},
	// For people to read.
	{
		kind: modelpack.Doc, label: "documentation", sure: true,
		match: "readme* changelog* changes contributing* authors authors.* security.* " +
			"code_of_conduct* citation* model_card* modelcard* *.modelcard datasheet*",
	},

	// Data by extension: records and tables to learn from or to test with.
	{
		kind: modelpack.Dataset, label: "data", sure: true,
		match: "*.jsonl *.jsonl.* *.ndjson *.json.gz *.json.zst *.parquet *.arrow *.feather *.csv " +
			"*.csv.* *.tsv *.tsv.* *.tfrecord* *.recordio *.avro *.orc *.lmdb *.mdb *.db *.sqlite " +
			"*.sqlite3 *.xlsx *.conllu *.mat *.nc",
	},

	// The rest by extension.

	// The private ones were left out before.
	{kind: modelpack.Config, label: "certificates", match: "*.pem *.crt *.cer *.der"},
	// Read by programs, and none of the above.
	{
		kind: modelpack.Config, label: "configuration",
		match: "*.json *.json5 *.jsonc *.config *.prototxt *.param *.xml *.template *.tmpl *.codes " +
			"*.dict *.lst *.meta *.scm",
	},
	// Outside of directories of data, sounds and pictures show what the model does.
	{
		kind: modelpack.Doc, label: "samples", sure: true,
		match: "*.wav *.mp3 *.flac *.ogg *.opus *.m4a *.mp4 *.webm *.mov *.mkv *.avi",
	},
	{
		kind: modelpack.Doc, label: "images", sure: true,
		match: "*.png *.jpg *.jpeg *.gif *.svg *.webp *.bmp *.ico *.tif *.tiff *.avif *.heic *.drawio",
	},
	// For people to read.
	{
		kind: modelpack.Doc, label: "documentation", sure: true,
		match: "*.md *.mdx *.markdown *.rst *.pdf *.html *.htm *.tex *.bib *.cff *.doc *.docx *.pptx " +
			"*.epub",
	},
	{kind: modelpack.Doc, label: "documentation", match: "*.txt *.key"},

	// Content that says little, where the name says nothing.
	{kind: modelpack.Code, label: "code", content: kinds{weights.KindScript}, match: anything},
	{kind: modelpack.Code, label: "libraries", content: kinds{weights.KindExecutable}, match: anything},
	{
		kind: modelpack.Config, label: "configuration",
		content: kinds{weights.KindJSON, weights.KindXML, jsonRecords}, match: anything,
	},
	{kind: modelpack.Config, label: "vocabularies", content: kinds{wordList}, match: anything},
	{kind: modelpack.Dataset, label: "data", content: kinds{jsonLines}, match: anything},
	{
		kind: modelpack.Model, format: "keras", label: "Keras weights",
		content: kinds{weights.KindHDF5}, match: anything,
	},
	{
		kind: modelpack.Model, format: "npz", label: "NumPy arrays",
		content: kinds{weights.KindNpy, weights.KindNpz}, match: anything,
	},
	{kind: modelpack.Doc, label: "images", content: kinds{weights.KindImage}, match: anything},
	{
		kind: modelpack.Doc, label: "samples",
		content: kinds{weights.KindAudio, weights.KindVideo}, match: anything,
	},
	{kind: modelpack.Doc, label: "documentation", content: kinds{weights.KindPDF}, match: anything},

	// What an exporter of ONNX put beside the graph, a file for each large tensor: bytes
	// that are like nothing, under the name of the tensor.
	{
		kind: modelpack.Model, format: "onnx", label: "ONNX weights",
		content: kinds{weights.KindUnknown}, near: ".onnx", match: anything,
	},
}
