package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tareml/tare/cmd/template"
)

// formatFlag is the --format of commands that print a result.
type formatFlag struct{ value string }

// The values of --format that are no template.
const (
	formatTable = "table"
	formatJSON  = "json"
)

func (f *formatFlag) register(cmd *cobra.Command, byDefault string) {
	cmd.Flags().StringVar(&f.value, "format", byDefault, "table, json, or a Go template such as '{{.Digest}}'")
	cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{formatTable, formatJSON}, cobra.ShellCompDirectiveNoFileComp))
}

// print writes v to standard output: as JSON, through a template, or by table.
// It is one write, and its error is the command's: a result that nobody got is
// none.
func (f *formatFlag) print(cmd *cobra.Command, v any, table func(io.Writer)) error {
	var out bytes.Buffer
	var err error
	switch f.value {
	case formatTable:
		table(&out)
	case formatJSON:
		err = encodeJSON(&out, v)
	default:
		err = f.execute(&out, v)
	}
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(out.Bytes())
	return readerGone(err)
}

// errReaderGone says that nobody reads standard output any more, as in
// tare ls | head -1.
var errReaderGone = errors.New("nobody reads the output")

func readerGone(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return errReaderGone
	}
	return err
}

func encodeJSON(w io.Writer, v any) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	// In JSON an escape says the same as the character that it stands for.
	for line := range strings.Lines(out.String()) {
		fmt.Fprintln(w, printable(strings.TrimSuffix(line, "\n")))
	}
	return nil
}

// execute prints through the template, a line for each element of a list. The
// template sees what --format json prints, under the same names.
func (f *formatFlag) execute(w io.Writer, v any) error {
	t, err := f.template()
	if err != nil {
		return err
	}
	view, err := throughJSON(v)
	if err != nil {
		return err
	}
	items, ok := view.([]any)
	if !ok {
		items = []any{view}
	}
	for _, item := range items {
		line, err := t.Execute(item)
		if err != nil {
			return withHint(fmt.Errorf("--format: %w", err), "--format json shows the names that a template can use")
		}
		fmt.Fprintln(w, line)
	}
	return nil
}

// throughJSON is v as a reader of its JSON sees it.
func throughJSON(v any) (view any, err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return view, dec.Decode(&view)
}

func (f *formatFlag) template() (*template.Template, error) {
	if !strings.Contains(f.value, "{{") {
		return nil, fmt.Errorf("--format %q: neither table, json nor a template", f.value)
	}
	t, err := template.Parse(f.value)
	if err != nil {
		return nil, fmt.Errorf("--format: %w", err)
	}
	return t, nil
}

// check finds a bad --format before the work begins, by trying it on a sample of
// what will be printed. What a sample cannot show, such as the third layer, is
// let by; a nil sample shows nothing.
func (f *formatFlag) check(sample any) error {
	if f.value == formatTable || f.value == formatJSON {
		return nil
	}
	if _, err := f.template(); err != nil {
		return usage(err)
	}
	err := f.execute(io.Discard, sample)
	if _, ok := errors.AsType[*template.NoFieldError](err); ok && sample != nil {
		return usage(err)
	}
	return nil
}

// say writes a line that is a command's result.
func say(cmd *cobra.Command, format string, args ...any) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
	return readerGone(err)
}

// isTerminal says whether a person looks at w.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// columns is the width of the terminal w, 0 if it is none.
func columns(w any) int {
	if !isTerminal(w) {
		return 0
	}
	width, _, err := term.GetSize(int(w.(*os.File).Fd()))
	if err != nil {
		return 0
	}
	return width
}

// note tells a person something that is no result.
func note(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintln(cmd.ErrOrStderr(), printable(fmt.Sprintf(format, args...)))
}

// lineWriter has one line written at a time, whoever writes.
type lineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// printable is s for a terminal. Names come from artifacts, registries and disks
// of others: what could move the cursor or forge a line is written as an escape.
func printable(s string) string {
	if !strings.ContainsFunc(s, isControl) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isControl(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isControl knows control characters, and the ones that turn text around.
func isControl(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// ago writes a time for people, relative to now, in at most ten characters.
func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	const day = 24 * time.Hour
	d := now.Sub(*t)
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{365 * day, "yr"}, {30 * day, "mo"}, {7 * day, "wk"}, {day, "d"}, {time.Hour, "h"}, {time.Minute, "min"}} {
		if n := int(d / u.unit); n > 0 {
			return fmt.Sprintf("%d %s ago", n, u.name)
		}
	}
	return "just now"
}

// plural writes a number and the right form of its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
