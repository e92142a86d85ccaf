package cmd

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tareml/tare/registry"
	"github.com/tareml/tare/registry/ecr"
)

type loginOptions struct {
	remoteFlags
	username      string
	password      string
	passwordStdin bool
}

func (a *app) newLoginCommand() *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:   "login REGISTRY",
		Short: "Check and save credentials for a registry",
		Long: `Check credentials with a registry and save them where docker does: in its
credential helper if one is set up, else in config.json.

Amazon ECR needs no login: without --username this checks that the AWS
credentials of the environment, the profile or the role work there.`,
		Example: `  echo "$TOKEN" | tare login registry.example.com -u robot --password-stdin
  tare login ghcr.io -u me`,
		Args: argsBetween(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLogin(cmd, o, args[0])
		},
	}
	o.remoteFlags.register(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&o.username, "username", "u", "", "user name")
	flags.StringVarP(&o.password, "password", "p", "", "password; other users can see it:\nprefer --password-stdin")
	flags.BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from standard input")
	cmd.MarkFlagsMutuallyExclusive("password", "password-stdin")
	return cmd
}

func runLogin(cmd *cobra.Command, o loginOptions, host string) error {
	if _, err := registry.ParseRegistry(host); err != nil {
		return usage(err)
	}
	if o.nobody() && ecr.Handles(host) {
		return o.checkAmazon(cmd, host)
	}
	if cmd.Flags().Changed("password") {
		note(cmd, "warning: a password on the command line is seen by others: --password-stdin")
	}
	if err := o.ask(cmd); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return usage(err)
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	defer client.Close()
	saved, err := client.Login(cmd.Context(), host, o.username, o.password)
	if err != nil {
		return err
	}
	warnOf(cmd, host, saved)
	return say(cmd, "logged in to %s", host)
}

// warnOf says what the user may not expect of credentials that were saved.
func warnOf(cmd *cobra.Command, host string, saved registry.Saved) {
	if saved.Unasked {
		note(cmd, "warning: %s did not ask for credentials: they may be wrong", host)
	}
	if saved.Server != "" {
		note(cmd, "the credentials are for %s, which answers for %s", saved.Server, host)
	}
	if saved.Plaintext {
		helper, programs := helperHere(runtime.GOOS)
		note(cmd, "warning: the password is in %s, not encrypted", saved.Place)
		note(cmd, "%s keeps it safe:", programs)
		note(cmd, `install it and write "credsStore": "%s" into that file`, helper)
	}
	path := os.Getenv(authFileVariable)
	if path == "" {
		return
	}
	if wins, err := registry.AuthFileHas(path, cmp.Or(saved.Server, host)); err != nil {
		note(cmd, "warning: %s: %v", authFileVariable, err)
	} else if wins {
		note(cmd, "warning: other commands use what %s has for %s", path, host)
		note(cmd, "and not these credentials: %s names that file", authFileVariable)
	}
}

// helperHere is docker's credential helper for a system, and the programs that
// people have to choose from.
func helperHere(system string) (helper, programs string) {
	switch system {
	case "darwin":
		return "osxkeychain", "docker-credential-osxkeychain"
	case "windows":
		return "wincred", "docker-credential-wincred"
	}
	return "secretservice", "docker-credential-secretservice (or docker-credential-pass)"
}

// nobody says that there are no credentials among the flags.
func (o *loginOptions) nobody() bool {
	return o.username == "" && o.password == "" && !o.passwordStdin
}

// checkAmazon is the login to a registry that takes the credentials of AWS:
// nothing has to be saved.
func (o *loginOptions) checkAmazon(cmd *cobra.Command, host string) error {
	name, err := registry.ParseRegistry(host)
	if err != nil {
		return err
	}
	client, err := o.clientFor(registry.Reference{Registry: name})
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Check(cmd.Context(), host); err != nil {
		return err
	}
	return say(cmd, "no login is needed at %s", host)
}

// check refuses credentials that no registry can be shown: a colon ends the user
// name there, and what cannot be seen was hardly meant.
func (o *loginOptions) check() error {
	switch {
	case strings.Contains(o.username, ":"):
		return withHint(errors.New("a user name has no colon in it"), "the password goes in by itself: --password-stdin")
	case strings.ContainsFunc(o.username, unicode.IsControl):
		return errors.New("there is a control character in the user name")
	case strings.ContainsFunc(o.password, unicode.IsControl):
		return withHint(errors.New("there is a control character in the password, such as a line break"),
			"with --password-stdin all of standard input is the password, but for a line break at its end")
	}
	return nil
}

// ask completes the credentials from standard input.
func (o *loginOptions) ask(cmd *cobra.Command) error {
	if o.passwordStdin {
		if o.username == "" {
			return usage(errors.New("--password-stdin needs --username"))
		}
		return await(cmd.Context(), func() error { return o.readPassword(cmd.InOrStdin()) })
	}
	if o.username != "" && o.password != "" {
		return nil
	}
	tty, ok := cmd.InOrStdin().(*os.File)
	if !ok || !isTerminal(tty) {
		if o.username == "" {
			return withHint(errors.New("no user name"), "standard input is no terminal to ask at: --username gives it")
		}
		return withHint(errors.New("no password"), "standard input is no terminal to ask at: give it there with --password-stdin")
	}
	return o.prompt(cmd.Context(), tty, cmd.ErrOrStderr())
}

// prompt asks for what is missing, the password without echo. An interrupt
// leaves the terminal as it was.
func (o *loginOptions) prompt(ctx context.Context, tty *os.File, w io.Writer) error {
	state, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return err
	}
	err = await(ctx, func() error { return o.readAnswers(tty, w) })
	if ctx.Err() != nil {
		term.Restore(int(tty.Fd()), state)
		fmt.Fprintln(w)
	}
	return err
}

// await runs what cannot be interrupted, and waits for it no longer than ctx
// lasts.
func await(ctx context.Context, run func() error) error {
	done := make(chan error, 1)
	go func() { done <- run() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readPassword reads all of standard input.
func (o *loginOptions) readPassword(r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return fmt.Errorf("reading the password: %w", err)
	}
	o.password = strings.TrimRight(string(data), "\r\n")
	if o.password == "" {
		return errors.New("the password on standard input is empty")
	}
	return nil
}

func (o *loginOptions) readAnswers(tty *os.File, w io.Writer) error {
	if o.username == "" {
		fmt.Fprint(w, "Username: ")
		line, err := bufio.NewReader(tty).ReadString('\n')
		if err != nil {
			return fmt.Errorf("reading the user name: %w", err)
		}
		if o.username = strings.TrimSpace(line); o.username == "" {
			return errors.New("no user name")
		}
	}
	if o.password == "" {
		fmt.Fprint(w, "Password: ")
		data, err := term.ReadPassword(int(tty.Fd()))
		fmt.Fprintln(w)
		if err != nil {
			return fmt.Errorf("reading the password: %w", err)
		}
		o.password = string(data)
	}
	return nil
}

func (a *app) newLogoutCommand() *cobra.Command {
	var o remoteFlags
	cmd := &cobra.Command{
		Use:     "logout REGISTRY",
		Short:   "Remove the saved credentials of a registry",
		Example: `  tare logout registry.example.com`,
		Args:    argsBetween(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := registry.ParseRegistry(args[0]); err != nil {
				return usage(err)
			}
			o.stderr = cmd.ErrOrStderr
			client, err := o.client()
			if err != nil {
				return err
			}
			if err := client.Logout(cmd.Context(), args[0]); err != nil {
				return err
			}
			return say(cmd, "logged out of %s", args[0])
		},
	}
	o.registerHosts(cmd)
	return cmd
}
