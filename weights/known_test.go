package weights_test

import (
	"testing"

	"github.com/tareml/tare/internal/families"
	"github.com/tareml/tare/weights"
)

// TestModelKnown counts public models from the shapes of their tensors; what they
// come to is what their makers say, to the last parameter.
func TestModelKnown(t *testing.T) {
	for name, tt := range map[string]struct {
		opts    weights.Options
		tensors []families.Tensor
		params  int64
		words   string
	}{
		"DeepSeek-V3": {weights.Options{Layers: 61, NextLayers: 1}, families.DeepSeekV3(), 671_026_419_200, "671B"},
		"gpt-oss-20b": {weights.Options{}, families.GPTOSS(), 20_914_757_184, "20.9B"},
	} {
		m := weights.NewModel(tt.opts)
		for _, each := range tt.tensors {
			m.Add(tensor(each.Name, weights.DType(each.DType), each.Shape...))
		}
		if s := m.Summary(); s.Params != tt.params || weights.FormatParams(s.Params) != tt.words {
			t.Errorf("%s: got %d, want %d", name, s.Params, tt.params)
		}
	}
}
