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
	for name, test := range map[string]struct {
		host   string
		layers []Planned
		fails  string // what the error and its hint say
		note   string
	}{
		"ECR, the largest layer":       {"000000000000.dkr.ecr.cn-north-1.amazonaws.com.cn", []Planned{{"a", 52_000 * mib}}, "", "a (50.8 GiB)"},
		"ECR, a byte more":             {"000000000000.dkr.ecr.cn-north-1.amazonaws.com.cn", []Planned{{"x", 1}, {"big.gguf", 52_000*mib + 1}}, "big.gguf", ""},
		"ECR Public, too large":        {"public.ecr.aws", []Planned{{"big.gguf", 10_000*mib + 1}}, "smaller shards", ""},
		"GHCR, too large":              {"ghcr.io", []Planned{{"big.gguf", 10e9 + 1}}, "big.gguf", ""},
		"GHCR, large":                  {"ghcr.io", []Planned{{"a", 10e9}}, "", "a (9.3 GiB)"},
		"ECR, too many layers":         {"000000000000.dkr.ecr.eu-west-1.amazonaws.com", make([]Planned, 501), "--bundle", ""},
		"ECR, many layers":             {"000000000000.dkr.ecr.eu-west-1.amazonaws.com", make([]Planned, 500), "", ""},
		"ECR, nothing worth a word":    {"000000000000.dkr.ecr.eu-west-1.amazonaws.com", []Planned{{"a", 64 * mib}}, "", ""},
		"Google, no limit, no session": {"europe-docker.pkg.dev", []Planned{{"a", 900 * gib}}, "", "Google Artifact Registry keeps no unfinished uploads"},
		"Azure, too large":             {"x.azurecr.io", []Planned{{"a", 200*gib + 1}}, "200.0 GiB", ""},
		"unknown":                      {"registry.example.com", []Planned{{"a", 900 * gib}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			repo := newTestRepository(t, newTestClient(t, Options{}), test.host+"/m/x:v1")
			note, err := repo.Preflight(test.layers)
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
