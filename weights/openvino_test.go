package weights_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/tareml/tare/internal/weightstest"
	"github.com/tareml/tare/weights"
)

const openVINOModel = `<?xml version="1.0"?>
<net name="resnet" version="11">
	<layers>
		<layer id="0" name="x" type="Parameter" version="opset1"><data shape="1,3,224,224" element_type="f32" /></layer>
		<layer id="1" name="w" type="Const" version="opset1">
			<data element_type="f16" shape="64, 3, 7, 7" offset="0" size="18816" /><output><port id="0"><dim>64</dim></port></output>
		</layer>
		<layer id="2" name="w8" type="Const" version="opset1"><data element_type="u8" shape="100" offset="18816" size="100"/></layer>
		<layer id="3" name="w8/scale" type="Const" version="opset1"><data element_type="f16" shape="100" offset="18916" size="200"/></layer>
		<layer id="4" name="axes" type="Const" version="opset1"><data element_type="i64" shape="2" offset="19116" size="16"/></layer>
		<layer id="5" name="one" type="Const" version="opset1"><data element_type="f16" shape="" offset="19132" size="2"/></layer>
	</layers>
</net>`

func TestReadOpenVINO(t *testing.T) {
	f := weightstest.NewFile([]byte(openVINOModel))
	m, err := weights.ReadOpenVINO(f, f.Size())
	if err != nil {
		t.Fatal(err)
	}
	want := map[weights.DType]int64{weights.F16: 64*3*7*7 + 1, weights.U8: 100}
	if m.Name != "resnet" || m.Version != "11" || m.Layers != 6 || m.Bytes != 19134 || !maps.Equal(m.ByDType, want) || m.Params != 64*3*7*7+101 {
		t.Errorf("got %+v", m)
	}
}

func TestReadOpenVINORefuses(t *testing.T) {
	for _, text := range []string{
		"", "<annotation/>", strings.ReplaceAll(openVINOModel, "64, 3", "64, -3"), strings.ReplaceAll(openVINOModel, "64, 3", "9999999999, 9999999999"),
	} {
		f := weightstest.NewFile([]byte(text))
		_, err := weights.ReadOpenVINO(f, f.Size())
		if _, ok := errors.AsType[*weights.FormatError](err); !ok {
			t.Errorf("%.40q: got %v", text, err)
		}
	}
}

func FuzzOpenVINO(f *testing.F) {
	f.Add([]byte(openVINOModel))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := weightstest.NewFile(data)
		m, err := weights.ReadOpenVINO(file, file.Size())
		checkError(t, err, file.Size())
		if err == nil && m.Params < 0 {
			t.Errorf("got %d parameters", m.Params)
		}
	})
}
