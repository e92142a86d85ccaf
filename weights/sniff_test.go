package weights_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/weights"
)

func TestSniff(t *testing.T) {
	file := func(s string) *weightstest.File { return weightstest.NewFile([]byte(s)) }
	pad := strings.Repeat("\x00", 300)
	entry := func(names ...string) *weightstest.File {
		var all []weightstest.Entry
		for _, n := range names {
			all = append(all, weightstest.Entry{Name: n, Content: []byte("x")})
		}
		return weightstest.Zip(all...)
	}
	for name, tt := range map[string]struct {
		file *weightstest.File
		want weights.Kind
	}{
		"safetensors":      {weightstest.Safetensors(nil, weightstest.T("a", "F32", 9)), weights.KindSafetensors},
		"empty st":         {weightstest.SafetensorsRaw("{}"), weights.KindSafetensors},
		"gguf":             {weightstest.GGUF(weightstest.GGUFVersion{}, nil), weights.KindGGUF},
		"gguf, big-endian": {weightstest.GGUF(weightstest.GGUFVersion{BigEndian: true}, nil), weights.KindGGUF},
		"ggml":             {file("lmgg\x01\x00\x00\x00" + pad), weights.KindGGML},
		"ggjt":             {file("tjgg\x03\x00\x00\x00" + pad), weights.KindGGML},
		"onnx":             {weightstest.ONNX(onnxModel()), weights.KindONNX},
		"torch":            {weightstest.Torch("archive", 100), weights.KindTorchZip},
		"large torch":      {weightstest.Torch("archive", 5<<30), weights.KindTorchZip},
		"torchscript":      {weightstest.TorchScript("best", 100), weights.KindTorchScript},
		"pt2":              {entry("m/archive_format", "m/models/model.json"), weights.KindTorchExport},
		"legacy torch":     {file("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02"), weights.KindTorchLegacy},
		"pickle 2":         {file("\x80\x02}q\x00."), weights.KindPickle},
		"pickle 4":         {file("\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94."), weights.KindPickle},
		"no pickle":        {file("\x80\x02}q\x00"), weights.KindUnknown},
		"hdf5":             {file("\x89HDF\r\n\x1a\n" + pad), weights.KindHDF5},
		"keras":            {entry("metadata.json", "config.json", "model.weights.h5"), weights.KindKeras},
		"npz":              {entry("a.npy", "b.npy"), weights.KindNpz},
		"zip":              {entry("a.npy", "b.txt"), weights.KindZip},
		"cut zip":          {file("PK\x03\x04" + pad), weights.KindZip},
		"npy":              {file("\x93NUMPY\x01\x00" + pad), weights.KindNpy},
		"tflite":           {file("\x1c\x00\x00\x00TFL3" + pad), weights.KindTFLite},
		"ort":              {file("\x1c\x00\x00\x00ORTM" + pad), weights.KindORT},
		"executorch":       {file("\x1c\x00\x00\x00ET12" + pad), weights.KindExecuTorch},
		"saved model":      {file("\x08\x01\x12\x06\x0a\x04abcd"), weights.KindSavedModel},
		"graph":            {file("\x0a\x14\x0a\x01x\x12\x0bPlaceholder:\x02\x0a\x00"), weights.KindGraphDef},
		"sentencepiece":    {file("\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02\x0a\x05\x0a\x03abc"), weights.KindSentencePiece},
		"core ml":          {file("\x08\x04\x12\x04\x0a\x02ab\xb2\x1f\x03abc"), weights.KindCoreML},
		"checkpoint":       {file(pad + "\x57\xfb\x80\x8b\x24\x75\x47\xdb"), weights.KindTFCheckpoint},
		"tensorrt":         {file("ptrt\x00\x00\x00\x00" + pad), weights.KindTensorRT},
		"openvino":         {file("<?xml version=\"1.0\"?>\n<net name=\"m\" version=\"11\">\n\t<layers>\n"), weights.KindOpenVINO},
		"other xml":        {file("<?xml version=\"1.0\"?>\n<annotation/>"), weights.KindXML},
		"rknn":             {file("RKNN\x00\x00\x00\x00" + pad), weights.KindRKNN},
		"ncnn":             {file("7767517\n75 83\nInput data 0 1\n"), weights.KindNCNN},
		"parquet":          {file("PAR1" + pad + "PAR1"), weights.KindParquet},
		"arrow":            {file("ARROW1\x00\x00" + pad), weights.KindArrow},
		"arrow stream":     {file("\xff\xff\xff\xff\x10\x01\x00\x00\x10\x00\x00\x00" + pad), weights.KindArrow},
		"sqlite":           {file("SQLite format 3\x00" + pad), weights.KindSQLite},
		"elf":              {file("\x7fELF\x02\x01" + pad), weights.KindExecutable},
		"exe":              {file("MZ\x90\x00" + pad), weights.KindExecutable},
		"llamafile":        {file("MZqFpD='\n" + pad), weights.KindExecutable},
		"script":           {file("#!/bin/sh\n"), weights.KindScript},
		"gzip":             {file("\x1f\x8b\x08\x00" + pad), weights.KindGzip},
		"zlib":             {file("\x78\x5e\x00\x01"), weights.KindZlib},
		"zstd":             {file("\x28\xb5\x2f\xfd" + pad), weights.KindZstd},
		"tar":              {file(strings.Repeat("\x00", 257) + "ustar\x00"), weights.KindTar},
		"png":              {file("\x89PNG\r\n\x1a\n" + pad), weights.KindImage},
		"webp":             {file("RIFF\x00\x01\x00\x00WEBPVP8 " + pad), weights.KindImage},
		"wav":              {file("RIFF\x00\x01\x00\x00WAVEfmt " + pad), weights.KindAudio},
		"flac":             {file("fLaC" + pad), weights.KindAudio},
		"mp4":              {file("\x00\x00\x00\x18ftypisom" + pad), weights.KindVideo},
		"pdf":              {file("%PDF-1.7\n"), weights.KindPDF},
		"lfs":              {file("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"), weights.KindLFSPointer},
		"json":             {file(" {\n \"a\": 1}"), weights.KindJSON},
		"json list":        {file("[1, 2]"), weights.KindJSON},
		"template":         {file("{{ bos_token }}{% for m in messages %}"), weights.KindText},
		"text":             {file("Licence: gr\u00fcn\n"), weights.KindText},
		"cut text":         {file(strings.Repeat("\u4e2d", 4000)), weights.KindText},
		"binary":           {file("ab\x00cd"), weights.KindUnknown},
		"latin-1":          {file("gr\xfcn"), weights.KindUnknown},
		"empty":            {file(""), weights.KindUnknown},
		"zeros":            {file(pad), weights.KindUnknown},
	} {
		got, err := weights.Sniff(tt.file, tt.file.Size())
		if err != nil || got.Kind != tt.want {
			t.Errorf("%s: got %+v, %v, want %q", name, got, err, tt.want)
		}
		if (got.Reason == "") != (got.Kind == weights.KindUnknown) {
			t.Errorf("%s: the reason is %q", name, got.Reason)
		}
	}
}

func TestSniffReadsLittle(t *testing.T) {
	m := onnxModel()
	m.Weights[0].Raw = 8 << 20
	f := weightstest.ONNX(m)
	counted := &counter{r: f}
	if got, err := weights.Sniff(counted, f.Size()); err != nil || got.Kind != weights.KindONNX || counted.n > 64<<10 {
		t.Errorf("got %+v, %v after %d bytes", got, err, counted.n)
	}
}

func TestSniffErrors(t *testing.T) {
	if _, err := weights.Sniff(broken{}, 100); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

func TestReadPointer(t *testing.T) {
	const text = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n"
	p, ok, err := weights.ReadPointer(strings.NewReader(text), int64(len(text)))
	if want := (weights.Pointer{OID: "sha256:4d7a", Size: 1234}); err != nil || !ok || p != want {
		t.Errorf("got %+v, %v, %v", p, ok, err)
	}
	for _, other := range []string{"", "version 1\n", text[:43], text + strings.Repeat("x", 1024)} {
		if p, ok, err := weights.ReadPointer(strings.NewReader(other), int64(len(other))); ok || err != nil {
			t.Errorf("%.60q: got %+v, %v", other, p, err)
		}
	}
}

func FuzzSniff(f *testing.F) {
	f.Add([]byte("\x08\x01\x12\x06\x0a\x04abcd"))
	f.Add([]byte("\x0a\x14\x0a\x01x\x12\x0bPlaceholder:\x02\x0a\x00"))
	f.Add([]byte("\x08\x04\x12\x04\x0a\x02ab\xb2\x1f\x03abc"))
	f.Add([]byte("\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02"))
	f.Add([]byte("\xff\xff\xff\xff\x10\x01\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("<net name><layers>"))
	f.Add(weightstest.Torch("a", 3).Bytes())
	f.Add(weightstest.Safetensors(nil).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		if _, err := weights.Sniff(r, int64(len(data))); err != nil {
			t.Error(err)
		}
		if _, _, err := weights.ReadPointer(r, int64(len(data))); err != nil {
			t.Error(err)
		}
	})
}
