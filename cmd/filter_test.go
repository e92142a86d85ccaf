package cmd

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/extract"
	"github.com/tareml/tare/modelpack"
)

// parseFilter reads a command line of filter flags.
func parseFilter(t *testing.T, args ...string) (*extract.Filter, error) {
	t.Helper()
	var f filterFlags
	cmd := &cobra.Command{Use: "test"}
	f.register(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return f.filter()
}

func TestNoFilterFlags(t *testing.T) {
	f, err := parseFilter(t)
	if err != nil || !f.All() {
		t.Errorf("no flags give %v, %v", f, err)
	}
}

func TestFilterFlags(t *testing.T) {
	got, err := parseFilter(t, "--include", "*.{json,txt}", "--include=a,b", "--exclude", "sub/",
		"--type", "model,config", "--type", "doc", "--filter", "model,docs:a,b", "--filter", "kitfile")
	if err != nil {
		t.Fatal(err)
	}
	want := &extract.Filter{
		Kinds:   []modelpack.Kind{modelpack.Model, modelpack.Config, modelpack.Doc},
		Include: []string{"*.{json,txt}", "a,b"}, // a comma separates nothing
		Exclude: []string{"sub/"},
		Parts: []extract.Part{
			{Kinds: []modelpack.Kind{modelpack.Model, modelpack.Config, modelpack.Doc}, Names: []string{"a", "b"}},
			{},
		},
	}
	if got.String() != want.String() {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestBadFilterFlagsAreWrongUsage(t *testing.T) {
	for flag, says := range map[string]string{
		"--type=weights":       `--type: unknown kind "weights"`,
		"--type=model,":        `--type: unknown kind ""`,
		"--type=":              "--type: names no kind",
		"--filter=":            `--filter: parsing filter "": unknown type ""`,
		"--filter=config":      `--filter: parsing filter "config": unknown type "config"`,
		"--filter=model:":      "a name is empty",
		"--include=[a":         `include pattern "[a": not a glob`,
		"--include=":           `include pattern "": names no file`,
		"--exclude=../secrets": `exclude pattern "../secrets": matches no path`,
	} {
		_, err := parseFilter(t, flag)
		if exitCode(err) != exitUsage || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: exit %d, %v; want %s", flag, exitCode(err), err, says)
		}
		var h hinter
		if !errors.As(err, &h) || h.Hint() == "" {
			t.Errorf("%s: no hint", flag)
		}
	}
}

func TestCompleteKinds(t *testing.T) {
	for typed, want := range map[string][]string{
		"":                                {"config", "model", "code", "dataset", "doc"},
		"d":                               {"dataset", "doc"},
		"model,":                          {"model,config", "model,code", "model,dataset", "model,doc"},
		"model,co":                        {"model,config", "model,code"},
		"model,config,co":                 {"model,config,code"},
		"x":                               nil,
		"config,model,code,dataset,doc,d": nil,
	} {
		got, directive := completeKinds(nil, nil, typed)
		if !slices.Equal(got, want) || directive != cobra.ShellCompDirectiveNoFileComp {
			t.Errorf("%q is completed to %q, want %q", typed, got, want)
		}
	}
}
