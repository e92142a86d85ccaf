package main

import (
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"1":       1,
		"1000000": 1000000,
		"4KiB":    4 << 10,
		"256MiB":  256 << 20,
		"2 GiB":   2 << 30,
		"1TiB":    1 << 40,
	} {
		if got, err := parseSize(s); got != want || err != nil {
			t.Errorf("%q: got %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0", "-1", "GiB", "2GB", "2gib", "1.5GiB", "9999999999TiB", "2MiB2"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q: got %d, want an error", s, got)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{2 << 30: "2 GiB", 20 << 30: "20 GiB", 1 << 20: "1 MiB", 1536 << 10: "1536 KiB", 1000: "1000 B"} {
		if got := formatSize(n); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func environment(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestParseConfig(t *testing.T) {
	c, err := parseConfig([]string{"-only", "build,version", "-peer", "modctl=/bin/modctl"},
		environment(map[string]string{"SIZE": "1MiB", "RUNS": "7"}), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.size != 1<<20 || c.runs != 7 || c.shards != 2 || c.tare != "bin/tare" || !slices.Equal(c.only, []string{"build", "version"}) {
		t.Errorf("got %+v", c)
	}
	if len(c.peers) != 1 || c.peers[0].name != "modctl" || filepath.Base(c.peers[0].path) != "modctl" {
		t.Errorf("peers: %v", c.peers)
	}
}

func TestParseConfigRefuses(t *testing.T) {
	for _, test := range []struct {
		args []string
		vars map[string]string
		want string
	}{
		{nil, map[string]string{"SIZE": "big"}, `SIZE "big"`},
		{nil, map[string]string{"RUNS": "0"}, `RUNS "0"`},
		{nil, map[string]string{"SHARDS": "two"}, `SHARDS "two"`},
		{[]string{"-peer", "/bin/modctl"}, nil, "modctl=PATH"},
		{[]string{"-peer", "skopeo=/bin/skopeo"}, nil, "modctl=PATH"},
		{[]string{"build"}, nil, `"build"`},
	} {
		_, err := parseConfig(test.args, environment(test.vars), io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v %v: got %v, want an error with %q", test.args, test.vars, err, test.want)
		}
	}
}
