package registry

import (
	"strings"
	"testing"
)

func TestProfiles(t *testing.T) {
	for host, want := range map[string]string{
		"000000000000.dkr.ecr.eu-central-1.amazonaws.com":   "Amazon ECR",
		"000000000000.dkr.ecr.cn-north-1.amazonaws.com.cn":  "Amazon ECR",
		"000000000000.dkr.ecr-fips.us-east-1.amazonaws.com": "Amazon ECR",
		"000000000000.dkr-ecr.us-west-2.on.aws":             "Amazon ECR",
		"public.ecr.aws":                                    "Amazon ECR Public",
		"ghcr.io":                                           "GHCR",
		"europe-west1-docker.pkg.dev":                       "Google Artifact Registry",
		"eu.gcr.io":                                         "Google Artifact Registry",
		"gcr.io":                                            "Google Artifact Registry",
		"example.azurecr.io":                                "Azure Container Registry",
		"example.azurecr.io:443":                            "Azure Container Registry",
		"ghcr.io.example.com":                               "ghcr.io.example.com",
		"notghcr.io":                                        "notghcr.io",
		"x.dkr.ecr.eu-central-1.amazonaws.com.evil.example": "x.dkr.ecr.eu-central-1.amazonaws.com.evil.example",
		"example.tencentcloudcr.com":                        "example.tencentcloudcr.com",
		"localhost:5000":                                    "localhost:5000",
	} {
		if got := profileOf(host).name; got != want {
			t.Errorf("%s is %q, want %q", host, got, want)
		}
	}
}

func TestPreflight(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	sized := func(sizes ...int64) (layers []Planned) {
		for _, size := range sizes {
			layers = append(layers, Planned{Name: "big.gguf", Size: size})
		}
		return layers
	}
	bundle := []Planned{{Name: "the bundle", Size: 10e9 + 1, Bundle: true}}
	packing := []Planned{{Name: "w", Size: 11 * gib, Packing: true}}
	for name, test := range map[string]struct {
		host   string
		layers []Planned
		atOnce int
		fails  string // what the error and its hint say
		note   string
	}{
		"ECR, the largest layer":    {"000000000000.dkr.ecr.cn-north-1.amazonaws.com.cn", sized(52_000 * mib), 4, "", "up to 50.8 GiB"},
		"ECR, a byte more":          {"000000000000.dkr.ecr.cn-north-1.amazonaws.com.cn", sized(1, 52_000*mib+1), 4, "big.gguf", ""},
		"ECR Public, too large":     {"public.ecr.aws", sized(10_000*mib + 1), 4, "smaller shards", ""},
		"GHCR, too large":           {"ghcr.io", sized(10e9 + 1), 4, "big.gguf", ""},
		"GHCR, a bundle":            {"ghcr.io", bundle, 4, "leave --bundle out", ""},
		"GHCR, not yet compressed":  {"ghcr.io", packing, 4, "", "up to 11.0 GiB"},
		"GHCR, large":               {"ghcr.io", sized(10e9), 4, "", "up to 9.3 GiB"},
		"ECR, too many layers":      {"000000000000.dkr.ecr.eu-west-1.amazonaws.com", make([]Planned, 501), 4, "--bundle", ""},
		"ECR, many layers":          {"000000000000.dkr.ecr.eu-west-1.amazonaws.com", make([]Planned, 500), 4, "", ""},
		"ECR, nothing worth a word": {"000000000000.dkr.ecr.eu-west-1.amazonaws.com", sized(64*mib, 64*mib), 4, "", ""},
		"ECR, no layers":            {"000000000000.dkr.ecr.eu-west-1.amazonaws.com", nil, 4, "", ""},
		"four of six at once":       {"europe-docker.pkg.dev", sized(gib, 5*gib, 2*gib, 3*gib, gib, 4*gib), 4, "", "an interruption costs up to 14.0 GiB, as Google Artifact Registry keeps no part of a layer"},
		"one at a time":             {"europe-docker.pkg.dev", sized(gib, 5*gib, 2*gib), 1, "", "up to 5.0 GiB,"},
		"fewer than at once":        {"europe-docker.pkg.dev", sized(900*gib, 100*gib), 8, "", "up to 1000.0 GiB,"},
		"Azure, too large":          {"x.azurecr.io", sized(200*gib + 1), 4, "200.0 GiB", ""},
		"unknown":                   {"registry.example.com", sized(900 * gib), 4, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			repo := newTestRepository(t, newTestClient(t, Options{}), test.host+"/m/x:v1")
			note, err := repo.Preflight(test.layers, test.atOnce)
			switch {
			case test.fails == "" && err != nil:
				t.Error(err)
			case test.fails != "" && (err == nil || !strings.Contains(err.Error()+hintOf(err), test.fails)):
				t.Errorf("%v (%s), want one with %q", err, hintOf(err), test.fails)
			}
			if test.note == "" && note != "" || !strings.Contains(note, test.note) {
				t.Errorf("the note is %q, want %q", note, test.note)
			}
		})
	}
}

func TestHeldBytes(t *testing.T) {
	for header, want := range map[string]int64{
		"0-0": 0, "0-1": 2, "0-19999999": 20000000, "bytes=0-9": 10,
		"": -1, "0": -1, "1-9": -1, "0-": -1, "0--1": -1, "9-0": -1, "0-9,20-29": -1, "0-18446744073709551615": -1, "0-9223372036854775807": -1,
		"0-9223372036854775806": 1<<63 - 1,
	} {
		got, ok := heldBytes(header)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %d bytes, want %d", header, got, want)
		}
	}
}
