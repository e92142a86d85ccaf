package cmd

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tareml/tare/blob"
	"github.com/tareml/tare/registry"
)

// The exit codes; the help of the root command lists them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitDenied      = 4
	exitContent     = 5
	exitNetwork     = 6
	exitInterrupted = 130
	exitReaderGone  = 141 // what a shell makes of SIGPIPE; nobody is told
)

var errInterrupted = errors.New("interrupted")

// interrupted is what to say of err when the user had enough of it.
func interrupted(err error) error {
	var h *resumableError
	if errors.As(err, &h) {
		return &hintedError{errInterrupted, h.hint}
	}
	return errInterrupted
}

// resumableError says what an interruption leaves behind.
type resumableError struct {
	error
	hint string
}

func (e *resumableError) Unwrap() error { return e.error }

// resumable adds what to say if err turns out to be an interruption: only
// interrupted looks at the hint.
func resumable(err error, hint string) error {
	return &resumableError{err, hint}
}

// usageError is a mistake in the words of a command.
type usageError struct {
	err     error
	command string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Hint is that of the error itself, else where usage is explained.
func (e *usageError) Hint() string {
	var h hinter
	switch {
	case errors.As(e.err, &h):
		return h.Hint()
	case e.command != "":
		return e.command + " --help"
	}
	return ""
}

// usage marks an error as one in the words of a command.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err: err}
}

// hinter is an error that knows what to do about it.
type hinter interface{ Hint() string }

// hintedError adds a hint to an error.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }
func (e *hintedError) Hint() string  { return e.hint }

// withHint says what to do about err.
func withHint(err error, format string, args ...any) error {
	return &hintedError{err, fmt.Sprintf(format, args...)}
}

// exitCode is the one place that knows what an error means to a script.
func exitCode(err error) int {
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, blob.ErrMismatch), errors.Is(err, blob.ErrHostile):
		return exitContent
	case errors.Is(err, registry.ErrDenied):
		return exitDenied
	case errors.Is(err, blob.ErrNotFound):
		return exitNotFound
	case errors.Is(err, registry.ErrUnreachable), errors.Is(err, registry.ErrUnavailable):
		return exitNetwork
	default:
		return exitFailed
	}
}

// printError writes an error and its hint. Of several errors joined together
// each gets lines of its own.
func printError(w io.Writer, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && strings.Contains(err.Error(), "\n") {
		var said []string
		for _, e := range joined.Unwrap() {
			if text := e.Error(); !slices.Contains(said, text) {
				said = append(said, text)
				printError(w, e)
			}
		}
		return
	}
	fmt.Fprintf(w, "error: %s\n", printable(oneLine(err)))
	var h hinter
	if errors.As(err, &h) && h.Hint() != "" {
		fmt.Fprintf(w, "hint: %s\n", printable(h.Hint()))
	}
}

// oneLine is what err says, with errors that were joined within it behind each
// other, and those that say the same once. Other line breaks are part of names.
func oneLine(err error) string {
	text := err.Error()
	if !strings.Contains(text, "\n") {
		return text
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return strings.Replace(text, inner.Error(), oneLine(inner), 1)
		}
	case interface{ Unwrap() []error }:
		return oneLineOf(text, e.Unwrap())
	}
	return text
}

// oneLineOf is oneLine for the text of an error that has several in it.
func oneLineOf(text string, parts []error) string {
	var each, said []string
	for _, part := range parts {
		each = append(each, part.Error())
		if s := oneLine(part); !slices.Contains(said, s) {
			said = append(said, s)
		}
	}
	if text == strings.Join(each, "\n") {
		return strings.Join(said, "; ")
	}
	for i, part := range parts {
		text = strings.Replace(text, each[i], oneLine(part), 1)
	}
	return text
}
