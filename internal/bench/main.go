// Command bench holds tare against the machine that it runs on. Each step is run
// side by side with its floor: the least that plain tools need for the same work
// on the same files, at the same time of day. Ratios mean something on any
// machine, seconds only on one.
//
//	go run ./internal/bench -tare bin/tare
//	SIZE=256MiB RUNS=3 go run ./internal/bench -tare bin/tare -only build,verify
//	go run ./internal/bench -tare bin/tare -peer oras=/usr/bin/oras -only pull,pull-oras
//	go run ./internal/bench -tare bin/tare -only extract-store,extract-unchanged
//	go run ./internal/bench -tare bin/tare -only push,repush,push-cuts
//	go run ./internal/bench -tare bin/tare -peer modctl=/usr/bin/modctl -big
//
// It is told the rest by the environment: SIZE of the weights (2GiB), SHARDS
// that they come in (2), RUNS of each step (5), DIR to work in, which should be
// on a disk (a temporary directory). DIR needs room for five times SIZE, for six
// times with -peer, for twenty-four with -big. All of it is removed at the end,
// also after ^C.
//
// Pulls and some extracts are from a registry on the loopback interface, and pushes
// are to it, some of them through a bad network that runs in this process: neither
// counts as anybody's processor time, but both take it from the same processors.
// Figures of two sides compare because both have the same registry and the same
// network. Before each push the registry is empty.
//
// It needs cp, cmp and sync of GNU, openssl and tar, and so Linux in practice; for
// registries curl and the registry of CNCF distribution (make bin/distribution).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := parseConfig(os.Args[1:], os.Getenv, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run works in a directory of its own and prints what it found, even if it did
// not get to the end.
func run(ctx context.Context, c config) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if c.tare, err = filepath.Abs(c.tare); err != nil {
		return err
	}
	info, err := os.Stat(c.tare)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.dir, "tare-bench-*")
	if err != nil {
		return err
	}
	b := &bench{config: c, dir: dir, progress: os.Stderr}
	defer func() {
		b.remote.end()
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	steps, err := b.selected()
	if err != nil {
		return err
	}
	results, err := b.measureAll(ctx, steps)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if len(results) > 0 {
		title(os.Stdout, c)
		printTable(os.Stdout, results)
		fmt.Printf("\nbinary: %.1f MiB\n", mib(info.Size()))
	}
	return err
}
