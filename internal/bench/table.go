package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func title(w io.Writer, c config) {
	fmt.Fprintf(w, "%s in %d shards, medians of %d runs, %s/%s, %d CPUs\n\n",
		formatSize(c.size), c.shards, c.runs, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}

// printTable prints a line a result.
func printTable(out io.Writer, results []result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "step\ttare (s)\tfloor (s)\tratio\tmin–max\tCPU (s)\tfloor CPU (s)\tpeak RSS (MiB)\tread (MiB)\twritten (MiB)\t")
	for _, r := range results {
		fmt.Fprintln(w, strings.Join(row(r), "\t")+"\t")
	}
	w.Flush()
	for _, r := range results {
		if r.skipped != "" {
			fmt.Fprintf(out, "\n%s was skipped: %s\n", r.name, r.skipped)
		}
		if sent := most(r.tare, usage.wireBytes); sent > 0 {
			fmt.Fprintf(out, "\n%s: %s\n", r.name, moved(r, sent))
		}
		if read := most(r.tare, usage.readBytes); r.mayRead > 0 && read > r.mayRead {
			fmt.Fprintf(out, "\n%s: tare read %.1f MiB, and there is no need for more than %.1f MiB\n", r.name, mib(read), mib(r.mayRead))
		}
	}
}

// moved says how much went over the network at most.
func moved(r result, n int64) string {
	if !r.sends {
		return fmt.Sprintf("tare was sent %.3f of the model, at most", float64(n)/float64(r.size))
	}
	if n > r.size {
		return fmt.Sprintf("tare sent %.3f MiB at most, %.3f MiB more than the model has", mib(n), mib(n-r.size))
	}
	return fmt.Sprintf("tare sent %.3f MiB at most, %.3f of the model", mib(n), float64(n)/float64(r.size))
}

// row is the cells of a line. What there is no value for is a dash.
func row(r result) []string {
	const none = "–"
	cells := append([]string{r.name}, slices.Repeat([]string{none}, 9)...)
	if len(r.tare) > 0 {
		cells[1] = seconds(r.tare, usage.wallTime)
		cells[5] = seconds(r.tare, usage.cpuTime)
	}
	if len(r.floor) > 0 {
		all := ratios(r.tare, r.floor)
		cells[2] = seconds(r.floor, usage.wallTime)
		cells[3] = fmt.Sprintf("%.2f", median(all))
		cells[4] = fmt.Sprintf("%.2f–%.2f", slices.Min(all), slices.Max(all))
		cells[6] = seconds(r.floor, usage.cpuTime)
	}
	for i, which := range []func(usage) int64{usage.peakBytes, usage.readBytes, usage.writtenBytes} {
		if n := most(r.tare, which); n > 0 {
			cells[7+i] = fmt.Sprintf("%.1f", mib(n))
		}
	}
	return cells
}

func (u usage) wallTime() time.Duration { return u.wall }
func (u usage) cpuTime() time.Duration  { return u.cpu }
func (u usage) peakBytes() int64        { return u.peak }
func (u usage) wireBytes() int64        { return u.wire }
func (u usage) readBytes() int64        { return u.read }
func (u usage) writtenBytes() int64     { return u.written }

// seconds is the median of one of the times of all runs.
func seconds(runs []usage, which func(usage) time.Duration) string {
	times := make([]time.Duration, len(runs))
	for i, u := range runs {
		times[i] = which(u)
	}
	return fmt.Sprintf("%.3f", median(times).Seconds())
}

// ratios pairs runs that were neighbours.
func ratios(tare, floor []usage) []float64 {
	all := make([]float64, min(len(tare), len(floor)))
	for i := range all {
		all[i] = float64(tare[i].wall) / float64(floor[i].wall)
	}
	return all
}

// most is the most of something in any run.
func most(runs []usage, which func(usage) int64) int64 {
	var n int64
	for _, u := range runs {
		n = max(n, which(u))
	}
	return n
}

// median is the middle value, or the mean of the two in the middle. There must
// be at least one.
func median[T ~int64 | ~float64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
