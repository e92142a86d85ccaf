package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tareml/tare/extract/follow"
)

const (
	// idleSlack is how late a check may be before the loop counts as hung. It is
	// more than a check may take.
	idleSlack = 10 * time.Minute

	// workSlack is how long an extraction or a command may show no sign of life. It
	// is more than a registry may ask to be left alone.
	workSlack = 2 * time.Hour
)

// health is what a sync tells those who watch it over HTTP:
//
//	/healthz  200 as long as the loop runs, whether or not the registry answers
//	/readyz   200 once the directory holds a complete version
//	/metrics  figures, in the text format of Prometheus
type health struct {
	models []followed

	mu                             sync.Mutex
	hung                           time.Time // without a sign of life until then
	ready                          follow.Version
	checks, checkFailures          int64
	changes, applyFailures         int64
	commandFailures, moved         int64
	lastCheck, lastGood, lastMoved time.Time
	lastTook                       time.Duration
}

func newHealth(models []followed) *health {
	return &health{models: models, hung: time.Now().Add(idleSlack)}
}

// Changed implements [follow.Observer].
func (h *health) Changed(c follow.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes++
	h.moved += c.Moved
	h.lastMoved, h.lastTook = c.Time, c.Took
	h.hung = time.Now().Add(workSlack)
}

// Done implements [follow.Observer].
func (h *health) Done(r follow.Round) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks++
	h.checkFailures += one(r.Check)
	h.applyFailures += one(r.Apply)
	h.commandFailures += one(r.OnChange)
	h.lastCheck = r.Time
	if !r.Failed() {
		h.lastGood = r.Time
	}
	h.hung = time.Now().Add(r.Wait + idleSlack)
}

// one counts an error.
func one(err error) int64 {
	if err == nil {
		return 0
	}
	return 1
}

// beat is a sign of life of something that may take long.
func (h *health) beat() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hung = time.Now().Add(workSlack)
}

// isReady says that the directory holds a complete version.
func (h *health) isReady(v follow.Version) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready = v
}

// serve answers at addr, where nobody may listen yet, until stop is called.
func (h *health) serve(ctx context.Context, addr string) (at net.Addr, stop func() error, err error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, fmt.Errorf("--health-addr %s: %w", addr, err)
	}
	server := &http.Server{
		Handler:           h.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // of what clients do wrong
	}
	server.SetKeepAlivesEnabled(false) // those who ask are few, and nobody can fill the process with idle connections
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	return listener.Addr(), func() error {
		err := server.Close()
		if ended := <-done; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(ended, err)
		}
		return err
	}, nil
}

func (h *health) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", h.serveHealth)
	mux.HandleFunc("GET /readyz", h.serveReady)
	mux.HandleFunc("GET /metrics", h.serveMetrics)
	return mux
}

func (h *health) serveHealth(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	late := time.Since(h.hung)
	h.mu.Unlock()
	if late > 0 {
		http.Error(w, "no sign of life for far too long", http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ok\n")
}

func (h *health) serveReady(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	ready := h.ready
	h.mu.Unlock()
	if len(ready) == 0 {
		http.Error(w, "no complete version yet", http.StatusServiceUnavailable)
		return
	}
	for _, pin := range ready {
		fmt.Fprintf(w, "%s %s\n", pin.Reference, pin.Digest)
	}
}

func (h *health) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	var b strings.Builder
	for _, m := range h.metrics() {
		m.write(&b)
	}
	io.WriteString(w, b.String())
}

// metric is a family of series, of one unless it has labels.
type metric struct {
	name, kind, help string
	series           []series
}

// series is a number and its labels, as pairs of a name and a value.
type series struct {
	labels [][2]string
	value  float64
}

func (h *health) metrics() []metric {
	h.mu.Lock()
	defer h.mu.Unlock()
	return []metric{
		{"tare_build_info", "gauge", "The version of tare.", []series{{[][2]string{{"version", currentVersion()}}, 1}}},
		{"tare_sync_info", "gauge", "What the directory holds.", h.info()},
		gauge("tare_sync_ready", "Whether the directory holds a complete version.", float64(min(len(h.ready), 1))),
		counter("tare_sync_checks_total", "Times that the registry was asked.", h.checks),
		counter("tare_sync_check_failures_total", "Times that it did not answer as it should.", h.checkFailures),
		counter("tare_sync_changes_total", "Versions that came into the directory, repairs included.", h.changes),
		counter("tare_sync_apply_failures_total", "Times that the directory could not be brought to a version.", h.applyFailures),
		counter("tare_sync_on_change_failures_total", "Times that the command after a change failed.", h.commandFailures),
		counter("tare_sync_bytes_moved_total", "Bytes of layers that were fetched.", h.moved),
		gauge("tare_sync_last_check_timestamp_seconds", "When the registry was asked, 0 for never.", seconds(h.lastCheck)),
		gauge("tare_sync_last_success_timestamp_seconds", "When all was well, 0 for never.", seconds(h.lastGood)),
		gauge("tare_sync_last_change_timestamp_seconds", "When the directory changed, 0 for never.", seconds(h.lastMoved)),
		gauge("tare_sync_apply_duration_seconds", "How long the last change took.", h.lastTook.Seconds()),
	}
}

// info has a series for each model that is there; mu is held.
func (h *health) info() []series {
	var all []series
	for i, pin := range h.ready {
		all = append(all, series{[][2]string{
			{"reference", pin.Reference}, {"digest", pin.Digest.String()}, {"subdir", h.models[i].subdir},
		}, 1})
	}
	return all
}

func counter(name, help string, value int64) metric {
	return metric{name, "counter", help, []series{{nil, float64(value)}}}
}

func gauge(name, help string, value float64) metric {
	return metric{name, "gauge", help, []series{{nil, value}}}
}

// seconds since 1970.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func (m metric) write(b *strings.Builder) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
	for _, s := range m.series {
		b.WriteString(m.name)
		s.writeLabels(b)
		fmt.Fprintf(b, " %s\n", strconv.FormatFloat(s.value, 'f', -1, 64))
	}
}

func (s series) writeLabels(b *strings.Builder) {
	if len(s.labels) == 0 {
		return
	}
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	var all []string
	for _, label := range s.labels {
		all = append(all, label[0]+`="`+escape.Replace(label[1])+`"`)
	}
	fmt.Fprintf(b, "{%s}", strings.Join(all, ","))
}
