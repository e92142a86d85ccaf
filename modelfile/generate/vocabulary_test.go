package generate

import (
	"slices"
	"strings"
	"testing"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/weights"
)

// TestWordsThatCheckKnows: what is generated, a check has no advice about, and the
// formats are those that it knows other words for.
func TestWordsThatCheckKnows(t *testing.T) {
	var f modelfile.File
	for _, r := range rows {
		if r.format != "" && !slices.Contains(modelfile.Formats(), r.format) {
			t.Errorf("modelfile knows no format %s", r.format)
		}
	}
	for _, n := range otherNetworks {
		f.Add(modelfile.Arch, n.arch)
	}
	for _, q := range quantFiles {
		f.Add(modelfile.Quantization, q.method)
	}
	for _, method := range uncounted {
		f.Add(modelfile.Quantization, method)
	}
	for i := range int64(100) {
		if name := weights.FileTypeName(i); name != "" {
			f.Add(modelfile.Quantization, name+","+name)
		}
	}
	for id := range strings.FieldsSeq(scanned) {
		f.Add(modelfile.License, licenseID(id, ""))
	}
	for _, problem := range f.Lint("Modelfile") {
		t.Errorf("%v (%s)", problem, problem.Hint())
	}
}
