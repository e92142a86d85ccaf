//go:build unix

package follow

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func TestCommandKnowsTheChange(t *testing.T) {
	a, b, c := digest.FromString("a"), digest.FromString("b"), digest.FromString("c")
	var out bytes.Buffer
	command := Command{Line: `echo "$TARE_DIR|$TARE_REFERENCE|$TARE_DIGEST|$TARE_PREVIOUS|$KEPT"; echo oops >&2`, Dir: "/models", Output: &out}
	t.Setenv("KEPT", "kept")
	from, to := Version{{"r:1", a}, {"s:1", b}}, Version{{"r:1", a}, {"s:1", c}}
	if err := command.Run(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	want := "/models|r:1 s:1|" + a.String() + " " + c.String() + "|" + a.String() + " " + b.String() + "|kept\noops\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	if err := command.Run(t.Context(), nil, to[:1]); err != nil || out.String() != "/models|r:1|"+a.String()+"||kept\noops\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestCommandFails(t *testing.T) {
	for line, want := range map[string]string{
		"exit 3":         "the command failed (exit status 3)",
		"kill -TERM $$":  "the command failed (signal: terminated)",
		"no-such-thing!": "exit status 127",
	} {
		if err := (Command{Line: line, Output: io.Discard}).Run(t.Context(), nil, version(1)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestCommandMayComeToItsEnd when we are to end.
func TestCommandMayComeToItsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	started := &trigger{cancel}
	file := filepath.Join(t.TempDir(), "done")
	command := Command{Line: "echo started; echo x >" + file, Output: started, Grace: time.Hour}
	if err := command.Run(ctx, nil, version(1)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	if err := command.Run(ctx, nil, version(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, started after the end", err)
	}
}

// TestCommandIsKilled with all that it started.
func TestCommandIsKilled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	fifo := filepath.Join(t.TempDir(), "alive")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	command := Command{Line: "exec 3<>" + fifo + "; sleep 3600 & echo started; wait", Output: &trigger{cancel}, Grace: time.Millisecond}
	err := command.Run(ctx, nil, version(1))
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "killed") {
		t.Fatal(err)
	}
	// As soon as nobody holds the other end, there is nobody to write to.
	for {
		f, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if errors.Is(err, syscall.ENXIO) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// trigger calls something when a command says the first word.
type trigger struct{ call func() }

func (t *trigger) Write(p []byte) (int, error) {
	t.call()
	return len(p), nil
}

// TestCommandLeavesSomethingRunning, which holds its output open.
func TestCommandLeavesSomethingRunning(t *testing.T) {
	pid := &bytes.Buffer{}
	command := Command{Line: "sleep 3600 & echo $!", Output: pid}
	if err := command.Run(t.Context(), nil, version(1)); err != nil {
		t.Error(err)
	}
	if err := (Command{Line: "kill " + pid.String(), Output: io.Discard}).Run(t.Context(), nil, nil); err != nil {
		t.Error(err)
	}
}
