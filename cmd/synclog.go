package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/extract/follow"
	"github.com/tareml/tare/progress"
)

// changed is what a sync prints of each change. Sizes are in bytes.
type changed struct {
	Time      time.Time
	Directory string
	Models    []changedModel
	Files     int
	Changed   int // files that were written or removed
	Size      int64
	Written   int64 // of layers that files were written from
	Moved     int64 // of layers, that went over the network for it
	Resumed   int64 // that went over it before a failure
	Skipped   int64 // that were there already
	Seconds   float64
}

// changedModel is one of the models of a sync. Previous is empty the first time,
// and the same as Digest where this model did not change.
type changedModel struct {
	Reference string
	Digest    string
	Previous  string
}

// syncLog prints changes to standard output, and to standard error when
// something begins to fail, fails for another reason, or works again. A command
// that goes on failing is named again for each version, and now and then: what it
// should have told does not know of the files that are there.
type syncLog struct {
	cmd    *cobra.Command
	format formatFlag
	dir    string
	fail   func(error) // ends the sync

	err  error              // of standard output
	said map[string]failing // what fails, by stage
}

// failing is a stage that failed in the last rounds.
type failing struct {
	code    int            // of the exit, for the last error that was printed
	version follow.Version // that the directory held then
	times   int            // in a row
}

// remindEvery is how many failures of the command in a row are worth a line.
const remindEvery = 10

// The stages of a round, as they are called when they work again.
const (
	checkStage   = "the registry answers again"
	applyStage   = "the directory is as it should be again"
	commandStage = "--on-change succeeded"
)

// Changed implements [follow.Observer].
func (l *syncLog) Changed(c follow.Change) {
	if err := l.print(l.describe(c)); err != nil && l.err == nil {
		l.err = err
		l.fail(err)
	}
}

func (l *syncLog) describe(c follow.Change) changed {
	v := changed{
		Time:      c.Time.UTC().Truncate(time.Millisecond),
		Directory: l.dir,
		Files:     c.Files,
		Changed:   c.Result.Changed,
		Size:      c.Size,
		Written:   c.Written,
		Moved:     c.Moved,
		Resumed:   c.Resumed,
		Skipped:   c.Skipped,
		Seconds:   c.Took.Round(time.Millisecond).Seconds(),
	}
	for i, pin := range c.To {
		m := changedModel{Reference: pin.Reference, Digest: pin.Digest.String()}
		if i < len(c.From) {
			m.Previous = c.From[i].Digest.String()
		}
		v.Models = append(v.Models, m)
	}
	return v
}

// print writes a line, whatever the format.
func (l *syncLog) print(v changed) error {
	if l.format.value == formatJSON {
		return l.printJSON(v)
	}
	return l.format.print(l.cmd, v, func(w io.Writer) {
		fmt.Fprintf(w, "%s %s %s, %d changed, %s\n", v.Time.Format(time.RFC3339), v.models(),
			plural(v.Files, "file"), v.Changed, progress.Bytes(v.Size))
	})
}

func (l *syncLog) printJSON(v changed) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return say(l.cmd, "%s", printable(strings.TrimSuffix(out.String(), "\n")))
}

// models names those that changed, or all if files were restored.
func (v changed) models() string {
	var moved, all []string
	for _, m := range v.Models {
		switch {
		case m.Previous == "":
			moved = append(moved, m.Reference+" "+m.Digest)
		case m.Previous != m.Digest:
			moved = append(moved, m.Reference+" "+m.Digest+" (was "+m.Previous+")")
		}
		all = append(all, m.Reference+" "+m.Digest+" (restored)")
	}
	if len(moved) == 0 {
		moved = all
	}
	return strings.Join(moved, ", ")
}

// Done implements [follow.Observer].
func (l *syncLog) Done(r follow.Round) {
	l.stage(checkStage, r.Check, r)
	l.stage(applyStage, r.Apply, r)
	l.stage(commandStage, r.OnChange, r)
}

// stage says what became of a stage, unless that was said before. One that was
// not come to counts as it was.
func (l *syncLog) stage(name string, err error, r follow.Round) {
	was, failed := l.said[name]
	switch {
	case err == nil && failed && over(name, r):
		delete(l.said, name)
		note(l.cmd, "%s", name)
	case err != nil:
		if l.said == nil {
			l.said = map[string]failing{}
		}
		now := failing{exitCode(err), r.Version, was.times + 1}
		l.said[name] = now
		if !failed || now.code != was.code || name == commandStage && now.isNews(was) {
			l.complain(name, err, r)
		}
	}
}

// over says whether a stage without an error was come to.
func over(name string, r follow.Round) bool {
	if name == commandStage {
		return !r.Due
	}
	return r.Check == nil
}

// isNews says whether a command that failed before is to be named again.
func (f failing) isNews(was failing) bool {
	return !f.version.Equal(was.version) || f.times%remindEvery == 0
}

func (l *syncLog) complain(name string, err error, r follow.Round) {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if times := l.said[name].times; name == commandStage && times > 1 {
		text += fmt.Sprintf(", %d times in a row", times)
	}
	note(l.cmd, "%s; %s; trying again in %s", text, l.state(name, r.Version), max(r.Wait.Round(time.Second), time.Second))
	var h hinter
	if errors.As(err, &h) && h.Hint() != "" {
		note(l.cmd, "hint: %s", h.Hint())
	}
}

// state says what the directory holds.
func (l *syncLog) state(stage string, v follow.Version) string {
	switch {
	case len(v) == 0:
		return l.dir + " holds no complete version"
	case stage == commandStage:
		return l.dir + " has the new version " + v.Digests()
	}
	return l.dir + " stays at " + v.Digests()
}
