package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	fault "github.com/tareml/tare/internal/faultregistry"
)

// TestBuildPushThroughFaults builds straight into a registry in trouble: what
// arrives is what arrives elsewhere, and little of it twice; or an error, and no
// tag.
func TestBuildPushThroughFaults(t *testing.T) {
	upload := func(f fault.Fault) func(*fault.Registry) {
		return func(r *fault.Registry) { r.Script(fault.Session, f.If(isLarge)) }
	}
	tokens := []fault.Option{fault.WithTokens(time.Hour)}
	for name, test := range map[string]struct {
		options []fault.Option
		script  func(*fault.Registry)
		code    int
		says    string
		most    int64 // bytes that arrive twice
	}{
		"nothing wrong":            {},
		"cut":                      {script: upload(fault.Cut(5 << 20))},
		"cut, and sessions vanish": {options: []fault.Option{fault.WithVanishingSessions()}, script: upload(fault.Cut(5 << 20)), most: 5 << 20},
		"reset":                    {script: upload(fault.Reset(5 << 20))},
		"answer lost":              {script: upload(fault.Cut(fault.BeforeHeader).Late())},
		"broken, and yet done":     {script: upload(fault.Status(504).Late())},
		"token revoked":            {options: tokens, script: func(r *fault.Registry) { upload(fault.Unauthorized().Within(5 << 20).Do(r.Revoke))(r) }},
		"upload elsewhere":         {options: []fault.Option{fault.WithBasic()}, script: func(r *fault.Registry) { r.Script(fault.Upload, fault.CrossHost().Always()) }},
		"manifest, and yet done":   {script: func(r *fault.Registry) { r.Script(fault.Manifest, fault.Status(500).Put().Late()) }},
		"forbidden":                {script: upload(fault.Status(403)), code: exitDenied, says: "weights.bin"},
		"too large":                {options: []fault.Option{fault.WithBodyLimit(1 << 20)}, code: exitFailed, says: "limits the size"},
		"busy for hours":           {script: upload(fault.Busy(503, 7200)), code: exitNetwork, says: "come back in 2h"},
		"wrong bytes are stored":   {script: upload(fault.Rewrite().Always()), code: exitContent, says: "does not match"},
		"the tag stays":            {script: func(r *fault.Registry) { r.Script(fault.Manifest, fault.KeepTag().Always()) }, code: exitContent, says: "v1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_CONFIG", t.TempDir())
			t.Setenv("HOME", t.TempDir())
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			t.Setenv("TARE_USERNAME", fault.Username)
			t.Setenv("TARE_PASSWORD", fault.Password)
			reg := fault.New(t, test.options...)
			if test.script != nil {
				test.script(reg)
			}
			dir := t.TempDir()
			weights := content(t, fault.Random(largeLayer, 1))
			if err := os.WriteFile(filepath.Join(dir, "weights.bin"), weights, 0o644); err != nil {
				t.Fatal(err)
			}
			push := func() (code int, stdout, stderr string) {
				return run(t, "build", "--push", "--progress", "none", "-t", reg.Host+"/models/x:v1", dir)
			}
			code, stdout, stderr := push()
			if code != test.code || !strings.Contains(stderr, test.says) {
				t.Fatalf("exit code %d, want %d: %s", code, test.code, stderr)
			}
			if leaked := reg.Leaked(); len(leaked) > 0 {
				t.Errorf("leaked: %q", leaked)
			}
			art := reg.Artifact("models/x", "v1")
			if code != exitOK {
				if art != nil {
					t.Error("there is a tag")
				}
				return
			}
			if art == nil || !strings.Contains(stdout, art.Descriptor.Digest.String()) {
				t.Fatalf("%v is not %s", art, stdout)
			}
			layer := reg.Blob("models/x", art.Layers[0].Digest)
			if digest.FromBytes(layer) != art.Layers[0].Digest || !bytes.Contains(layer, weights) {
				t.Error("the layer is wrong")
			}
			if beyond := reg.Received() - art.Size(); beyond < 0 || beyond > test.most {
				t.Errorf("%d bytes arrived beyond those of the artifact", beyond)
			}
			reg.Heal()
			reg.Forget()
			if code, again, stderr := push(); code != exitOK || reg.Received() != 0 || !strings.Contains(again, art.Descriptor.Digest.String()) {
				t.Errorf("once more: exit code %d, %d bytes, %s%s", code, reg.Received(), again, stderr)
			}
		})
	}
}

// isLarge is for requests that bring the layer.
func isLarge(r fault.Request) bool { return r.Size > largeLayer/2 }
