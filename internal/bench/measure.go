package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// bench is one run of the program.
type bench struct {
	config
	dir      string    // scratch
	progress io.Writer // says what is going on
	remote   remote
	digests  []string // of the shards, if somebody needed them
	piece    [256 << 10]byte
}

// result is what a step came to.
type result struct {
	name    string
	skipped string  // why, if it was
	size    int64   // of the model
	mayRead int64   // the most that tare may read, 0 if nobody minds
	sends   bool    // it sends the model
	tare    []usage // one a run
	floor   []usage // as many, or none
}

// usage is what one side took.
type usage struct {
	wall time.Duration
	cpu  time.Duration // of all its processes; other programs do not disturb it
	peak int64         // memory of its largest process in bytes, 0 if not known
	wire int64         // bytes that it was sent over the network, or sent, 0 if nobody counted
	traffic
}

// traffic is the bytes that system calls read and wrote, from and to files, pipes
// and sockets; 0 if the system does not count.
type traffic struct{ read, written int64 }

// measureAll measures step after step. What it has when it fails is returned too.
func (b *bench) measureAll(ctx context.Context, steps []step) ([]result, error) {
	var all []result
	for _, s := range steps {
		r, err := b.measure(ctx, s)
		if err != nil {
			return all, fmt.Errorf("%s: %w", s.name, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// measure runs tare and floor in turns, so that both meet the same weather.
func (b *bench) measure(ctx context.Context, s step) (result, error) {
	r := result{name: s.name, size: b.size, mayRead: s.mayRead, sends: s.sends}
	if s.skip != "" {
		r.skipped = s.skip
		return r, nil
	}
	if ok, err := b.has(ctx, s.needs); !ok {
		r.skipped = fmt.Sprintf("this tare has no %s", s.needs)
		return r, err
	}
	fmt.Fprintf(b.progress, "%s: preparing\n", s.name)
	if err := perform(ctx, s.prepare); err != nil {
		return r, err
	}
	runs := b.runs
	if s.once {
		runs = 1
	}
	for range runs {
		if err := b.turn(ctx, s, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

// turn runs tare, and then the floor if there is one.
func (b *bench) turn(ctx context.Context, s step, r *result) error {
	tare, err := b.timed(ctx, s.tare)
	if err != nil {
		return err
	}
	r.tare = append(r.tare, tare)
	if s.floor.isNone() {
		fmt.Fprintf(b.progress, "%s: %.3f s\n", s.name, tare.wall.Seconds())
		return nil
	}
	floor, err := b.timed(ctx, s.floor)
	if err != nil {
		return err
	}
	r.floor = append(r.floor, floor)
	fmt.Fprintf(b.progress, "%s: %.3f s, floor %.3f s\n", s.name, tare.wall.Seconds(), floor.wall.Seconds())
	return nil
}

func perform(ctx context.Context, actions []action) error {
	for _, a := range actions {
		if err := a(ctx); err != nil {
			return err
		}
	}
	return nil
}

// has says whether tare knows a command, or a flag of a command.
func (b *bench) has(ctx context.Context, needs string) (bool, error) {
	words := strings.Fields(needs)
	if len(words) == 0 {
		return true, nil
	}
	last := len(words) - 1
	help, err := exec.CommandContext(ctx, b.tare, append(words[:last:last], "--help")...).Output()
	for line := range strings.Lines(string(help)) {
		fields := strings.Fields(line)
		if slices.Contains(fields[:min(2, len(fields))], words[last]) {
			return true, err
		}
	}
	return false, err
}

// timed runs the commands of a side at once, on a disk that has nothing else to
// write, until all have ended.
func (b *bench) timed(ctx context.Context, s side) (usage, error) {
	if err := perform(ctx, s.setup); err != nil {
		return usage{}, err
	}
	if err := exec.CommandContext(ctx, "sync").Run(); err != nil {
		return usage{}, fmt.Errorf("sync: %w", err)
	}
	commands := s.commands
	if s.late != nil {
		commands = s.late()
	}
	var cmds []*process
	for _, args := range commands {
		cmds = append(cmds, newProcess(ctx, s.home, args))
	}
	var errs []error
	start := time.Now()
	for _, c := range cmds {
		errs = append(errs, c.Start())
	}
	for _, c := range cmds {
		errs = append(errs, c.wait())
	}
	u := usage{wall: time.Since(start)}
	for _, c := range cmds {
		u.cpu += c.cpu()
		u.peak = max(u.peak, c.peak())
		u.read += c.traffic.read
		u.written += c.traffic.written
	}
	if err := errors.Join(errs...); err != nil {
		return u, err
	}
	if s.wire != nil {
		var err error
		if u.wire, err = s.wire(ctx); err != nil {
			return u, err
		}
	}
	return u, perform(ctx, s.after)
}

// command is an action that runs a command without timing it.
func (b *bench) command(home string, args []string) action {
	return func(ctx context.Context) error {
		c := newProcess(ctx, home, args)
		if err := c.Start(); err != nil {
			return err
		}
		return c.wait()
	}
}

// process is a command with a home of its own. It is killed with ctx, and all
// that it started with it.
type process struct {
	*exec.Cmd
	output  bytes.Buffer
	traffic traffic // when it has ended
}

func newProcess(ctx context.Context, home string, args []string) *process {
	p := &process{Cmd: exec.CommandContext(ctx, args[0], args[1:]...)}
	p.Env = append(os.Environ(),
		"HOME="+home,
		"XDG_CACHE_HOME="+filepath.Join(home, "cache"),
		"XDG_CONFIG_HOME="+filepath.Join(home, "config"),
		"XDG_DATA_HOME="+filepath.Join(home, "data"),
		"DOCKER_CONFIG="+filepath.Join(home, "docker"),
		"KITOPS_HOME="+filepath.Join(home, "kit"),
		"TARE_STORE="+filepath.Join(home, "store"),
	)
	p.Stdout, p.Stderr = &p.output, &p.output
	p.WaitDelay = time.Second
	killGroup(p.Cmd)
	return p
}

// wait waits for the end. An error has what the command said.
func (p *process) wait() error {
	if p.Process == nil {
		return nil // Start has told
	}
	p.traffic = awaitTraffic(p.Process.Pid)
	if err := p.Wait(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(p.Args, " "), err, bytes.TrimSpace(p.output.Bytes()))
	}
	return nil
}

// cpu is the processor time of the ended process, and of those that it waited
// for.
func (p *process) cpu() time.Duration {
	if p.ProcessState == nil {
		return 0
	}
	return p.ProcessState.UserTime() + p.ProcessState.SystemTime()
}

// peak is the most memory that the ended process had, in bytes, 0 if the system
// does not tell. On Linux a process starts with the peak of whoever started it:
// ours must stay below what we measure.
func (p *process) peak() int64 {
	if p.ProcessState == nil {
		return 0
	}
	return maxRSS(p.ProcessState)
}
