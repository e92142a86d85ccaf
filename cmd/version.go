package cmd

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker in a release.
var version string

// currentVersion is the release, or what the Go toolchain knows of the module.
func currentVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// versionInfo is what version prints.
type versionInfo struct {
	Version  string
	Go       string
	Platform string
}

func (a *app) newVersionCommand() *cobra.Command {
	var format formatFlag
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: `  tare version --format '{{.Version}}'`,
		Args:    argsBetween(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := format.check(versionInfo{}); err != nil {
				return err
			}
			v := versionInfo{currentVersion(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return format.print(cmd, v, func(w io.Writer) {
				fmt.Fprintf(w, "tare %s (%s, %s)\n", v.Version, v.Go, v.Platform)
			})
		},
	}
	format.register(cmd, formatTable)
	return cmd
}
