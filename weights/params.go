package weights

import (
	"math"
	"strconv"
)

// scales are the ModelPack spec's letters. A number takes the first one that it
// reaches: half a billion is said as 0.5B, all else from 1 on.
var scales = [...]struct {
	unit, from float64
	letter     string
}{
	{1e15, 1e15, "Q"}, {1e12, 1e12, "T"}, {1e9, 450e6, "B"}, {1e6, 1e6, "M"}, {1e3, 0, "K"},
}

// FormatParams writes a number of parameters as the ModelPack spec has it and
// people say it: 0.6B, 7.6B, 671B, 22.7M. From 100 on there are no decimals. It
// is empty for numbers that are not positive.
func FormatParams(n int64) string {
	if n <= 0 {
		return ""
	}
	v := float64(n)
	for i, s := range scales {
		if v < s.from {
			continue
		}
		count := round(v / s.unit)
		if i > 0 && count >= 1000 {
			s = scales[i-1]
			count = 1
		}
		return strconv.FormatFloat(count, 'f', -1, 64) + s.letter
	}
	return ""
}

// round keeps one decimal below 100 and none above, but nothing becomes zero.
func round(v float64) float64 {
	if v >= 99.95 {
		return math.Round(v)
	}
	return max(math.Round(v*10)/10, 0.1)
}
