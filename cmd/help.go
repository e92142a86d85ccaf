package cmd

import (
	"errors"
	"fmt"
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

// suggestCommand makes a hint of what cobra puts below its error, if it does.
func suggestCommand(err error) error {
	text, suggestions, ok := strings.Cut(err.Error(), "\n\nDid you mean this?\n")
	if !ok {
		return err
	}
	return withHint(errors.New(text), "did you mean %s?", either(strings.Fields(suggestions)))
}

// either is a choice in words.
func either(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// alike lists the commands of parent that name may be meant to be.
func alike(parent *cobra.Command, name string) []string {
	parent.SuggestionsMinimumDistance = min(2, len(strings.TrimLeft(name, "-"))-1)
	return parent.SuggestionsFor(name)
}

// flagError says which flag was meant, if that can be told.
func flagError(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return err
	}
	switch name := unknown.GetSpecifiedName(); name {
	case "q", "quiet", "silent":
		return withHint(err, "to see no progress: --progress none")
	default:
		if names := alike(flagsAsCommands(cmd), "--"+name); len(names) > 0 {
			return withHint(err, "did you mean %s?", either(names))
		}
	}
	return err
}

// flagsAsCommands lends the flags of cmd to what knows which commands look alike.
func flagsAsCommands(cmd *cobra.Command) *cobra.Command {
	all := &cobra.Command{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		all.AddCommand(&cobra.Command{Use: "--" + f.Name, Run: func(*cobra.Command, []string) {}})
	})
	return all
}
