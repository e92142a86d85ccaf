package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/modelpack"
)

// filterFlags are the flags of all commands that can take a part of an artifact.
type filterFlags struct {
	include []string
	exclude []string
	types   []string
	filters []string

	typed func() bool // --type was given, be it empty
}

func (f *filterFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.include, "include", nil, "`glob` of files to take, such as '*.json' or 'sub/**'\n(repeatable; a directory stands for all below it)")
	flags.StringArrayVar(&f.exclude, "exclude", nil, "`glob` of files to leave out (repeatable)")
	flags.StringSliceVar(&f.types, "type", nil, "`kinds` of files to take: config, model, code,\ndataset, doc")
	flags.StringArrayVar(&f.filters, "filter", nil, "`part` to take, in kit's words: model (weights and\ntheir configuration), docs, datasets:train,eval …\n(repeatable)")
	f.typed = func() bool { return flags.Changed("type") }
	cmd.RegisterFlagCompletionFunc("type", completeKinds)
}

// filter is what the flags say together. One that takes all is not nil either.
func (f *filterFlags) filter() (*extract.Filter, error) {
	kinds, err := f.kinds()
	if err != nil {
		return nil, usage(withHint(fmt.Errorf("--type: %w", err), "kit's words, such as datasets, are for --filter"))
	}
	parts, err := f.parts()
	if err != nil {
		return nil, usage(withHint(fmt.Errorf("--filter: %w", err), "such as --filter model, or --filter datasets:train,eval"))
	}
	filter := &extract.Filter{Kinds: kinds, Include: f.include, Exclude: f.exclude, Parts: parts}
	if err := filter.Check(); err != nil {
		return nil, usage(withHint(err, `globs are made of * ** ? [a-z] {a,b}, and \ before one of these characters`))
	}
	return filter, nil
}

func (f *filterFlags) kinds() (kinds []modelpack.Kind, err error) {
	if len(f.types) == 0 && f.typed() {
		return nil, errors.New("names no kind: leave the flag out to take all")
	}
	for _, name := range f.types {
		kind, err := modelpack.ParseKind(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		kinds = append(kinds, kind)
	}
	return kinds, nil
}

func (f *filterFlags) parts() (parts []extract.Part, err error) {
	for _, s := range f.filters {
		part, err := extract.ParsePart(s)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// completeKinds completes the last one of a list of kinds with those that are
// not in it yet.
func completeKinds(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	before := toComplete[:strings.LastIndexByte(toComplete, ',')+1]
	given := strings.Split(before, ",")
	var lists []string
	for _, kind := range modelpack.Kinds() {
		if list := before + kind.String(); !slices.Contains(given, kind.String()) && strings.HasPrefix(list, toComplete) {
			lists = append(lists, list)
		}
	}
	return lists, cobra.ShellCompDirectiveNoFileComp
}
