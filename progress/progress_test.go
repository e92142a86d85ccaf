package progress

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1048575: "1.0 MiB", 1 << 30: "1.0 GiB", 5 << 40: "5.0 TiB", 1 << 62: "4.0 EiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestParseMode(t *testing.T) {
	for _, m := range []Mode{Auto, Bar, Plain, JSON, None} {
		if got, err := ParseMode(string(m)); err != nil || got != m {
			t.Errorf("%s: %v, %v", m, got, err)
		}
	}
	if _, err := ParseMode("loud"); err == nil {
		t.Error("loud is a mode")
	}
}

// work is a job of two layers, 300 bytes: 100 were there, 50 came before, and
// 150 come now, in ten and a half seconds.
func work(r *Reporter) {
	r.Start("pulling", 300, 2)
	r.Observe("data", "a", 0, 100, 0)
	r.Observe("done", "a", 0, 0, 0)
	r.Observe("data", "b", 0, 0, 50)
	time.Sleep(time.Second / 2) // between the ticks
	for range 10 {
		time.Sleep(time.Second)
		r.Observe("data", "b", 15, 0, 0)
	}
	r.Observe("done", "b", 0, 0, 0)
	time.Sleep(150 * time.Millisecond) // for one more frame
	r.Stop()
	r.Stop()
}

func TestPlainIsALineEveryFewSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		work(New(Auto, &out, 0))
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 3 {
			t.Fatalf("%d lines in ten and a half seconds:\n%s", len(lines), out.String())
		}
		for i, want := range []string{"pulling: 180 B of 300 B (60%), 10 B/s, layer 2 of 2", "pulling: 225 B of 300 B (75%), 12 B/s, layer 2 of 2"} {
			if lines[i] != want {
				t.Errorf("line %d %q, want %q", i, lines[i], want)
			}
		}
	})
}

func TestJSONEndsInTheLastStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		work(New(JSON, &out, 80))
		var last Status
		for dec := json.NewDecoder(&out); dec.More(); {
			last = Status{}
			if err := dec.Decode(&last); err != nil {
				t.Fatal(err)
			}
		}
		if want := (Status{Phase: "pulling", Safe: 150, Skipped: 100, Resumed: 50, Total: 300, Layers: 2, Done: 2, Seconds: 10.65}); last != want {
			t.Errorf("last %+v, want %+v", last, want)
		}
	})
}

func TestNoneIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := New(None, &out, 80)
		work(r)
		if out.Len() > 0 {
			t.Errorf("printed %q", out.String())
		}
		if s := r.Status(); s.Safe != 150 || s.Done != 2 {
			t.Errorf("status %+v: what is silent must still count", s)
		}
	})
}

func TestBarShowsTheJobAndGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		work(New(Auto, &out, 80))
		for _, want := range []string{
			"\rpulling 2/2  150 B of 300 B  49% [===>      ]\x1b[K", // nothing moved yet: no rate
			"\rpulling 2/2  225 B of 300 B  12 B/s  6s left  74% [======>   ]\x1b[K",
			"\rpulling 2/2  300 B of 300 B  finishing  99% [========> ]\x1b[K",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q is never shown; the end is %q", want, out.String()[out.Len()-300:])
			}
		}
		if strings.Contains(out.String(), "\n") {
			t.Errorf("the bar leaves a line behind: %q", out.String())
		}
		if !strings.HasSuffix(out.String(), "\r\x1b[K") {
			t.Errorf("ends in %q, want an empty line", out.String()[max(0, out.Len()-20):])
		}
	})
}

func TestBarKeepsToTheLine(t *testing.T) {
	s := Status{Phase: "extracting", Safe: 1023 << 20, Total: 1023 << 30, Layers: 450, Done: 400, Seconds: 1}
	for columns := minColumns; columns < 120; columns++ {
		var out bytes.Buffer
		r := New(Auto, &out, columns)
		r.status, r.bar = s, newBar(&r.frame, s.Total)
		r.drawBar(s)
		if line := strings.Trim(out.String(), "\r\x1b[K"); len(line) > columns {
			t.Errorf("%d columns: %d in %q", columns, len(line), line)
		}
	}
	if r := New(Auto, nil, minColumns-1); r.mode != Plain {
		t.Errorf("a bar on a terminal of %d columns", minColumns-1)
	}
}

func TestConcurrentReports(t *testing.T) {
	r := New(None, nil, 0)
	r.Start("building", 1000, 10)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 100 {
				r.Observe("data", "x", 1, 0, 0)
			}
			r.Observe("done", "x", 0, 0, 0)
		})
	}
	wg.Wait()
	r.Stop()
	if s := r.Status(); s.Safe != 1000 || s.Done != 10 {
		t.Errorf("status %+v", s)
	}
}

func TestNote(t *testing.T) {
	for mode, want := range map[Mode]string{
		Bar:   "\r\x1b[Kthe registry is busy\n",
		Plain: "the registry is busy\n",
		JSON:  `{"Note":"the registry is busy"}` + "\n",
		None:  "",
	} {
		var out bytes.Buffer
		New(mode, &out, 80).Note("the registry is busy")
		if out.String() != want {
			t.Errorf("%s: %q, want %q", mode, out.String(), want)
		}
	}
}
