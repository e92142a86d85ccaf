package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 100, 2}, 3},
	} {
		if got := median(test.values); got != test.want {
			t.Errorf("%v: got %v, want %v", test.values, got, test.want)
		}
	}
	values := []float64{3, 1, 2}
	if median(values); values[0] != 3 {
		t.Error("the values were sorted in place: runs are no longer paired")
	}
}

// runs are runs of so many seconds, half of them on the processor.
func runs(wall ...float64) []usage {
	var all []usage
	for i, seconds := range wall {
		took := time.Duration(seconds * float64(time.Second))
		all = append(all, usage{wall: took, cpu: took / 2, peak: int64(i+1) << 20, traffic: traffic{read: int64(i+1) * 10 << 20}})
	}
	return all
}

// TestRow has runs of which one met bad weather. It hit both of a pair, and so
// the ratio is that of the pairs and not that of the medians.
func TestRow(t *testing.T) {
	got := row(result{name: "build", tare: runs(1, 4, 1.2), floor: runs(1, 5, 1)})
	want := []string{"build", "1.200", "1.000", "1.00", "0.80–1.20", "0.600", "0.500", "3.0", "30.0", "–"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPrintTable(t *testing.T) {
	var out strings.Builder
	printTable(&out, []result{
		{name: "version", tare: runs(0.012), mayRead: 10 << 20},
		{name: "extract-unchanged", tare: runs(0.015), mayRead: 1 << 20},
		{name: "verify", skipped: "this tare has no verify"},
		{name: "pull", size: 1000, tare: []usage{{wire: 1000}, {wire: 1020}, {wire: 990}}},
	})
	want := `
               step  tare (s)  floor (s)  ratio  min–max  CPU (s)  floor CPU (s)  peak RSS (MiB)  read (MiB)  written (MiB)
            version     0.012          –      –        –    0.006              –             1.0        10.0              –
  extract-unchanged     0.015          –      –        –    0.007              –             1.0        10.0              –
             verify         –          –      –        –        –              –               –           –              –
               pull     0.000          –      –        –    0.000              –               –           –              –

extract-unchanged: tare read 10.0 MiB, and there is no need for more than 1.0 MiB

verify was skipped: this tare has no verify

pull: tare was sent 1.020 of the model, at most
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
