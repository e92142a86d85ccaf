package weights

// Kind is what a file is.
type Kind string

// Kinds of files. Those of weights are the words that the ModelPack spec's
// format has, or would have.
const (
	KindUnknown Kind = ""

	KindSafetensors   Kind = "safetensors"
	KindGGUF          Kind = "gguf"
	KindGGML          Kind = "ggml" // GGML, GGMF, GGJT: what came before GGUF
	KindONNX          Kind = "onnx"
	KindORT           Kind = "ort"         // ONNX Runtime's own
	KindTorchZip      Kind = "pt"          // PyTorch's zip archive of a pickle and its tensors
	KindTorchScript   Kind = "torchscript" // the same with code
	KindTorchExport   Kind = "pt2"         // an exported program
	KindTorchLegacy   Kind = "pt-legacy"   // before PyTorch 1.6
	KindExecuTorch    Kind = "executorch"
	KindPickle        Kind = "pickle" // joblib, scikit-learn, anything of Python
	KindHDF5          Kind = "hdf5"   // Keras before version 3, and others
	KindKeras         Kind = "keras"  // version 3
	KindNpy           Kind = "npy"
	KindNpz           Kind = "npz"
	KindTFLite        Kind = "tflite"
	KindLiteRTLM      Kind = "litertlm"
	KindSavedModel    Kind = "savedmodel"
	KindGraphDef      Kind = "graphdef" // a frozen TensorFlow graph
	KindTFCheckpoint  Kind = "tf-checkpoint"
	KindTensorRT      Kind = "tensorrt"
	KindCoreML        Kind = "coreml"
	KindOpenVINO      Kind = "openvino"
	KindRKNN          Kind = "rknn"
	KindNCNN          Kind = "ncnn"
	KindSentencePiece Kind = "sentencepiece"

	KindParquet Kind = "parquet"
	KindArrow   Kind = "arrow"
	KindSQLite  Kind = "sqlite"

	KindLFSPointer Kind = "lfs-pointer"
	KindJSON       Kind = "json"
	KindXML        Kind = "xml"
	KindText       Kind = "text"
	KindScript     Kind = "script"
	KindPDF        Kind = "pdf"

	KindExecutable Kind = "executable" // ELF, Mach-O, PE
	KindZip        Kind = "zip"
	KindGzip       Kind = "gzip"
	KindZstd       Kind = "zstd"
	KindZlib       Kind = "zlib" // compressed joblib
	KindXz         Kind = "xz"
	KindBzip2      Kind = "bzip2"
	KindSevenZip   Kind = "7z"
	KindTar        Kind = "tar"

	KindImage Kind = "image"
	KindAudio Kind = "audio"
	KindVideo Kind = "video"
)

// magic knows a kind of file by bytes at a place near its start.
type magic struct {
	kind   Kind
	at     int
	bytes  string
	weak   bool   // other files could have them
	reason string // why this is what it says, for people
}

// magics is asked from top to bottom; whoever adds a row puts longer ones first.
var magics = [...]magic{
	{kind: KindLFSPointer, bytes: lfsMagic, reason: "the first line of a Git LFS pointer"},
	{kind: KindGGUF, bytes: "GGUF", reason: "magic GGUF"},
	{kind: KindGGML, bytes: "tjgg", reason: "magic ggjt, little-endian"},
	{kind: KindGGML, bytes: "lmgg", reason: "magic ggml, little-endian"},
	{kind: KindGGML, bytes: "fmgg", reason: "magic ggmf, little-endian"},
	{kind: KindGGML, bytes: "algg", reason: "magic ggla, a LoRA of GGML"},
	{kind: KindTorchLegacy, bytes: string(torchLegacyMagic), reason: "the pickled number that old PyTorch files begin with"},
	{kind: KindHDF5, bytes: "\x89HDF\r\n\x1a\n", reason: "HDF5 signature"},
	{kind: KindNpy, bytes: "\x93NUMPY", reason: "magic of NumPy arrays"},
	{kind: KindTFLite, at: 4, bytes: "TFL3", reason: "FlatBuffers identifier of TensorFlow Lite"},
	{kind: KindORT, at: 4, bytes: "ORTM", reason: "FlatBuffers identifier of ONNX Runtime"},
	{kind: KindExecuTorch, at: 4, bytes: "ET12", reason: "FlatBuffers identifier of ExecuTorch"},
	{kind: KindLiteRTLM, bytes: "LITERTLM", reason: "magic LITERTLM"},
	{kind: KindTensorRT, bytes: "ptrt\x00\x00", weak: true, reason: "what TensorRT engines were seen to begin with; it is not documented"},
	{kind: KindTensorRT, bytes: "ftrt\x00\x00", weak: true, reason: "what TensorRT engines were seen to begin with; it is not documented"},
	{kind: KindRKNN, bytes: "RKNN\x00\x00\x00\x00", reason: "magic RKNN"},
	{kind: KindRKNN, bytes: "CYPTRKNN", reason: "magic of encrypted RKNN"},
	{kind: KindNCNN, bytes: "7767517\n", reason: "the number in the first line of ncnn's text"},
	{kind: KindNCNN, bytes: "7767517\r\n", reason: "the number in the first line of ncnn's text"},

	{kind: KindParquet, bytes: "PAR1", reason: "magic PAR1"},
	{kind: KindParquet, bytes: "PARE", weak: true, reason: "magic of encrypted Parquet"},
	{kind: KindArrow, bytes: "ARROW1\x00\x00", reason: "magic ARROW1"},
	{kind: KindSQLite, bytes: "SQLite format 3\x00", reason: "SQLite header"},

	{kind: KindExecutable, bytes: "\x7fELF", reason: "ELF"},
	{kind: KindExecutable, bytes: "\xfe\xed\xfa\xce", reason: "Mach-O"},
	{kind: KindExecutable, bytes: "\xfe\xed\xfa\xcf", reason: "Mach-O"},
	{kind: KindExecutable, bytes: "\xce\xfa\xed\xfe", reason: "Mach-O"},
	{kind: KindExecutable, bytes: "\xcf\xfa\xed\xfe", reason: "Mach-O"},
	{kind: KindExecutable, bytes: "\xca\xfe\xba\xbe", weak: true, reason: "Mach-O for several machines, or Java"},
	{kind: KindExecutable, bytes: "\x00asm\x01\x00\x00\x00", reason: "WebAssembly"},
	{kind: KindExecutable, bytes: "MZqFpD", reason: "an executable for all systems, as llamafiles are"},
	{kind: KindExecutable, bytes: "MZ", weak: true, reason: "Windows executable"},
	{kind: KindScript, bytes: "#!", reason: "#! in the first line"},

	{kind: KindGzip, bytes: "\x1f\x8b\x08", reason: "gzip"},
	{kind: KindZstd, bytes: "\x28\xb5\x2f\xfd", reason: "Zstandard"},
	{kind: KindXz, bytes: "\xfd7zXZ\x00", reason: "xz"},
	{kind: KindBzip2, bytes: "BZh", weak: true, reason: "bzip2"},
	{kind: KindSevenZip, bytes: "7z\xbc\xaf\x27\x1c", reason: "7z"},
	{kind: KindTar, at: 257, bytes: "ustar", reason: "tar header"},
	{kind: KindPDF, bytes: "%PDF-", reason: "PDF"},

	{kind: KindImage, bytes: "\x89PNG\r\n\x1a\n", reason: "PNG"},
	{kind: KindImage, bytes: "\xff\xd8\xff", reason: "JPEG"},
	{kind: KindImage, bytes: "GIF87a", reason: "GIF"},
	{kind: KindImage, bytes: "GIF89a", reason: "GIF"},
	{kind: KindImage, bytes: "II*\x00", reason: "TIFF"},
	{kind: KindImage, bytes: "MM\x00*", reason: "TIFF"},
	{kind: KindImage, at: 8, bytes: "WEBPVP8", reason: "WebP"},
	{kind: KindImage, at: 4, bytes: "ftypavif", reason: "AVIF"},
	{kind: KindImage, at: 4, bytes: "ftypheic", reason: "HEIC"},
	{kind: KindAudio, at: 8, bytes: "WAVEfmt ", reason: "WAVE"},
	{kind: KindAudio, bytes: "fLaC", reason: "FLAC"},
	{kind: KindAudio, bytes: "OggS", reason: "Ogg"},
	{kind: KindAudio, bytes: "ID3", weak: true, reason: "MP3 with a tag"},
	{kind: KindAudio, bytes: "\xff\xfb\x90", weak: true, reason: "MP3"},
	{kind: KindAudio, at: 4, bytes: "ftypM4A ", reason: "MPEG-4 audio"},
	{kind: KindVideo, at: 4, bytes: "ftyp", weak: true, reason: "MPEG-4"},
	{kind: KindVideo, at: 8, bytes: "AVI LIST", reason: "AVI"},
	{kind: KindVideo, bytes: "\x1a\x45\xdf\xa3", reason: "Matroska or WebM"},
}

// shape knows a kind of file by how it is built, where there is no magic.
type shape struct {
	kind   Kind
	is     func(*sample) (bool, error)
	weak   bool
	reason string
}

// shapes is asked after magics, from the most to the least demanding.
var shapes = [...]shape{
	{kind: KindSafetensors, is: isSafetensors, reason: "a length, then a JSON object of that length"},
	{kind: KindTorchScript, is: zipHas("constants.pkl"), reason: "a zip archive with constants.pkl and code"},
	{kind: KindTorchZip, is: zipHas("data.pkl"), reason: "a zip archive with data.pkl"},
	{kind: KindTorchExport, is: zipHas("archive_format"), reason: "a zip archive with archive_format"},
	{kind: KindKeras, is: zipHas("model.weights.h5", "config.json"), reason: "a zip archive with config.json and model.weights.h5"},
	{kind: KindNpz, is: isNpz, reason: "a zip archive of .npy files"},
	{kind: KindZip, is: isZip, reason: "zip"},
	{kind: KindPickle, is: isPickle, reason: "the start and the end of a pickle"},
	{kind: KindTFCheckpoint, is: isCheckpointIndex, reason: "the end of a LevelDB table, which TensorFlow keeps its index in"},
	{kind: KindCoreML, is: isCoreML, weak: true, reason: "fields of a Core ML specification"},
	{kind: KindONNX, is: isONNX, reason: "fields of an ONNX model: a version and a graph"},
	{kind: KindSavedModel, is: isSavedModel, weak: true, reason: "fields of a TensorFlow SavedModel"},
	{kind: KindSentencePiece, is: isSentencePiece, weak: true, reason: "fields of a SentencePiece vocabulary"},
	{kind: KindGraphDef, is: isGraphDef, weak: true, reason: "fields of a TensorFlow graph"},
	{kind: KindZlib, is: isZlib, weak: true, reason: "the two bytes that zlib starts with"},
	{kind: KindArrow, is: isArrowStream, weak: true, reason: "the start of an Arrow stream"},
	{kind: KindOpenVINO, is: isOpenVINO, reason: "XML of a net with layers"},
	{kind: KindXML, is: startsWithAny("<?xml", "<svg", "<!DOCTYPE", "<html"), reason: "XML or HTML"},
	{kind: KindJSON, is: isJSON, weak: true, reason: "text that starts as JSON does"},
	{kind: KindText, is: isText, weak: true, reason: "UTF-8 without control characters"},
}
