package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

const (
	// defaultGrace is the time that a command has to come to its end.
	defaultGrace = 10 * time.Second

	// pipeGrace is how long the output of a command is waited for that has ended,
	// while something that it left running holds it open.
	pipeGrace = time.Second
)

// Command is a line for the shell that is run after a change: sh -c, on Windows
// cmd /c. Its environment is ours and
//
//	TARE_DIR        the directory
//	TARE_REFERENCE  the reference
//	TARE_DIGEST     what the reference points to
//	TARE_PREVIOUS   the digest that the command was last told of, if any
//
// where several references have blanks between them, and so have their digests.
type Command struct {
	Line   string
	Dir    string
	Output io.Writer // of the command, standard error included

	// Grace is how long the command may go on when the context ends, before it is
	// killed with all that it started: 10 seconds if zero.
	Grace time.Duration
}

// Run runs the command to its end.
func (c Command) Run(ctx context.Context, from, to Version) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	late, cancel := c.late(ctx)
	defer cancel()
	cmd := shell(late, c.Line)
	cmd.Env = append(os.Environ(),
		"TARE_DIR="+c.Dir,
		"TARE_REFERENCE="+to.References(),
		"TARE_DIGEST="+to.Digests(),
		"TARE_PREVIOUS="+from.Digests(),
	)
	cmd.Stdout, cmd.Stderr = c.Output, c.Output
	cmd.Cancel = func() error { return kill(cmd.Process) }
	cmd.WaitDelay = pipeGrace
	err := cmd.Run()
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay) && late.Err() == nil:
		return nil
	case late.Err() != nil:
		return fmt.Errorf("running %q: killed, it took too long to end: %w", c.Line, ctx.Err())
	}
	return fmt.Errorf("the command failed (%w)", err)
}

// late ends some time after ctx does.
func (c Command) late(ctx context.Context) (context.Context, context.CancelFunc) {
	grace := c.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return late, func() {
		stop()
		cancel()
	}
}
