package cmd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/build"
	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelfile/generate"
)

type checkOptions struct {
	followLinks bool
	format      formatFlag
}

// finding is something that a check of a Modelfile came upon. Line and column are
// counted from 1, and 0 if it is about no line.
type finding struct {
	Severity     string // error or warning
	File         string
	Line, Column int
	Message      string
	Hint         string
}

const (
	severityError   = "error"
	severityWarning = "warning"
)

func (a *app) newCheckCommand() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check [FILE] [DIR]",
		Short: "Find what is wrong with a Modelfile",
		Long: `Report everything that is wrong with a Modelfile at once, each with its place:
mistakes of the text, entries that match or take no file in DIR, files in DIR
that no entry takes, values that other tools may not understand, and what was
not wholly downloaded: Git LFS pointers, unfinished or damaged files, missing
shards.

FILE is DIR/Modelfile by default, and DIR is where FILE lies. Errors are what a
build would refuse; what is a warning would be built. Files that "generate"
leaves out are not missed (DIR/.tareignore may name more), nor are the copies of
weights that --dedupe-formats leaves out, unless entries take some of them.`,
		Example: `  tare modelfile check
  tare modelfile check Modelfile.small ~/models/qwen3
  tare modelfile check --format json`,
		Args: argsBetween(0, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, dir := checkArgs(args)
			return runCheck(cmd, o, file, dir)
		},
	}
	cmd.Flags().BoolVar(&o.followLinks, "follow-links", false, "follow links that lead out of DIR")
	o.format.register(cmd, formatTable)
	return cmd
}

// checkArgs completes the arguments: one alone may be either.
func checkArgs(args []string) (file, dir string) {
	switch {
	case len(args) == 0:
		return modelfileName, "."
	case len(args) == 2:
		return args[0], args[1]
	}
	file = modelfileIn(args[0])
	return file, filepath.Dir(file)
}

func runCheck(cmd *cobra.Command, o checkOptions, file, dir string) error {
	if err := o.format.check([]finding{{}}); err != nil {
		return err
	}
	found, err := check(file, dir, o.followLinks)
	if err != nil {
		return err
	}
	err = o.format.print(cmd, found, func(w io.Writer) {
		for _, f := range found {
			f.print(w)
		}
		if len(found) == 0 {
			fmt.Fprintf(w, "%s is fine\n", file)
		}
	})
	if err != nil {
		return err
	}
	return verdict(file, found)
}

// check gathers findings, in the order of the text and those without a place last.
func check(file, dir string, followLinks bool) ([]finding, error) {
	parsed, err := readModelfile(file)
	if parsed == nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = hintNoModelfile(err, file, dir)
		}
		return nil, err
	}
	found := appendErrors([]finding{}, err)
	for _, e := range parsed.Lint(file) {
		found = append(found, newFinding(severityWarning, e))
	}
	files, warnings, err := build.Survey(dir, parsed, file, followLinks)
	found = appendErrors(found, err)
	for _, e := range warnings {
		found = append(found, newFinding(severityWarning, e))
	}
	slices.SortStableFunc(found, finding.compare)
	found = appendSuspects(found, file, dir, pathsOf(files))
	return appendUntaken(found, file, dir, files)
}

// hintNoModelfile says what to do where there is no file. A name without a directory
// may have been meant for one.
func hintNoModelfile(err error, file, dir string) error {
	if _, statErr := os.Stat(dir); errors.Is(statErr, fs.ErrNotExist) {
		return withHint(err, "the directory %s does not exist", dir)
	}
	if filepath.Base(file) != modelfileName {
		return withHint(err, "to write one: tare modelfile generate %s; there is no directory %s either", dir, file)
	}
	return withHint(err, "to write one: tare modelfile generate %s", dir)
}

// appendErrors takes apart an error that joins several.
func appendErrors(found []finding, err error) []finding {
	if err == nil {
		return found
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			found = appendErrors(found, e)
		}
		return found
	}
	return append(found, newFinding(severityError, err))
}

// newFinding is about the place that err names, if it does.
func newFinding(severity string, err error) finding {
	f := finding{Severity: severity, Message: err.Error()}
	if at, ok := errors.AsType[*modelfile.SyntaxError](err); ok {
		f.File, f.Line, f.Column, f.Message = at.File, at.Line, at.Column, at.Msg
	}
	var h hinter
	if errors.As(err, &h) {
		f.Hint = h.Hint()
	}
	return f
}

// appendSuspects adds what is wrong with the files that entries take.
func appendSuspects(found []finding, file, dir string, taken []string) []finding {
	warn := func(message string) {
		found = append(found, finding{Severity: severityWarning, File: file, Message: message})
	}
	suspects := generate.Suspect(dir, taken)
	for _, name := range suspects.Pointers {
		pointer := newFinding(severityError, generate.OnlyPointers([]string{name}, "narrow or drop its entry"))
		pointer.File = file
		found = append(found, pointer)
	}
	for _, name := range suspects.Secrets {
		warn(fmt.Sprintf("%q looks secret, and an entry takes it", name))
	}
	if suspects.History.Files > 0 {
		warn(fmt.Sprintf("entries take %s", suspects.History))
	}
	for _, sentence := range suspects.Damaged {
		warn(sentence)
	}
	for _, name := range suspects.Unfinished {
		warn(fmt.Sprintf("%q looks %s, and an entry takes it", name, generate.Unfinished))
	}
	for _, warning := range generate.CheckShards(dir, taken) {
		warn(warning)
	}
	return found
}

// appendUntaken adds the files that belong to a model by their names, and that no
// entry takes. Copies of the weights in other formats are missed only if some of them
// are taken.
func appendUntaken(found []finding, file, dir string, files []build.File) ([]finding, error) {
	taken := make(map[string]bool, len(files))
	for _, name := range pathsOf(files) {
		taken[name] = true
	}
	there, err := generate.Files(dir, generate.Options{})
	if err != nil {
		return nil, err
	}
	all := there.Files
	if slices.ContainsFunc(there.Copies, func(name string) bool { return taken[name] }) {
		all = slices.Sorted(slices.Values(slices.Concat(all, there.Copies)))
	}
	for _, name := range all {
		if !taken[name] && !sameFile(filepath.Join(dir, filepath.FromSlash(name)), file) {
			found = append(found, finding{Severity: severityWarning, File: file, Message: fmt.Sprintf("%q is taken by no entry", name)})
		}
	}
	return found, nil
}

func pathsOf(files []build.File) []string {
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.Path
	}
	return paths
}

// sameFile says whether two paths lead to one file.
func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

func (f finding) compare(other finding) int {
	if (f.Line == 0) != (other.Line == 0) {
		return other.Line - f.Line // those without a place last
	}
	return f.Line - other.Line
}

// print writes what editors and people read: file:line:column: message.
func (f finding) print(w io.Writer) {
	place := f.File
	if f.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
	}
	if place != "" {
		place += ": "
	}
	fmt.Fprintf(w, "%s%s: %s\n", printable(place), f.Severity, printable(f.Message))
	if f.Hint != "" {
		fmt.Fprintf(w, "  %s\n", printable(f.Hint))
	}
}

// verdict is an error if a build would not take the Modelfile.
func verdict(file string, found []finding) error {
	n := 0
	for _, f := range found {
		if f.Severity == severityError {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%s has %s", file, plural(n, "error"))
}
