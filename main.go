// Command tare packages AI models as OCI artifacts, keeps them in a local OCI
// image layout, and moves them between disk, registries and the machines that
// serve them.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/tareml/tare/cmd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A reader of our output that goes away is an error of a write, so that work in
	// progress is cleaned up. Ignoring the signal would pass on to child processes.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	// net/http logs what servers do wrong, in their words; errors say it in ours.
	log.SetOutput(io.Discard)
	// The first signal ends the work in order, the second one at once.
	context.AfterFunc(ctx, stop)
	os.Exit(cmd.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
