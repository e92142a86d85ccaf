package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// formatFlag is the --format of commands that print a result.
type formatFlag struct{ value string }

// The values of --format that are no template.
const (
	formatTable = "table"
	formatJSON  = "json"
)

func (f *formatFlag) register(cmd *cobra.Command, byDefault string) {
	cmd.Flags().StringVar(&f.value, "format", byDefault, "how to print the result: table, json, or a Go template such as '{{.Digest}}'")
}

// print writes v to standard output: as JSON, through a template, or by table.
func (f *formatFlag) print(cmd *cobra.Command, v any, table func(io.Writer)) error {
	w := cmd.OutOrStdout()
	switch f.value {
	case formatTable, "":
		table(w)
		return nil
	case formatJSON:
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	return f.execute(w, v)
}

// execute prints through the template, a line for each element of a list.
func (f *formatFlag) execute(w io.Writer, v any) error {
	t, err := f.template()
	if err != nil {
		return err
	}
	items := []any{v}
	if list, ok := v.(interface{ items() []any }); ok {
		items = list.items()
	}
	for _, item := range items {
		if err := t.Execute(w, item); err != nil {
			return withHint(fmt.Errorf("--format: %w", err), "--format json shows the names that a template can use")
		}
		fmt.Fprintln(w)
	}
	return nil
}

func (f *formatFlag) template() (*template.Template, error) {
	if !strings.Contains(f.value, "{{") {
		return nil, fmt.Errorf("--format %q: neither table, json nor a template", f.value)
	}
	t, err := template.New("format").Funcs(template.FuncMap{"json": toJSON}).Parse(f.value)
	if err != nil {
		return nil, fmt.Errorf("--format: %w", err)
	}
	return t, nil
}

// check finds a bad --format before the work begins.
func (f *formatFlag) check() error {
	if f.value == formatTable || f.value == formatJSON {
		return nil
	}
	_, err := f.template()
	return err
}

func toJSON(v any) (string, error) {
	data, err := json.Marshal(v)
	return string(data), err
}

// isTerminal says whether a person looks at w.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// note tells a person something that is no result.
func note(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
}

// ago writes a time for people, relative to now.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := now.Sub(t)
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{365 * 24 * time.Hour, "year"}, {30 * 24 * time.Hour, "month"}, {7 * 24 * time.Hour, "week"}, {24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int(d / u.unit); n == 1 {
			return "1 " + u.name + " ago"
		} else if n > 1 {
			return fmt.Sprintf("%d %ss ago", n, u.name)
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
