// Command tare packages AI models as OCI artifacts, keeps them in a local OCI
// image layout, and moves them between disk, registries and the machines that
// serve them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/tareml/tare/cmd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends the work in order, the second one at once.
	context.AfterFunc(ctx, stop)
	os.Exit(cmd.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
