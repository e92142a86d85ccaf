package cmd

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"github.com/tareml/tare/extract/follow"
	"github.com/tareml/tare/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testVersion() follow.Version {
	return follow.Version{{Reference: "h.io/r:v1", Digest: digest.FromString("x")}}
}

func testModels() []followed {
	return []followed{{target: target{registry.Reference{Registry: "h.io", Repository: "r", Tag: "v1"}, `a\"b` + "\n"}}}
}

// get asks a handler without a network.
func get(h *health, path string) (code int, body string) {
	w := httptest.NewRecorder()
	h.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func checkStatus(t *testing.T, h *health, path string, want int) {
	t.Helper()
	if code, body := get(h, path); code != want {
		t.Errorf("%s: %d %q, want %d", path, code, body, want)
	}
}

// TestHealthInAnOutage: nobody is killed because a registry is down.
func TestHealthInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(testModels())
		checkStatus(t, h, "/healthz", 200)
		checkStatus(t, h, "/readyz", 503)
		for range 100 {
			h.Done(follow.Round{Time: time.Now(), Check: errors.New("nobody answers"), Wait: 5 * time.Minute})
			time.Sleep(5 * time.Minute)
			checkStatus(t, h, "/healthz", 200)
		}
		checkStatus(t, h, "/readyz", 503)
	})
}

// TestHealthOfAHungLoop is bad, sooner if nothing was being done.
func TestHealthOfAHungLoop(t *testing.T) {
	for name, test := range map[string]struct {
		last  func(*health)
		after time.Duration
	}{
		"start":      {func(*health) {}, idleSlack},
		"waiting":    {func(h *health) { h.Done(follow.Round{Wait: time.Hour}) }, time.Hour + idleSlack},
		"extracting": {func(h *health) { h.beat() }, workSlack},
		"a command":  {func(h *health) { h.beat() }, workSlack},
		"a change":   {func(h *health) { h.Changed(follow.Change{}) }, workSlack},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHealth(nil)
			test.last(h)
			time.Sleep(test.after)
			if code, _ := get(h, "/healthz"); code != 200 {
				t.Errorf("%s: %d after %s", name, code, test.after)
			}
			time.Sleep(time.Second)
			if code, _ := get(h, "/healthz"); code != 503 {
				t.Errorf("%s: %d after more than %s", name, code, test.after)
			}
			h.beat()
			checkStatus(t, h, "/healthz", 200)
		})
	}
}

// TestMetrics is what Prometheus reads, character by character.
func TestMetrics(t *testing.T) {
	h := newHealth(testModels())
	at := time.UnixMilli(1700000000500)
	h.Done(follow.Round{Time: at.Add(-time.Hour)})
	h.Done(follow.Round{Time: at, Check: errors.New("x"), Apply: errors.New("x"), OnChange: errors.New("x")})
	h.Changed(follow.Change{Time: at, Took: 1500 * time.Millisecond, Result: follow.Result{Moved: 1 << 40}})
	h.isReady(testVersion())
	_, got := get(h, "/metrics")
	samples := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(got, "")
	want := `tare_build_info{version="` + currentVersion() + `"} 1
tare_sync_info{reference="h.io/r:v1",digest="` + digest.FromString("x").String() + `",subdir="a\\\"b\n"} 1
tare_sync_ready 1
tare_sync_checks_total 2
tare_sync_check_failures_total 1
tare_sync_changes_total 1
tare_sync_apply_failures_total 1
tare_sync_on_change_failures_total 1
tare_sync_bytes_moved_total 1099511627776
tare_sync_last_check_timestamp_seconds 1700000000.5
tare_sync_last_success_timestamp_seconds 1699996400.5
tare_sync_last_change_timestamp_seconds 1700000000.5
tare_sync_apply_duration_seconds 1.5
`
	if samples != want {
		t.Errorf("got\n%swant\n%s", samples, want)
	}
	checkStatus(t, h, "/readyz", 200)
}

// TestMetricsAreDeclared once each, as the format wants it.
func TestMetricsAreDeclared(t *testing.T) {
	_, got := get(newHealth(nil), "/metrics")
	block := regexp.MustCompile(`^# HELP (\w+) [^\n]+\.\n# TYPE (\w+) (counter|gauge)\n((?:\w+(?:\{[^\n]*\})? \S+\n)*)`)
	seen := map[string]bool{}
	for got != "" {
		m := block.FindStringSubmatch(got)
		if m == nil {
			t.Fatalf("not a family: %q", got)
		}
		if m[1] != m[2] || seen[m[1]] || strings.HasSuffix(m[1], "_total") != (m[3] == "counter") {
			t.Errorf("%s", m[0])
		}
		for sample := range strings.Lines(m[4]) {
			if !strings.HasPrefix(sample, m[1]) {
				t.Errorf("%s among those of %s", sample, m[1])
			}
		}
		seen[m[1]] = true
		got = got[len(m[0]):]
	}
	if len(seen) < 12 {
		t.Errorf("%d families", len(seen))
	}
}

func TestHealthOverHTTP(t *testing.T) {
	before := goleak.IgnoreCurrent()
	h := newHealth(testModels())
	at, stop, err := h.serve(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/metrics": 200, "/": 404, "/debug/pprof/": 404} {
		resp, err := client.Get("http://" + at.String() + path)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
		if kind := resp.Header.Get("Content-Type"); path == "/metrics" && kind != "text/plain; version=0.0.4; charset=utf-8" {
			t.Errorf("metrics are %s", kind)
		}
	}
	if _, _, err := h.serve(t.Context(), at.String()); err == nil || !strings.Contains(err.Error(), "--health-addr "+at.String()) {
		t.Errorf("a port in use: %v", err)
	}
	client.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := client.Get("http://" + at.String() + "/healthz"); err == nil {
		t.Error("still there")
	}
	goleak.VerifyNone(t, before)
}
