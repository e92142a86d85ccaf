package registry

import (
	"strings"
	"testing"
)

// TestPreflightSaysWhatIsTooLarge with all that one needs to do something about it.
func TestPreflightSaysWhatIsTooLarge(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for host, test := range map[string]struct {
		size             int64
		name, is, atMost string // in words
	}{
		"000000000000.dkr.ecr.cn-north-1.amazonaws.com.cn": {60_000 * mib, "Amazon ECR", "58.6 GiB", "50.8 GiB"},
		"public.ecr.aws":     {20_000 * mib, "Amazon ECR Public", "19.5 GiB", "9.8 GiB"},
		"ghcr.io":            {20e9, "GHCR", "18.6 GiB", "9.3 GiB"},
		"example.azurecr.io": {300 * gib, "Azure Container Registry", "300.0 GiB", "200.0 GiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			repo := newTestRepository(t, newTestClient(t, Options{}), host+"/m/x:v1")
			layers := []Planned{{Name: "config.json", Size: 700}, {Name: "model-00001.safetensors", Size: test.size}, {Name: "model-00002.safetensors", Size: 1 * gib}}
			note, err := repo.Preflight(layers, 4)
			if err == nil {
				t.Fatalf("no error, and the note %q", note)
			}
			for _, word := range []string{"model-00001.safetensors", test.is, test.name, "no more than " + test.atMost} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not say %q", err, word)
				}
			}
			for _, other := range []string{"config.json", "model-00002.safetensors"} {
				if strings.Contains(err.Error(), other) {
					t.Errorf("%q speaks of %s", err, other)
				}
			}
			if !strings.Contains(hintOf(err), "smaller shards") {
				t.Errorf("the hint %q does not say what to do", hintOf(err))
			}
		})
	}
}
