package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// useOwnHelp has cobra's help command refuse what is no command.
func useOwnHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, _ := root.Find([]string{"help"})
	help.Example = "  tare help push"
	help.Run = nil
	help.RunE = func(cmd *cobra.Command, args []string) error {
		topic, rest, err := root.Find(args)
		if err != nil || len(rest) > 0 && topic.HasSubCommands() {
			return usage(unknownCommand(topic, rest[0]))
		}
		topic.InitDefaultHelpFlag()
		return topic.Help()
	}
}

// unknownCommand says that parent has no command of this name.
func unknownCommand(parent *cobra.Command, name string) error {
	err := fmt.Errorf("unknown command %q for %q", name, parent.CommandPath())
	if names := alike(parent, name); len(names) > 0 {
		return withHint(err, "did you mean %s?", either(names))
	}
	return withHint(err, "%s --help", parent.CommandPath())
}

// either is a choice in words.
func either(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// alike lists the commands of parent that name may be meant to be. Words that
// other tools have for a command say it all. What deletes is not guessed, and
// short words are like too many.
func alike(parent *cobra.Command, name string) []string {
	if meant := synonym(parent, name); meant != "" {
		return []string{meant}
	}
	parent.SuggestionsMinimumDistance = 0
	if len(name) >= 4 {
		parent.SuggestionsMinimumDistance = 2
	}
	names := slices.DeleteFunc(parent.SuggestionsFor(name), func(found string) bool {
		begun := len(name) >= 3 && strings.HasPrefix(found, name)
		return deletes(found) && !begun
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// deletes knows the commands after which something is gone.
func deletes(command string) bool { return command == "rm" || command == "prune" }

// synonym is the command that declares name as another word for it, or has it as
// a command of its own, as modelfile has generate.
func synonym(parent *cobra.Command, name string) string {
	is := func(word string) bool { return strings.EqualFold(word, name) }
	for _, c := range parent.Commands() {
		if slices.ContainsFunc(c.SuggestFor, is) {
			return c.Name()
		}
		for _, sub := range c.Commands() {
			if is(sub.Name()) || slices.ContainsFunc(sub.SuggestFor, is) {
				return c.Name() + " " + sub.Name()
			}
		}
	}
	return ""
}

// flagError says which flag was meant, if that can be told.
func (a *app) flagError(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return err
	}
	name := unknown.GetSpecifiedName()
	if hint := a.misplaced(cmd, name); hint != "" {
		return withHint(err, "%s", hint)
	}
	switch name {
	case "f", "force", "y", "yes":
		if deletes(cmd.Name()) {
			return withHint(err, "leave it out: %s asks nothing", cmd.CommandPath())
		}
	case "q", "quiet", "silent":
		if cmd.Name() == "ls" {
			return withHint(err, "to see digests alone: --format '{{.Digest}}'")
		}
		return withHint(err, "to see no progress: --progress none")
	}
	if names := alikeFlags(cmd, name); len(names) > 0 {
		return withHint(err, "did you mean %s?", either(names))
	}
	return err
}

// misplaced is what to say of a flag that stands before the command that has it.
func (a *app) misplaced(cmd *cobra.Command, flag string) string {
	if cmd.HasParent() {
		return ""
	}
	for _, c := range cmd.Commands() {
		f := c.Flags().Lookup(flag)
		if f == nil && len(flag) == 1 {
			f = c.Flags().ShorthandLookup(flag)
		}
		if f != nil && slices.ContainsFunc(a.args, func(word string) bool { return word == c.Name() || c.HasAlias(word) }) {
			return fmt.Sprintf("it goes after the command: %s --%s", c.CommandPath(), f.Name)
		}
	}
	return ""
}

// alikeFlags lists the flags of cmd that name may be meant to be.
func alikeFlags(cmd *cobra.Command, name string) []string {
	flags := flagsAsCommands(cmd)
	flags.SuggestionsMinimumDistance = min(2, len(name)-1)
	return flags.SuggestionsFor("--" + name)
}

// flagsAsCommands lends the flags of cmd to what knows which commands look alike.
func flagsAsCommands(cmd *cobra.Command) *cobra.Command {
	all := &cobra.Command{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		all.AddCommand(&cobra.Command{Use: "--" + f.Name, Run: func(*cobra.Command, []string) {}})
	})
	return all
}
