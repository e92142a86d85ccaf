// Package progress shows people, or machines, how far work has got.
//
// A [Reporter] takes what the engines observe and renders it for the whole job:
// one bar on a terminal, a line every few seconds on a pipe, one JSON object a
// line for programs, or nothing. It satisfies the Observer interfaces of build,
// extract, registry and storage.
//
//	r := progress.New(progress.Auto, os.Stderr, columns)
//	err := r.During("pulling", totalBytes, len(layers), func() error { … })
package progress

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Mode is how progress is shown.
type Mode string

// The modes. Auto is Bar on a terminal and Plain elsewhere.
const (
	Auto  Mode = "auto"
	Bar   Mode = "bar"
	Plain Mode = "plain"
	JSON  Mode = "json"
	None  Mode = "none"
)

// Modes lists the names of all modes.
func Modes() []string {
	return []string{string(Auto), string(Bar), string(Plain), string(JSON), string(None)}
}

// ParseMode reads the name of a mode.
func ParseMode(s string) (Mode, error) {
	if !slices.Contains(Modes(), s) {
		return "", fmt.Errorf("unknown progress %q: one of %s", s, strings.Join(Modes(), ", "))
	}
	return Mode(s), nil
}

const (
	barEvery   = 100 * time.Millisecond
	plainEvery = 3 * time.Second
	jsonEvery  = time.Second

	barWidth = 10
	// barExtra is what stands around the bar: percent, brackets, blanks.
	barExtra = 10
	// minColumns is the narrowest terminal that a bar makes sense on.
	minColumns = 50
)

// Status is a moment of a job. It is what JSON mode prints; sizes are in bytes.
type Status struct {
	Phase   string  `json:"phase"`   // what is done: building, pushing …
	Safe    int64   `json:"safe"`    // moved by this run
	Skipped int64   `json:"skipped"` // there already
	Resumed int64   `json:"resumed"` // moved by an earlier run
	Total   int64   `json:"total"`
	Layers  int     `json:"layers"` // of the job
	Done    int     `json:"done"`   // layers that are complete
	Seconds float64 `json:"seconds"`
}

// rate is bytes a second moved by this run.
func (s Status) rate() float64 {
	if s.Seconds <= 0 {
		return 0
	}
	return float64(s.Safe) / s.Seconds
}

// position is how far the job is, whoever did it.
func (s Status) position() int64 { return min(s.Safe+s.Skipped+s.Resumed, s.Total) }

// left is how long the rest may take, zero if there is nothing to go by.
func (s Status) left() time.Duration {
	rate := s.rate()
	if rate < 1 {
		return 0
	}
	return time.Duration(float64(s.Total-s.position()) / rate * float64(time.Second)).Round(time.Second)
}

// Reporter renders one job. Its methods may be called from any goroutine.
type Reporter struct {
	mode    Mode
	w       io.Writer
	columns int

	mu     sync.Mutex
	status Status
	start  time.Time
	bar    *progressbar.ProgressBar
	frame  bytes.Buffer // what the bar drew
	ended  bool         // a line said that only the end is missing
	stop   chan struct{}
	done   sync.WaitGroup

	out sync.Mutex // held while something is written
}

// New returns a Reporter that writes to w, which has so many columns if it is a
// terminal and 0 if it is none.
func New(mode Mode, w io.Writer, columns int) *Reporter {
	switch {
	case mode == Auto && columns >= minColumns:
		mode = Bar
	case mode == Auto:
		mode = Plain
	}
	return &Reporter{mode: mode, w: w, columns: max(columns, minColumns)}
}

// Start begins a job: what is done, how many bytes and layers there are.
func (r *Reporter) Start(phase string, total int64, layers int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = Status{Phase: phase, Total: total, Layers: layers}
	r.start = time.Now()
	switch r.mode {
	case Bar:
		r.bar = newBar(&r.frame, total)
		r.every(barEvery, r.drawBar)
	case Plain:
		r.every(plainEvery, r.printLine)
	case JSON:
		r.every(jsonEvery, r.printJSON)
	}
}

// newBar draws into frame. It never comes to its end, where the library would
// take it away though the job may still have to wait for an answer.
func newBar(frame io.Writer, total int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total+1,
		progressbar.OptionSetWriter(frame),
		progressbar.OptionSetWidth(barWidth),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}),
	)
}

// every calls draw until the job stops. The caller holds the lock.
func (r *Reporter) every(interval time.Duration, draw func(Status)) {
	r.stop = make(chan struct{})
	stop := r.stop
	r.done.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				draw(r.Status())
			}
		}
	})
}

// During shows progress while work runs.
func (r *Reporter) During(phase string, total int64, layers int, work func() error) error {
	r.Start(phase, total, layers)
	defer r.Stop()
	return work()
}

// Observe takes a report of an engine: bytes since its last report, and in phase
// "done" one more complete layer.
func (r *Reporter) Observe(phase, _ string, safe, skipped, resumed int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Safe += safe
	r.status.Skipped += skipped
	r.status.Resumed += resumed
	if phase == "done" {
		r.status.Done++
	}
}

// Status is how far the job is.
func (r *Reporter) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	if !r.start.IsZero() {
		s.Seconds = time.Since(r.start).Seconds()
	}
	return s
}

// Stop ends the job. The bar goes away; JSON mode prints the last status. It may
// be called more than once.
func (r *Reporter) Stop() {
	r.mu.Lock()
	stop := r.stop
	r.stop = nil
	r.mu.Unlock()
	if stop == nil {
		return
	}
	close(stop)
	r.done.Wait()
	switch r.mode {
	case Bar:
		io.WriteString(r.w, clearLine)
	case JSON:
		r.printJSON(r.Status())
	}
}

// Note says in a line why nothing moves. It must be fit for a terminal.
func (r *Reporter) Note(text string) {
	r.out.Lock()
	defer r.out.Unlock()
	switch r.mode {
	case Bar:
		fmt.Fprintf(r.w, "%s%s\n", clearLine, text) // the bar is drawn again soon
	case Plain:
		fmt.Fprintln(r.w, text)
	case JSON:
		json.NewEncoder(r.w).Encode(struct{ Note string }{text})
	}
}

// clearLine goes to the start of the line and empties it.
const clearLine = "\r\x1b[K"

// drawBar writes one frame in one piece, so that it does not flicker.
func (r *Reporter) drawBar(s Status) {
	r.out.Lock()
	defer r.out.Unlock()
	r.bar.Set64(s.position())
	r.frame.Reset()
	r.bar.Describe(s.line(r.columns - barWidth - barExtra))
	frame := r.frame.String()
	frame = strings.TrimRight(frame[strings.LastIndex(strings.TrimRight(frame, "\r "), "\r")+1:], "\r ")
	fmt.Fprintf(r.w, "\r%s\x1b[K", frame)
}

// line says how far the job is in at most width columns, the most important
// things first.
func (s Status) line(width int) string {
	line := fmt.Sprintf("%s %d/%d", s.Phase, s.layer(), s.Layers)
	parts := []string{fmt.Sprintf("%s of %s", Bytes(s.position()), Bytes(s.Total))}
	switch {
	case s.position() == s.Total:
		parts = append(parts, "finishing")
	case s.rate() >= 1:
		parts = append(parts, Bytes(int64(s.rate()))+"/s", s.left().String()+" left")
	}
	for _, part := range parts {
		if len(line)+len(part)+2 > width {
			break
		}
		line += "  " + part
	}
	return line
}

// layer is the layer that the job is at.
func (s Status) layer() int { return min(s.Done+1, s.Layers) }

func (r *Reporter) printLine(s Status) {
	r.out.Lock()
	defer r.out.Unlock()
	if s.position() == s.Total {
		if !r.ended {
			fmt.Fprintf(r.w, "%s: %s of %s (100%%), finishing\n", s.Phase, Bytes(s.Total), Bytes(s.Total))
		}
		r.ended = true
		return
	}
	fmt.Fprintf(r.w, "%s: %s of %s (%d%%), %s/s, layer %d of %d\n", s.Phase, Bytes(s.position()), Bytes(s.Total),
		s.position()*100/s.Total, Bytes(int64(s.rate())), s.layer(), s.Layers)
}

func (r *Reporter) printJSON(s Status) {
	r.out.Lock()
	defer r.out.Unlock()
	json.NewEncoder(r.w).Encode(s)
}

// Bytes writes a number of bytes for people: 1.5 GiB.
func Bytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for ; value >= 1023.95 && unit < len(units)-1; unit++ {
		value /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}

const units = "KMGTPE"
