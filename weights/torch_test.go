package weights_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/weights"
)

func TestReadTorch(t *testing.T) {
	for name, tt := range map[string]struct {
		file *weightstest.File
		want weights.Torch
	}{
		"saved":   {weightstest.Torch("archive", 100, 4000), weights.Torch{Pickles: 1, Storages: 2, StorageBytes: 4100}},
		"script":  {weightstest.TorchScript("best", 100), weights.Torch{Script: true, Pickles: 2, Storages: 1, StorageBytes: 100}},
		"large":   {weightstest.Torch("archive", 5<<30, 6<<30), weights.Torch{Pickles: 1, Storages: 2, StorageBytes: 11 << 30}},
		"many":    {weightstest.Torch("archive", make([]int64, 1000)...), weights.Torch{Pickles: 1}},
		"legacy":  {weightstest.NewFile([]byte("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02")), weights.Torch{Legacy: true, Pickles: 1}},
		"program": {weightstest.Zip(weightstest.Entry{Name: "m/archive_format"}, weightstest.Entry{Name: "m/data/weights/weight_0", Size: 8}), weights.Torch{Exported: true, Storages: 1, StorageBytes: 8}},
	} {
		got, err := weights.ReadTorch(tt.file, tt.file.Size())
		if err != nil || *got != tt.want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, tt.want)
		}
	}
}

// TestReadTorchManyFiles has more files than the small records can count.
func TestReadTorchManyFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("writes an archive of 70,000 files")
	}
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i := range 70000 {
		if f, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("a/data/%d", i)}); err != nil {
			t.Fatal(err)
		} else if i%7000 == 0 {
			fmt.Fprint(f, "1234")
		}
	}
	w.Create("a/data.pkl")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := weights.ReadTorch(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	// Files whose size follows them have it in the directory all the same.
	if want := (weights.Torch{Pickles: 1, Storages: 10, StorageBytes: 40}); err != nil || *got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// TestWeightstestZip wants the archives of the tests to be right.
func TestWeightstestZip(t *testing.T) {
	for _, f := range []*weightstest.File{weightstest.Torch("a", 3, 70000), weightstest.Torch("a", 5<<30, 9)} {
		r, err := zip.NewReader(f, f.Size())
		if err != nil {
			t.Fatal(err)
		}
		if len(r.File) != 5 || r.File[3].UncompressedSize64 < 9 {
			t.Errorf("got %d files", len(r.File))
		}
		if _, err := r.File[4].Open(); err != nil {
			t.Error(err)
		}
	}
}

func TestReadTorchRefuses(t *testing.T) {
	whole := weightstest.Torch("archive", 100).Bytes()
	wrong := bytes.Clone(whole)
	copy(wrong[len(wrong)-22+12:], "\xff\xff\xff\x00")
	for want, content := range map[string][]byte{
		"does not end as a zip archive": whole[:len(whole)-23],
		"outside of the file":           wrong,
		"without the pickle":            weightstest.Zip(weightstest.Entry{Name: "x"}).Bytes(),
	} {
		_, err := weights.ReadTorch(bytes.NewReader(content), int64(len(content)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func FuzzTorch(f *testing.F) {
	f.Add(weightstest.Torch("a", 3).Bytes())
	f.Add(weightstest.TorchScript("a", 3).Bytes())
	end := []byte("PK\x06\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00PK\x05\x06\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00")
	f.Add(append([]byte("PK\x06\x06"+strings.Repeat("\x00", 52)), end...))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := weights.ReadTorch(bytes.NewReader(data), int64(len(data)))
		checkError(t, err, int64(len(data)))
		if err == nil && got.StorageBytes < 0 {
			t.Errorf("got %+v", got)
		}
	})
}
