package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/modelpack"
	"github.com/tareml/tare/registry"
)

func TestExitCodes(t *testing.T) {
	for want, errs := range map[int][]error{
		0:   {nil},
		1:   {errors.New("x"), modelpack.ErrNotModel},
		2:   {&usageError{err: blob.ErrNotFound}},
		3:   {blob.ErrNotFound},
		4:   {registry.ErrDenied},
		5:   {blob.ErrMismatch, blob.ErrHostile, errors.Join(blob.ErrNotFound, blob.ErrMismatch)},
		6:   {registry.ErrUnreachable, registry.ErrUnavailable},
		130: {errInterrupted},
	} {
		for _, err := range errs {
			if got := exitCode(err); got != want {
				t.Errorf("%v: %d, want %d", err, got, want)
			}
			if err == nil {
				continue
			}
			if got := exitCode(fmt.Errorf("wrapped: %w", withHint(err, "hint"))); got != want {
				t.Errorf("%v, wrapped: %d, want %d", err, got, want)
			}
		}
	}
}

func TestPrintError(t *testing.T) {
	var out bytes.Buffer
	printError(&out, errors.Join(
		withHint(errors.New("first"), "do %s", "this"),
		fmt.Errorf("second: %w: %w", blob.ErrHostile, errors.New("why")),
	))
	const want = "error: first\nhint: do this\nerror: second: refused: why\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// TestPrintJoinedErrors: errors in one come in one line, each once, and a line
// break in a name is none between errors.
func TestPrintJoinedErrors(t *testing.T) {
	a, b := errors.New("disk full"), errors.New("odd\nname is gone")
	for want, err := range map[string]error{
		"error: disk full\n":                                          errors.Join(a, errors.New("disk full")),
		"error: writing: disk full\n":                                 fmt.Errorf("writing: %w", errors.Join(a, a)),
		"error: writing: disk full; odd\\u000aname is gone\n":         fmt.Errorf("writing: %w", errors.Join(a, b)),
		"error: x: writing: disk full; other (why)\nhint: do\n":       withHint(fmt.Errorf("x: %w", fmt.Errorf("writing: %w (%w)", errors.Join(a, errors.New("other")), errors.New("why"))), "do"),
		"error: x: disk full; other; odd\\u000aname is gone\n":        fmt.Errorf("x: %w", errors.Join(errors.Join(a, errors.New("other")), b)),
		"error: odd\\u000aname is gone\nerror: disk full\n":           errors.Join(b, a),
		"error: \"odd\\u000aname\" here\n":                            fmt.Errorf("%q here", "odd\nname"),
		"error: odd\\u000aname is gone: disk full\nhint: try again\n": withHint(fmt.Errorf("%w: %w", b, a), "try again"),
	} {
		var out bytes.Buffer
		printError(&out, err)
		if strings.ReplaceAll(out.String(), `\n`, `\u000a`) != want {
			t.Errorf("got %q, want %q", out.String(), want)
		}
	}
}

// TestListFitsATerminal: the longest age does not make lines of 80 columns wrap.
func TestListFitsATerminal(t *testing.T) {
	created := time.Now().Add(-11 * 31 * 24 * time.Hour)
	var out bytes.Buffer
	printList(&out, []listed{{
		Repository: "localhost:5000/demo/tiny-llama-1", Tag: "v1", Size: 75_776, Created: &created,
		Digest: "sha256:" + strings.Repeat("a", 64),
	}}, true)
	if !strings.Contains(out.String(), "11 mo ago") {
		t.Errorf("no age in %q", out.String())
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 80 { // and the line break
			t.Errorf("%d columns: %q", len(line)-1, line)
		}
	}
}

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"plain ünï 模": "plain ünï 模", "a\x1b[31mred": `a\u001b[31mred`, "two\nlines": `two\u000alines`, "c1\u009b1m": `c1\u009b1m`, "del\x7f": `del\u007f`, "turn\u202ed": `turn\u202ed`,
	} {
		if got := printable(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
	var out bytes.Buffer
	if err := encodeJSON(&out, map[string]string{"a": "x\u009b\x7f"}); err != nil || out.String() != "{\n  \"a\": \"x\\u009b\\u007f\"\n}\n" {
		t.Errorf("JSON %q, %v", out.String(), err)
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		-time.Hour: "just now", 59 * time.Second: "just now", time.Minute: "1 min ago", 90 * time.Minute: "1 h ago",
		47 * time.Hour: "1 d ago", 14 * 24 * time.Hour: "2 wk ago", 60 * 24 * time.Hour: "2 mo ago", 800 * 24 * time.Hour: "2 yr ago",
	} {
		then := now.Add(-d)
		if got := ago(&then, now); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := ago(nil, now); got != "-" {
		t.Errorf("no time: %q", got)
	}
}

func TestPullPolicy(t *testing.T) {
	for _, c := range []struct{ flag, ref, want string }{
		{"", "h.io/r:latest", "always"}, {"", "h.io/r", "always"}, {"", "h.io/r:v1", "missing"},
		{"", "h.io/r@sha256:0000000000000000000000000000000000000000000000000000000000000000", "missing"},
		{"", "h.io/r:latest@sha256:0000000000000000000000000000000000000000000000000000000000000000", "missing"},
		{"never", "h.io/r", "never"}, {"always", "h.io/r:v1", "always"}, {"missing", "h.io/r", "missing"},
	} {
		ref, err := registry.ParseReference(c.ref)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&origins{pull: c.flag}).policy(ref); got != c.want {
			t.Errorf("%q %s: %q, want %q", c.flag, c.ref, got, c.want)
		}
	}
}

// TestEveryCommandIsDocumented holds what people expect of --help.
func TestEveryCommandIsDocumented(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			visit(sub)
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short help %q", c.CommandPath(), c.Short)
		}
		if !c.HasSubCommands() && c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		var out bytes.Buffer
		c.SetOut(&out)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		help, _, _ := strings.Cut(out.String(), "Flags:") // pflag wraps nothing
		for line := range strings.Lines(help) {
			if len([]rune(strings.TrimRight(line, "\n"))) > 80 {
				t.Errorf("%s: help is wider than 80 columns: %q", c.CommandPath(), line)
			}
		}
	}
	visit((&app{}).newRootCommand())
}

func TestFormat(t *testing.T) {
	type inner struct{ Name string }
	v := []struct {
		Size  int64
		Inner inner
	}{{Size: 1 << 40, Inner: inner{"<a>"}}, {Size: 2}}
	for format, want := range map[string]string{
		"table":                     "table\n",
		"{{.Size}} {{.Inner.Name}}": "1099511627776 <a>\n2 \n",
		"{{json .Inner}}":           "{\"Name\":\"\\u003ca\\u003e\"}\n{\"Name\":\"\"}\n",
		"{{if gt .Size 2}}{{printf \"%d\" .Size}}{{end}}": "1099511627776\n\n",
	} {
		f := formatFlag{format}
		if err := f.check(v); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		cmd := &cobra.Command{}
		var out bytes.Buffer
		cmd.SetOut(&out)
		if err := f.print(cmd, v, func(w io.Writer) { io.WriteString(w, "table\n") }); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v, want %q", format, out.String(), err, want)
		}
	}
	for _, bad := range []string{"xml", "{{", "{{.Nope}}", "{{.Inner.Nope}}", "{{.Size.Nope}}", "{{html .Size}}"} {
		f := formatFlag{bad}
		if err := f.check(v); exitCode(err) != exitUsage {
			t.Errorf("%s: %v, want wrong usage", bad, err)
		}
	}
	for _, later := range []string{"{{(index .Names 2).Nope}}", "{{.Missing.Nope}}"} {
		f := formatFlag{later}
		if err := f.check(map[string]any{"Names": []string{"x"}, "Missing": nil}); err != nil {
			t.Errorf("%s: %v, which the sample does not show", later, err)
		}
	}
}

func TestVersionFlag(t *testing.T) {
	for _, flag := range []string{"--version", "-v"} {
		var stdout, stderr bytes.Buffer
		code := Main(t.Context(), []string{flag}, nil, &stdout, &stderr)
		if want := "tare " + currentVersion() + "\n"; code != exitOK || stdout.String() != want || stderr.Len() != 0 {
			t.Errorf("%s: %d, stdout %q, stderr %q, want %q", flag, code, stdout.String(), stderr.String(), want)
		}
	}
}

// TestUnwrittenResultIsAnError: exit 0 means that somebody could read it.
func TestUnwrittenResultIsAnError(t *testing.T) {
	t.Setenv("TARE_STORE", t.TempDir())
	for _, args := range [][]string{{"version"}, {"--version"}, {"ls"}, {"ls", "--format", "json"}, {"version", "--format", "{{.Version}}"}} {
		if code := Main(context.Background(), args, nil, fullDisk{}, io.Discard); code != exitFailed {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestMainSpeaksOnTheRightStreams(t *testing.T) {
	t.Setenv("TARE_STORE", t.TempDir())
	var stdout, stderr bytes.Buffer
	if code := Main(context.Background(), []string{"version"}, nil, &stdout, &stderr); code != 0 || stdout.Len() == 0 || stderr.Len() != 0 {
		t.Errorf("version: %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
	}
	stdout.Reset()
	if code := Main(context.Background(), []string{"inspect", "h.io/r:v1"}, nil, &stdout, &stderr); code != 3 || stdout.Len() != 0 || stderr.Len() == 0 {
		t.Errorf("inspect: %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if code := Main(canceled, []string{"prune", "--store", "cmd_test.go"}, nil, &stdout, &stderr); code != 130 {
		t.Errorf("interrupted: %d", code)
	}
}
