package generate

import (
	"testing"
	"testing/fstest"
)

func TestMainFormat(t *testing.T) {
	tests := []struct {
		entries []entry
		want    string
	}{
		{[]entry{{"a.json", 9}}, ""},
		{[]entry{{"a.gguf", 1}}, "gguf"},
		{[]entry{{"a.gguf", 0}}, "gguf"},
		{[]entry{{"a.gguf", 2}, {"a.safetensors", 1}, {"b.safetensors", 2}}, "safetensors"},
		{[]entry{{"a.gguf", 200}, {"a.safetensors", 1}}, "gguf"},
		{[]entry{{"b.onnx", 1}, {"a.gguf", 1}}, "gguf"},
		{[]entry{{"b.h5", 1}, {"a.msgpack", 2}}, "msgpack"},
		{[]entry{{"optimizer.pt", 9}, {"a.safetensors", 1}}, "safetensors"},
		{[]entry{{"some.bin", 9}, {"a.pt", 1}}, "pt"},
		{[]entry{{"some.bin", 9}, {"some.xml", 1}}, "openvino"},
	}
	for _, tt := range tests {
		s := newStudy(nil, "", classified(fstest.MapFS{}, tt.entries), new(notes), new(notes))
		if got := s.copyIn(member{}).format; got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.entries, got, tt.want)
		}
	}
}
