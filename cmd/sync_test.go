package cmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/extract/follow"
	fault "github.com/tareml/tare/internal/faultregistry"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/registry"
)

// syncRun is a sync on its way.
type syncRun struct {
	lines  *bufio.Scanner // of standard output
	stderr *lockedBuffer
	cancel context.CancelFunc
	done   chan error
}

func startSync(t *testing.T, args ...string) *syncRun {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	run := &syncRun{bufio.NewScanner(r), &lockedBuffer{}, cancel, make(chan error, 1)}
	cmd := (&app{progress: "none"}).newSyncCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(w)
	cmd.SetErr(run.stderr)
	go func() {
		err := cmd.ExecuteContext(ctx)
		w.Close()
		run.done <- err
	}()
	t.Cleanup(func() {
		cancel()
		r.Close()
	})
	return run
}

// line waits for one on standard output.
func (r *syncRun) line(t *testing.T) string {
	t.Helper()
	if !r.lines.Scan() {
		t.Fatalf("no line: %v, %s", <-r.done, r.stderr)
	}
	return r.lines.Text()
}

func (r *syncRun) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		t.Errorf("ended with %v", err)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestSync follows a tag of a real registry, from nothing to a second version.
func TestSync(t *testing.T) {
	reg := fault.New(t)
	first := reg.Add("models/x", []byte("one"))
	dir, ready := filepath.Join(t.TempDir(), "models"), filepath.Join(t.TempDir(), "ready")
	run := startSync(t, reg.Ref(first), dir, "--interval", "1s", "--format", "json", "--overwrite",
		"--ready-file", ready, "--health-addr", "127.0.0.1:0")
	var got changed
	if err := json.Unmarshal([]byte(run.line(t)), &got); err != nil {
		t.Fatal(err)
	}
	want := changedModel{reg.Ref(first), first.Descriptor.Digest.String(), ""}
	if len(got.Models) != 1 || got.Models[0] != want || got.Files != 1 || got.Size != 3 || got.Directory != dir {
		t.Errorf("%+v", got)
	}
	second := reg.Add("models/x", []byte("second"))
	if err := json.Unmarshal([]byte(run.line(t)), &got); err != nil {
		t.Fatal(err)
	}
	want = changedModel{reg.Ref(first), second.Descriptor.Digest.String(), first.Descriptor.Digest.String()}
	if got.Models[0] != want {
		t.Errorf("%+v", got)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "weights-1.bin")); err != nil || string(data) != "second" {
		t.Errorf("%q, %v", data, err)
	}
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(run.stderr.String())
	resp, err := http.Get(address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !strings.Contains(string(metrics), "tare_sync_changes_total 2\n") {
		t.Errorf("%s", metrics)
	}
	http.DefaultClient.CloseIdleConnections()
	run.stop(t)
	if _, err := os.Stat(ready); err == nil {
		t.Error("the ready file is there after the end")
	}
}

// TestSyncEndsAtOnce where waiting is of no use, before anything is installed.
func TestSyncEndsAtOnce(t *testing.T) {
	reg := fault.New(t)
	art := reg.Add("models/x", []byte("one"))
	taken := newHealth(nil)
	at, stop, err := taken.serve(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	mine := filepath.Join(t.TempDir(), "mine")
	if err := os.WriteFile(mine, []byte("my notes"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, test := range map[string]struct {
		args []string
		code int
	}{
		"no such tag":           {[]string{reg.Host + "/models/x:nope", dir}, exitNotFound},
		"bad reference":         {[]string{"UPPER", dir}, exitUsage},
		"bad subdir":            {[]string{reg.Ref(art) + "=../x", dir}, exitUsage},
		"empty subdir":          {[]string{reg.Ref(art) + "=", dir}, exitUsage},
		"two in one place":      {[]string{reg.Ref(art) + "=a", "h.io/r=a", dir}, exitUsage},
		"interval":              {[]string{reg.Ref(art), dir, "--interval", "999ms"}, exitUsage},
		"keep":                  {[]string{reg.Ref(art), dir, "--keep", "-1"}, exitUsage},
		"format":                {[]string{reg.Ref(art), dir, "--format", "{{.Nope}}"}, exitUsage},
		"health address":        {[]string{reg.Ref(art), dir, "--health-addr", "9090"}, exitUsage},
		"port in use":           {[]string{reg.Ref(art), dir, "--health-addr", at.String()}, exitFailed},
		"ready is directory":    {[]string{reg.Ref(art), dir, "--ready-file", "/"}, exitUsage},
		"ready is of somebody":  {[]string{reg.Ref(art), dir, "--ready-file", mine}, exitUsage},
		"ready is a file below": {[]string{reg.Ref(art), dir, "--ready-file", filepath.Join(dir, "ready")}, exitUsage},
	} {
		if err := <-startSync(t, test.args...).done; exitCode(err) != test.code {
			t.Errorf("%s: %v, want exit code %d", name, err, test.code)
		}
	}
	reg.Script(fault.Manifest, fault.Status(403).Head().Always(), fault.Status(403).Always())
	if err := <-startSync(t, reg.Ref(art), dir).done; exitCode(err) != exitDenied {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestSyncWhoseOutputNobodyReads ends, with what that means for a command.
func TestSyncWhoseOutputNobodyReads(t *testing.T) {
	reg := fault.New(t)
	art := reg.Add("models/x", []byte("one"))
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	cmd := (&app{progress: "none"}).newSyncCommand()
	cmd.SetArgs([]string{reg.Ref(art), t.TempDir()})
	cmd.SetOut(fullDisk{})
	cmd.SetErr(io.Discard)
	if err := cmd.ExecuteContext(t.Context()); exitCode(err) != exitFailed || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("%v", err)
	}
}

// TestTheClientOfASyncIsOne, so that tokens and connections are used again.
func TestTheClientOfASyncIsOne(t *testing.T) {
	reg := fault.New(t, fault.WithTokens(time.Hour))
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("TARE_USERNAME", fault.Username)
	t.Setenv("TARE_PASSWORD", fault.Password)
	a, b := reg.Add("models/a", []byte("a")), reg.Add("models/b", []byte("b"))
	d := &destination{models: parseFollowed(t, reg.Ref(a)+"=a", "oci://"+reg.Ref(b)+"=b")}
	client, err := d.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for check := range 3 {
		v, err := d.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := (follow.Version{{Reference: reg.Ref(a), Digest: a.Descriptor.Digest}, {Reference: reg.Ref(b), Digest: b.Descriptor.Digest}}); !v.Equal(want) {
			t.Errorf("%v, want %v", v, want)
		}
		if n := len(reg.Requests()); check > 0 && n != 2 {
			t.Errorf("check %d of two references: %d requests", check, n)
		}
		reg.Forget()
	}
	moved := reg.Add("models/a", []byte("moved"))
	if model, err := d.models[0].pinned(t.Context(), a.Descriptor.Digest); err != nil || model.Digest != a.Descriptor.Digest || moved.Descriptor.Digest == a.Descriptor.Digest {
		t.Errorf("%v: not what the check found", err)
	}
}

func parseFollowed(t *testing.T, args ...string) (models []followed) {
	t.Helper()
	targets, err := parseTargets(args)
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range targets {
		models = append(models, followed{target: to})
	}
	return models
}

func TestHeld(t *testing.T) {
	models := parseFollowed(t, "h.io/a:v1=a", "h.io/b:v1=b")
	x, y := digest.FromString("x"), digest.FromString("y")
	a := extract.Version{Repository: "h.io/a", Subdir: "a", Digest: x, Intact: true}
	b := extract.Version{Repository: "h.io/b", Subdir: "b", Digest: y, Intact: true}
	edited, elsewhere := b, b
	edited.Intact, elsewhere.Subdir = false, "c"
	both := x.String() + " " + y.String()
	for name, test := range map[string]struct {
		there  []extract.Version
		want   string
		intact bool
	}{
		"both":            {[]extract.Version{b, a}, both, true},
		"with others":     {[]extract.Version{elsewhere, a, b}, both, true},
		"one edited":      {[]extract.Version{a, edited}, both, false},
		"one missing":     {[]extract.Version{a}, "", false},
		"one elsewhere":   {[]extract.Version{a, elsewhere}, "", false},
		"nothing":         {nil, "", false},
		"edited, not all": {[]extract.Version{edited}, "", false},
	} {
		v, intact := held(models, test.there)
		if v.Digests() != test.want || intact != test.intact || v != nil && v.References() != "h.io/a:v1 h.io/b:v1" {
			t.Errorf("%s: %v, %t", name, v, intact)
		}
	}
}

func TestHopeless(t *testing.T) {
	for _, err := range []error{registry.ErrDenied, blob.ErrNotFound, blob.ErrHostile, blob.ErrMismatch, modelpack.ErrNotModel, usage(errors.New("x")), &extract.ConflictError{}, &extract.AtomicError{}} {
		if !hopeless(fmt.Errorf("wrapped: %w", err)) {
			t.Errorf("%v may pass", err)
		}
	}
	for _, err := range []error{registry.ErrUnreachable, registry.ErrUnavailable, errors.New("no space"), context.DeadlineExceeded} {
		if hopeless(err) {
			t.Errorf("%v is hopeless", err)
		}
	}
}

func TestSyncInTheWrongOrder(t *testing.T) {
	for _, args := range [][]string{
		{"./models", "h.io/team/m:v1"}, {"./models", "h.io/team/m"}, {"/models", "h.io/team/m"},
		{"models", "h.io/team/m:v1"}, {"h.io/a:v1", "h.io/b:v1"}, {"models", "oci://h.io/team/m:v1"},
	} {
		_, _, err := syncArguments(args)
		var h hinter
		if !errors.As(err, &h) || exitCode(err) != exitUsage || !strings.HasPrefix(h.Hint(), "the directory comes last: tare sync ") {
			t.Errorf("%v: %v", args, err)
		}
	}
	for _, args := range [][]string{{"h.io/m", "models"}, {"h.io/m", "h.io/m"}, {"h.io/a:v1=a", "h.io/b=b", "./x:y"}} {
		if targets, dir, err := syncArguments(args); err != nil || len(targets) != len(args)-1 || dir != args[len(args)-1] {
			t.Errorf("%v: %v, %q, %v", args, targets, dir, err)
		}
	}
	_, _, err := syncArguments([]string{"models:", "/models"})
	var h hinter
	if err == nil || errors.As(err, &h) && strings.Contains(h.Hint(), "comes last") {
		t.Errorf("%v: the order was right", err)
	}
}

func TestIntervalWithoutUnit(t *testing.T) {
	cmd := (&app{}).newSyncCommand()
	for _, bad := range []string{"5", "", "x", "5 minutes"} {
		if err := cmd.Flags().Set("interval", bad); err == nil || !strings.Contains(err.Error(), "such as 5s or 5m") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := cmd.Flags().Set("interval", "90s"); err != nil || cmd.Flag("interval").Value.String() != "1m30s" || cmd.Flag("interval").DefValue != "5m0s" {
		t.Errorf("%v, %v", cmd.Flag("interval"), err)
	}
}

// TestSyncLogComplainsOnce for each thing that fails, and says when it works.
func TestSyncLogComplainsOnce(t *testing.T) {
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetErr(&out)
	l := &syncLog{cmd: cmd, dir: "/models"}
	down := fmt.Errorf("resolving h.io/r:v1: %w", registry.ErrUnreachable)
	denied := withHint(fmt.Errorf("resolving h.io/r:v1: %w", registry.ErrDenied), "tare login h.io")
	full := errors.Join(errors.New("no space"), errors.New("left"))
	v, stays := testVersion(), "/models stays at "+digest.FromString("x").String()
	for _, step := range []struct {
		round follow.Round
		want  string
	}{
		{follow.Round{Version: v}, ""},
		{follow.Round{Check: down, Wait: 100 * time.Millisecond}, "resolving h.io/r:v1: unreachable; /models holds no complete version; trying again in 1s\n"},
		{follow.Round{Version: v, Check: down, Wait: 10 * time.Second}, ""},
		{follow.Round{Version: v, Check: denied, Wait: 20 * time.Second}, "resolving h.io/r:v1: denied; " + stays + "; trying again in 20s\nhint: tare login h.io\n"},
		{follow.Round{Version: v}, "the registry answers again\n"},
		{follow.Round{Version: v}, ""},
		{follow.Round{Version: v, Apply: full, Wait: 5400 * time.Millisecond}, "no space; left; " + stays + "; trying again in 5s\n"},
		{follow.Round{Version: v, Check: down, Wait: time.Minute}, "resolving h.io/r:v1: unreachable; " + stays + "; trying again in 1m0s\n"},
		{follow.Round{Version: v, OnChange: errors.New("exit status 1"), Wait: time.Minute}, "the registry answers again\nthe directory is as it should be again\nexit status 1; " +
			"/models has the new version " + v.Digests() + "; trying again in 1m0s\n"},
		{follow.Round{Version: v, Due: true}, ""}, // it was not run, for the files are damaged
		{follow.Round{Version: v}, "--on-change succeeded\n"},
	} {
		out.Reset()
		l.Done(step.round)
		if out.String() != step.want {
			t.Errorf("%+v: %q, want %q", step.round, out.String(), step.want)
		}
	}
}

// TestSyncLogRemindsOfTheCommand that goes on failing: for each version, and each
// tenth time.
func TestSyncLogRemindsOfTheCommand(t *testing.T) {
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetErr(&out)
	l := &syncLog{cmd: cmd, dir: "/models"}
	x := testVersion()
	y := follow.Version{{Reference: x[0].Reference, Digest: digest.FromString("y")}}
	failed := errors.New("the command failed (exit status 3)")
	var said []string
	for n := range 31 {
		r := follow.Round{Version: x, OnChange: failed, Wait: 2 * time.Second}
		if n > 13 {
			r.Version = y
		}
		if n == 5 {
			r.Check = registry.ErrUnreachable
		}
		out.Reset()
		if l.stage(commandStage, r.OnChange, r); out.Len() > 0 {
			said = append(said, fmt.Sprintf("%d: %s", n+1, strings.TrimSuffix(out.String(), "\n")))
		}
	}
	want := []string{
		"1: the command failed (exit status 3); /models has the new version " + x.Digests() + "; trying again in 2s",
		"10: the command failed (exit status 3), 10 times in a row; /models has the new version " + x.Digests() + "; trying again in 2s",
		"15: the command failed (exit status 3), 15 times in a row; /models has the new version " + y.Digests() + "; trying again in 2s",
		"20: the command failed (exit status 3), 20 times in a row; /models has the new version " + y.Digests() + "; trying again in 2s",
		"30: the command failed (exit status 3), 30 times in a row; /models has the new version " + y.Digests() + "; trying again in 2s",
	}
	if !slices.Equal(said, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
	out.Reset()
	l.Done(follow.Round{Version: y})
	l.Done(follow.Round{Version: x, OnChange: failed, Wait: time.Second})
	if want := "--on-change succeeded\nthe command failed (exit status 3); /models has the new version " + x.Digests() + "; trying again in 1s\n"; out.String() != want {
		t.Errorf("after a success: %q, want %q", out.String(), want)
	}
}

func TestSyncLogPrintsChanges(t *testing.T) {
	x, y := digest.FromString("x"), digest.FromString("y")
	version := func(a, b digest.Digest) follow.Version {
		return follow.Version{{Reference: "h.io/a:v1", Digest: a}, {Reference: "h.io/b:v1", Digest: b}}
	}
	for name, test := range map[string]struct {
		format   string
		from, to follow.Version
		want     string
	}{
		"first":    {"table", nil, testVersion(), "h.io/r:v1 " + x.String() + " 3 files, 2 changed, 2.0 KiB\n"},
		"moved":    {"table", version(x, x), version(x, y), "h.io/b:v1 " + y.String() + " (was " + x.String() + ") 3 files, 2 changed, 2.0 KiB\n"},
		"restored": {"table", testVersion(), testVersion(), "h.io/r:v1 " + x.String() + " (restored) 3 files, 2 changed, 2.0 KiB\n"},
		"template": {"{{(index .Models 0).Previous}} {{.Moved}}", version(y, x), version(x, x), y.String() + " 7\n"},
		"json": {"json", nil, testVersion(), `{"Time":"2026-01-02T15:04:05.123Z","Directory":"/models","Models":[{"Reference":"h.io/r:v1","Digest":"` +
			x.String() + `","Previous":""}],"Files":3,"Changed":2,"Size":2048,"Written":12,"Moved":7,"Resumed":5,"Skipped":3,"Seconds":1.5}` + "\n"},
	} {
		var out bytes.Buffer
		cmd := &cobra.Command{}
		cmd.SetOut(&out)
		l := &syncLog{cmd: cmd, format: formatFlag{test.format}, dir: "/models"}
		l.Changed(follow.Change{
			Time: time.Date(2026, 1, 2, 15, 4, 5, 123456789, time.UTC), From: test.from, To: test.to, Took: 1500 * time.Millisecond,
			Result: follow.Result{Files: 3, Changed: 2, Size: 2048, Written: 12, Moved: 7, Resumed: 5, Skipped: 3},
		})
		want := test.want
		if test.format == "table" {
			want = "2026-01-02T15:04:05Z " + want
		}
		if out.String() != want || l.err != nil {
			t.Errorf("%s: %q, %v, want %q", name, out.String(), l.err, want)
		}
	}
}

func TestToldFileIsForTheseModels(t *testing.T) {
	seen := map[string]bool{}
	for _, args := range [][]string{{"h.io/a:v1"}, {"h.io/a:v2"}, {"h.io/a:v1=a"}, {"h.io/a:v1=a", "h.io/b=b"}} {
		file := (&destination{dir: "/models", models: parseFollowed(t, args...)}).toldFile()
		if seen[file] || filepath.Dir(file) != filepath.FromSlash("/models/.tare") {
			t.Errorf("%v: %s", args, file)
		}
		seen[file] = true
	}
}
