package generate

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
)

func tensors() []weightstest.Tensor {
	return []weightstest.Tensor{{Name: "a.weight", DType: "F32", Shape: []int64{8, 8}}, {Name: "b.weight", DType: "F32", Shape: []int64{16, 16}}}
}

func cut(f *weightstest.File, size int64) *weightstest.File {
	f.Truncate(size)
	return f
}

// safetensorsOf has the text for a header, and zeros behind it.
func safetensorsOf(header string, length int) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(length))) + header + strings.Repeat("\x00", 64)
}

// TestDamaged: each file is judged by itself, by Suspect and by Generate alike, and
// what only asks more of the reader than it knows is left alone.
func TestDamaged(t *testing.T) {
	whole := weightstest.Safetensors(nil, tensors()...)
	gguf := weightstest.GGUF(weightstest.GGUFVersion{Version: 3}, nil, tensors()...)
	tests := []struct {
		name    string
		content any
		want    string // after the name; empty if all is well
	}{
		{"whole.safetensors", whole, ""},
		{"whole.gguf", gguf, ""},
		{"cut.safetensors", cut(weightstest.Safetensors(nil, tensors()...), whole.Size()-7), ` is damaged or incomplete: at byte `},
		{"header.safetensors", cut(weightstest.Safetensors(nil, tensors()...), 40), ` is damaged or incomplete: at byte 0: a header of `},
		{"short.safetensors", cut(weightstest.Safetensors(nil, tensors()...), 5), ` is not safetensors: it begins with the bytes `},
		{"cut.gguf", cut(weightstest.GGUF(weightstest.GGUFVersion{Version: 3}, nil, tensors()...), gguf.Size()-700), ` is damaged or incomplete: at byte `},
		{"header.GGUF", "GGUF\x03\x00\x00\x00\x01\x00", ` is damaged or incomplete: at byte `},
		{"empty.safetensors", "", " is empty"},
		{"empty.bin", "", " is empty"},
		{"zeros.safetensors", strings.Repeat("\x00", 2000), ` is damaged or incomplete: it begins with zeros`},
		{"page.safetensors", "<html>\n<head><title>404", ` is not safetensors: it begins with "<html>\n<head><ti"`},
		{"error.gguf", `{"error":"not found"}`, ` is not GGUF: it begins with "{\"error\":\"not fo"`},
		{"braces.safetensors", `12345678{"error": 1}`, ` is not safetensors: it begins with "12345678{\"error\""`},
		{"letter.gguf", "x", ` is not GGUF: it begins with "x"`},
		{"utf.gguf", "Nicht gefunden:ü", ` is not GGUF: it begins with "Nicht gefunden:"`},
		{"escape.gguf", "\x1b[31mred", ` is not GGUF: it begins with the bytes 1b 5b 33 31 6d 72 65 64`},
		{"other.safetensors", "GGUF\x03\x00\x00\x00", ` is not safetensors: it begins with "GGUF"`},
		{"newtype.safetensors", safetensorsOf(`{"a":{"dtype":"F7","shape":[2],"data_offsets":[0,2]}}`, 53), ""},
		{"future.gguf", "GGUF\x09\x00\x00\x00" + strings.Repeat("\x01", 64), ""},
		{"overlap.safetensors", safetensorsOf(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 105), ` is damaged or incomplete: at byte 114: the tensor here overlaps`},
		{"empty.py", "", ""},
		{"optimizer.pt", "", ""},
		{"page.bin", "<html>", ""},
		{"half.safetensors.part", "x", ""},
	}
	m := model{"code.py": "print()"}
	var paths []string
	for _, tt := range tests {
		m[tt.name] = tt.content
		paths = append(paths, tt.name)
	}
	dir := m.write(t, "m")
	var want []string
	for _, tt := range tests {
		got := strings.Join(Suspect(dir, []string{tt.name}).Damaged, "|")
		if prefix := fmt.Sprintf("%q%s", tt.name, tt.want); tt.want == "" && got != "" || tt.want != "" && !strings.HasPrefix(got, prefix) {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
		if got != "" {
			want = append(want, got)
		}
	}
	if got := Suspect(dir, append(paths, "missing.safetensors", "..")).Damaged; !slices.Equal(got, want) {
		t.Errorf("together: got %q, want %q", got, want)
	}
	result, err := Generate(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	named, rest := want[:mostDamaged], len(want)-mostDamaged
	for _, sentence := range named {
		if !slices.Contains(result.Warnings, sentence) {
			t.Errorf("generate does not warn: %s", sentence)
		}
	}
	if last := fmt.Sprintf("%d more files of weights are damaged, incomplete or empty, too", rest); !slices.Contains(result.Warnings, last) {
		t.Errorf("%q is not in %q", last, result.Warnings)
	}
}

// TestDamagedPointer: what is refused as a pointer, or known not to be done, is not
// damaged on top of that.
func TestDamagedPointer(t *testing.T) {
	dir := model{"p.safetensors": pointer, "a.safetensors": "x", "a.safetensors.aria2": "x"}.write(t, "m")
	if got := Suspect(dir, []string{"p.safetensors", "a.safetensors"}).Damaged; got != nil {
		t.Errorf("got %q", got)
	}
}

// TestDamagedIsNotCounted: a damaged file is no part of a model, so that nothing is
// said of the parts, and PARAMSIZE is not that of the rest.
func TestDamagedIsNotCounted(t *testing.T) {
	for name, m := range map[string]model{
		"beside": {"a.safetensors": weightstest.Safetensors(nil, tensors()...), "b.safetensors": "<html><body>sorry"},
		"shards": {"model-00001-of-00002.safetensors": weightstest.Safetensors(nil, tensors()...), "model-00002-of-00002.safetensors": "<html><body>sorry"},
		"gguf":   {"m.gguf": "<html><body>sorry"},
	} {
		result, err := Generate(m.write(t, "m"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		text := string(result.File.Format())
		said := strings.Join(result.Notes, "\n")
		if strings.Contains(text, "PARAMSIZE") || strings.Contains(said, "may be parts") || strings.Contains(said, "at byte") {
			t.Errorf("%s: %s%s", name, text, said)
		}
		if !strings.Contains(said, "the parameters were not counted: damaged, incomplete or empty: ") {
			t.Errorf("%s: the notes are %s", name, said)
		}
	}
}

// TestDamagedBesideMissing: a shard that is missing does not hide one that is cut.
func TestDamagedBesideMissing(t *testing.T) {
	dir := model{"model-00002-of-00003.safetensors": cut(weightstest.Safetensors(nil, tensors()...), 300), "model-00003-of-00003.safetensors": weightstest.Safetensors(nil, tensors()...)}.write(t, "m")
	result, err := Generate(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(result.Warnings, "\n")
	if !strings.Contains(said, `"model-00002-of-00003.safetensors" is damaged`) || !strings.Contains(said, "1 shard of 3 missing") {
		t.Error(said)
	}
}

// TestHeadersBeyondTheReader: words by which limits of package weights are told
// from damage.
func TestHeadersBeyondTheReader(t *testing.T) {
	long := fmt.Sprintf(`{"%s":1}`, strings.Repeat("n", 5<<10))
	for name, content := range map[string]string{
		"long.safetensors": safetensorsOf(long, len(long)),
		"many.gguf":        "GGUF\x03\x00\x00\x00" + "\x00\x00\x00\x01\x00\x00\x00\x00" + strings.Repeat("\x00", 64),
	} {
		dir := model{name: content}.write(t, "m")
		if got := Suspect(dir, []string{name}).Damaged; got != nil {
			t.Errorf("got %q", got)
		}
	}
}

// refusing does not let some files be read.
type refusing struct {
	fs.FS
	names []string
}

func (r refusing) Open(name string) (fs.File, error) {
	if slices.Contains(r.names, name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return r.FS.Open(name)
}

// TestUnreadableWeights: what cannot be read is said, not what the format allows.
func TestUnreadableWeights(t *testing.T) {
	dir := model{"model.h5": weightstest.HDF5(nil, tensors()...), "config.json": "{}"}.write(t, "m")
	s, err := survey(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	refused, err := surveyIn(refusing{s.fsys, []string{"model.h5"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var said notes
	describe(refused.fsys, dir, refused.files, Options{}, &said, &said)
	if want := `PARAMSIZE is left out: "model.h5" cannot be read: permission denied`; !slices.Contains(said, want) {
		t.Errorf("got %q", said)
	}
	if want := `could not read 1 file, judged by name alone: "model.h5"`; !slices.Contains(refused.warnings(), want) {
		t.Errorf("got %q", refused.warnings())
	}
}

// TestHistory counts what is below .git once, whatever is in it.
func TestHistory(t *testing.T) {
	dir := model{".git/config": "x", ".git/objects/ab/x": "x", "sub/.git/id_rsa": "x", ".svn/entries": "x", ".gitignore": "x", "a/.git": "gitdir: x", "id_rsa": "x"}.write(t, "m")
	got := Suspect(dir, []string{".git/config", ".git/objects/ab/x", "sub/.git/id_rsa", ".svn/entries", ".gitignore", "a/.git", "id_rsa"})
	if want := `4 files of ".git", "sub/.git", ".svn", which may hold passwords and all that was ever committed`; got.History.String() != want {
		t.Errorf("got %s", got.History)
	}
	if !slices.Equal(got.Secrets, []string{"id_rsa"}) {
		t.Errorf("secrets %q", got.Secrets)
	}
}

func TestTrainingNotes(t *testing.T) {
	zeros := func(n int64) *weightstest.File { return cut(weightstest.NewFile(nil), n) }
	whole := func() *weightstest.File { return weightstest.Safetensors(nil, tensors()...) }
	for name, tt := range map[string]struct {
		files model
		want  string
	}{
		"one": {
			model{"model.safetensors": whole(), "checkpoint-500/optimizer.pt": zeros(1 << 20), "checkpoint-500/model.safetensors": whole()},
			`"checkpoint-500" is a training checkpoint (1.0 MiB): --exclude 'checkpoint-*' leaves it out`,
		},
		"several, further down": {
			model{"model.safetensors": whole(), "out/checkpoint-5/trainer_state.json": "{}", "out/checkpoint-5/a/b.bin": zeros(1 << 20), "checkpoint-10/optimizer.bin": zeros(1 << 20)},
			`"checkpoint-10", "out/checkpoint-5" are training checkpoints (2.0 MiB): --exclude '**/checkpoint-*' leaves them out`,
		},
		"nothing else": {
			model{"README.md": "# x", "checkpoint-500/optimizer.pt": zeros(1 << 20), "checkpoint-500/model.safetensors": whole()},
			`"checkpoint-500" is a training checkpoint (1.0 MiB), and there are no other weights: to package one, name its directory`,
		},
		"no state":      {model{"model.safetensors": whole(), "checkpoint-500/model.safetensors": whole()}, ""},
		"another name":  {model{"model.safetensors": whole(), "checkpoint-best/trainer_state.json": "{}"}, ""},
		"small state":   {model{"model.safetensors": whole(), "training_args.bin": "x"}, ""},
		"large at root": {model{"model.safetensors": whole(), "optimizer.pt": zeros(3 << 20)}, `3.0 MiB of training state, which a model runs without: "optimizer.pt"; --exclude leaves it out`},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := Generate(tt.files.write(t, "m"), Options{})
			if err != nil {
				t.Fatal(err)
			}
			about := slices.DeleteFunc(result.Notes, func(n string) bool {
				return !strings.Contains(n, "training checkpoint") && !strings.Contains(n, "training state")
			})
			if got := strings.Join(about, "\n"); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
