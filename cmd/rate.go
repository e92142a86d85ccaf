package cmd

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// byteRate is a flag for bytes a second, written as for curl: 500K, 10M, 1.5G.
// The units are powers of 1024, with or without iB or B behind them. Zero is no
// limit, and cannot be said.
type byteRate int64

var ratePattern = regexp.MustCompile(`(?i)^([0-9]+(?:\.[0-9]+)?)(?:([KMGT])i?)?B?$`)

// Set implements pflag.Value.
func (r *byteRate) Set(s string) error {
	match := ratePattern.FindStringSubmatch(s)
	if match == nil {
		return errors.New("bytes a second look like 500K, 10M or 1.5G")
	}
	value, err := strconv.ParseFloat(match[1], 64)
	if unit := match[2]; unit != "" {
		value *= math.Pow(1024, float64(1+strings.Index("KMGT", strings.ToUpper(unit))))
	}
	if err != nil || value < 1 || value >= math.MaxInt64 {
		return errors.New("a rate is at least 1 byte a second; leave the flag out for no limit")
	}
	*r = byteRate(value)
	return nil
}

// String implements pflag.Value.
func (r *byteRate) String() string {
	if *r == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*r), 10)
}

// Type implements pflag.Value.
func (r *byteRate) Type() string { return "rate" }
