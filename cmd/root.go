// Package cmd is the command line of tare: it reads flags, calls the packages
// that do the work, and prints what came of it. Results go to standard output,
// everything else to standard error.
//
// A file holds a command: a constructor that declares its flags and a run
// function that takes them as a struct.
package cmd

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/progress"
	"github.com/tareml/tare/registry"
	"github.com/tareml/tare/storage"
)

const longHelp = `tare packages AI models as OCI artifacts that follow the CNCF ModelPack spec,
and moves them between disk, registries and the machines that serve them.

  tare modelfile generate .                 describe the model in this directory
  tare build -t registry/team/model:v1 .    package it into the local store
  tare push registry/team/model:v1          send it to a registry
  tare extract registry/team/model:v1 DIR   put its files where a server looks

Environment:
  TARE_STORE         the local store, instead of ~/.tare/store
  DOCKER_CONFIG      the directory of docker's config.json, for credentials
  TARE_USERNAME      with TARE_PASSWORD: credentials for the registry of the
  TARE_PASSWORD      command's reference, instead of those in config.json
  TARE_REGISTRY      the one registry that they are for, instead of that one
  TARE_AUTH_FILE     a mounted pull secret (.dockerconfigjson), to look in first
  AWS_PROFILE, …     credentials for Amazon ECR, as programs for AWS find them
  TARE_HOSTS_DIR     mirrors, as containerd has them, instead of ~/.tare/certs.d
  HTTPS_PROXY        the proxy, unless --proxy names one; HTTP_PROXY for plain
  NO_PROXY           HTTP, NO_PROXY for hosts to go to directly
  SOURCE_DATE_EPOCH  the creation time that a build records, in Unix seconds

Exit codes:
  0 it happened   1 failed      2 wrong usage   3 not found   4 denied
  5 content does not match its digest, or is hostile
  6 network       130 interrupted`

// Main runs the command line and returns the exit code.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{args: args}
	root := a.newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(registry.WithNotice(ctx, a.explainWait))
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errReaderGone) {
		return exitReaderGone
	}
	var wrong *usageError
	if errors.As(err, &wrong) {
		wrong.command = cmd.CommandPath()
	} else if !a.started {
		err = &usageError{err: err, command: cmd.CommandPath()}
	}
	if ctx.Err() != nil {
		err = interrupted(err)
	}
	printError(stderr, err)
	return exitCode(err)
}

// app is what the commands of one run share.
type app struct {
	args     []string // of the whole command line
	storeDir string
	progress string
	started  bool // a command began: its flags and arguments were all right

	shown atomic.Pointer[progress.Reporter] // the last one
}

// explainWait says why nothing moves, above the progress.
func (a *app) explainWait(text string) {
	if r := a.shown.Load(); r != nil {
		r.Note(printable(text))
	}
}

func (a *app) newRootCommand() *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:           "tare",
		Short:         "Package AI models as OCI artifacts and move them around",
		Long:          longHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          argsBetween(0, 0),
		PersistentPreRunE: func(*cobra.Command, []string) error {
			_, err := progress.ParseMode(a.progress)
			return err
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if showVersion {
				return say(cmd, "tare %s", currentVersion())
			}
			return cmd.Help()
		},
	}
	// cobra's own flag would need a template, and text/template makes the binary 3 MB larger.
	root.Flags().BoolVarP(&showVersion, "version", "v", false, "version for tare")
	flags := root.PersistentFlags()
	flags.StringVar(&a.storeDir, "store", "", "the local store (default $TARE_STORE,\nelse ~/.tare/store)")
	flags.StringVar(&a.progress, "progress", string(progress.Auto), "auto, bar, plain, json or none")
	root.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions(progress.Modes(), cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(
		a.newModelfileCommand(),
		a.newBuildCommand(),
		a.newListCommand(),
		a.newPushCommand(),
		a.newPullCommand(),
		a.newExtractCommand(),
		a.newFetchCommand(),
		a.newSyncCommand(),
		a.newInspectCommand(),
		a.newTagCommand(),
		a.newRemoveCommand(),
		a.newPruneCommand(),
		a.newVerifyCommand(),
		a.newLoginCommand(),
		a.newLogoutCommand(),
		a.newVersionCommand(),
	)
	useOwnHelp(root)
	root.SetFlagErrorFunc(a.flagError)
	a.watchStart(root)
	return root
}

// watchStart notes when a command begins: what fails before that, flags and
// arguments, is wrong usage.
func (a *app) watchStart(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		a.watchStart(c)
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			a.started = true
			return run(cmd, args)
		}
	}
}

// errNoStore says that nothing tells where the local store is.
var errNoStore = withHint(errors.New("there is no home directory to look for the local store in"), "name a directory with --store or TARE_STORE")

// store opens the local store that flags and environment name.
func (a *app) store() (*storage.Store, error) {
	dir := cmp.Or(a.storeDir, os.Getenv("TARE_STORE"))
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, errNoStore
		}
		dir = filepath.Join(home, ".tare", "store")
	}
	return storage.Open(dir)
}

// reporter makes the progress of a command.
func (a *app) reporter(cmd *cobra.Command) *progress.Reporter {
	w := cmd.ErrOrStderr()
	r := progress.New(a.progressMode(cmd), w, columns(w))
	a.shown.Store(r)
	return r
}

// progressMode is --progress, but the lines of --debug would tear a bar to pieces.
func (a *app) progressMode(cmd *cobra.Command) progress.Mode {
	mode := progress.Mode(a.progress)
	if debug, err := cmd.Flags().GetBool("debug"); err == nil && debug && mode == progress.Auto {
		return progress.Plain
	}
	return mode
}
