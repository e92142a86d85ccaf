package cmd

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	fault "github.com/tareml/tare/internal/faultregistry"
)

// Sizes of layers: one goes straight into its file, one is read in order.
const (
	largeLayer = 12 << 20
	smallLayer = 300 << 10
)

// TestExtractThroughFaults extracts what a registry in trouble has: the right
// bytes in the end, and few of them twice; or an error, and nothing changed.
func TestExtractThroughFaults(t *testing.T) {
	for name, test := range map[string]struct {
		options []fault.Option
		faults  []fault.Fault
		code    int
		most    int64 // bytes beyond those of the model
	}{
		"nothing wrong":           {},
		"cut":                     {faults: []fault.Fault{fault.Cut(1 << 20)}, most: 1 << 20},
		"cut at the start":        {faults: []fault.Fault{fault.Cut(0).Times(2)}},
		"cut in the small one":    {faults: []fault.Fault{fault.Cut(100 << 10).Times(2)}, most: 1 << 20},
		"reset":                   {faults: []fault.Fault{fault.Reset(5 << 20)}, most: 1 << 20},
		"ranges ignored":          {faults: []fault.Fault{fault.NoRange().Always(), fault.Cut(1 << 20)}, most: 2 << 20},
		"range says another":      {faults: []fault.Fault{fault.Cut(1 << 20), fault.RangeSays("bytes 0-99/100").Times(1)}, most: 3 << 20},
		"range in small pieces":   {faults: []fault.Fault{fault.Piece(1 << 20).Always(), fault.Cut(1 << 20)}, most: 1 << 20},
		"busy":                    {faults: []fault.Fault{fault.Busy(503, 0).Times(3)}},
		"too many requests":       {faults: []fault.Fault{fault.Busy(429, 0).Times(3)}},
		"shorter than it says":    {faults: []fault.Fault{fault.Truncate(1 << 20)}, most: 1 << 20},
		"no length":               {faults: []fault.Fault{fault.Chunked().Always()}},
		"wrong bytes once":        {faults: []fault.Fault{fault.Corrupt(1000)}, most: largeLayer},
		"wrong bytes at the end":  {faults: []fault.Fault{fault.Corrupt(largeLayer - 1)}, most: largeLayer},
		"token expires":           {options: []fault.Option{fault.WithTokens(time.Hour)}, faults: []fault.Fault{fault.Unauthorized(), fault.Cut(1 << 20)}, most: 1 << 20},
		"redirect is used up":     {options: []fault.Option{fault.WithRedirect(1)}, faults: []fault.Fault{fault.Cut(1 << 20)}, most: 1 << 20},
		"always wrong bytes":      {faults: []fault.Fault{fault.Corrupt(1000).Always()}, code: exitContent},
		"always other content":    {faults: []fault.Fault{fault.Instead(fault.Random(largeLayer, 9)).Always()}, code: exitContent},
		"gone":                    {faults: []fault.Fault{fault.Status(404).Always()}, code: exitNotFound},
		"forbidden":               {faults: []fault.Fault{fault.Status(403).Always()}, code: exitDenied},
		"the size is not as said": {faults: []fault.Fault{fault.WrongLength(1).Always()}, code: exitContent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_CONFIG", t.TempDir())
			t.Setenv("TARE_USERNAME", fault.Username)
			t.Setenv("TARE_PASSWORD", fault.Password)
			reg := fault.New(t, test.options...)
			art := reg.AddContent("models/x", fault.Random(largeLayer, 1), fault.Random(smallLayer, 2))
			for _, f := range test.faults {
				reg.Script(fault.Blob, f)
			}
			dir := filepath.Join(t.TempDir(), "models")
			code, _, stderr := run(t, "extract", "--no-sync", "--progress", "none", reg.Ref(art), dir)
			if code != test.code {
				t.Fatalf("exit code %d, want %d: %s", code, test.code, stderr)
			}
			if code != exitOK {
				wantFiles(t, dir)
				return
			}
			wantFiles(t, dir, "weights-1.bin", "weights-2.bin")
			for i, content := range [][]byte{content(t, fault.Random(largeLayer, 1)), content(t, fault.Random(smallLayer, 2))} {
				got, err := os.ReadFile(filepath.Join(dir, []string{"weights-1.bin", "weights-2.bin"}[i]))
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("layer %d: wrong bytes, %v", i+1, err)
				}
			}
			if beyond := reg.Sent() - largeLayer - smallLayer - art.Config.Size; beyond > test.most+largeLayer/10 {
				t.Errorf("%d bytes too many were sent", beyond)
			}
		})
	}
}

// run runs a command with a store that is not there.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	args = append([]string{"--store", filepath.Join(t.TempDir(), "none")}, args...)
	code = Main(t.Context(), args, bytes.NewReader(nil), &out, &err)
	return code, out.String(), err.String()
}

func content(t *testing.T, c fault.Content) []byte {
	t.Helper()
	data := make([]byte, c.Size())
	if _, err := c.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return data
}

// wantFiles asks for these files in dir, besides what is tare's own.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, e := range entries {
		if e.Name() != ".tare" {
			got[e.Name()] = true
		}
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
}
