package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// config is what the user wants measured.
type config struct {
	tare     string // path of the binary
	registry string // path of the binary of a registry
	size     int64  // of the weights, in bytes
	shards   int
	runs     int
	dir      string // to make the scratch directory in; empty for the system's
	only     []string
	big      bool
	peers    []peer
}

// peer is another program that packages models.
type peer struct{ name, path string }

// parseConfig reads flags and environment.
func parseConfig(args []string, getenv func(string) string, usage io.Writer) (config, error) {
	c := config{dir: getenv("DIR")}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&c.tare, "tare", "bin/tare", "the `binary` to measure")
	flags.StringVar(&c.registry, "registry", "bin/distribution", "pull from and push to this `binary` of CNCF distribution")
	flags.BoolVar(&c.big, "big", false, "also compare peak memory at ten times SIZE")
	flags.Func("only", "measure these `steps` alone, separated by commas", func(s string) error {
		c.only = append(c.only, strings.Split(s, ",")...)
		return nil
	})
	flags.Func("peer", "also time `name=path`, modctl, kit or oras", func(s string) error {
		p, err := parsePeer(s)
		c.peers = append(c.peers, p)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var errs [3]error
	c.size, errs[0] = parseSize(cmp.Or(getenv("SIZE"), "2GiB"))
	c.shards, errs[1] = parseCount("SHARDS", cmp.Or(getenv("SHARDS"), "2"))
	c.runs, errs[2] = parseCount("RUNS", cmp.Or(getenv("RUNS"), "5"))
	return c, errors.Join(errs[:]...)
}

func parsePeer(s string) (peer, error) {
	name, path, ok := strings.Cut(s, "=")
	if !ok || !slices.Contains([]string{"modctl", "kit", "oras"}, name) {
		return peer{}, fmt.Errorf("%q is none of modctl=PATH, kit=PATH, oras=PATH", s)
	}
	path, err := filepath.Abs(path)
	return peer{name, path}, err
}

func parseCount(name, s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s %q is no number above zero", name, s)
	}
	return n, nil
}

// units of sizes, the largest first.
func units() []unit {
	return []unit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}
}

type unit struct {
	name  string
	bytes int64
}

// parseSize reads a whole number of bytes, or of a unit such as GiB.
func parseSize(s string) (int64, error) {
	number, factor := s, int64(1)
	for _, u := range units() {
		if before, ok := strings.CutSuffix(s, u.name); ok {
			number, factor = strings.TrimSpace(before), u.bytes
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > (1<<62)/factor {
		return 0, fmt.Errorf("SIZE %q is no size such as 2GiB, 256MiB or 1000000", s)
	}
	return n * factor, nil
}

// formatSize writes a size in the largest unit that it is a multiple of.
func formatSize(n int64) string {
	for _, u := range units() {
		if n%u.bytes == 0 {
			return fmt.Sprintf("%d %s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
