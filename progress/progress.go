// Package progress shows people, or machines, how long work gets on.
//
// A [Reporter] takes what the engines observe and renders it for the whole job:
// one bar on a terminal, a line every few seconds on a pipe, one JSON object a
// line for programs, or nothing. It satisfies the Observer interfaces of build,
// extract and registry.
//
//	r := progress.New(progress.Auto, os.Stderr, isTerminal)
//	r.Start("pulling", totalBytes, len(layers))
//	defer r.Stop()
package progress

import (
	"encoding/json"
	"fmt"
	"io"
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

// ParseMode reads the name of a mode.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Auto, Bar, Plain, JSON, None:
		return m, nil
	}
	return "", fmt.Errorf("unknown progress %q: one of auto, bar, plain, json, none", s)
}

const (
	barEvery   = 100 * time.Millisecond
	plainEvery = 3 * time.Second
	jsonEvery  = time.Second
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

// Reporter renders one job. Its methods may be called from any goroutine.
type Reporter struct {
	mode Mode
	w    io.Writer

	mu     sync.Mutex
	status Status
	start  time.Time
	bar    *progressbar.ProgressBar
	stop   chan struct{}
	done   sync.WaitGroup
}

// New returns a Reporter that writes to w. terminal says whether w is one.
func New(mode Mode, w io.Writer, terminal bool) *Reporter {
	switch {
	case mode == Auto && terminal:
		mode = Bar
	case mode == Auto:
		mode = Plain
	}
	return &Reporter{mode: mode, w: w}
}

// Start begins a job: what is done, how many bytes and layers there are.
func (r *Reporter) Start(phase string, total int64, layers int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = Status{Phase: phase, Total: total, Layers: layers}
	r.start = time.Now()
	switch r.mode {
	case Bar:
		r.bar = newBar(r.w, total)
		r.every(barEvery, r.drawBar)
	case Plain:
		r.every(plainEvery, r.printLine)
	case JSON:
		r.every(jsonEvery, r.printJSON)
	}
}

func newBar(w io.Writer, total int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(max(total, 1),
		progressbar.OptionSetWriter(w),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionSetWidth(16),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(),
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
		r.bar.Finish()
	case JSON:
		r.printJSON(r.Status())
	}
}

func (r *Reporter) drawBar(s Status) {
	r.bar.Describe(fmt.Sprintf("%s %d/%d", s.Phase, min(s.Done+1, s.Layers), s.Layers))
	r.bar.Set64(s.position())
}

func (r *Reporter) printLine(s Status) {
	percent := int64(100)
	if s.Total > 0 {
		percent = s.position() * 100 / s.Total
	}
	fmt.Fprintf(r.w, "%s: %s of %s (%d%%), %s/s, layer %d of %d\n", s.Phase,
		Bytes(s.position()), Bytes(s.Total), percent, Bytes(int64(s.rate())), min(s.Done+1, s.Layers), s.Layers)
}

func (r *Reporter) printJSON(s Status) {
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
